using System.CommandLine;
using System.CommandLine.Completions;

namespace UtpPunch.Cli;

/// <summary>Options and arguments of which a shell can complete the values.</summary>
internal static class Choice
{
    public static Option<T> Of<T>(Option<T> option, IEnumerable<string> values)
    {
        option.CompletionSources.Add([.. values]);
        return option;
    }

    public static Argument<T> Of<T>(Argument<T> argument, IEnumerable<string> values)
    {
        argument.CompletionSources.Add([.. values]);
        return argument;
    }
}
