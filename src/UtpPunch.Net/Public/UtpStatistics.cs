using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The measurements and counters of a stream.</summary>
public readonly record struct UtpStreamStatistics
{
    /// <summary>Gets the smoothed round-trip time (RFC 6298); zero before the first measurement.</summary>
    public TimeSpan RoundTripTime { get; init; }

    /// <summary>Gets the variation of the round-trip time (RFC 6298).</summary>
    public TimeSpan RoundTripVariance { get; init; }

    /// <summary>Gets the retransmission timeout.</summary>
    public TimeSpan RetransmitTimeout { get; init; }

    /// <summary>Gets the congestion window, in bytes.</summary>
    public int CongestionWindow { get; init; }

    /// <summary>Gets the rate at which the stream may send, in bytes per second; 0 if only the window limits it.</summary>
    public long PacingRate { get; init; }

    /// <summary>Gets the rate that the last acknowledgements have shown, in bytes per second; 0 before the first ones.</summary>
    public long DeliveryRate { get; init; }

    /// <summary>Gets the phase of the congestion control, in its own word, such as "startup".</summary>
    public string Phase
    {
        get => field ?? "";
        init;
    }

    /// <summary>Gets a value that indicates whether the application, and not the path, limits the rate: everything that was written is
    /// sent.</summary>
    public bool IsApplicationLimited { get; init; }

    /// <summary>Gets the number of bytes that were sent and are neither acknowledged nor considered lost.</summary>
    public int BytesInFlight { get; init; }

    /// <summary>Gets the window that the peer has advertised, in bytes.</summary>
    public long PeerWindow { get; init; }

    /// <summary>Gets the queueing delay of the path to the peer: the current one-way delay less the base delay (RFC 6817).</summary>
    public TimeSpan QueueingDelay { get; init; }

    /// <summary>Gets the queueing delay that the congestion control aims at.</summary>
    public TimeSpan TargetDelay { get; init; }

    /// <summary>Gets the largest payload of a packet, in bytes.</summary>
    public int MaxPayload { get; init; }

    /// <summary>Gets the number of bytes that the peer has acknowledged.</summary>
    public long BytesAcknowledged { get; init; }

    /// <summary>Gets the number of bytes that were received in order.</summary>
    public long BytesReceived { get; init; }

    /// <summary>Gets the number of packets that were sent, of all types.</summary>
    public long PacketsSent { get; init; }

    /// <summary>Gets the number of packets that were received, of all types.</summary>
    public long PacketsReceived { get; init; }

    /// <summary>Gets the number of packets that were retransmitted, for any reason.</summary>
    public long Retransmissions { get; init; }

    /// <summary>Gets the number of bytes that were found lost, each time that they were.</summary>
    public long BytesLost { get; init; }

    /// <summary>Gets the number of retransmission timeouts.</summary>
    public long Timeouts { get; init; }

    /// <summary>Gets the number of packets that were received more than once.</summary>
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
        PacingRate = counted.PacingRate,
        DeliveryRate = counted.DeliveryRate,
        Phase = counted.Phase,
        IsApplicationLimited = counted.IsAppLimited,
        BytesInFlight = counted.InFlight,
        PeerWindow = counted.PeerWindow,
        // The correction of clocks that drift may raise the base above the current delay.
        QueueingDelay = Clock.ToTimeSpan(Math.Max(0, counted.QueueingDelay)),
        TargetDelay = Clock.ToTimeSpan(counted.TargetDelay),
        MaxPayload = counted.MaxPayload,
        BytesAcknowledged = counted.BytesAcknowledged,
        BytesReceived = counted.BytesReceived,
        PacketsSent = counted.PacketsSent,
        PacketsReceived = counted.PacketsReceived,
        Retransmissions = counted.Retransmissions,
        BytesLost = counted.BytesLost,
        Timeouts = counted.Timeouts,
        Duplicates = counted.Duplicates,
    };
}

/// <summary>The streams and counters of a node.</summary>
public readonly record struct UtpNodeStatistics
{
    /// <summary>Gets the number of streams that peers have opened.</summary>
    public int IncomingConnections { get; init; }

    /// <summary>Gets the number of streams that this node has opened, including those that the peer has not answered yet.</summary>
    public int OutgoingConnections { get; init; }

    /// <summary>Gets the number of half-open streams: those whose opener has not yet proved that it receives at its address.</summary>
    public int HalfOpen { get; init; }

    /// <summary>Gets the number of streams that have ended, and that still answer if the peer has lost the last acknowledgement.</summary>
    public int Lingering { get; init; }

    /// <summary>Gets the number of datagrams that the system has not sent since the node was bound: the send buffer or the device stayed full,
    /// or there was no route. Packets that the network has lost are not included.</summary>
    public long DatagramsDropped { get; init; }

    /// <summary>Gets the size of the receive buffer that the system has granted to the socket, in bytes. If it is much less than
    /// <see cref="UtpNodeOptions.SocketReceiveBufferSize"/>, datagrams are lost while the node is busy; on Linux <c>net.core.rmem_max</c> is the
    /// limit.</summary>
    public int SocketReceiveBufferSize { get; init; }

    /// <summary>Gets the size of the send buffer that the system has granted to the socket, in bytes; on Linux <c>net.core.wmem_max</c> is the
    /// limit of <see cref="UtpNodeOptions.SocketSendBufferSize"/>.</summary>
    public int SocketSendBufferSize { get; init; }

    /// <summary>Gets the number of bytes that peers have acknowledged, of all streams of the node, those that have ended included.</summary>
    public long BytesAcknowledged { get; init; }

    /// <summary>Gets the number of bytes that were received in order, of all streams.</summary>
    public long BytesReceived { get; init; }

    /// <summary>Gets the number of packets of streams that were sent, of all types.</summary>
    public long PacketsSent { get; init; }

    /// <summary>Gets the number of packets of streams that were received, of all types.</summary>
    public long PacketsReceived { get; init; }

    /// <summary>Gets the number of packets that were retransmitted, for any reason.</summary>
    public long Retransmissions { get; init; }

    /// <summary>Gets the number of bytes that were found lost, each time that they were.</summary>
    public long BytesLost { get; init; }

    /// <summary>Gets the number of retransmission timeouts.</summary>
    public long Timeouts { get; init; }

    internal static UtpNodeStatistics Of(Node node, in Traffic traffic, IDatagramTransport transport)
    {
        var counted = NodeModule.Statistics(node);
        return new UtpNodeStatistics
        {
            IncomingConnections = counted.Incoming,
            OutgoingConnections = counted.Outgoing,
            HalfOpen = counted.HalfOpen,
            Lingering = counted.Lingering,
            DatagramsDropped = transport.Dropped,
            SocketReceiveBufferSize = transport.BufferSizes.Receive,
            SocketSendBufferSize = transport.BufferSizes.Send,
            BytesAcknowledged = traffic.BytesAcknowledged,
            BytesReceived = traffic.BytesReceived,
            PacketsSent = traffic.PacketsSent,
            PacketsReceived = traffic.PacketsReceived,
            Retransmissions = traffic.Retransmissions,
            BytesLost = traffic.BytesLost,
            Timeouts = traffic.Timeouts,
        };
    }
}
