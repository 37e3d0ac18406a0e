using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>What a stream has measured and counted.</summary>
public readonly record struct UtpStreamStatistics
{
    /// <summary>The smoothed round-trip time; zero before the first was measured.</summary>
    public TimeSpan RoundTripTime { get; init; }

    /// <summary>How much the round-trip time varies.</summary>
    public TimeSpan RoundTripVariance { get; init; }

    /// <summary>How long an acknowledgement may take until packets are sent again.</summary>
    public TimeSpan RetransmitTimeout { get; init; }

    /// <summary>The congestion window, in bytes.</summary>
    public int CongestionWindow { get; init; }

    /// <summary>Bytes sent and neither acknowledged nor held for lost.</summary>
    public int BytesInFlight { get; init; }

    /// <summary>How many bytes the peer could receive when it last said so.</summary>
    public long PeerWindow { get; init; }

    /// <summary>How much longer than at best our packets are under way: what waits in queues on the path.</summary>
    public TimeSpan QueueingDelay { get; init; }

    /// <summary>The queueing delay that the congestion control aims at.</summary>
    public TimeSpan TargetDelay { get; init; }

    /// <summary>The most bytes of the stream that one packet carries.</summary>
    public int MaxPayload { get; init; }

    /// <summary>Bytes of the stream that the peer has acknowledged.</summary>
    public long BytesAcknowledged { get; init; }

    /// <summary>Bytes of the stream received in order.</summary>
    public long BytesReceived { get; init; }

    /// <summary>Packets sent, of all kinds.</summary>
    public long PacketsSent { get; init; }

    /// <summary>Packets received, of all kinds.</summary>
    public long PacketsReceived { get; init; }

    /// <summary>Packets sent again, for whatever reason.</summary>
    public long Retransmissions { get; init; }

    /// <summary>How often <see cref="RetransmitTimeout"/> has passed.</summary>
    public long Timeouts { get; init; }

    /// <summary>Packets received that had been received before.</summary>
    public long Duplicates { get; init; }

    internal static UtpStreamStatistics? Of(int connId, Node node)
    {
        var found = NodeModule.Stream(connId, node);
        return found.IsNone ? null : Of(found.Value);
    }

    private static UtpStreamStatistics Of(StreamStatistics counted) => new()
    {
        RoundTripTime = Clock.ToTimeSpan(counted.RoundTrip),
        RoundTripVariance = Clock.ToTimeSpan(counted.RoundTripVariance),
        RetransmitTimeout = Clock.ToTimeSpan(counted.RetransmitTimeout),
        CongestionWindow = counted.CongestionWindow,
        BytesInFlight = counted.InFlight,
        PeerWindow = counted.PeerWindow,
        QueueingDelay = Clock.ToTimeSpan(counted.QueueingDelay),
        TargetDelay = Clock.ToTimeSpan(counted.TargetDelay),
        MaxPayload = counted.MaxPayload,
        BytesAcknowledged = counted.BytesAcknowledged,
        BytesReceived = counted.BytesReceived,
        PacketsSent = counted.PacketsSent,
        PacketsReceived = counted.PacketsReceived,
        Retransmissions = counted.Retransmissions,
        Timeouts = counted.Timeouts,
        Duplicates = counted.Duplicates,
    };
}

/// <summary>How many streams a node has, by kind, and what it could not send.</summary>
public readonly record struct UtpNodeStatistics
{
    /// <summary>Streams that peers have opened.</summary>
    public int Incoming { get; init; }

    /// <summary>Streams that were dialled here, including those that are not open yet.</summary>
    public int Outgoing { get; init; }

    /// <summary>Streams whose opener has not yet proved that it receives what is sent to its address.</summary>
    public int HalfOpen { get; init; }

    /// <summary>Ended streams that still answer a peer who missed the last acknowledgement.</summary>
    public int Lingering { get; init; }

    /// <summary>Datagrams that the system would not send, since the node was bound: its send buffer or the device stayed full, or there
    /// was no way. What was lost on the way is not among them.</summary>
    public long DatagramsDropped { get; init; }

    internal static UtpNodeStatistics Of(Node node, IDatagramTransport transport)
    {
        var counted = NodeModule.Statistics(node);
        return new UtpNodeStatistics
        {
            Incoming = counted.Incoming,
            Outgoing = counted.Outgoing,
            HalfOpen = counted.HalfOpen,
            Lingering = counted.Lingering,
            DatagramsDropped = transport.Dropped,
        };
    }
}
