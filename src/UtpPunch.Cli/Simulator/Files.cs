using Microsoft.FSharp.Core;
using UtpPunch.Sim;

namespace UtpPunch.Cli.Simulator;

/// <summary>The files of `utp sim`.</summary>
internal static class Files
{
    /// <summary>Reads a scenario. Lines that begin with # are comments.</summary>
    public static Scenario Read(string file)
    {
        var lines = UserFile.Read(file, File.ReadAllLines).Where(line => line is not ['#', ..]);
        try
        {
            var scenario = ScenarioText.parse(string.Join('\n', lines));
            return ScenarioModule.mistake(scenario) is { } mistake ? throw new FormatException(mistake) : scenario;
        }
        catch (FormatException error)
        {
            throw new ToolException(ExitCodes.Failure, $"{file} is not a scenario: {error.Message}", error);
        }
    }

    public static void Write(string file, IEnumerable<string> lines) => Save(file, writer =>
    {
        foreach (var line in lines)
        {
            writer.Write($"{line}\n");
        }
    });

    /// <summary>Runs a scenario and writes its trace, whose end names the property that it violates.</summary>
    public static void WriteTrace(string file, Scenario scenario, string? property, string? why) => Save(file, writer =>
    {
        var finding = property is null ? FSharpValueOption<(string, string)>.ValueNone : FSharpValueOption<(string, string)>.NewValueSome((property, why!));
        Recording.writeWith(finding, scenario, line => writer.Write($"{line}\n"));
    });

    private static void Save(string file, Action<StreamWriter> write) => UserFile.Write(file, target =>
    {
        using var writer = new StreamWriter(target);
        write(writer);
    });
}
