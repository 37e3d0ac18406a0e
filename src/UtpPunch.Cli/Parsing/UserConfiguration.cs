using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;

namespace UtpPunch.Cli;

/// <summary>
/// The user's defaults: a JSON object of which a key is the long name of an option without its dashes, for all commands that have the option.
/// The key `commands` has such an object for each command that has defaults of its own. What the command line has comes first.
/// </summary>
internal sealed class UserConfiguration
{
    private const int MostBytes = 64 * 1024;
    private const string Commands = "commands";

    /// <summary>The options that may have a default. The others choose what a command does, or are for one run.</summary>
    public static readonly string[] Keys =
    [
        "rendezvous", "secret-file", "birthday", "map", "bind", "congestion", "connect-timeout", "timeout", "dialect", "verbose", "stats",
        "stun", "external-port", "lifetime", "protocol", "size", "rounds", "seconds",
    ];

    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
    private static readonly HashSet<Option> s_set = [];

    private readonly string _file;
    private readonly JsonElement _root;

    private UserConfiguration(string file, JsonElement root)
    {
        _file = file;
        _root = root;
    }

    /// <summary>Where the file is: in the folder of configurations (XDG base directory specification; on Windows %APPDATA%).</summary>
    public static string Path
    {
        get
        {
            var xdg = Environment.GetEnvironmentVariable("XDG_CONFIG_HOME");
            var folder = System.IO.Path.IsPathRooted(xdg) ? xdg
                : Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData, Environment.SpecialFolderOption.DoNotVerify);
            return System.IO.Path.Combine(folder, "utp", "config.json");
        }
    }

    /// <summary>Whether an option has its value from the configuration.</summary>
    public static bool HasSet(Option option) => s_set.Contains(option);

    /// <summary>Reads the file; null if there is none.</summary>
    public static UserConfiguration? Read()
    {
        var file = Path;
        if (!File.Exists(file))
        {
            return null;
        }

        var bytes = UserFile.Read(file, ReadSome);
        try
        {
            var root = JsonDocument.Parse(bytes, s_lenient).RootElement;
            return root.ValueKind == JsonValueKind.Object ? new UserConfiguration(file, root) : throw Invalid(file, "it is not a JSON object");
        }
        catch (JsonException error)
        {
            throw Invalid(file, $"line {error.LineNumber + 1} is not JSON: {error.Message.Split(" LineNumber:", 2)[0].TrimEnd('.', ' ')}");
        }
    }

    /// <summary>The words that the configuration adds to a command line, which has been parsed without them.</summary>
    public string[] ApplyTo(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var root = parsed.RootCommandResult.Command;
        CheckNames(root);
        var defaults = new Dictionary<string, (JsonProperty Property, string Shown)>(StringComparer.Ordinal);
        foreach (var property in _root.EnumerateObject().Where(property => property.Name != Commands))
        {
            defaults[property.Name] = (property, property.Name);
        }

        foreach (var property in OwnOf(command))
        {
            defaults[property.Name] = (property, $"{Commands}.{command.Name}.{property.Name}");
        }

        return [.. defaults.Values.SelectMany(it => WordsFor(parsed, it.Property, it.Shown))];
    }

    private JsonProperty[] OwnOf(Command command) =>
        _root.TryGetProperty(Commands, out var all) && all.TryGetProperty(command.Name, out var own) ? [.. own.EnumerateObject()] : [];

    private string[] WordsFor(ParseResult parsed, JsonProperty property, string shown)
    {
        var name = $"--{property.Name}";
        var command = parsed.CommandResult.Command;
        if (command.Options.FirstOrDefault(option => option.Name == name) is not { } option)
        {
            return [];
        }

        string[] words = [.. ValuesOf(property, shown, option).SelectMany(value => value.Length == 0 ? [name] : new[] { name, value })];
        var errors = CommandLine.ParsePlainly(command, words).Errors;
        if (errors.FirstOrDefault(error => error.SymbolResult is OptionResult or { Parent: OptionResult }) is { } error)
        {
            throw Invalid(_file, $"{shown}: {error.Message}");
        }

        if (parsed.GetResult(option) is { Implicit: false })
        {
            return [];
        }

        s_set.Add(option);
        return words;
    }

    /// <summary>The values of a key; an empty one is a switch that is on.</summary>
    private IEnumerable<string> ValuesOf(JsonProperty property, string shown, Option option) => property.Value.ValueKind switch
    {
        JsonValueKind.True when option.ValueType == typeof(bool) => [""],
        JsonValueKind.False when option.ValueType == typeof(bool) => [],
        _ when option.ValueType == typeof(bool) => throw Invalid(_file, $"{shown}: it is true or false"),
        JsonValueKind.Array => property.Value.EnumerateArray().Select(value => ValueOf(shown, value, option)),
        _ => [ValueOf(shown, property.Value, option)],
    };

    private string ValueOf(string key, JsonElement value, Option option)
    {
        var text = value.ValueKind switch
        {
            JsonValueKind.String => value.GetString()!,
            JsonValueKind.Number => value.GetRawText(),
            _ => throw Invalid(_file, $"{key}: it is a text or a number{(option.ValueType.IsArray ? ", or a list of them" : "")}"),
        };
        return text.Length == 0 ? throw Invalid(_file, $"{key}: it is empty")
            : option.ValueType == typeof(FileInfo) ? InFolder(text)
            : text;
    }

    /// <summary>A name of a file is relative to the configuration's folder; `~/` is the user's home.</summary>
    private string InFolder(string name) => name.StartsWith("~/", StringComparison.Ordinal)
        ? System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), name[2..])
        : System.IO.Path.Combine(System.IO.Path.GetDirectoryName(_file)!, name);

    private void CheckNames(Command root)
    {
        foreach (var property in _root.EnumerateObject())
        {
            if (property.Name == Commands)
            {
                CheckCommands(property.Value, [.. root.Subcommands.Where(ToolCommands.TakesDefaults).Select(command => command.Name)]);
            }
            else
            {
                CheckKey(property.Name, property.Name);
            }
        }
    }

    private void CheckCommands(JsonElement all, string[] commands)
    {
        if (all.ValueKind != JsonValueKind.Object)
        {
            throw Invalid(_file, $"{Commands}: it is not an object with the names of commands");
        }

        foreach (var command in all.EnumerateObject())
        {
            var shown = $"{Commands}.{command.Name}";
            if (!commands.Contains(command.Name, StringComparer.Ordinal))
            {
                throw Invalid(_file, $"{shown}: there is no such command{CommandLine.Suggestion(command.Name, commands)}");
            }

            if (command.Value.ValueKind != JsonValueKind.Object)
            {
                throw Invalid(_file, $"{shown}: it is not an object with the names of options");
            }

            foreach (var own in command.Value.EnumerateObject())
            {
                CheckKey(own.Name, $"{shown}.{own.Name}");
            }
        }
    }

    private void CheckKey(string key, string shown)
    {
        if (key == "secret")
        {
            throw Invalid(_file, $"{shown}: a secret does not belong here; secret-file names a file that only you can read");
        }

        if (!Keys.Contains(key, StringComparer.Ordinal))
        {
            throw Invalid(_file, $"there is no key '{shown}'{CommandLine.Suggestion(key, Keys)}");
        }
    }

    private static byte[] ReadSome(string file)
    {
        using var stream = File.OpenRead(file);
        var buffer = new byte[MostBytes + 1];
        var count = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        return count <= MostBytes ? buffer[..count] : throw Invalid(file, $"it has more than {MostBytes / 1024} KiB");
    }

    private static ToolException Invalid(string file, string what) => new(ExitCodes.Usage, $"{file}: {what}");
}
