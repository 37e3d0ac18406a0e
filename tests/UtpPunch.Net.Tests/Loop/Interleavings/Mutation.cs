namespace UtpPunch.Tests.Interleavings;

/// <summary>A difference between the model and the product: a bug that the enumeration must find.</summary>
internal sealed record Mutation(string Name)
{
    public static Mutation None { get; } = new("none");

    /// <summary>The result of a transition, changed.</summary>
    public Func<LoopState, LoopState, LoopState> Replace { get; init; } = (_, after) => after;

    /// <summary>Whether a transition is a read and a plain write instead of a compare-and-swap.</summary>
    public Func<LoopState, LoopState, bool> Tears { get; init; } = (_, _) => false;

    /// <summary>Whether a party is unparked, given the word.</summary>
    public Func<LoopParty, LoopState, bool> Unparks { get; init; } = (_, _) => true;

    public bool WakesSocket { get; init; } = true;

    /// <summary>The time, which stands still at 0, as an asynchronous call sees it.</summary>
    public long AsyncNow { get; init; }

    /// <summary>Lost wake-ups that were found by stress tests and by reasoning, before the enumeration existed.</summary>
    public static IEnumerable<Mutation> Historical =>
    [
        new("a caller that leaves goes by its own clock, and does not wake the own thread that dozes")
        {
            Replace = (before, after) => Left(before, after) ? after.Set(before.Flags & LoopFlags.Dozes) : after,
            Unparks = (_, word) => !word.HasAny(LoopFlags.Dozes),
        },
        new("a caller leads before it is noted that it came: the own thread takes it for the one before, and dozes")
        {
            Replace = (before, after) => Came(before, after) ? after.Clear(LoopFlags.CallerCame) : after,
            Tears = Left,
        },
        new("the own thread dozes without looking again whether the caller still leads")
        {
            Tears = (before, after) => Sets(before, after, LoopFlags.Dozes),
        },
        new("a caller that waits on the socket for its stream is not told that another thread has ended it")
        {
            Replace = (before, after) => Sets(before, after, LoopFlags.Recheck) ? before : after,
        },
        new("a look at the socket that should not wait does, since its time has run over")
        {
            AsyncNow = -1,
        },
    ];

    /// <summary>Each flag that is never set, or never cleared; each wake that is missing; each compare-and-swap that is not atomic.</summary>
    public static IEnumerable<Mutation> Systematic => Flags.Concat(Wakes).Where(mutation => !s_harmless.Contains(mutation.Name));

    // These cost time, or are harmless.
    private static readonly HashSet<string> s_harmless =
    [
        // A thread that does not sleep, park or wait for the lock is woken once more.
        $"{LoopFlags.Asleep} is never cleared",
        $"{LoopFlags.LeaderWaits} is never cleared",
        $"{LoopFlags.StandsBy} is never cleared",
        $"{LoopFlags.Dozes} is never cleared",

        // Only the leading caller clears it while it is set.
        $"{LoopFlags.Dozes} is cleared without a compare-and-swap",

        // Nothing clears them; one thread sets it.
        $"{LoopFlags.Over} is never cleared",
        $"{LoopFlags.Over} is cleared without a compare-and-swap",
        $"{LoopFlags.Stopped} is never cleared",
        $"{LoopFlags.Stopped} is cleared without a compare-and-swap",
        $"{LoopFlags.Stopped} is set without a compare-and-swap",

        // Without it the own thread comes back between callers, as it may.
        $"{LoopFlags.CallerCame} is never set",
    ];

    private static IEnumerable<Mutation> Flags => Enum.GetValues<LoopFlags>().Where(flag => flag != LoopFlags.None).SelectMany(flag => new[]
    {
        new Mutation($"{flag} is never set")
        {
            Replace = (before, after) => Sets(before, after, flag) ? after.Clear(flag) : after,
        },
        new Mutation($"{flag} is never cleared")
        {
            Replace = (before, after) => Sets(after, before, flag) ? after.Set(flag) : after,
        },
        new Mutation($"{flag} is set without a compare-and-swap")
        {
            Tears = (before, after) => Sets(before, after, flag),
        },
        new Mutation($"{flag} is cleared without a compare-and-swap")
        {
            Tears = (before, after) => Sets(after, before, flag),
        },
    });

    private static IEnumerable<Mutation> Wakes
    {
        get
        {
            yield return new("the loop lock is taken without a compare-and-swap") { Tears = (before, after) => before.Stepper == 0 && after.Stepper != 0 };
            yield return new("the loop lock is released without a compare-and-swap") { Tears = (before, after) => before.Stepper != 0 && after.Stepper == 0 };
            yield return new("waiting calls are not counted")
            {
                Replace = (before, after) => after.AddWaiters(before.Waiters - after.Waiters),
            };
            yield return new("the own thread is not unparked") { Unparks = (party, _) => party != LoopParty.OwnThread };
            yield return new("the caller is not unparked") { Unparks = (party, _) => party != LoopParty.Caller };
            yield return new("the socket is not woken") { WakesSocket = false };
        }
    }

    private static bool Sets(LoopState before, LoopState after, LoopFlags flag) => !before.HasAny(flag) && after.HasAny(flag);

    private static bool Came(LoopState before, LoopState after) => Sets(before, after, LoopFlags.CallerLeads);

    private static bool Left(LoopState before, LoopState after) => Sets(after, before, LoopFlags.CallerLeads);
}
