using System.Globalization;
using UtpPunch.Tracing;

namespace UtpPunch.Cli;

/// <summary>`utp replay`: writes the result, or the lines, to standard output.</summary>
internal static class TraceReplay
{
    public static int Run(FileInfo file, ReplayMode mode, bool isJson)
    {
        var trace = Explained(file, () => Read(file));
        using var output = new StreamWriter(StandardStreams.OpenOutput());
        if (mode == ReplayMode.InputsOnly)
        {
            Explained(file, () => Replay.Run(mode, trace, line => output.Write($"{TerminalText.Escape(line.ToString())}\n")));
            return ExitCodes.Success;
        }

        var result = Explained(file, () => Replay.Run(mode, trace, null));
        if (isJson)
        {
            ReportJson(output, trace, result);
        }

        if (result.Divergence is { } divergence)
        {
            output.Write(isJson ? "" : TerminalText.EscapeLines(divergence.ToString()));
            output.Flush();
            throw new ToolException(ExitCodes.Failure, $"{file.Name} diverges in line {divergence.LineNumber}, step {divergence.Step.Number} of {trace.Steps.Length}");
        }

        if (isJson)
        {
            return ExitCodes.Success;
        }

        var end = trace.IsComplete ? "" : "; there is no #end, so the trace may be incomplete";
        output.Write(string.Create(CultureInfo.InvariantCulture, $"equal: {result.Steps} steps, {result.Lines} lines{end}\n"));
        return ExitCodes.Success;
    }

    private static void ReportJson(TextWriter output, Trace trace, ReplayResult result) => JsonLine.WriteTo(output, "replayed", json =>
    {
        json.WriteBoolean("equal", result.Divergence is null);
        json.WriteNumber("steps", result.Steps);
        json.WriteNumber("lines", result.Lines);
        json.WriteBoolean("complete", trace.IsComplete);
        if (result.Divergence is { } divergence)
        {
            json.WriteStartObject("divergence");
            json.WriteNumber("line", divergence.LineNumber);
            json.WriteNumber("step", divergence.Step.Number);
            json.WriteString("node", divergence.Step.Node);
            json.WriteString("recorded", divergence.Recorded?.ToString());
            json.WriteString("actual", divergence.Actual?.ToString());
            json.WriteEndObject();
        }
    });

    private static Trace Read(FileInfo file) => UserFile.Read(file.ToString(), path =>
    {
        using var lines = File.OpenText(path);
        return Trace.Read(lines);
    });

    private static T Explained<T>(FileInfo file, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (TraceException error)
        {
            throw new ToolException(ExitCodes.Failure, $"{file.Name}: {error.Message}", error);
        }
    }
}
