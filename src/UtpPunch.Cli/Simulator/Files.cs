using Microsoft.FSharp.Core;
using UtpPunch.Sim;

namespace UtpPunch.Cli.Simulator;

/// <summary>The files of `utp sim`.</summary>
internal static class Files
{
    /// <summary>Reads a scenario, less the remarks.</summary>
    public static Scenario Read(string file)
    {
        try
        {
            var lines = File.ReadLines(file).Where(line => line is not ['#', ..]);
            var scenario = ScenarioText.parse(string.Join('\n', lines));
            return ScenarioModule.mistake(scenario) is { } mistake ? throw new FormatException(mistake) : scenario;
        }
        catch (FormatException error)
        {
            throw new ToolException(ExitCodes.Usage, $"{file} is no scenario: {error.Message}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            var reason = error is FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : error.Message;
            throw new ToolException(ExitCodes.Usage, $"{file} cannot be read: {reason}", error);
        }
    }

    public static void Write(string file, IEnumerable<string> lines) => Save(file, writer =>
    {
        foreach (var line in lines)
        {
            writer.Write($"{line}\n");
        }
    });

    /// <summary>Runs a scenario and writes its trace, which ends with what is wrong with it.</summary>
    public static void WriteTrace(string file, Scenario scenario, string? property, string? why) => Save(file, writer =>
    {
        var finding = property is null ? FSharpValueOption<(string, string)>.ValueNone : FSharpValueOption<(string, string)>.NewValueSome((property, why!));
        Recording.writeWith(finding, scenario, line => writer.Write($"{line}\n"));
    });

    private static void Save(string file, Action<StreamWriter> write)
    {
        try
        {
            using var writer = new StreamWriter(file);
            write(writer);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ToolException(ExitCodes.Failure, $"{file} cannot be written: {error.Message}", error);
        }
    }
}
