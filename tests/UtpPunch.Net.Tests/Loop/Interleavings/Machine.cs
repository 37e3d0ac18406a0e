namespace UtpPunch.Tests.Interleavings;

/// <summary>
/// The shared memory of a model, and the thread that takes its next step. A thread's program is the production code. It
/// is deterministic apart from what it reads, so its state is the list of the results of its operations: to take a step, it is run from its
/// beginning with the results it has had, then does one operation on the memory, and is unwound at the one after it.
/// </summary>
/// <remarks>Results that a program does not depend on any more do not distinguish states: see <see cref="ThreadState"/>.</remarks>
internal sealed class Machine
{
    private const LoopFlags UsedAfter =
        LoopFlags.Asleep | LoopFlags.StandsBy | LoopFlags.Dozes | LoopFlags.LeaderWaits | LoopFlags.OwnLeads | LoopFlags.CallerWaits;

    private const long Replaced = 1L << 20;
    private const LoopFlags AllFlags = (LoopFlags)0xFFFF;

    private readonly List<long> _history = [];
    private readonly List<long> _known = [];
    private readonly Unwound _unwound = new();
    private int _transition;
    private int _position;
    private bool _hasStepped;
    private bool _isUnwinding;
    private bool _mayReplace;
    private int _choice;

    /// <summary>The shared memory, in numbered cells.</summary>
    public long[] Cells { get; set; } = [];

    /// <summary>The thread that runs: 1 is the node's own.</summary>
    public int Thread { get; private set; }

    /// <summary>How the model differs from the product.</summary>
    public Mutation Mutation { get; set; } = Mutation.None;

    /// <summary>The operation that the last step did, or could not do.</summary>
    public string Doing { get; private set; } = "";

    /// <summary>Whether that may have other outcomes than the usual one.</summary>
    public bool HasChoices { get; set; }

    /// <summary>The claim that did not hold; null when all did.</summary>
    public string? Broken { get; set; }

    /// <summary>Runs a program for one step. Null when its next operation is blocked, or does not have that choice.</summary>
    /// <param name="thread">Which thread.</param>
    /// <param name="program">What it does.</param>
    /// <param name="state">Its history.</param>
    /// <param name="choice">Which of the possible outcomes of the operation; 0 is the usual one.</param>
    /// <param name="isDone">Whether the program has ended, and what it returned.</param>
    public ThreadState? Step(int thread, Func<bool> program, ThreadState state, int choice, out bool? isDone)
    {
        _history.Clear();
        _history.AddRange(state.History);
        _known.Clear();
        _known.AddRange(state.Known);
        _transition = state.Transition;
        (Thread, _position, _choice) = (thread, 0, choice);
        (_hasStepped, _isUnwinding, _mayReplace, HasChoices) = (false, false, false, false);
        isDone = null;
        try
        {
            isDone = program();
        }
        catch (Unwound)
        {
            if (!_hasStepped)
            {
                return null;
            }
        }

        return new ThreadState([.. _history], [.. _known], _transition);
    }

    /// <summary>True when the calling operation is the step, and must do its work and <see cref="Record"/>; false when it has a result
    /// already.</summary>
    /// <param name="operation">Its name.</param>
    /// <param name="result">The result that it has already.</param>
    /// <param name="isPrivate">Whether no other thread may touch what it touches: then it is a part of the step before it.</param>
    /// <param name="hasChoices">Whether it may have other outcomes than the usual one.</param>
    public bool Begins(string operation, out long result, bool isPrivate = false, bool hasChoices = false)
    {
        result = 0;
        _mayReplace = false;
        if (_isUnwinding)
        {
            return false;
        }

        if (_position < _history.Count)
        {
            result = _history[_position++];
            return false;
        }

        if (!isPrivate)
        {
            if (_hasStepped)
            {
                Unwind();
            }

            Doing = operation;
            HasChoices = hasChoices;
            _hasStepped = true;
        }

        return true;
    }

    /// <summary>The operation has given a result.</summary>
    public long Record(long result)
    {
        _history.Add(result);
        _known.Add(result);
        _position = _history.Count;
        return result;
    }

    /// <summary>The program does not depend on anything that it has read so far, except this.</summary>
    public void Forget(long but)
    {
        if (_position == _history.Count && !_isUnwinding)
        {
            _known.Clear();
            _known.Add(but);
            _transition = -1;
        }
    }

    /// <summary>The same, in a loop whose head depends on one number only, which is kept.</summary>
    public void ForgetRound(long but)
    {
        if (_position == _history.Count && !_isUnwinding && _known.Count > 0)
        {
            var head = _known[0];
            Forget(head);
            _known.Add(but);
        }
    }

    /// <summary>Whether the step may have this outcome; only one of all may be chosen in one run.</summary>
    public bool Chooses(int outcome) => _choice == outcome;

    /// <summary>The operation is blocked.</summary>
    public void Refuse()
    {
        _hasStepped = false;
        Unwind();
    }

    /// <summary>The word is read, by what may be the first half of a compare-and-swap.</summary>
    public LoopState ReadWord()
    {
        if (Begins("reads the word", out var result))
        {
            ForgetTransition();
            _transition = _known.Count;
            result = Record(Cells[Cell.Word]);
            _known[^1] = View(new LoopState(result), AllFlags);
            _mayReplace = true;
        }

        return new LoopState(result);
    }

    /// <summary>
    /// The second half. Both are one step: a compare-and-swap that fails only reads again. A mutation may separate them.
    /// </summary>
    public bool Replace(LoopState before, LoopState after)
    {
        if (_isUnwinding)
        {
            return true;
        }

        if (_position < _history.Count)
        {
            return _history[_position++] != 0;
        }

        var mutated = Mutation.Replace(before, after);
        var changed = before.Word ^ mutated.Word;
        if (_mayReplace && !Mutation.Tears(before, after))
        {
            Cells[Cell.Word] = mutated.Word;
        }
        else
        {
            // A plain write in place of a compare-and-swap: of what it changes, whatever the word has become.
            if (_hasStepped)
            {
                Unwind();
            }

            (Doing, _hasStepped) = ("writes the word", true);
            Cells[Cell.Word] = (Cells[Cell.Word] & ~changed) | (mutated.Word & changed);
        }

        // The actions after a transition depend on these flags of the word before it, and on its changes.
        _mayReplace = false;
        var flags = (LoopFlags)((before.Word ^ after.Word) & 0xFFFF);
        _known[^1] = View(before, UsedAfter | flags);
        Record(1);
        _known[^1] = View(after, flags) | Replaced;
        return true;
    }

    /// <summary>A property; if it does not hold, the exploration stops.</summary>
    public void Claim(bool holds, string claim)
    {
        if (!holds)
        {
            Broken = claim;
            Unwind();
        }
    }

    /// <summary>For operations that have one outcome.</summary>
    public void RequireUsual()
    {
        if (!Chooses(0))
        {
            Refuse();
        }
    }

    // When the next transition begins, what is kept of the one before is its changes, or what prevented them.
    private void ForgetTransition()
    {
        if (_transition >= 0)
        {
            var isReplaced = _transition + 1 < _known.Count && (_known[_transition + 1] & Replaced) != 0;
            _known[_transition] = isReplaced ? 0 : _known[_transition] & (long)(LoopFlags.Over | LoopFlags.CallerWaits);
        }
    }

    // The parts of a word on which a transition may depend: flags, the holder of the lock, whether calls wait.
    private long View(LoopState word, LoopFlags flags) =>
        (long)(word.Flags & flags)
        | ((word.Stepper == 0 ? 0L : word.Stepper == Thread ? 1 : 2) << 16)
        | (word.Waiters > 0 ? 1L << 18 : 0);

    private void Unwind()
    {
        _isUnwinding = true;
        throw _unwound;
    }

    private sealed class Unwound : Exception;
}

/// <summary>The state of a thread.</summary>
/// <param name="History">The results of all operations, with which its program is run again.</param>
/// <param name="Known">The results on which the program still depends: states with equal ones are equal.</param>
/// <param name="Transition">The position of its last transition in them; -1 for none.</param>
internal sealed record ThreadState(long[] History, long[] Known, int Transition)
{
    public static ThreadState Beginning { get; } = new([], [], -1);
}

/// <summary>The cells of a model's memory.</summary>
internal static class Cell
{
    public const int Word = 0;
    public const int SleepsUntil = 1;
    public const int OwnPermit = 2;
    public const int CallerPermit = 3;

    /// <summary>Whether the socket was woken, and the number of datagrams in it.</summary>
    public const int SocketWoken = 4;
    public const int Datagrams = 5;

    /// <summary>The thread that waits on the socket, and the one that steps.</summary>
    public const int InSocket = 6;
    public const int Stepping = 7;

    /// <summary>Commands, one bit each: those that wait, and those that were stepped or abandoned.</summary>
    public const int Posted = 8;
    public const int Seen = 9;
    public const int Deadline = 10;
    public const int IsOver = 11;
    public const int HasEnded = 12;
    public const int Interrupts = 13;

    /// <summary>Of each side of a stream: which thread has its lock; whether it is ready; the thread that waits in it; whether that blocks, and
    /// was pulsed; whether an asynchronous call waits.</summary>
    public const int FirstSide = 14;
    public const int SideLock = 0;
    public const int SideReady = 1;
    public const int SideWaiter = 2;
    public const int SideBlocked = 3;
    public const int SidePulsed = 4;
    public const int SideAsync = 5;
    public const int SideSize = 6;
}
