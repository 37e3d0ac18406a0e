using System.CommandLine;

namespace UtpPunch.Cli;

/// <summary>`utp man`: prints the manual page.</summary>
internal static class ManCommand
{
    public const string Name = "man";

    public static Command Create(RootCommand root)
    {
        var command = new Command(Name, "Print the manual page, to be shown with `utp man | man -l -`.");
        command.SetAction(_ =>
        {
            Console.Out.Write(new ManPage(root).ToString());
            return ExitCodes.Success;
        });
        return command;
    }
}
