using System.Collections.Concurrent;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// One thread that owns the state of one node: it waits for datagrams, for wishes of users or for the deadline, makes one batch of all that
/// has happened, lets the core take one step, and does what the core says. The state is a value, so any thread may read the last one.
/// Users never run on this thread, except for the few callbacks that say so.
/// </summary>
internal sealed partial class Engine
{
    // So many wishes at most before the socket is looked at again.
    private const int MaxWorkPerTurn = 4096;

    private static readonly (string Name, int Tag)[] Rules =
        [.. typeof(Rule.Tags).GetFields().Select(field => (field.Name, (int)field.GetRawConstantValue()!))];

    private readonly UtpNode _owner;
    private readonly IDatagramTransport _transport;
    private readonly ConcurrentQueue<IWork> _work = new();
    private readonly Dictionary<int, UtpStream> _streams = [];
    private readonly List<Event> _events = [];
    private readonly List<Event> _received = [];
    private readonly List<Endpoint> _unreachable = [];
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread _thread;
    private readonly long[] _noted = new long[Rules.Length];
    private Node _node;
    private Node? _previous;
    private UtpListener? _listener;
    private int _nextConnId = 2;
    private int _asleep;
    private long _turns;

    public Engine(UtpNode owner, IDatagramTransport transport, Settings settings, byte[] seed)
    {
        _owner = owner;
        _transport = transport;
        Settings = settings;
        var now = Clock.Now;
        _node = NodeModule.Create(settings.Node, new Bytes(seed), now);
        _traced = new TraceNode("A", Addresses.ToEndpoint(transport.LocalEndPoint), settings.Node, new Bytes(seed), now);
        _recorder = settings.Trace is { } trace ? new Recorder(trace.Capacity, trace.Payload == UtpTracePayload.Full, _node) : null;
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

    public bool IsOnThread => Environment.CurrentManagedThreadId == _thread.ManagedThreadId;

    public bool IsAlive => _thread.IsAlive;

    public void Start() => _thread.Start();

    public void Join() => _thread.Join();

    /// <summary>How many steps there were.</summary>
    public long Turns => Volatile.Read(ref _turns);

    /// <summary>How often each uncommon rule of the protocol has fired, by name.</summary>
    public Dictionary<string, long> CountRules() => Rules.ToDictionary(rule => rule.Name, rule => Volatile.Read(ref _noted[rule.Tag]));

    /// <summary>Hands over a wish; wakes the engine only when it may be waiting.</summary>
    public void Post(IWork work)
    {
        _work.Enqueue(work);
        Interlocked.MemoryBarrier(); // The engine looks at the queue after it has said that it sleeps; we the other way round.
        if (_stopped)
        {
            AbandonWork();
        }
        else
        {
            Nudge();
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

    private void Nudge()
    {
        if (Volatile.Read(ref _asleep) == 1 && Interlocked.Exchange(ref _asleep, 0) == 1)
        {
            _transport.Wake();
        }
    }

    private void Run()
    {
        Failure? fault = null;
        try
        {
            while (!_done)
            {
                Wait();
                Gather();
                Step();
            }
        }
        catch (Exception error)
        {
            fault = Failure.Fault(error);
            WriteTraceOfFault();
        }

        Stop(fault);
    }

    private void Wait()
    {
        var wait = 0L;
        if (!HasWork)
        {
            Interlocked.Exchange(ref _asleep, 1);
            if (!HasWork)
            {
                wait = Deadline - Clock.Now;
            }
        }

        _transport.Wait(Math.Max(0, wait));
        Volatile.Write(ref _asleep, 0);
    }

    private bool HasWork => !_work.IsEmpty || _unreachable.Count > 0 || _closeChanged;

    // Wishes are looked at after the socket, but come first: what a user said before a packet was sent counts when it is received.
    private void Gather()
    {
        _events.Clear();
        _received.Clear();
        _transport.Receive(_received);
        for (var count = 0; count < MaxWorkPerTurn && _work.TryDequeue(out var work); count++)
        {
            work.Collect(this, _events);
        }

        GatherClosing();
        foreach (var remote in _unreachable)
        {
            _events.Add(Event.NewUnreachable(remote));
        }

        _unreachable.Clear();
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
        _turns++;
        foreach (var effect in effects)
        {
            Perform(effect);
        }

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
                Find(deliver.connId)?.OnDeliver(deliver.payload);
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
