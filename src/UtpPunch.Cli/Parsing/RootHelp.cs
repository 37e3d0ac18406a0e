using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace UtpPunch.Cli;

/// <summary>`utp --help`: one line a command, and the exit codes. The help of a command is the library's.</summary>
internal sealed class RootHelp(HelpAction ofCommands) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        if (parseResult.CommandResult.Command is not RootCommand root)
        {
            return ofCommands.Invoke(parseResult);
        }

        var output = parseResult.InvocationConfiguration.Output;
        output.WriteLine($"{root.Description}\n\nUsage: utp COMMAND [OPTIONS]\n\nCommands:");
        foreach (var command in root.Subcommands.Where(command => !command.Hidden))
        {
            output.WriteLine($"  {command.Name,-10}  {command.Description}");
        }

        output.WriteLine($"\n`utp help COMMAND` prints its options; `utp --version` prints the version.");
        output.WriteLine($"Defaults for options are in {UserConfiguration.Path} (docs/tool.md).\n\nExit codes:");
        foreach (var (code, meaning) in ExitCodes.Meanings)
        {
            output.WriteLine($"  {code,-4} {meaning}");
        }

        return 0;
    }
}
