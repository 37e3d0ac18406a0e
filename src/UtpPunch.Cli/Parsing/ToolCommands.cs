using System.CommandLine;
using System.CommandLine.Help;
using UtpPunch.Cli.Bench;
using UtpPunch.Cli.Simulator;
using UtpPunch.Cli.Traces;

namespace UtpPunch.Cli;

/// <summary>The command model: all commands of the tool. Help, completion and the manual page are made from it.</summary>
internal static class ToolCommands
{
    /// <summary>Commands that print something about the tool itself. They take no defaults from the configuration.</summary>
    private static readonly string[] s_aboutTheTool = [CompletionCommand.Name, ManCommand.Name];

    public static RootCommand Create()
    {
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
            CompletionCommand.Create(),
        };
        root.Add(CompletionCommand.CreateSuggest(root));
        root.Add(ManCommand.Create(root));
        root.SetAction(int (_) => throw new ToolException(
            ExitCodes.Usage, $"a command is missing: {string.Join(", ", CommandLine.CommandsOf(root))} (utp --help explains them)"));
        root.Options.OfType<VersionOption>().Single().Action = new VersionAction();
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new RootHelp((HelpAction)help.Action!);
        return root;
    }

    /// <summary>Whether the configuration may give this command defaults.</summary>
    public static bool TakesDefaults(Command command) =>
        command is not RootCommand && !command.Hidden && !s_aboutTheTool.Contains(command.Name, StringComparer.Ordinal);
}
