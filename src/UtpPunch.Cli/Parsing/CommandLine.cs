using System.CommandLine;
using System.CommandLine.Parsing;

namespace UtpPunch.Cli;

/// <summary>What the parser does not know: the word `help`, and which command or option a mistyped one was meant to be.</summary>
internal static class CommandLine
{
    /// <summary>`utp help` is `utp --help`, and `utp help cat` is `utp cat --help`.</summary>
    public static string[] WithoutHelpWord(string[] args) => args is ["help", .. var rest] ? [.. rest, "--help"] : args;

    public static IEnumerable<string> CommandsOf(Command root) =>
        root.Subcommands.Where(command => !command.Hidden).Select(command => command.Name);

    /// <summary>The error that is reported: one line.</summary>
    public static string Explain(ParseResult parsed)
    {
        if (parsed.CommandResult.Command is RootCommand root && parsed.UnmatchedTokens is [var word, ..])
        {
            return word.StartsWith('-')
                ? NoSuchOption(word, root)
                : $"there is no command '{word}'{Suggestion(word, CommandsOf(root))} (utp --help lists the commands)";
        }

        // An unknown option is taken for the first argument, whose parser reports it; errors about the words behind it would mislead.
        return (parsed.Errors.FirstOrDefault(error => error.SymbolResult is ArgumentResult) ?? parsed.Errors[0]).Message;
    }

    /// <summary>For the parser of an argument that was given a word that begins with `-`.</summary>
    public static string NoSuchOption(string word, ArgumentResult result) =>
        result.Parent is CommandResult { Command: var command } ? NoSuchOption(word, command) : $"there is no option '{word}'";

    private static string NoSuchOption(string word, Command command) =>
        $"there is no option '{word}'{Suggestion(word, command.Options.Where(option => !option.Hidden).Select(option => option.Name))}";

    private static string Suggestion(string word, IEnumerable<string> names) =>
        names.Select(name => (Name: name, Distance: name.StartsWith(word, StringComparison.Ordinal) ? 0 : Distance(word, name)))
            .Where(candidate => candidate.Distance <= 2)
            .OrderBy(candidate => candidate.Distance)
            .FirstOrDefault() is { Name: { } nearest } ? $"; did you mean '{nearest}'?" : "";

    /// <summary>Levenshtein's edit distance.</summary>
    private static int Distance(string one, string other)
    {
        int[] row = [.. Enumerable.Range(0, other.Length + 1)];
        for (var i = 1; i <= one.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= other.Length; j++)
            {
                var replaced = diagonal + (one[i - 1] == other[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
