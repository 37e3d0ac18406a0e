namespace UtpPunch.Tests.Interleavings;

/// <summary>The platform of a model: every call is an operation on its memory.</summary>
internal readonly struct ModelPlatform(Machine machine) : ILoopPlatform
{
    private const int ShortPark = 100;

    public int CurrentThread => machine.Thread;

    public long SleepsUntil
    {
        get
        {
            if (machine.Begins("reads the end of the leader's sleep", out var result, isPrivate: true))
            {
                result = machine.Record(machine.Cells[Cell.SleepsUntil]);
            }

            return result;
        }

        set
        {
            if (machine.Begins("sets the end of its sleep", out _, isPrivate: true))
            {
                var holder = new LoopState(machine.Cells[Cell.Word]).Stepper;
                machine.Claim(holder == machine.Thread, "the thread that is about to sleep holds the loop lock");
                machine.Cells[Cell.SleepsUntil] = value;
                machine.Record(0);
            }
        }
    }

    public LoopState Read() => machine.ReadWord();

    public bool TryReplace(LoopState before, LoopState after) => machine.Replace(before, after);

    public void Park(LoopParty party, int milliseconds)
    {
        if (!machine.Begins($"parks ({party}, {(milliseconds > ShortPark ? "long" : "for a moment")})", out var result, hasChoices: true))
        {
            ThrowIfInterrupted(result);
            return;
        }

        ref var permit = ref machine.Cells[party == LoopParty.OwnThread ? Cell.OwnPermit : Cell.CallerPermit];
        if (machine.Chooses(0) && permit > 0)
        {
            permit = 0;
            machine.Record(0);
        }
        else if (machine.Chooses(1) && permit == 0 && milliseconds <= ShortPark)
        {
            machine.Record(0); // The moment is over.
        }
        else if (machine.Chooses(2) && party == LoopParty.Caller && machine.Cells[Cell.Interrupts] > 0)
        {
            machine.Cells[Cell.Interrupts]--;
            ThrowIfInterrupted(machine.Record(1));
        }
        else
        {
            machine.Refuse();
        }

        // A thread that waits only for the leadership starts anew.
        if (party == LoopParty.OwnThread && !new LoopState(machine.Cells[Cell.Word]).HasAny(LoopFlags.OwnLeads))
        {
            machine.Forget(but: 0);
        }
    }

    public void Unpark(LoopParty party)
    {
        if (machine.Begins($"unparks ({party})", out _))
        {
            if (machine.Mutation.Unparks(party, new LoopState(machine.Cells[Cell.Word])))
            {
                machine.Cells[party == LoopParty.OwnThread ? Cell.OwnPermit : Cell.CallerPermit] = 1;
            }

            machine.Record(0);
        }
    }

    public void WakeSocket()
    {
        if (machine.Begins("wakes the socket", out _))
        {
            if (machine.Mutation.WakesSocket)
            {
                machine.Cells[Cell.SocketWoken] = 1;
            }

            machine.Record(0);
        }
    }

    private static void ThrowIfInterrupted(long result)
    {
        if (result == 1)
        {
            throw new ThreadInterruptedException();
        }
    }
}
