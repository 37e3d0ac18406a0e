using System.Text;

namespace UtpPunch.Tests.Interleavings;

/// <summary>The result of an enumeration.</summary>
/// <param name="States">The number of states that were explored.</param>
/// <param name="Violation">The violated property, and the steps that lead to it; null when there is none.</param>
internal sealed record Exploration(int States, string? Violation);

/// <summary>
/// Explores all interleavings of a scenario: from each state each thread takes its next step. Known states are not explored
/// again, so that loops end. A state in which no thread can continue must be one in which none has to.
/// </summary>
internal sealed class Explorer
{
    private const int MaxChoices = 3;
    private const int MaxStates = 3_000_000;

    private readonly Scenario _scenario;
    private readonly Machine _machine;
    private readonly Func<bool>[] _programs;
    private readonly Dictionary<UInt128, bool> _seen = [];
    private readonly List<Frame> _path = [];

    private Explorer(Scenario scenario, Mutation mutation)
    {
        _scenario = scenario;
        _machine = new Machine { Mutation = mutation };
        var work = new ModelWork(_machine, scenario);
        work.Loop = new NodeLoop<ModelPlatform, ModelWork>(new ModelPlatform(_machine), work);
        _programs = [.. scenario.Threads.Select((thread, index) => (Func<bool>)(index == 0 ? work.Loop.RunOnce : () =>
        {
            thread.Run(work);
            return false;
        }))];
    }

    /// <summary>Explores all states, or at most <paramref name="limit"/>.</summary>
    public static Exploration Explore(Scenario scenario, Mutation mutation, int states = int.MaxValue) =>
        new Explorer(scenario, mutation).Explore(states);

    private Exploration Explore(int states)
    {
        var cells = new long[Cell.FirstSide + (2 * Cell.SideSize)];
        cells[Cell.Deadline] = long.MaxValue;
        cells[Cell.Interrupts] = _scenario.Interrupts;
        cells[Cell.Datagrams] = _scenario.HasDatagrams ? 1 : 0;
        if (_scenario.HasCommand)
        {
            (cells[Cell.Posted], cells[Cell.Word]) = (1, (long)LoopFlags.Pending);
        }

        Enter(new Frame(cells, [.. _programs.Select(_ => ThreadState.Beginning)], "the beginning"));
        while (_path.Count > 0 && _seen.Count < states)
        {
            var frame = _path[^1];
            if (frame.Thread == _programs.Length)
            {
                if (WhatIsWrong(frame) is { } wrong)
                {
                    return new Exploration(_seen.Count, Report(wrong));
                }

                _seen[frame.Key] = false;
                _path.RemoveAt(_path.Count - 1);
                continue;
            }

            var (thread, choice) = (frame.Thread, frame.Choice);
            var next = Step(frame, thread, choice);
            (frame.Thread, frame.Choice) = _machine.HasChoices && choice + 1 < MaxChoices ? (thread, choice + 1) : (thread + 1, 0);
            if (next is null)
            {
                if (_machine.Broken is { } claim)
                {
                    return new Exploration(_seen.Count, Report($"{claim} ({_scenario.Threads[thread].Name} {_machine.Doing})"));
                }

                continue;
            }

            frame.HasGoneOn = true;
            frame.NeedsNoTimer |= choice != 1;
            if (!_seen.TryGetValue(next.Key, out var isOnPath))
            {
                Enter(next);
            }
            else if (isOnPath)
            {
                return new Exploration(_seen.Count, Report($"it loops for ever ({next.Step})"));
            }

            if (_seen.Count > MaxStates)
            {
                return new Exploration(_seen.Count, Report("it does not end"));
            }
        }

        return new Exploration(_seen.Count, null);
    }

    private void Enter(Frame frame)
    {
        _seen.Add(frame.Key, true);
        _path.Add(frame);
    }

    private Frame? Step(Frame frame, int thread, int choice)
    {
        if (frame.Threads[thread] is not { } state)
        {
            (_machine.Broken, _machine.HasChoices) = (null, false);
            return null; // Its program has ended.
        }

        _machine.Broken = null;
        _machine.Cells = (long[])frame.Cells.Clone();
        var next = _machine.Step(thread + 1, _programs[thread], state, choice, out var goesOn);
        if (next is null || _machine.Broken is not null)
        {
            return null;
        }

        var threads = (ThreadState?[])frame.Threads.Clone();
        threads[thread] = goesOn switch
        {
            null => next,
            true => ThreadState.Beginning, // A new round starts without history.
            false => null,
        };
        return new Frame(_machine.Cells, threads, $"{_scenario.Threads[thread].Name} {_machine.Doing}");
    }

    // The violation of a state in which no thread can continue, or only after a short park; null for none.
    private string? WhatIsWrong(Frame frame)
    {
        var cells = frame.Cells;
        var word = new LoopState(cells[Cell.Word]);
        if (frame.HasGoneOn)
        {
            return frame.NeedsNoTimer ? null
                : word.Waiters > 0 && !word.HasAny(LoopFlags.CallerLeads) ? "calls wait until a short park ends"
                : word.HasAny(LoopFlags.Over) ? "the end waits until a short park ends"
                : null;
        }

        if (cells[Cell.Posted] != 0)
        {
            return "a command was posted, and is never stepped";
        }

        var waiting = 0;
        for (var side = 0; side < 2; side++)
        {
            var start = Cell.FirstSide + (side * Cell.SideSize);
            if (cells[start + Cell.SideReady] != 0 && (cells[start + Cell.SideWaiter] != 0 || cells[start + Cell.SideAsync] != 0))
            {
                return $"side {side} is ready, and the call that waits is never woken";
            }

            waiting += (int)(cells[start + Cell.SideBlocked] + cells[start + Cell.SideAsync]);
        }

        if (word.Waiters != waiting)
        {
            return $"{waiting} calls wait, and {word.Waiters} are counted";
        }

        for (var thread = 1; thread < _programs.Length; thread++)
        {
            var waits = Enumerable.Range(0, 2).Any(side => cells[Cell.FirstSide + (side * Cell.SideSize) + Cell.SideWaiter] == thread + 1);
            if (frame.Threads[thread] is not null && !waits)
            {
                return $"{_scenario.Threads[thread].Name} hangs";
            }
        }

        if (cells[Cell.HasEnded] != 0)
        {
            return frame.Threads[0] is null ? null : "the own thread never ends";
        }

        return cells[Cell.IsOver] != 0 ? "the node is over, and never ends"
            : cells[Cell.InSocket] == 0 ? "no thread waits on the socket"
            : cells[Cell.Datagrams] != 0 ? "a datagram is never received"
            : cells[Cell.SleepsUntil] > cells[Cell.Deadline] ? "the leader sleeps beyond the deadline"
            : null;
    }

    private string Report(string wrong)
    {
        var report = new StringBuilder().Append(_scenario.Name).Append(": ").AppendLine(wrong);
        foreach (var frame in _path)
        {
            report.Append("  ").Append(frame.Step).Append(" -> ").Append(new LoopState(frame.Cells[Cell.Word])).AppendLine();
        }

        return report.ToString();
    }

    private sealed class Frame
    {
        public Frame(long[] cells, ThreadState?[] threads, string step)
        {
            (Cells, Threads, Step) = (cells, threads, step);
            var (first, second) = (0xCBF29CE484222325UL, 0x9E3779B97F4A7C15UL);
            foreach (var cell in cells)
            {
                Mix(cell);
            }

            foreach (var thread in threads)
            {
                Mix(thread?.Known.Length ?? -1);
                foreach (var result in thread?.Known ?? [])
                {
                    Mix(result);
                }
            }

            Key = new UInt128(first, second);

            void Mix(long value)
            {
                first = (first ^ (ulong)value) * 0x00000100000001B3UL;
                first ^= first >> 29;
                second = (second + (ulong)value) * 0xFF51AFD7ED558CCDUL;
                second ^= second >> 32;
            }
        }

        public long[] Cells { get; }

        /// <summary>By thread; null when its program has ended.</summary>
        public ThreadState?[] Threads { get; }

        public string Step { get; }

        public UInt128 Key { get; }

        public int Thread { get; set; }

        public int Choice { get; set; }

        public bool HasGoneOn { get; set; }

        /// <summary>Whether it has gone on by anything but the end of a short park.</summary>
        public bool NeedsNoTimer { get; set; }
    }
}
