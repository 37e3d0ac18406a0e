using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Spectre.Console;

namespace UtpPunch.Cli.Bench;

/// <summary>The results, the machine and the date: as text tables, as Markdown tables, or as JSON with all samples.</summary>
internal sealed class BenchReport(BenchSettings settings, GroupResult[] results)
{
    private const int Width = 120;

    private static readonly JsonWriterOptions s_json = new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly DateTimeOffset _at = DateTimeOffset.UtcNow;

    /// <value>Whether no run failed.</value>
    public bool IsWhole => results.All(result => result.Cases.All(row => row.Failure is null));

    public void WriteText(TextWriter target)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(target),
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
        });
        console.Profile.Width = Width;
        target.WriteLine($"{Machine}.");
        target.WriteLine(Legend);
        foreach (var result in results)
        {
            target.WriteLine();
            target.WriteLine(result.Group.Title);
            var table = new Table().Border(TableBorder.Simple).AddColumn("");
            foreach (var heading in Headings(result.Group))
            {
                table.AddColumn(new TableColumn(Markup.Escape(heading)).RightAligned());
            }

            foreach (var row in result.Cases)
            {
                table.AddRow([Markup.Escape(row.Case.Name), .. Cells(result, row).Select(Markup.Escape)]);
            }

            console.Write(table);
            foreach (var note in Notes(result))
            {
                target.WriteLine($"  {TerminalText.Escape(note)}");
            }
        }
    }

    /// <summary>The tables as in docs/figures.md.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        text.Append($"{Machine}. {Legend}\n");
        foreach (var result in results)
        {
            string[] headings = [.. Headings(result.Group)];
            text.Append($"\n{result.Group.Title}:\n\n| | {string.Join(" | ", headings)} |\n|---|{string.Concat(headings.Select(_ => "---:|"))}\n");
            foreach (var row in result.Cases)
            {
                text.Append($"| {row.Case.Name} | {string.Join(" | ", Cells(result, row))} |\n");
            }

            foreach (var note in Notes(result))
            {
                text.Append($"\n{note}\n");
            }
        }

        return text.ToString();
    }

    public string ToJson()
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, s_json))
        {
            json.WriteStartObject();
            json.WriteString("date", _at.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
            json.WriteStartObject("machine");
            json.WriteNumber("cores", Environment.ProcessorCount);
            json.WriteString("system", RuntimeInformation.OSDescription);
            json.WriteString("kernel", $"{Environment.OSVersion.Version}");
            json.WriteString("architecture", $"{RuntimeInformation.ProcessArchitecture}");
            json.WriteString("runtime", RuntimeInformation.FrameworkDescription);
            json.WriteEndObject();
            json.WriteNumber("rounds", settings.Rounds);
            json.WriteNumber("seconds", settings.Time.TotalSeconds);
            json.WriteStartArray("groups");
            foreach (var result in results)
            {
                Write(json, result);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return $"{Encoding.UTF8.GetString(memory.ToArray())}\n";
    }

    private string Machine => string.Create(
        CultureInfo.InvariantCulture,
        $"{Environment.ProcessorCount} cores, {RuntimeInformation.OSDescription}, kernel {Environment.OSVersion.Version.ToString(2)}, {RuntimeInformation.FrameworkDescription}, {_at:yyyy-MM-dd}");

    private string Legend =>
        $"Medians of {settings.Rounds} interleaved rounds (least to most); x: as a multiple of the first row, round by round.";

    private static IEnumerable<string> Headings(BenchGroup group) =>
        group.Measures.SelectMany(measure => HasRatio(group, measure) ? new[] { measure.Name, "x" } : [measure.Name]);

    private static IEnumerable<string> Cells(GroupResult result, CaseResult row) =>
        result.Group.Measures.SelectMany((measure, index) => HasRatio(result.Group, measure)
            ? new[] { Figures.Of(row.Of(index)), row == result.Baseline ? "1" : Figures.Of(row.RatioOf(index, result.Baseline)) }
            : [result.Group.Compares ? Figures.OfMedian(row.Of(index)) : Figures.Of(row.Of(index))]);

    private static bool HasRatio(BenchGroup group, Measure measure) => group.Compares && measure.HasRatio;

    private static IEnumerable<string> Notes(GroupResult result) =>
        [.. result.Group.Notes, .. result.Cases.Where(row => row.Failure is not null).Select(row => $"{row.Case.Name} failed: {row.Failure}")];

    private static void Write(Utf8JsonWriter json, GroupResult result)
    {
        json.WriteStartObject();
        json.WriteString("part", result.Group.Part);
        json.WriteString("title", result.Group.Title);
        if (result.Group.Time is { } time)
        {
            json.WriteNumber("seconds", time.TotalSeconds);
        }

        json.WriteStartArray("cases");
        foreach (var row in result.Cases)
        {
            json.WriteStartObject();
            json.WriteString("name", row.Case.Name);
            if (row.Failure is not null)
            {
                json.WriteString("failure", row.Failure);
            }

            for (var index = 0; index < result.Group.Measures.Length; index++)
            {
                // TCP, for example, does not report retransmissions.
                if (row.Of(index) is not { } spread)
                {
                    continue;
                }

                var measure = result.Group.Measures[index];
                json.WriteStartObject(measure.Name);
                json.WriteString("better", measure.MoreIsBetter ? "more" : "less");
                Write(json, spread);
                if (result.Group.Compares && row.RatioOf(index, result.Baseline) is { } ratio)
                {
                    json.WriteStartObject("ratio");
                    Write(json, ratio);
                    json.WriteEndObject();
                }

                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("notes");
        foreach (var note in Notes(result))
        {
            json.WriteStringValue(note);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, Spread spread)
    {
        json.WriteNumber("median", spread.Median);
        json.WriteStartArray("samples");
        foreach (var sample in spread.Samples)
        {
            json.WriteNumberValue(sample);
        }

        json.WriteEndArray();
    }
}
