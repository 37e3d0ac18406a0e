using UtpPunch.Attacks.Network;

namespace UtpPunch.Attacks;

/// <summary>One figure of an attack: what was done, what it reached, and the bound that it must keep.</summary>
internal sealed record Finding(string Done, string Reached, string Bound, bool IsKept);

/// <summary>What an attack may use.</summary>
/// <param name="IsQuick">Whether the short form is asked for.</param>
/// <param name="Program">The assembly that hosts run.</param>
internal sealed record AttackContext(bool IsQuick, string Program)
{
    /// <summary>A value of the short form, or of the long one.</summary>
    public T Of<T>(T quick, T full) => IsQuick ? quick : full;

    public Field NewField(int delayMs = 0, int mtu = 1500) => new(Program, delayMs, 0, mtu);
}

/// <summary>An attack of docs/attacks.md.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Title">What an attacker wants.</param>
/// <param name="RunAsync">Carries it out against victims of its own.</param>
internal sealed record Attack(string Name, string Title, Func<AttackContext, Task<Finding[]>> RunAsync)
{
    /// <summary>Whether it measures processor time, memory or throughput, so that it cannot run beside others.</summary>
    public bool IsMeasured { get; init; }
}
