using System.Net;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// A trace as a capture for Wireshark: two interfaces for each node, one for what it sends and one for what it receives, and one for
/// packets that were lost. The fate of a packet is in its comment. Wireshark must be told that the ports are uTP.
/// </summary>
internal static class TraceCapture
{
    public static void Write(TraceModel model, Stream target)
    {
        var vantages = model.Nodes.Count * 2;
        using var capture = new Pcapng(target, "utp trace", model.Title.Length > 0 ? model.Title : model.File);
        foreach (var node in model.Nodes)
        {
            capture.AddInterface($"{node.Name}.tx");
            capture.AddInterface($"{node.Name}.rx");
        }

        capture.AddInterface("lost");
        foreach (var happened in model.Events.Where(happened => happened.Packet >= 0))
        {
            var packet = model.Packets[happened.Packet];
            var isInbound = happened.Arrival >= 0;
            var (datagram, line) = isInbound
                ? (packet.Deliveries[happened.Arrival].Packet, packet.Deliveries[happened.Arrival].Line)
                : (packet.Packet, packet.Line);
            var bytes = UdpPackets.Wrap(
                EndPoint(packet.FromAddress, line),
                EndPoint(packet.ToAddress, line),
                Encode(datagram, model.Payloads, line));
            var vantage = happened.Direction == "net" ? vantages : (happened.Lane * 2) + (isInbound ? 1 : 0);
            capture.AddPacket(vantage, Math.Max(0, happened.At), bytes, isInbound, Fate(packet, happened.Arrival));
        }
    }

    /// <summary>The comment on a packet where it is sent, or where one of its copies arrives.</summary>
    public static string Fate(Transmission packet, int arrival)
    {
        var words = new List<string>();
        if (packet.Number != 0)
        {
            words.Add(arrival > 0 ? $"copy of p{packet.Number}" : $"p{packet.Number}");
        }

        if (packet.IsAgain)
        {
            words.Add("retransmission");
        }

        if (packet.Lost is { } cause)
        {
            words.Add($"lost: {cause}");
        }

        if (packet.IsCorrupt)
        {
            words.Add("corrupted on the way");
        }

        if (packet.Queue is > 0)
        {
            words.Add($"queued {packet.Queue} us");
        }

        return string.Join("; ", words);
    }

    private static byte[] Encode(TracePacket packet, TracePayloads payloads, int line)
    {
        try
        {
            return packet.Encode(payloads);
        }
        catch (FormatException error)
        {
            throw new ToolException(ExitCodes.Failure, $"line {line}: {error.Message}", error);
        }
    }

    private static IPEndPoint EndPoint(string address, int line) => IPEndPoint.TryParse(address, out var endPoint)
        ? endPoint
        : throw new ToolException(ExitCodes.Failure, $"line {line}: '{address}' is not an IP address and a port");
}
