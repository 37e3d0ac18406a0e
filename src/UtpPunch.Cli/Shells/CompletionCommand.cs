using System.CommandLine;
using System.CommandLine.Completions;

namespace UtpPunch.Cli;

/// <summary>
/// `utp completion SHELL`: prints the script by which a shell completes `utp`. The script asks the hidden command `suggest` what may follow, so
/// it knows the options of the tool that is installed.
/// </summary>
internal static class CompletionCommand
{
    public const string Name = "completion";

    private static readonly string[] s_shells = ["bash", "zsh", "fish", "pwsh"];

    private static readonly Argument<string> Shell = Choice.Of(new Argument<string>("SHELL")
    {
        Description = $"{string.Join(", ", s_shells[..^1])} or {s_shells[^1]}.",
        CustomParser = result => Parsing.OneOf(result, s_shells, "a shell"),
    }, s_shells);

    private static readonly Argument<int> Position = new("POSITION");

    private static readonly Argument<string> Line = new("LINE");

    public static Command Create()
    {
        var command = new Command(Name, "Print a script that makes a shell complete commands, options and values of utp.") { Shell };
        command.SetAction(parsed => Print(parsed.GetRequiredValue(Shell)));
        return command;
    }

    /// <summary>Prints what may follow the first characters of a command line: each word and its description, with a tab between them.</summary>
    public static Command CreateSuggest(RootCommand root)
    {
        var command = new Command("suggest", "What may follow, for the scripts of `utp completion`.") { Position, Line };
        command.Hidden = true;
        command.SetAction(parsed => Suggest(root, parsed.GetRequiredValue(Line), parsed.GetValue(Position)));
        return command;
    }

    private static int Print(string shell)
    {
        using var script = typeof(CompletionCommand).Assembly.GetManifestResourceStream($"Shells/{shell}")!;
        using var output = StandardStreams.OpenOutput();
        script.CopyTo(output);
        return ExitCodes.Success;
    }

    private static int Suggest(RootCommand root, string line, int position)
    {
        var start = line[..Math.Clamp(position, 0, line.Length)];
        var typed = start[(start.LastIndexOf(' ') + 1)..];
        var parsed = root.Parse(start);

        // The parser offers all words that contain what was typed, and short options, which are typed as fast as they are completed.
        CompletionItem[] items =
        [
            .. parsed.GetCompletions(start.Length).Where(item => item.Label.StartsWith(typed, StringComparison.Ordinal) && item.Label.Length > 2),
        ];
        foreach (var item in typed.Length > 0 ? items : Next(parsed, items))
        {
            Console.Out.Write($"{item.InsertText ?? item.Label}\t{item.Detail?.Split('\n')[0]}\n");
        }

        return ExitCodes.Success;
    }

    /// <summary>Where nothing is typed yet, options come last, and not where the name of a file is missing, which the shell completes.</summary>
    private static CompletionItem[] Next(ParseResult parsed, CompletionItem[] items)
    {
        CompletionItem[] others = [.. items.Where(item => !item.Label.StartsWith('-'))];
        var isFileMissing = parsed.CommandResult.Command.Arguments.Any(argument => argument.Name == "FILE" && parsed.GetResult(argument)?.Tokens is null or []);
        return others.Length > 0 ? others : isFileMissing ? [] : items;
    }
}
