using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace UtpPunch.Cli;

/// <summary>`utp --help`: one line a command, and the exit codes. The help of a command is the library's.</summary>
internal sealed class RootHelp(HelpAction ofCommands) : SynchronousCommandLineAction
{
    private const string ExitCodes = """
        Exit codes:
          0    success
          1    failure
          2    invalid command line
          3    no peer: no other peer came to the room, or the rendezvous is full or does not answer
          4    the peer was found, but no connection could be made
          5    the peer does not answer, or stopped answering
          130  interrupted by Ctrl-C
          141  the reader of standard output has gone
          143  terminated by SIGTERM
        """;

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

        output.WriteLine($"\n`utp help COMMAND` prints its options; `utp --version` prints the version.\n\n{ExitCodes}");
        return 0;
    }
}
