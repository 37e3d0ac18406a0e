using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using UtpPunch.Sim;

namespace UtpPunch.Cli.Simulator;

/// <summary>The result of `utp sim`, as text or JSON.</summary>
internal sealed class SimReport(SimOptions options, Fleet fleet, Finding? found, (string Scenario, string Trace)? files, bool isInterrupted)
{
    private static readonly JsonWriterOptions s_json = new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public override string ToString()
    {
        var text = new StringBuilder();
        var shard = options.Shard.Count > 1 ? $", shard {options.Shard.Index}/{options.Shard.Count}" : "";
        Line(text, $"seed        {options.Seed}{shard}");
        Line(text, $"runs        {fleet.Tally.Runs}{(isInterrupted ? ", interrupted" : "")}");
        Write(text, fleet.Tally.Events, fleet.Tally.Simulated, fleet.Elapsed, fleet.Failure is null ? 0 : 1);
        Write(text, fleet.Tally.Marks);
        if (found is not null && files is { } written)
        {
            Line(text, $"");
            Line(text, $"Run {found.Failure.Run} violates {found.Failure.Property}: {found.Failure.Why}");
            Line(text, $"The smallest scenario found that violates it too: {found.Why}");
            Line(text, $"{ScenarioText.print(found.Scenario)}");
            Line(text, $"Run it:     utp sim --scenario {written.Scenario}");
            Line(text, $"Replay it:  utp replay {written.Trace}");
        }
        else if (fleet.Failure is { } failure)
        {
            Line(text, $"");
            Line(text, $"Run {failure.Run} violates {failure.Property}: {failure.Why}");
            Line(text, $"Run it:     utp sim --seed {options.Seed} --shard {failure.Run}/{failure.Run + 1} --runs {failure.Run + 1}");
        }

        return text.ToString();
    }

    public string ToJson() => Json(json =>
    {
        json.WriteNumber("seed", options.Seed);
        json.WriteString("shard", $"{options.Shard.Index}/{options.Shard.Count}");
        json.WriteNumber("runs", fleet.Tally.Runs);
        json.WriteBoolean("interrupted", isInterrupted);
        Write(json, fleet.Tally.Events, fleet.Tally.Simulated, fleet.Elapsed, fleet.Failure is null ? 0 : 1);
        Write(json, fleet.Tally.Marks);
        if (found is not null && files is { } written)
        {
            json.WriteStartObject("failure");
            json.WriteNumber("run", found.Failure.Run);
            json.WriteString("property", found.Failure.Property);
            json.WriteString("why", found.Failure.Why);
            json.WriteString("scenario", ScenarioText.print(found.Scenario));
            json.WriteString("scenarioFile", written.Scenario);
            json.WriteString("traceFile", written.Trace);
            json.WriteEndObject();
        }
        else if (fleet.Failure is { } failure)
        {
            json.WriteStartObject("failure");
            json.WriteNumber("run", failure.Run);
            json.WriteString("property", failure.Property);
            json.WriteString("why", failure.Why);
            json.WriteEndObject();
        }
    });

    /// <summary>The result of a single run.</summary>
    public static string TextOf(Outcome outcome, TimeSpan elapsed, string? property, string? why)
    {
        var text = new StringBuilder();
        Write(text, outcome.Events, outcome.Took, elapsed, property is null ? 0 : 1);
        Write(text, outcome.Marks);
        Line(text, $"");
        foreach (var stream in outcome.Streams)
        {
            Line(text, $"{stream}");
        }

        if (property is not null)
        {
            Line(text, $"It violates {property}: {why}");
        }

        return text.ToString();
    }

    public static string JsonOf(Outcome outcome, TimeSpan elapsed, string? property, string? why) => Json(json =>
    {
        Write(json, outcome.Events, outcome.Took, elapsed, property is null ? 0 : 1);
        Write(json, outcome.Marks);
        json.WriteStartArray("streams");
        foreach (var stream in outcome.Streams)
        {
            json.WriteStringValue(stream);
        }

        json.WriteEndArray();
        if (property is not null)
        {
            json.WriteStartObject("failure");
            json.WriteString("property", property);
            json.WriteString("why", why);
            json.WriteEndObject();
        }
    });

    private static void Write(StringBuilder text, long events, long simulated, TimeSpan elapsed, int violations)
    {
        Line(text, $"events      {events}");
        Line(text, $"simulated   {simulated / 1_000_000} s");
        Line(text, $"took        {elapsed.TotalSeconds:F1} s, {events / elapsed.TotalSeconds:F0} events/s");
        Line(text, $"violations  {violations}");
    }

    private static void Write(StringBuilder text, Marks marks)
    {
        Line(text, $"");
        foreach (var (name, count) in marks.Counts)
        {
            Line(text, $"{count,12}  {name}");
        }
    }

    private static void Write(Utf8JsonWriter json, long events, long simulated, TimeSpan elapsed, int violations)
    {
        json.WriteNumber("events", events);
        json.WriteNumber("simulatedMicroseconds", simulated);
        json.WriteNumber("seconds", Math.Round(elapsed.TotalSeconds, 3));
        json.WriteNumber("eventsPerSecond", Math.Round(events / elapsed.TotalSeconds));
        json.WriteNumber("violations", violations);
    }

    private static void Write(Utf8JsonWriter json, Marks marks)
    {
        json.WriteStartObject("marks");
        foreach (var (name, count) in marks.Counts)
        {
            json.WriteNumber(name, count);
        }

        json.WriteEndObject();
    }

    private static string Json(Action<Utf8JsonWriter> write)
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, s_json))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(memory.ToArray()) + "\n";
    }

    private static void Line(StringBuilder text, FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
