using System.Globalization;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>Builds the model from the lines of a trace: assigns arrivals and fates to packets.</summary>
internal sealed class TraceModelBuilder(TraceModel model, TraceHeader header)
{
    private readonly Dictionary<long, int> _byNumber = [];
    private readonly HashSet<(int From, string To, ushort Id, ushort Seq, string Type)> _sent = [];
    private readonly TraceConversations _conversations = new(model);

    // The sender of the last `recv` line of each lane; `pkt` lines do not repeat it.
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

    /// <summary>The last line was read.</summary>
    public void End() => _conversations.Assign();

    private int LaneOf(TraceLine line)
    {
        var lane = header.IndexOf(line.Node);
        return lane >= 0 || line.Node == "." ? lane : throw new FormatException($"There is no #node {line.Node} in the header.");
    }

    private void Send(TraceLine line, int lane, int number)
    {
        Known(line, lane);
        var sent = TraceText.ParsePacket(model.Payloads, line);
        var to = Needed(line, "to");
        var packet = new Transmission
        {
            Number = sent.Number,
            From = lane,
            To = model.LaneAt(to),
            FromAddress = model.Nodes[lane].Address,
            ToAddress = to,
            SentAt = line.Time,
            Packet = sent,
            Line = number,
        };
        // These take a sequence number, so that the same one once more is a retransmission.
        packet.IsAgain = packet.Type is "DATA" or "FIN" or "SYN"
            && !_sent.Add((lane, to, sent.Header.ConnectionId, sent.Header.SeqNr.Value, packet.Type == "SYN" ? "SYN" : ""));
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
        Known(line, lane);
        var received = TraceText.ParsePacket(model.Payloads, line);
        if (!_byNumber.TryGetValue(received.Number, out var index))
        {
            index = model.Packets.Count;
            var from = _source.TryGetValue(lane, out var source) ? source : throw new FormatException("There is no recv line before this pkt line.");
            model.Packets.Add(new Transmission
            {
                Number = received.Number,
                From = model.LaneAt(from),
                To = lane,
                FromAddress = from,
                ToAddress = model.Nodes[lane].Address,
                Packet = received,
                Line = number,
            });
            if (received.Number != 0)
            {
                _byNumber[received.Number] = index;
            }
        }

        var packet = model.Packets[index];
        packet.Deliveries.Add(new Arrival(line.Time, lane, received, number));
        Add(line, lane, "", index, packet.Deliveries.Count - 1);
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

    private void Measure(TraceLine line, int lane) =>
        model.Samples.Add(new Measurement(line.Time, lane, TraceText.ParseSample(line)));

    private void Add(TraceLine line, int lane, string text, int packet = -1, int arrival = -1) =>
        model.Events.Add(new TraceEvent(line.Time, lane, line.Direction, line.Kind, text, packet, arrival));

    private static string Text(TraceLine line) => string.Join(' ', line.Fields)
        .Replace("%20", " ", StringComparison.Ordinal).Replace("%0A", " ", StringComparison.Ordinal)
        .Replace("%0D", " ", StringComparison.Ordinal).Replace("%25", "%", StringComparison.Ordinal);

    private static void Known(TraceLine line, int lane)
    {
        if (lane < 0)
        {
            throw new FormatException($"A {line.Kind} line belongs to a node.");
        }
    }

    private static string Needed(TraceLine line, string key) => line.Find(key) ?? throw new FormatException($"There is no {key}=.");

    private static long Seconds(string text) =>
        decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && Math.Abs(seconds) < 1_000_000_000_000
            ? (long)(seconds * 1_000_000)
            : throw new FormatException($"deliver={text} is not a time in seconds.");
}
