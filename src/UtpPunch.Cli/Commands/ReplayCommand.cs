using System.CommandLine;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp replay`; what it does stands in <see cref="TraceReplay"/>.</summary>
internal static class ReplayCommand
{
    private static readonly Argument<FileInfo> File = new("FILE")
    {
        Description = "The trace: UTF-8 text that begins with #utrace 2.",
    };

    private static readonly Option<ReplayMode> Mode = new("--mode", "-m")
    {
        Description = "What to compare: strict (the default) is every line of what the nodes did, semantic leaves out time stamps and windows,"
            + " inputs-only compares nothing and prints what this version does.",
        HelpName = "strict|semantic|inputs-only",
        CustomParser = Parsing.ReplayMode,
    };

    public static Command Create()
    {
        var command = new Command(
            "replay",
            "Take every step of a trace again, with the protocol of this version, and compare what comes out with what was recorded."
            + " At the first difference, tell what it is and what is around it, and end with code 1.")
        {
            File, Mode,
        };
        command.SetAction(parsed => TraceReplay.Run(parsed.GetValue(File)!, parsed.GetValue(Mode)));
        return command;
    }
}
