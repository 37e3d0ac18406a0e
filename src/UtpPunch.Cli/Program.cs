// The tool `utp`. Data goes to standard output, everything else to standard error, where a failure is one line; the exit code says what
// kind of failure it was (ExitCodes.cs).

using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Reflection;
using UtpPunch.Cli;
using UtpPunch.Cli.Bench;
using UtpPunch.Cli.Simulator;
using UtpPunch.Cli.Traces;

var root = new RootCommand("""
    Reliable byte streams over UDP, through NATs: uTP, as BEP 29 and the npm package utp-punch speak it.

      Exit codes: 0 all went well, 1 something failed, 2 the command line is wrong, 3 there was no meeting (nobody else came,
      or the rendezvous is silent or full), 4 the punch failed, 5 the peer did not answer (any more), 130 Ctrl-C, 143 SIGTERM.
    """)
{
    CatCommand.Create(),
    PunchCommand.Create(),
    RendezvousCommand.Create(),
    StunCommand.Create(),
    DemoCommand.Create(),
    DemoCommand.CreatePeer(),
    TraceCommand.Create(),
    ReplayCommand.Create(),
    SimCommand.Create(),
    BenchCommand.Create(),
    BenchCommand.CreatePeer(Roles.All),
};
root.SetAction(int (_) => throw new ToolException(
    ExitCodes.Usage, "say what to do: cat, punch, rendezvous, stun, demo, trace, replay, sim or bench (utp --help explains them)"));
root.Options.OfType<VersionOption>().Single().Action = new VersionAction();

try
{
    // An argument may begin with @, and what Ctrl-C means is our business.
    var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
    if (parsed.Errors.Count > 0 && parsed.Action is not HelpAction)
    {
        // An option that does not exist is taken for HOST, which knows better; what is said of the words behind it would mislead.
        var error = parsed.Errors.FirstOrDefault(error => error.SymbolResult is ArgumentResult) ?? parsed.Errors[0];
        throw new ToolException(ExitCodes.Usage, error.Message);
    }

    var ours = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
    return await parsed.InvokeAsync(ours);
}
catch (Exception error)
{
    ErrorOutput.Write(error is ToolException or IOException ? error.Message : $"{error.GetType().Name}: {error.Message}");
    return ExitCodes.Of(error);
}

/// <summary>Prints the name, the version and the commit.</summary>
internal sealed class VersionAction : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        var version = typeof(VersionAction).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
        var commit = version.IndexOf('+') is > 0 and var plus ? $" ({version[(plus + 1)..Math.Min(version.Length, plus + 11)]})" : "";
        parseResult.InvocationConfiguration.Output.WriteLine($"utp {version.Split('+')[0]}{commit}");
        return ExitCodes.Success;
    }
}
