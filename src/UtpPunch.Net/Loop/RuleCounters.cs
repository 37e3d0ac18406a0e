using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>How often each uncommon rule of the protocol has fired. Counted under the loop lock, read by any thread.</summary>
internal sealed class RuleCounters
{
    // The index of a rule's name is its tag.
    private static readonly string[] Names = TraceNames.Rules.Texts;

    private readonly long[] _counts = new long[Names.Length];

    public void Count(Rule rule) => _counts[rule.Tag]++;

    public Dictionary<string, long> ByName() =>
        Names.Index().ToDictionary(rule => rule.Item, rule => Volatile.Read(ref _counts[rule.Index]), StringComparer.Ordinal);
}
