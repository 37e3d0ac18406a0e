using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How often each uncommon rule of the protocol has fired. Counted under the loop lock, read by any thread.</summary>
internal sealed class RuleCounters
{
    private static readonly (string Name, int Tag)[] s_rules =
        [.. typeof(Rule.Tags).GetFields().Select(field => (field.Name, (int)field.GetRawConstantValue()!))];

    private readonly long[] _counts = new long[s_rules.Length];

    public void Count(Rule rule) => _counts[rule.Tag]++;

    public Dictionary<string, long> ByName() =>
        s_rules.ToDictionary(rule => rule.Name, rule => Volatile.Read(ref _counts[rule.Tag]), StringComparer.Ordinal);
}
