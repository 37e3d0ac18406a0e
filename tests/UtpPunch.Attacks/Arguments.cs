namespace UtpPunch.Attacks;

/// <summary>The command line is invalid, or this machine lacks something. The message is one line.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>The command line of the suite, parsed.</summary>
internal sealed record Arguments
{
    public const string Usage = """
        attack [NAME...] [OPTIONS]   attack nodes and a rendezvous server over real sockets; needs Linux and root
          NAME                       an attack, or the beginning of its name; default: all
          --quick                    the short form, about a minute
          --markdown FILE            write the table of results
          --library FOLDER           attack this build of UtpPunch.Net.dll, such as an older one
          --list                     list the attacks
        attack hostile --help        hostile datagrams in memory, without sockets: 100 million in minutes
        """;

    public bool IsQuick { get; private init; }

    public bool IsList { get; private init; }

    public string? Markdown { get; private init; }

    public string? Library { get; private init; }

    public IReadOnlyList<string> Names { get; private init; } = [];

    public static Arguments Parse(IEnumerable<string> arguments)
    {
        var parsed = new Arguments();
        var words = new Queue<string>(arguments);
        while (words.TryDequeue(out var word))
        {
            switch (word)
            {
                case "--quick":
                    parsed = parsed with { IsQuick = true };
                    break;
                case "--list":
                    parsed = parsed with { IsList = true };
                    break;
                case "--markdown" when words.TryDequeue(out var file):
                    parsed = parsed with { Markdown = file };
                    break;
                case "--library" when words.TryDequeue(out var folder) && File.Exists(Path.Combine(folder, "UtpPunch.Net.dll")):
                    parsed = parsed with { Library = folder };
                    break;
                case var _ when Suite.All.Any(attack => attack.Name.StartsWith(word, StringComparison.Ordinal)):
                    parsed = parsed with { Names = [.. parsed.Names, word] };
                    break;
                default:
                    throw new UsageException($"'{word}' is neither an attack nor an option, or its value is missing\n{Usage}");
            }
        }

        return parsed;
    }
}
