namespace UtpPunch.Tests.Interleavings;

/// <summary>A thread of a model besides the node's own.</summary>
/// <param name="Name">For reports of violations.</param>
/// <param name="Run">Its program.</param>
/// <param name="IsAsync">Whether it must never wait on the socket.</param>
internal sealed record ModelThread(string Name, Action<ModelWork> Run, bool IsAsync = false);

/// <summary>Threads that run at the same time, and the effects of the node's steps.</summary>
internal sealed class Scenario(string name, params ModelThread[] others)
{
    private static readonly ModelThread s_own = new("own", _ => { });

    public string Name => name;

    /// <summary>The node's own thread first.</summary>
    public IReadOnlyList<ModelThread> Threads { get; } = [s_own, .. others];

    /// <summary>The effect of a step with a command.</summary>
    public Action<ModelWork, int> OnCommand { get; init; } = (_, _) => { };

    /// <summary>The effect of a step with datagrams.</summary>
    public Action<ModelWork> OnDatagrams { get; init; } = _ => { };

    /// <summary>Whether a step with datagrams wakes a caller with so much data that it is expected back.</summary>
    public bool ExpectsCaller { get; init; }

    /// <summary>Whether datagrams wait, or command 0 was posted, before the threads begin.</summary>
    public bool HasDatagrams { get; init; }

    public bool HasCommand { get; init; }

    /// <summary>How often a caller that parks is interrupted.</summary>
    public int Interrupts { get; init; }

    public static IReadOnlyList<Scenario> All { get; } =
    [
        new("two commands are posted, one by a thread that steps", Posts(0, inline: true), Posts(1, inline: false)),
        new("two threads post and step", Posts(0, inline: true), Posts(1, inline: true)),
        new("a command moves the deadline ahead", Posts(0, inline: true), Posts(1, inline: false))
        {
            OnCommand = (work, command) => work.Set(Cell.Deadline, command == 0 ? ModelWork.Soon : long.MaxValue),
        },
        new("a synchronous reader, and what it waits for", Reads(0), Arrives()) { OnDatagrams = Ready(0) },
        new("a synchronous reader, what it waits for, and a command that moves the deadline", Reads(0), Arrives(), Posts(0, inline: true))
        {
            OnDatagrams = Ready(0),
            OnCommand = (work, _) => work.Set(Cell.Deadline, ModelWork.Soon),
        },
        new("a synchronous reader whose stream ends on another thread, and a command", Reads(0), Ends(0), Posts(0, inline: true)),
        new("a synchronous reader whose stream ends in the step of a thread that has posted", Reads(0), Posts(0, inline: true))
        {
            OnCommand = (work, _) => work.Sides[0].MakeReady(work.Loop),
        },
        new("two synchronous readers, one of which gets something", Reads(0), Reads(1)) { OnDatagrams = Ready(0), HasDatagrams = true },
        new("two synchronous readers, one of whose streams ends", Reads(0), Reads(1), Ends(1)),
        new("two synchronous readers that get something at once", Reads(0), Reads(1)) { OnDatagrams = Ready(0, 1), HasDatagrams = true },
        new("a synchronous reader that comes twice", Thread("twice", work =>
        {
            work.Loop.WaitFor(work.Sides[0], long.MaxValue);
            work.Loop.WaitFor(work.Sides[1], long.MaxValue);
        }), Arrives(), Ends(1)) { OnDatagrams = Ready(0) },
        new("an asynchronous reader", ReadsLater(0), Arrives()) { OnDatagrams = Ready(0) },
        new("an asynchronous reader that is expected to come back", ReadsLater(0), ReadsLater(1), Arrives())
        {
            OnDatagrams = Ready(0, 1),
            ExpectsCaller = true,
        },
        new("an asynchronous reader that comes back, and a command", Arrives(), ReadsLater(0), Posts(0, inline: false)) { ExpectsCaller = true },
        new("a synchronous and an asynchronous reader", Reads(0), ReadsLater(1), Arrives()) { OnDatagrams = Ready(0, 1), ExpectsCaller = true },
        new("the node ends while one thread waits and another posts", Reads(0), Posts(0, inline: true), Posts(1, inline: false))
        {
            OnCommand = (work, command) => work.Set(Cell.IsOver, 1 - command),
        },
        new("the node ends while a synchronous and an asynchronous reader wait", Reads(0), ReadsLater(1))
        {
            OnCommand = (work, _) => work.Set(Cell.IsOver, 1),
            HasCommand = true,
        },
        new("the node ends by a command that no thread steps at once", ReadsLater(0), Posts(0, inline: false))
        {
            OnCommand = (work, _) => work.Set(Cell.IsOver, 1),
        },
        new("a synchronous reader that is interrupted", Interruptible(0), Arrives(), Posts(0, inline: true)) { OnDatagrams = Ready(0), Interrupts = 1 },
        new("two synchronous readers, of which one is interrupted", Interruptible(0), Interruptible(1))
        {
            OnDatagrams = Ready(0, 1),
            HasDatagrams = true,
            Interrupts = 1,
        },
    ];

    private static ModelThread Thread(string name, Action<ModelWork> run) => new(name, run);

    private static ModelThread Posts(int command, bool inline) => new($"post {command}", work => work.Post(command, inline));

    private static ModelThread Arrives() => new("network", work => work.Set(Cell.Datagrams, 1));

    private static ModelThread Reads(int side) => new($"reader {side}", work => work.Loop.WaitFor(work.Sides[side], long.MaxValue));

    private static ModelThread ReadsLater(int side) =>
        new($"asynchronous reader {side}", work => work.Sides[side].WaitAsynchronously(work.Loop), IsAsync: true);

    // The stream is posted already, by another thread.
    private static ModelThread Ends(int side) => new($"ends {side}", work => work.Sides[side].MakeReady(work.Loop));

    private static ModelThread Interruptible(int side) => new($"reader {side}", work =>
    {
        try
        {
            work.Loop.WaitFor(work.Sides[side], long.MaxValue);
        }
        catch (ThreadInterruptedException)
        {
        }
    });

    private static Action<ModelWork> Ready(params int[] sides) => work =>
    {
        foreach (var side in sides)
        {
            work.Sides[side].MakeReady(work.Loop);
        }
    };
}
