using System.Globalization;

namespace UtpPunch.Cli.Bench;

/// <summary>The arguments of a role, such as `connections=4`. Only this program writes them.</summary>
internal sealed class RoleArguments(IEnumerable<string> words)
{
    private readonly Dictionary<string, string> _values = words
        .Select(word => word.Split('=', 2))
        .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

    public string this[string name] => _values[name];

    public string? Text(string name) => _values.GetValueOrDefault(name);

    public int Number(string name, int otherwise = 0) =>
        _values.TryGetValue(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
}
