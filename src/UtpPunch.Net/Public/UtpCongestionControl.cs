using System.Diagnostics.CodeAnalysis;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How streams follow the rate of their path. docs/congestion.md compares the kinds.</summary>
/// <example><code>
/// var options = new UtpNodeOptions { CongestionControl = UtpCongestionControl.Ledbat };
/// </code></example>
public sealed class UtpCongestionControl
{
    private UtpCongestionControl(CongestionControl core) => Core = core;

    /// <summary>Gets BBR (draft-ietf-ccwg-bbr): measures the rate and the round trip of the path, and keeps its queue short. Random losses
    /// do not slow it down.</summary>
    public static UtpCongestionControl Bbr { get; } = new(CongestionControls.bbr);

    /// <summary>Gets CUBIC (RFC 9438), as TCP uses it: fills queues, and takes each loss for congestion.</summary>
    public static UtpCongestionControl Cubic { get; } = new(CongestionControls.cubic);

    /// <summary>Gets LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus): uses what other traffic leaves, and yields to it.</summary>
    public static UtpCongestionControl Ledbat { get; } = new(CongestionControls.ledbat);

    /// <summary>Gets all kinds that come with the library.</summary>
    public static IReadOnlyList<UtpCongestionControl> All { get; } = [Bbr, Cubic, Ledbat];

    /// <summary>Gets the name: lower-case letters, digits and hyphens.</summary>
    public string Name => Core.Name;

    internal CongestionControl Core { get; }

    /// <summary>Gets the kind that comes with the library under a name.</summary>
    /// <param name="name">A <see cref="Name"/>; upper case does not matter.</param>
    /// <param name="kind">The kind; <see langword="null"/> if there is none of that name.</param>
    /// <returns>Whether there is one.</returns>
    public static bool TryGet(string name, [NotNullWhen(true)] out UtpCongestionControl? kind)
    {
        kind = All.FirstOrDefault(one => string.Equals(one.Name, name, StringComparison.OrdinalIgnoreCase));
        return kind is not null;
    }

    /// <summary>Makes a kind of the application's own. A trace of a node that uses it can be read, but not replayed.</summary>
    /// <param name="name">Its name in statistics: lower-case letters, digits and hyphens.</param>
    /// <param name="start">Gives the controller of a new stream. Controllers are immutable values: each call returns the next one. All calls are
    /// made on the thread that runs the receive loop, one at a time, and must not block. A controller that throws, returns
    /// <see langword="null"/>, or has a window or a pacing rate that is not positive ends the node with
    /// <see cref="UtpError.InternalError"/> and a message that names it. A window of less than one packet counts as one packet.</param>
    /// <returns>The kind.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    /// <remarks>The interface and its samples may change with the next minor version, as the warning UTPPUNCH001 says.</remarks>
    /// <exception cref="ArgumentException">The name has other characters, is empty, or is that of a kind of the library.</exception>
    [Experimental("UTPPUNCH001")]
    public static UtpCongestionControl Create(string name, Func<CongestionStart, ICongestionController> start)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(start);
        if (!name.All(it => char.IsAsciiLetterLower(it) || char.IsAsciiDigit(it) || it == '-') || TryGet(name, out _))
        {
            throw new ArgumentException("A name has lower-case letters, digits and hyphens, and is not that of another kind.", nameof(name));
        }

        return new UtpCongestionControl(new CongestionControl(name, from => GuardedController.Start(name, start, from)));
    }

    /// <returns>The name.</returns>
    public override string ToString() => Name;
}
