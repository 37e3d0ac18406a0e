using System.Net;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// A trace as Wireshark reads one: an interface for what each node sends and one for what it receives, and one more for what was lost on
/// the way. What became of a packet stands in its comment. Wireshark must be told that the ports are uTP.
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
            var datagram = isInbound ? packet.Arrivals[happened.Arrival].Datagram : packet.Datagram;
            var bytes = UdpPackets.Wrap(
                EndPoint(packet.FromAddress, datagram),
                EndPoint(packet.ToAddress, datagram),
                TraceDatagrams.Encode(datagram, model.Payloads));
            var vantage = happened.Direction == "net" ? vantages : (happened.Lane * 2) + (isInbound ? 1 : 0);
            capture.AddPacket(vantage, Math.Max(0, happened.At), bytes, isInbound, Fate(packet, happened.Arrival));
        }
    }

    /// <summary>What is to be said of a packet, as it is seen when it is sent or when one of its copies arrives.</summary>
    public static string Fate(TracePacket packet, int arrival)
    {
        var words = new List<string>();
        if (packet.Number != 0)
        {
            words.Add(arrival > 0 ? $"copy of p{packet.Number}" : $"p{packet.Number}");
        }

        if (packet.IsAgain)
        {
            words.Add("sent again");
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

    private static IPEndPoint EndPoint(string address, TraceDatagram datagram) => IPEndPoint.TryParse(address, out var endPoint)
        ? endPoint
        : throw new ToolException(ExitCodes.Failure, $"line {datagram.Line}: '{address}' is not an IP address and a port");
}
