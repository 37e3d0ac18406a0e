using System.CommandLine;
using System.CommandLine.Parsing;

namespace UtpPunch.Cli;

/// <summary>
/// Parses a command line, with what the parser does not know: the word `help`, the defaults of the configuration, and which command or
/// option a mistyped one was meant to be.
/// </summary>
internal static class CommandLine
{
    // An argument may begin with @.
    private static readonly ParserConfiguration s_plain = new() { ResponseFileTokenReplacer = null };

    /// <summary>Parses the arguments of the process; throws if they are no valid command line.</summary>
    public static ParseResult Parse(RootCommand root, string[] args)
    {
        var words = WithoutHelpWord(args);
        var parsed = ParseWithoutDefaults(root, words);
        var command = parsed.CommandResult.Command;
        if (parsed.Action is RootHelp or VersionAction || !ToolCommands.TakesDefaults(command)
            || UserConfiguration.Read()?.ApplyTo(parsed) is not [_, ..] defaults)
        {
            return parsed;
        }

        var place = Array.IndexOf(words, command.Name) + 1;
        return ParseWithoutDefaults(root, [.. words[..place], .. defaults, .. words[place..]]);
    }

    /// <summary>Parses words; throws if they are no valid command line. The configuration is not read.</summary>
    public static ParseResult ParseWithoutDefaults(RootCommand root, string[] words)
    {
        var parsed = root.Parse(words, s_plain);
        return parsed.Action is RootHelp or VersionAction || Mistake(parsed) is not { } mistake
            ? parsed
            : throw new ToolException(ExitCodes.Usage, mistake);
    }

    /// <summary>Parses words that are not the process's own.</summary>
    public static ParseResult ParsePlainly(Command command, IReadOnlyList<string> words) => command.Parse(words, s_plain);

    /// <summary>Whether an option is on the command line itself: neither left out, nor a default of the configuration.</summary>
    public static bool IsGiven(this ParseResult parsed, Option option) =>
        parsed.GetResult(option) is { Implicit: false } && !UserConfiguration.HasSet(option);

    public static IEnumerable<string> CommandsOf(Command root) =>
        root.Subcommands.Where(command => !command.Hidden).Select(command => command.Name);

    /// <summary>For the parser of an argument that was given a word that begins with `-`.</summary>
    public static string NoSuchOption(string word, ArgumentResult result) =>
        result.Parent is CommandResult { Command: var command } ? NoSuchOption(word, command) : $"there is no option '{word}'";

    /// <summary>The end of a message about a wrong name: the nearest right one, if one is near.</summary>
    public static string Suggestion(string word, IEnumerable<string> names) =>
        names.Select(name => (Name: name, Distance: name.StartsWith(word, StringComparison.Ordinal) ? 0 : Distance(word, name)))
            .Where(candidate => candidate.Distance <= 2)
            .OrderBy(candidate => candidate.Distance)
            .FirstOrDefault() is { Name: { } nearest } ? $"; did you mean '{nearest}'?" : "";

    /// <summary>`utp help` is `utp --help`, and `utp help cat` is `utp cat --help`.</summary>
    private static string[] WithoutHelpWord(string[] args) => args is ["help", .. var rest] ? [.. rest, "--help"] : args;

    /// <summary>What is wrong, in one line; null if nothing is.</summary>
    private static string? Mistake(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        if (command is RootCommand root && parsed.UnmatchedTokens is [var word, ..] && !word.StartsWith('-'))
        {
            return $"there is no command '{word}'{Suggestion(word, CommandsOf(root))} (utp --help lists the commands)";
        }

        // An unknown option is taken for an argument, or is left over; errors about the words behind it would mislead.
        return UnknownOption(parsed) is { } unknown ? NoSuchOption(unknown, command)
            : parsed.Errors.Count == 0 ? null
            : (parsed.Errors.FirstOrDefault(error => error.SymbolResult is ArgumentResult) ?? parsed.Errors[0]).Message;
    }

    /// <summary>A word that begins with `-` and was not taken for an option, nor stands behind `--`.</summary>
    private static string? UnknownOption(ParseResult parsed) => parsed.Tokens
        .TakeWhile(token => token.Type != TokenType.DoubleDash)
        .Where(token => token.Value is ['-', _, ..])
        .FirstOrDefault(token => IsLeftOver(parsed, token) || IsArgument(parsed, token))?.Value;

    private static bool IsLeftOver(ParseResult parsed, Token token) =>
        token.Type != TokenType.Option && parsed.UnmatchedTokens.Contains(token.Value, StringComparer.Ordinal);

    private static bool IsArgument(ParseResult parsed, Token token) =>
        parsed.CommandResult.Children.OfType<ArgumentResult>().Any(result => result.Tokens.Any(taken => ReferenceEquals(taken, token)));

    private static string NoSuchOption(string word, Command command) =>
        $"there is no option '{word}'{Suggestion(word, OptionsOf(command))}";

    private static IEnumerable<string> OptionsOf(Command command) =>
        [.. command.Options.Where(option => !option.Hidden).Select(option => option.Name), "--help"];

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
