using static UtpPunch.Tests.Interleavings.Cell;

namespace UtpPunch.Tests.Interleavings;

/// <summary>The work of a model: commands are bits, and a step takes them; their effects are defined by the scenario.</summary>
internal sealed class ModelWork(Machine machine, Scenario scenario) : ILoopWork
{
    public const long Soon = 5;

    /// <summary>The condition of a wait: the socket was woken, or a datagram has arrived.</summary>
    private const string SocketWait = "waits on the socket";

    public NodeLoop<ModelPlatform, ModelWork> Loop { get; set; } = null!;

    public ModelSide[] Sides { get; } = [new ModelSide(machine, 0), new ModelSide(machine, 1)];

    public long Now => scenario.Threads[machine.Thread - 1].IsAsync ? machine.Mutation.AsyncNow : 0;

    public long PrepareWait() => Do("prepares to wait", () => machine.Cells[Deadline], isPrivate: true);

    public void Wait(long microseconds, bool isCaller)
    {
        Do("goes to the socket", () =>
        {
            machine.Claim(machine.Cells[InSocket] == 0, "one thread at a time waits on the socket");
            machine.Claim(Leads(), "the thread that waits on the socket is the leader");
            machine.Claim(microseconds <= 0 || !scenario.Threads[machine.Thread - 1].IsAsync, "an asynchronous call does not wait on the socket");
            return machine.Cells[InSocket] = machine.Thread;
        }, isPrivate: true);
        if (machine.Begins(SocketWait, out _))
        {
            if (microseconds > 0 && machine.Cells[SocketWoken] == 0 && machine.Cells[Datagrams] == 0)
            {
                machine.Refuse();
            }

            machine.Cells[InSocket] = 0;
            machine.Record(0);
        }
    }

    public StepResult Step(bool receives)
    {
        var taken = Do("steps", () =>
        {
            machine.Claim(machine.Cells[Stepping] == 0, "one thread at a time steps");
            machine.Claim(new LoopState(machine.Cells[Word]).Stepper == machine.Thread, "the thread that steps holds the loop lock");
            machine.Claim(!receives || Leads(), "the thread that receives is the leader");
            if (machine.Cells[IsOver] != 0)
            {
                return 0;
            }

            machine.Cells[Stepping] = machine.Thread;
            var commands = machine.Cells[Posted];
            machine.Cells[Posted] = 0;
            var datagrams = receives ? machine.Cells[Datagrams] : 0;
            if (receives)
            {
                (machine.Cells[Datagrams], machine.Cells[SocketWoken]) = (0, 0);
            }

            if (receives && machine.Thread == 1)
            {
                machine.Forget(but: -40);
            }
            else if (receives && new LoopState(machine.Cells[Word]).HasAny(LoopFlags.CallerLeads) && !scenario.Threads[machine.Thread - 1].IsAsync)
            {
                machine.ForgetRound(but: -40);
            }

            return (datagrams << 8) | commands;
        });
        for (var command = 0; command < 8; command++)
        {
            if ((taken & (1L << command)) != 0)
            {
                scenario.OnCommand(this, command);
            }
        }

        if (taken >> 8 != 0)
        {
            scenario.OnDatagrams(this);
        }

        var after = Do("has stepped", () =>
        {
            machine.Cells[Stepping] = 0;
            machine.Cells[Seen] |= taken & 0xFF;
            return (machine.Cells[IsOver] << 8) + (machine.Cells[Deadline] == Soon ? 1 : 0);
        }, isPrivate: true);
        return new StepResult(after % 2 == 1 ? Soon : long.MaxValue, HasMore: false, after >> 8 != 0, taken >> 8 != 0 && scenario.ExpectsCaller);
    }

    public void End()
    {
        Do("ends", () =>
        {
            machine.Forget(but: -30);
            return machine.Cells[HasEnded] = 1;
        });
        foreach (var side in Sides)
        {
            side.MakeReady(Loop);
        }

        AbandonCommands();
    }

    public void AbandonCommands() => Do("abandons commands", () =>
    {
        machine.Cells[Seen] |= machine.Cells[Posted];
        return machine.Cells[Posted] = 0;
    });

    /// <summary>An atomic event in the memory.</summary>
    public long Do(string operation, Func<long> change, bool isPrivate = false)
    {
        if (machine.Begins(operation, out var result, isPrivate))
        {
            result = machine.Record(change());
        }

        return result;
    }

    public void Set(int cell, long value) => Do("sets", () => machine.Cells[cell] = value);

    public void Post(int command, bool inline)
    {
        Do("posts", () => machine.Cells[Posted] |= 1L << command);
        Loop.OnPosted(inline);
    }

    // Threads of the model other than the node's own lead as callers.
    private bool Leads() =>
        new LoopState(machine.Cells[Word]).HasAny(machine.Thread == 1 ? LoopFlags.OwnLeads : LoopFlags.CallerLeads);
}
