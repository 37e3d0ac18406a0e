using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>Writes a hostile datagram, and names its source; the length.</summary>
internal delegate int WriteHostile(Span<byte> datagram, out Endpoint source);

/// <summary>A kind of hostile datagrams.</summary>
internal sealed record HostileKind(string Name, WriteHostile Write)
{
    /// <summary>Whether it needs honest peers: their datagrams, or their answers to what the node asks when the clocks of a packet are wrong.</summary>
    public bool NeedsPeers { get; init; }
}

/// <summary>What is left of a victim's table after the attack.</summary>
/// <param name="Live">Entries of honest hosts that are there.</param>
/// <param name="Exchanges">Honest exchanges that were tried afterwards.</param>
/// <param name="Answered">Those that ended as they must.</param>
/// <param name="Wrong">What honest hosts received that it was not theirs to receive.</param>
internal sealed record Survivors(int Live, int Exchanges, int Answered, int Wrong);

/// <summary>
/// A node or a rendezvous server in memory, with a table of honest entries, whose hosts go on as they would. Time is virtual: each
/// datagram takes <see cref="Spacing"/>.
/// </summary>
internal abstract class Victim
{
    /// <summary>Datagrams of a step, at most: what a few system calls receive.</summary>
    public const int Batch = 32;

    private const int SlotSize = 2048;

    private readonly byte[] _slots = new byte[Batch * SlotSize];

    /// <param name="size">The number of honest entries in the table.</param>
    /// <param name="spacing">The time from one hostile datagram to the next, in microseconds.</param>
    protected Victim(int size, int spacing) => (Size, Spacing) = (size, spacing);

    public int Size { get; }

    public abstract IReadOnlyList<HostileKind> Kinds { get; }

    /// <summary>What tables that the attack may fill take when they are full, in MB; 0 if they are full soon.</summary>
    public virtual double FullTables => 0;

    protected long Now { get; set; } = 1_000_000_000;

    private int Spacing { get; }

    /// <summary>Writes the datagrams of the next step.</summary>
    public void Load(int count, Func<HostileKind> next)
    {
        Now += (long)count * Spacing;
        var datagrams = new (Endpoint Source, Borrowed Datagram)[count];
        for (var index = 0; index < count; index++)
        {
            var length = next().Write(_slots.AsSpan(index * SlotSize, SlotSize), out var source);
            datagrams[index] = (source, new Borrowed(_slots, index * SlotSize, length));
        }

        Receive(datagrams);
    }

    /// <summary>Takes the step: this is what is measured.</summary>
    public abstract void Step();

    /// <summary>Performs what the step asked for.</summary>
    public abstract void Perform();

    /// <summary>Lets the honest hosts receive and send what they have to.</summary>
    public abstract void Settle();

    /// <summary>Counts the honest entries, and has honest exchanges over a sample of them.</summary>
    public abstract Survivors Check();

    /// <summary>Takes the datagrams of the next step.</summary>
    protected abstract void Receive((Endpoint Source, Borrowed Datagram)[] datagrams);
}
