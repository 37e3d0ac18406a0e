using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Spectre.Console;

namespace UtpPunch.Cli.Bench;

/// <summary>All that was measured, on which machine and when: as tables for a terminal, as tables of Markdown, or as JSON with all samples.</summary>
internal sealed class BenchReport(BenchSettings settings, Standing[] standings)
{
    private const int Width = 120;

    private static readonly JsonWriterOptions s_json = new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly DateTimeOffset _at = DateTimeOffset.UtcNow;

    /// <value>Whether every contestant has played every turn.</value>
    public bool IsWhole => standings.All(standing => standing.Rows.All(row => row.Failure is null));

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
        foreach (var standing in standings)
        {
            target.WriteLine();
            target.WriteLine(standing.Contest.Title);
            var table = new Table().Border(TableBorder.Simple).AddColumn("");
            foreach (var heading in Headings(standing.Contest))
            {
                table.AddColumn(new TableColumn(Markup.Escape(heading)).RightAligned());
            }

            foreach (var row in standing.Rows)
            {
                table.AddRow([Markup.Escape(row.Contestant.Name), .. Cells(standing, row).Select(Markup.Escape)]);
            }

            console.Write(table);
            foreach (var note in Notes(standing))
            {
                target.WriteLine($"  {note}");
            }
        }
    }

    /// <summary>The tables as they stand in the README.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        text.Append($"{Machine}. {Legend}\n");
        foreach (var standing in standings)
        {
            string[] headings = [.. Headings(standing.Contest)];
            text.Append($"\n{standing.Contest.Title}:\n\n| | {string.Join(" | ", headings)} |\n|---|{string.Concat(headings.Select(_ => "---:|"))}\n");
            foreach (var row in standing.Rows)
            {
                text.Append($"| {row.Contestant.Name} | {string.Join(" | ", Cells(standing, row))} |\n");
            }

            foreach (var note in Notes(standing))
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
            json.WriteStartArray("contests");
            foreach (var standing in standings)
            {
                Write(json, standing);
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

    private static IEnumerable<string> Headings(Contest contest) =>
        contest.Measures.SelectMany(measure => HasRatio(contest, measure) ? new[] { measure.Name, "x" } : [measure.Name]);

    private static IEnumerable<string> Cells(Standing standing, Standing.Row row) =>
        standing.Contest.Measures.SelectMany((measure, index) => HasRatio(standing.Contest, measure)
            ? new[] { Figures.Of(row.Of(index)), row == standing.Rows[0] ? "1" : Figures.Of(row.RatioOf(index)) }
            : [standing.Contest.Compares ? Figures.OfMedian(row.Of(index)) : Figures.Of(row.Of(index))]);

    private static bool HasRatio(Contest contest, Measure measure) => contest.Compares && measure.HasRatio;

    private static IEnumerable<string> Notes(Standing standing) =>
        [.. standing.Contest.Notes, .. standing.Rows.Where(row => row.Failure is not null).Select(row => $"{row.Contestant.Name} failed: {row.Failure}")];

    private static void Write(Utf8JsonWriter json, Standing standing)
    {
        json.WriteStartObject();
        json.WriteString("part", standing.Contest.Part);
        json.WriteString("title", standing.Contest.Title);
        json.WriteStartArray("contestants");
        foreach (var row in standing.Rows)
        {
            json.WriteStartObject();
            json.WriteString("name", row.Contestant.Name);
            if (row.Failure is not null)
            {
                json.WriteString("failure", row.Failure);
            }

            for (var index = 0; index < standing.Contest.Measures.Length; index++)
            {
                // TCP, for one, does not say what it sent again.
                if (row.Of(index) is not { } spread)
                {
                    continue;
                }

                var measure = standing.Contest.Measures[index];
                json.WriteStartObject(measure.Name);
                json.WriteString("better", measure.MoreIsBetter ? "more" : "less");
                Write(json, spread);
                if (standing.Contest.Compares && row.RatioOf(index) is { } ratio)
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
        foreach (var note in Notes(standing))
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
