using System.CommandLine;
using UtpPunch.Tracing;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp replay`, which <see cref="TraceReplay"/> runs.</summary>
internal static class ReplayCommand
{
    private static readonly Argument<FileInfo> File = new("FILE")
    {
        Description = "A trace, as the simulator and UtpNode write it (docs/utrace.md).",
    };

    private static readonly Option<ReplayMode> Mode = Choice.Of(
        new Option<ReplayMode>("--mode", "-m")
        {
            Description = "strict (default) compares every output line, semantic ignores time stamps and windows,"
                + " inputs-only prints what this version does and compares nothing.",
            HelpName = "strict|semantic|inputs-only",
            CustomParser = Parsing.ReplayMode,
        },
        ["strict", "semantic", "inputs-only"]);

    private static readonly Option<bool> Json = new("--json") { Description = "Print the result as one JSON object; not with inputs-only." };

    public static Command Create()
    {
        var command = new Command(
            "replay",
            "Take the steps of a trace again with this version of the protocol and compare the outputs."
            + " The first difference is shown and ends with exit code 1.")
        {
            File, Mode, Json,
        };
        command.SetAction(parsed => (parsed.GetValue(Mode), parsed.GetValue(Json)) switch
        {
            (ReplayMode.InputsOnly, true) => throw new ToolException(ExitCodes.Usage, "--mode inputs-only takes no --json"),
            (var mode, var isJson) => TraceReplay.Run(parsed.GetValue(File)!, mode, isJson),
        });
        return command;
    }
}
