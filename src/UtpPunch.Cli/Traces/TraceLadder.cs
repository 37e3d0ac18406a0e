using System.Globalization;
using System.Text;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// A trace as a ladder of ASCII, a hundred columns wide, for terminals and logs: a line for each packet, event and effect.
/// </summary>
internal sealed class TraceLadder(TraceModel model, TextWriter output)
{
    private const int Columns = 100;
    private const int TimeColumns = 11;

    // "   time   |" … "|  arrived"
    private const int Wide = Columns - (2 * TimeColumns) - 4;

    public void Write()
    {
        if (model.Title.Length > 0)
        {
            foreach (var line in Wrapped(model.Title))
            {
                WriteLine(line);
            }

            WriteLine("");
        }

        var left = $"{model.NameOf(0)} {model.AddressOf(0)}";
        var right = model.Nodes.Count > 2 ? "the others" : $"{model.AddressOf(1)} {model.NameOf(1)}";
        var names = left + right.PadLeft(Math.Max(Wide + 2 - left.Length, right.Length + 1));
        WriteLine($"{"time",TimeColumns} {names} {"time",TimeColumns}".TrimEnd());
        foreach (var happened in model.Events)
        {
            foreach (var line in Lines(happened))
            {
                WriteLine(line.TrimEnd());
            }
        }

        WriteLine("");
        WriteLine(Summary());
    }

    // A trace may come from a stranger: every line is made safe here, so that none can be forgotten.
    private void WriteLine(string line) => output.WriteLine(TerminalText.Escape(line));

    /// <summary>The counts of a trace in one line.</summary>
    public string Summary()
    {
        var sent = model.Packets.Where(packet => packet.SentAt is not null).ToList();
        var copies = model.Packets.Sum(packet => Math.Max(0, packet.Deliveries.Count - 1));
        return $"{sent.Count} packets sent, {sent.Count(packet => packet.IsAgain)} of them again; "
            + $"{sent.Count(packet => packet.Lost is not null)} lost, {copies} copied; "
            + $"{model.Events.Count(happened => happened.IsViolation)} violations";
    }

    private IEnumerable<string> Lines(TraceEvent happened)
    {
        if (happened.IsViolation)
        {
            return Wrapped($"!! {Seconds(happened.At)} {Who(happened)}: {happened.Text}");
        }

        if (happened.Packet < 0)
        {
            return IsNoise(happened) ? [] : [Note(happened)];
        }

        var packet = model.Packets[happened.Packet];
        return happened.Direction switch
        {
            "out" => [Arrow(packet, happened.At, packet.Deliveries.Count > 0 ? packet.Deliveries[0].At : null, "")],
            "in" when happened.Arrival > 0 => [Arrow(packet, null, happened.At, "a copy")],
            "in" when packet.SentAt is null => [Arrow(packet, null, happened.At, "")],
            _ => [],
        };
    }

    // These repeat what the packets say.
    private static bool IsNoise(TraceEvent happened) =>
        happened.Kind is "deliver" or "consumed" or "taken" or "writable" or "write"
        || happened.Text.StartsWith("rule=OutOfOrder", StringComparison.Ordinal);

    private string Arrow(Transmission packet, long? sentAt, long? arrivedAt, string remark)
    {
        var isRight = packet.From == 0 || (packet.To != 0 && packet.From < packet.To);
        var line = sentAt is null ? '.' : packet.IsAgain ? '=' : '-';
        var words = new List<string> { Label(packet.Packet) };
        words.AddRange(packet.IsAgain && remark.Length == 0 ? ["again"] : []);
        words.AddRange(remark.Length > 0 ? [remark] : []);
        words.AddRange(model.Nodes.Count > 2 ? [$"({model.NameOf(packet.From)}>{model.NameOf(packet.To)})"] : []);
        var text = $" {string.Join(' ', words)} ";
        var start = new string(line, 2) + text;
        var isLost = packet.Lost is not null;
        var end = isLost ? $"x lost: {packet.Lost}" : isRight ? ">" : "<";
        var shaft = new string(line, Math.Max(1, (isLost ? (Wide * 2 / 3) : Wide) - start.Length - end.Length));
        var body = isRight
            ? start + shaft + end
            : (isLost ? $"lost: {packet.Lost} x" : "<") + shaft + text + new string(line, 2);
        body = Fitted(body);
        var (left, right) = isRight ? (sentAt, arrivedAt) : (arrivedAt, sentAt);
        return $"{Time(left)} |{(isRight ? body.PadRight(Wide) : body.PadLeft(Wide))}| {Time(right)}";
    }

    private static string Note(TraceEvent happened)
    {
        var text = Fitted($"* {happened.Kind} {happened.Text}".TrimEnd());
        return happened.Lane switch
        {
            0 => $"{Time(happened.At)} |{text.PadRight(Wide)}|",
            < 0 => $"{Time(happened.At)} :{text.PadRight(Wide)}:",
            _ => $"{new string(' ', TimeColumns)} |{text.PadLeft(Wide)}| {Time(happened.At)}",
        };
    }

    private string Who(TraceEvent happened) => happened.Lane < 0 ? "violation" : $"violation at {model.NameOf(happened.Lane)}";

    private static string Label(TracePacket packet)
    {
        if (packet.IsRaw)
        {
            return $"RAW {packet.Length} bytes";
        }

        var header = packet.Header;
        var label = new StringBuilder($"{Transmission.TypeOf(packet)} {header.SeqNr.Value}/{header.AckNr.Value}");
        label.Append(packet.Length > 0 ? $" {packet.Length} B" : "");
        label.Append(TraceBits.Words(packet) is { Length: > 0 } bits ? $" {bits}" : "");
        label.Append(packet.MayFragment ? " may fragment" : "");
        var named = TraceSack.Numbers(packet);
        label.Append(named.Count > 0 ? $" sack {TraceSack.Ranges(named)}" : "");
        return label.ToString();
    }

    private static string Fitted(string text) => text.Length <= Wide ? text : string.Concat(text.AsSpan(0, Wide - 1), "~");

    private static IEnumerable<string> Wrapped(string text)
    {
        var line = "";
        foreach (var word in text.Split(' '))
        {
            if (line.Length > 0 && line.Length + word.Length >= Columns)
            {
                yield return line;
                line = "   ";
            }

            line = line.Length == 0 ? word : $"{line} {word}";
        }

        yield return line;
    }

    private static string Time(long? at) => (at is { } time ? Seconds(time) : "").PadLeft(TimeColumns);

    private static string Seconds(long at) => (at / 1_000_000m).ToString("F6", CultureInfo.InvariantCulture);
}
