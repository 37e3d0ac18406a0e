// The tool `utp`. Data goes to standard output, everything else to standard error, where a failure is one line. ExitCodes.cs has the codes.

using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Reflection;
using UtpPunch.Cli;
using UtpPunch.Cli.Bench;
using UtpPunch.Cli.Simulator;
using UtpPunch.Cli.Traces;

var root = new RootCommand("Reliable byte streams over UDP, through NATs, with uTP (BEP 29).")
{
    CatCommand.Create(),
    PunchCommand.Create(),
    RendezvousCommand.Create(),
    StunCommand.Create(),
    MapCommand.Create(),
    DemoCommand.Create(),
    DemoCommand.CreatePeer(),
    TraceCommand.Create(),
    ReplayCommand.Create(),
    SimCommand.Create(),
    BenchCommand.Create(),
    BenchCommand.CreatePeer(Roles.All),
};
root.SetAction(int (_) => throw new ToolException(
    ExitCodes.Usage, $"a command is missing: {string.Join(", ", CommandLine.CommandsOf(root))} (utp --help explains them)"));
root.Options.OfType<VersionOption>().Single().Action = new VersionAction();
var help = root.Options.OfType<HelpOption>().Single();
help.Action = new RootHelp((HelpAction)help.Action!);

try
{
    StandardStreams.ReplaceMissing();

    // An argument may begin with @, and Ctrl-C is handled by the commands.
    var parsed = root.Parse(CommandLine.WithoutHelpWord(args), new ParserConfiguration { ResponseFileTokenReplacer = null });
    if (parsed.Errors.Count > 0 && parsed.Action is not RootHelp)
    {
        throw new ToolException(ExitCodes.Usage, CommandLine.Explain(parsed));
    }

    var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
    return await parsed.InvokeAsync(configuration);
}
catch (Exception error) when (StandardStreams.IsBrokenPipe(error))
{
    return ExitCodes.BrokenPipe;
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
