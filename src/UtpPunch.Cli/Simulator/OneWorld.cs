using System.Diagnostics;
using System.Runtime.CompilerServices;
using UtpPunch.Sim;

namespace UtpPunch.Cli.Simulator;

/// <summary>`utp sim --scenario FILE`.</summary>
internal static class OneWorld
{
    public static int Run(string file, string? trace, bool json)
    {
        if (!RuntimeFeature.IsDynamicCodeSupported)
        {
            // Scenarios are read by reflection.
            throw new ToolException(
                ExitCodes.Failure, "this utp is compiled ahead of time and reads no scenarios; a clone of the repository builds one that does");
        }

        var scenario = Files.Read(file);
        var started = Stopwatch.GetTimestamp();
        var (outcome, violation) = Campaign.check(scenario);
        var elapsed = Stopwatch.GetElapsedTime(started);
        var (property, why) = violation.IsValueSome ? violation.Value : (null, null);
        if (trace is not null)
        {
            Files.WriteTrace(trace, scenario, property, why);
        }

        Console.Out.Write(TerminalText.EscapeLines(
            json ? SimReport.JsonOf(outcome, elapsed, property, why) : SimReport.TextOf(outcome, elapsed, property, why)));
        Console.Out.Flush();
        return property is null ? ExitCodes.Success : throw new ToolException(ExitCodes.Failure, $"{file} violates the property {property}");
    }
}
