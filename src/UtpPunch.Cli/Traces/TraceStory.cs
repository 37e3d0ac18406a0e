using System.Globalization;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>Puts the lines of a trace together: which arrival belongs to which sending, what became of it, and who says it.</summary>
internal sealed class TraceStory(TraceModel model)
{
    private readonly Dictionary<long, int> _byNumber = [];
    private readonly HashSet<(int From, string To, ushort Id, ushort Seq, string Type)> _sent = [];
    private readonly TraceConversations _conversations = new(model);

    // The sender of the last `recv` of each lane, which the `pkt` lines after it leave out.
    private readonly Dictionary<int, string> _source = [];

    public void Tell(TraceLine line, int number)
    {
        var lane = LaneOf(line);
        switch (line.Direction, line.Kind)
        {
            case ("in", "step"):
                break;
            case ("in", "recv"):
                _source[lane] = Needed(line, "from");
                break;
            case ("in", "pkt"):
                Receive(line, lane, number);
                break;
            case ("out", "pkt"):
                Send(line, lane, number);
                break;
            case ("net", "fate"):
                Decide(line);
                break;
            case ("chk", "stream"):
                Measure(line, lane);
                break;
            case ("in" or "out", _):
                _conversations.Hear(line, lane);
                Add(line, lane, Text(line));
                break;
            case ("net", _) or ("chk", "violation"):
                Add(line, lane, Text(line));
                break;
        }
    }

    /// <summary>There are no more lines.</summary>
    public void End() => _conversations.Assign();

    private int LaneOf(TraceLine line)
    {
        var lane = model.Nodes.FindIndex(node => node.Name == line.Node);
        return lane >= 0 || line.Node == "." ? lane : throw new FormatException($"there is no #node {line.Node} in the header");
    }

    private void Send(TraceLine line, int lane, int number)
    {
        var datagram = TraceDatagrams.Read(line, number, model.Payloads);
        var to = Needed(line, "to");
        var packet = new TracePacket
        {
            Number = line.Number("p"),
            From = lane,
            To = model.LaneAt(to),
            FromAddress = model.Nodes[lane].Address,
            ToAddress = to,
            SentAt = line.Time,
            Datagram = datagram,
        };
        var header = datagram.Header;
        packet.IsAgain = datagram.TakesNumber
            && !_sent.Add((lane, to, header.ConnectionId, header.SeqNr.Value, datagram.Type == "SYN" ? "SYN" : ""));
        if (packet.Number != 0)
        {
            _byNumber[packet.Number] = model.Packets.Count;
        }

        Add(line, lane, "", model.Packets.Count);
        _conversations.Hear(packet);
        model.Packets.Add(packet);
    }

    private void Receive(TraceLine line, int lane, int number)
    {
        var datagram = TraceDatagrams.Read(line, number, model.Payloads);
        if (!_byNumber.TryGetValue(line.Number("p"), out var index))
        {
            index = model.Packets.Count;
            var from = _source.TryGetValue(lane, out var source) ? source : throw new FormatException("a pkt without a recv before it");
            model.Packets.Add(new TracePacket
            {
                Number = line.Number("p"),
                From = model.LaneAt(from),
                To = lane,
                FromAddress = from,
                ToAddress = model.Nodes[lane].Address,
                Datagram = datagram,
            });
            if (line.Number("p") != 0)
            {
                _byNumber[line.Number("p")] = index;
            }
        }

        var packet = model.Packets[index];
        packet.Arrivals.Add(new TraceArrival(line.Time, lane, datagram));
        Add(line, lane, "", index, packet.Arrivals.Count - 1);
    }

    private void Decide(TraceLine line)
    {
        if (!_byNumber.TryGetValue(line.Number("p"), out var index))
        {
            return;
        }

        var packet = model.Packets[index];
        packet.Queue ??= line.Find("queue") is null ? null : line.Number("queue");
        packet.IsCorrupt |= line.Has("corrupt");
        foreach (var field in line.Fields.Where(field => field.StartsWith("deliver=", StringComparison.Ordinal)))
        {
            packet.Promised.Add(Seconds(field["deliver=".Length..]));
        }

        if (line.Find("lost") is { } cause)
        {
            packet.Lost = cause;
            model.Events.Add(new TraceEvent(line.Time, packet.From, "net", "lost", cause, index));
        }
    }

    private void Measure(TraceLine line, int lane)
    {
        var stream = line.Number("c");
        model.Samples.Add(new TraceSample
        {
            At = line.Time,
            Lane = lane,
            Stream = stream,
            Window = line.Number("cwnd"),
            Flight = line.Number("flight"),
            RoundTrip = line.Number("rtt"),
            Timeout = line.Number("rto"),
            Delay = line.Number("delay"),
            Target = line.Number("target"),
            PeerWindow = line.Number("peerwnd"),
            Unread = line.Find("unread") is null ? 0 : line.Number("unread"),
        });
    }

    private void Add(TraceLine line, int lane, string text, int packet = -1, int arrival = -1) =>
        model.Events.Add(new TraceEvent(line.Time, lane, line.Direction, line.Kind, text, packet, arrival));

    private static string Text(TraceLine line) => string.Join(' ', line.Fields)
        .Replace("%20", " ", StringComparison.Ordinal).Replace("%0A", " ", StringComparison.Ordinal)
        .Replace("%0D", " ", StringComparison.Ordinal).Replace("%25", "%", StringComparison.Ordinal);

    private static string Needed(TraceLine line, string key) => line.Find(key) ?? throw new FormatException($"no {key}= in: {line}");

    private static long Seconds(string text) =>
        decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && Math.Abs(seconds) < 1_000_000_000_000
            ? (long)(seconds * 1_000_000)
            : throw new FormatException($"deliver={text} is no time in seconds");
}
