namespace UtpPunch;

/// <summary>What streams have carried, added up.</summary>
internal readonly record struct Traffic(
    long BytesAcknowledged, long BytesReceived, long PacketsSent, long PacketsReceived, long Retransmissions, long BytesLost, long Timeouts)
{
    public static Traffic operator +(Traffic a, Traffic b) => new(
        a.BytesAcknowledged + b.BytesAcknowledged,
        a.BytesReceived + b.BytesReceived,
        a.PacketsSent + b.PacketsSent,
        a.PacketsReceived + b.PacketsReceived,
        a.Retransmissions + b.Retransmissions,
        a.BytesLost + b.BytesLost,
        a.Timeouts + b.Timeouts);

    public static Traffic Of(in UtpStreamStatistics stream) => new(
        stream.BytesAcknowledged,
        stream.BytesReceived,
        stream.PacketsSent,
        stream.PacketsReceived,
        stream.Retransmissions,
        stream.BytesLost,
        stream.Timeouts);
}
