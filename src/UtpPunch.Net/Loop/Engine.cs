using System.Collections.Concurrent;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>
/// Serves one node: waits for datagrams, for wishes of users or for the deadline, makes one batch of all that has happened, lets the core
/// take one step, and does what the core says. The state is a value, so any thread may read the last one.
/// </summary>
/// <remarks>
/// One such round is a turn, and one thread at a time has it; what is said to belong to the engine belongs to the turn. A thread of the
/// engine's own waits and takes turns for ever. A user's thread that has written something takes one itself if nobody has it (<see cref="StepInline"/>), and one
/// that waits may serve the node meanwhile (<see cref="RunUntil"/>): so neither has to wake a thread and to be woken again. Continuations
/// of users never run in a turn; the few callbacks that do say so.
/// </remarks>
internal sealed partial class Engine
{
    // So many wishes at most before the socket is looked at again.
    private const int MaxCommandsPerStep = 4096;

    // The index of a rule's name is its tag.
    private static readonly string[] Rules = TraceNames.Rules.Texts;

    private readonly UtpNode _owner;
    private readonly IDatagramTransport _transport;
    private readonly ConcurrentQueue<ICommand> _commands = new();
    private readonly Dictionary<int, UtpStream> _streams = [];
    private readonly List<Event> _events = [];
    private readonly List<Event> _received = [];
    private readonly List<Slab> _slabs = [];
    private readonly List<Endpoint> _unreachable = [];
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread _thread;
    private readonly long[] _noted = new long[Rules.Length];
    private Node _node;
    private Node? _previous;
    private UtpListener? _listener;
    private int _nextConnId = 2;
    private readonly Lock _loopLock = new();
    private Failure? _broken;
    private long _waitingUntil = long.MinValue;
    private int _asleep;
    private long _steps;

    public Engine(UtpNode owner, IDatagramTransport transport, Settings settings, byte[] seed)
    {
        _owner = owner;
        _transport = transport;
        Settings = settings;
        var now = Clock.Now;
        _node = NodeModule.Create(settings.Node, new Owned(seed), now);
        _traced = new TraceNode("A", Addresses.ToEndpoint(transport.LocalEndPoint), settings.Node, new Owned(seed), now);
        _recorder = settings.Trace is { } trace ? new Recorder(trace.Capacity, KeepsContent, _node) : null;
        _thread = new Thread(Run) { IsBackground = true, Name = $"utp {transport.LocalEndPoint}" };
    }

    public Settings Settings { get; }

    public IDatagramTransport Transport => _transport;

    /// <summary>The state after the last step.</summary>
    public Node Node => Volatile.Read(ref _node);

    /// <summary>
    /// What a stream has measured; nothing when it is unknown. A stream that the last step has closed is found in the state before, until
    /// it learns that it is closed.
    /// </summary>
    public UtpStreamStatistics? StatisticsOf(int connId) =>
        UtpStreamStatistics.Of(connId, Node) ?? (Volatile.Read(ref _previous) is { } previous ? UtpStreamStatistics.Of(connId, previous) : null);

    /// <summary>Whether the calling thread has the turn: whatever it waits for must not be another one.</summary>
    public bool HoldsLoopLock => _loopLock.IsHeldByCurrentThread;

    public bool IsAlive => _thread.IsAlive;

    public void Start() => _thread.Start();

    public void Join() => _thread.Join();

    /// <summary>How many steps there were.</summary>
    public long Turns => Volatile.Read(ref _steps);

    /// <summary>How often each uncommon rule of the protocol has fired, by name.</summary>
    public Dictionary<string, long> CountRules() =>
        Rules.Index().ToDictionary(rule => rule.Item, rule => Volatile.Read(ref _noted[rule.Index]), StringComparer.Ordinal);

    /// <summary>Hands over a wish, and wakes the engine when it may be waiting. Who is in a hurry, and holds no lock, sees to it on the
    /// spot, unless somebody has the turn, who will.</summary>
    public void Post(ICommand work, bool inline = false)
    {
        _commands.Enqueue(work);
        Interlocked.MemoryBarrier(); // The engine looks at the queue after it has said that it sleeps; we the other way round.
        if (_stopped)
        {
            AbandonCommands();
        }
        else if (inline)
        {
            StepInline();
        }
        else
        {
            WakeIfAsleep();
        }
    }

    /// <summary>A name for a stream that is dialled now. On the engine's thread, since names count up in the order of the connects.</summary>
    public int Enlist(UtpStream stream)
    {
        var connId = _nextConnId;
        _nextConnId += 2;
        _streams.Add(connId, stream);
        return connId;
    }

    /// <summary>Offers accepted streams to this listener from now on; null to none. On the engine's thread.</summary>
    public void Serve(UtpListener? listener) => _listener = listener;

    /// <summary>The listener that is offered streams. On the engine's thread.</summary>
    public UtpListener? Served => _listener;

    private void WakeIfAsleep()
    {
        if (Volatile.Read(ref _asleep) == 1 && Interlocked.Exchange(ref _asleep, 0) == 1)
        {
            _transport.Wake();
        }
    }

    private void Run()
    {
        _transport.Adopt();
        while (!IsOver)
        {
            if (!StandBy())
            {
                lock (_leadership)
                {
                    PollAndStep(Time.never, isCaller: false);
                    if (_expectsCaller)
                    {
                        _expectsCaller = false;
                        Volatile.Write(ref _callerLeft, Clock.Now);
                    }
                }
            }
        }

        // Whoever else served the node leaves now.
        lock (_leadership)
        {
            lock (_loopLock)
            {
                Stop(_broken);
            }
        }
    }

    private bool IsOver => Volatile.Read(ref _done) || Volatile.Read(ref _broken) is not null;

    // Waits, and takes the turn for what has come. Only for who has the wheel.
    private void PollAndStep(long until, bool isCaller)
    {
        try
        {
            long wait;
            lock (_loopLock)
            {
                if (IsOver)
                {
                    return;
                }

                _waitingUntil = Math.Min(Deadline, until);
                Interlocked.Exchange(ref _asleep, 1);
                wait = HasCommands ? 0 : _waitingUntil - Clock.Now;
                _transport.Prepare();
            }

            if (isCaller)
            {
                WaitAsCaller(Math.Max(0, wait));
            }
            else
            {
                _transport.Wait(Math.Max(0, wait));
            }

            lock (_loopLock)
            {
                Volatile.Write(ref _asleep, 0);
                _waitingUntil = long.MinValue;
                if (!IsOver)
                {
                    GatherAndStep(receives: true);
                }
            }
        }
        catch (ThreadInterruptedException) when (!HoldsLoopLock)
        {
            // A guest was interrupted while it waited for the turn: that is its own affair, and the node's next servant goes on.
            throw;
        }
        catch (Exception error)
        {
            Break(error);
        }
    }

    private void GatherAndStep(bool receives)
    {
        try
        {
            Gather(receives);
            Step();
        }
        catch (Exception error)
        {
            Break(error);
        }
    }

    private void Break(Exception error)
    {
        lock (_loopLock)
        {
            if (_broken is null)
            {
                WriteTraceOfFault();
                Volatile.Write(ref _broken, Failure.Fault(error));
            }
        }
    }

    private bool HasCommands => !_commands.IsEmpty || _unreachable.Count > 0 || _transport.News.Count > 0 || _closeChanged;

    // Wishes are looked at after the socket, but come first: what a user said before a packet was sent counts when it is received.
    private void Gather(bool receives)
    {
        _events.Clear();
        _received.Clear();
        if (receives)
        {
            _transport.Receive(_received, _slabs);
        }

        for (var count = 0; count < MaxCommandsPerStep && _commands.TryDequeue(out var work); count++)
        {
            work.Collect(this, _events);
        }

        GatherClosing();
        foreach (var remote in _unreachable)
        {
            _events.Add(Event.NewUnreachable(remote));
        }

        _unreachable.Clear();
        _events.AddRange(_transport.News);
        _transport.News.Clear();
        _events.AddRange(_received);
    }

    private void Step()
    {
        var now = Clock.Now;
        var events = _events.ToArray();
        Node node;
        Effect[] effects;
        if (_recorder is { } recorder)
        {
            effects = StepRecorded(recorder, now, events, out node);
        }
        else
        {
            (node, effects) = NodeModule.Step(now, events, _node);
        }

        Volatile.Write(ref _previous, _node);
        Volatile.Write(ref _node, node);
        _steps++;
        foreach (var effect in effects)
        {
            Perform(effect);
        }

        ReleaseSlabs();
        SeeWhetherClosed(now);
    }

    private void Perform(Effect effect)
    {
        switch (effect)
        {
            case Effect.Send send:
                if (!_transport.Send(send.remote, send.train) && !_unreachable.Contains(send.remote))
                {
                    _unreachable.Add(send.remote);
                }

                break;
            case Effect.Deliver deliver:
                Find(deliver.connId)?.OnDeliver(deliver.payload, SlabOf(deliver.payload));
                break;
            case Effect.Writable writable:
                Find(writable.connId)?.OnWritable(writable.room);
                break;
            case Effect.PacketSized sized:
                Find(sized.connId)?.OnSized(sized.payload);
                break;
            case Effect.Accepted accepted:
                Accept(accepted);
                break;
            case Effect.Opened opened:
                Find(opened.connId)?.OnOpened(opened.connectionId);
                break;
            case Effect.Ended ended:
                Find(ended.connId)?.OnEnded();
                break;
            case Effect.Finished finished:
                Find(finished.connId)?.OnFinished();
                break;
            case Effect.Closed closed:
                if (_streams.Remove(closed.connId, out var stream))
                {
                    stream.OnClosed(closed.reason, StatisticsOf(closed.connId) ?? default);
                }

                break;
            case Effect.Foreign foreign:
                _owner.OnForeign(foreign.from, foreign.datagram);
                break;
            case Effect.Noted noted:
                _noted[noted.rule.Tag]++;
                break;
            case Effect.SendDatagram datagram:
                _transport.Send(datagram.remote, datagram.datagram.Span, datagram.hops);
                break;
            default:
                PerformOfTask(effect);
                break;
        }
    }

    // What was received in this turn and has not been kept by a reader is free again.
    private void ReleaseSlabs()
    {
        if (!KeepsContent)
        {
            foreach (var slab in _slabs)
            {
                slab.Release();
            }
        }

        _slabs.Clear();
    }

    private Slab? SlabOf(Payload payload)
    {
        foreach (var slab in _slabs)
        {
            if (ReferenceEquals(slab.Bytes, payload.Buffer))
            {
                return slab;
            }
        }

        return null;
    }

    private UtpStream? Find(int connId) => _streams.GetValueOrDefault(connId);

    private void Accept(Effect.Accepted accepted)
    {
        var stream = UtpStream.Accepted(this, accepted.connId, accepted.remote, accepted.connectionId);
        _streams.Add(accepted.connId, stream);
        if (_awaited.Remove(accepted.remote, out var path))
        {
            stream.OnTaken();
            path.SetResult(stream);
        }
        else if (_closing || _listener is null || !_listener.Offer(stream))
        {
            stream.Abort();
        }
    }
}
