using System.Collections.Concurrent;
using System.Net;
using System.Runtime.ExceptionServices;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>
/// Runs one node: waits for datagrams, commands and the deadline, gathers what has happened into one batch of events, lets the core take
/// one step, and performs the effects. The node is a value, so any thread may read the last one.
/// </summary>
/// <remarks>
/// <see cref="NodeLoop{TPlatform, TWork}"/> decides which thread does so: a thread of the engine's own, or a caller's thread that has posted a
/// command or waits. Continuations of users never run under the loop lock; the few callbacks that do are documented so.
/// </remarks>
[System.Diagnostics.CodeAnalysis.SuppressMessage(
    "Reliability", "CA1001", Justification = "The hook of the process's exit is removed when the loop ends.")]
internal sealed partial class Engine : ILoopWork
{
    // After this many commands the socket is polled again.
    private const int MaxCommandsPerStep = 4096;

    private readonly UtpNode _owner;
    private readonly IDatagramTransport _transport;
    private readonly ConcurrentQueue<ICommand> _commands = new();
    private readonly NodeLoop<SystemPlatform, Engine> _loop;
    private readonly StreamTable _streams = new();
    private readonly NodeTasks _tasks;
    private readonly NodeClosing _closing = new();
    private readonly NodeTracing _tracing;
    private readonly RuleCounters _rules = new();
    private readonly CallerWait _callerWait;
    private readonly Thread _thread;
    private ExitReset? _exitReset;

    // Under the loop lock.
    private readonly List<Event> _events = [];
    private readonly List<Event> _received = [];
    private readonly SlabList _slabs = [];
    private readonly List<Endpoint> _unreachable = [];
    private readonly Action _stopListening;
    private Node _node;
    private Node? _previous;
    private UtpListener? _listener;
    private Failure? _broken;
    private bool _isDone;
    private bool _expectsCaller;
    private bool _hasMoreCommands;
    private long _steps;

    // The leader's.
    private Exception? _waitError;

    public Engine(UtpNode owner, IDatagramTransport transport, Settings settings, byte[] seed)
    {
        _owner = owner;
        _transport = transport;
        _stopListening = StopListening;
        Settings = settings;
        SendMemory = new SendMemory(settings.Node.ReceiveBudget, settings.Node.MaxConnections);
        var now = Clock.Now;
        _node = NodeModule.Create(settings.Node, new Owned(seed), now);
        _tracing = new NodeTracing(
            settings.Trace, new TraceNode("A", Addresses.ToEndpoint(transport.LocalEndPoint), settings.Node, new Owned(seed), now), _node);
        Telemetry = new NodeTelemetry(settings.LoggerFactory, settings.MeterFactory, transport.LocalEndPoint);
        _tasks = new NodeTasks(transport, Telemetry);
        _callerWait = new CallerWait(transport);
        _loop = new NodeLoop<SystemPlatform, Engine>(new SystemPlatform(transport), this);
        _thread = new Thread(Run) { IsBackground = true, Name = $"utp {transport.LocalEndPoint}" };
    }

    public UtpNode Owner => _owner;
    public Settings Settings { get; }
    public IDatagramTransport Transport => _transport;
    public NodeTracing Tracing => _tracing;
    public NodeTelemetry Telemetry { get; }

    /// <summary>The state after the last step.</summary>
    public Node Node => Volatile.Read(ref _node);

    /// <summary>What the streams hold of written bytes.</summary>
    public SendMemory SendMemory { get; }

    /// <summary>Whether the streams hold so much that it is worth copying received bytes out of slabs that are not full.</summary>
    public bool IsSparing { get; private set; }

    /// <summary>How many steps there were.</summary>
    public long Steps => Volatile.Read(ref _steps);
    public bool IsAlive => _thread.IsAlive;
    /// <summary>Whether a caller's thread is the leader.</summary>
    public bool IsCallerDriven => _loop.IsCallerDriven;

    /// <summary>Whether the calling thread holds the loop lock: what it waits for must not need another step.</summary>
    public bool HoldsLoopLock => _loop.HoldsLoopLock;

    /// <summary>Completes when the socket is closed; fails when the node broke down.</summary>
    public Task Completion => _closing.Completion;

    /// <summary>Why the node broke down; null when it did not.</summary>
    public Failure? Fault => _closing.Fault;

    public bool IsClosing => _closing.IsRequested;

    /// <summary>The prefixes of the network's NAT64, for what the core does not send. Under the loop lock.</summary>
    public Nat64Prefix[] Nat64 { get; set; } = [];

    /// <summary>The listener that is offered streams; null for none. Under the loop lock.</summary>
    public UtpListener? Listener
    {
        get => _listener;
        set => _listener = value;
    }

    /// <summary>Whether no further step is taken: the last datagrams were sent.</summary>
    public bool IsOver => _loop.IsOver;

    public Traffic Traffic() => _streams.Traffic(StatisticsOf);

    public void Start()
    {
        Telemetry.OnStarted(this);
        _exitReset = new ExitReset(this);
        _thread.Start();
    }

    public void Join() => _thread.Join();

    /// <summary>
    /// What a stream has measured; null when it is unknown. A stream that the last step has closed is found in the state before, until
    /// it learns that it is closed.
    /// </summary>
    public UtpStreamStatistics? StatisticsOf(int connId) =>
        UtpStreamStatistics.Of(connId, Node) ?? (Volatile.Read(ref _previous) is { } previous ? UtpStreamStatistics.Of(connId, previous) : null);

    /// <summary>The own address of a stream.</summary>
    public IPEndPoint LocalEndPointOf(int connId) =>
        _transport.LocalEndPointOf(NodeModule.RemoteOf(connId, Node) is { IsValueSome: true } remote ? remote.Value : EndpointModule.nowhere);

    /// <summary>How often each uncommon rule of the protocol has fired, by name.</summary>
    public Dictionary<string, long> CountRules() => _rules.ByName();

    /// <summary>Hands over a command, and wakes the leader if it sleeps.</summary>
    /// <param name="command">What the next step gathers.</param>
    /// <param name="inline">Whether the calling thread, which then holds no lock, is to step itself if no other thread does.</param>
    public void Post(ICommand command, bool inline = false)
    {
        _commands.Enqueue(command);
        _loop.OnPosted(inline);
    }

    /// <summary>
    /// Lets all streams finish, for at most that long. The socket stays open until no peer can lack an acknowledgement,
    /// within the same time, or for somewhat longer if <paramref name="awaitsFarewell"/>. If it is called twice, the earlier deadlines hold.
    /// </summary>
    public Task Close(TimeSpan timeout, bool awaitsFarewell = false, bool inline = false)
    {
        _closing.Request(timeout, awaitsFarewell);
        _loop.OnPosted(inline);
        return Completion;
    }

    /// <summary>Names a stream that is dialled now. Under the loop lock.</summary>
    public int Enlist(UtpStream stream) => _streams.Add(stream);

    /// <summary>Names a task that begins now. Under the loop lock.</summary>
    public int Enlist(INodeTask task) => _tasks.Add(task);

    /// <summary>A task gets nothing any more. Under the loop lock.</summary>
    public void Delist(int taskId) => _tasks.Remove(taskId);

    /// <summary>A peer is about to open a stream, although the node may not listen. Under the loop lock.</summary>
    public void Await(Endpoint remote, TaskCompletionSource<UtpStream> promise) => _tasks.Await(remote, promise);

    public void AwaitNoMore(Endpoint remote, TaskCompletionSource<UtpStream> promise) => _tasks.AwaitNoMore(remote, promise);

    public void AwaitNoMore(Endpoint remote, Task<UtpStream> opened) => _tasks.AwaitNoMore(remote, opened);

    /// <summary>Polls the socket once if no thread waits for it. Returns whether it did.</summary>
    public bool TryPollOnce() => _loop.TryPollOnce();

    /// <summary>Waits on the calling thread until a side is ready, or until a time on the clock. Returns whether it is ready.</summary>
    public bool WaitFor(StreamSide side, long until) => _loop.WaitFor(side, until);

    /// <summary>A side in which another thread waits may be ready. Under the side's lock.</summary>
    public void Wake(StreamSide side) => _loop.Wake(side);

    /// <summary>An asynchronous read or write begins to wait.</summary>
    public void BeginWaiting() => _loop.BeginWaiting();

    /// <summary>An asynchronous read or write has stopped waiting.</summary>
    public void EndWaiting() => _loop.EndWaiting();

    /// <summary>A caller was woken that is expected to read again soon, because there is much data. Under the loop lock.</summary>
    public void ExpectCaller() => _expectsCaller = true;

    /// <summary>A callback must not wait for what needs another step: its own thread holds the loop lock.</summary>
    public void ThrowIfHoldsLoopLock()
    {
        if (HoldsLoopLock)
        {
            throw new InvalidOperationException("A callback runs on the thread that serves the node: it must not wait for a stream.");
        }
    }

    long ILoopWork.Now => Clock.Now;

    long ILoopWork.PrepareWait()
    {
        try
        {
            _transport.Prepare();
        }
        catch (Exception error)
        {
            Break(error);
        }

        return Deadline;
    }

    void ILoopWork.Wait(long microseconds, bool isCaller)
    {
        try
        {
            if (isCaller)
            {
                _callerWait.Wait(microseconds);
            }
            else
            {
                _transport.Wait(microseconds);
            }
        }
        catch (ThreadInterruptedException) when (HoldsLoopLock)
        {
            Thread.CurrentThread.Interrupt(); // The interrupt is the caller's, not the node's: let it strike where the lock is not held.
        }
        catch (Exception error) when (error is not ThreadInterruptedException)
        {
            _waitError = error;
        }
    }

    StepResult ILoopWork.Step(bool receives)
    {
        _expectsCaller = false;
        if (!HasEnded)
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

        var hasMore = _hasMoreCommands || _unreachable.Count > 0 || _transport.News.Count > 0;
        return new StepResult(Deadline, hasMore, HasEnded, _expectsCaller);
    }

    void ILoopWork.End()
    {
        _exitReset?.Dispose();
        _closing.Stop(_broken);
        var failure = _broken ?? Failure.NodeClosed();
        _listener?.OnStopped(failure);
        foreach (var stream in _streams.All)
        {
            stream.OnLost(_broken);
        }

        _streams.Clear(StatisticsOf);
        Telemetry.OnEnded(this, _broken);
        _tasks.Abandon(failure);
        ((ILoopWork)this).AbandonCommands();
        try
        {
            _transport.Dispose();
        }
        finally
        {
            _closing.Complete();
        }
    }

    void ILoopWork.AbandonCommands()
    {
        while (_commands.TryDequeue(out var command))
        {
            command.Abandon(Fault ?? Failure.NodeClosed());
        }
    }

    private bool HasEnded => _isDone || _broken is not null;

    private long Deadline => _closing.Deadline(_node);

    private void Run()
    {
        _transport.Adopt();
        while (_loop.RunOnce())
        {
        }
    }

    private void Break(Exception error)
    {
        if (_broken is null)
        {
            _tracing.WriteFault();
            _broken = Failure.Fault(error);
        }
    }

    // Commands are gathered after the socket is read, but come first: a command that was posted before a packet was sent precedes it.
    private void Gather(bool receives)
    {
        _events.Clear();
        _received.Clear();
        if (receives)
        {
            if (_waitError is { } error)
            {
                ExceptionDispatchInfo.Throw(error);
            }

            _transport.Receive(_received, _slabs);
        }

        var count = 0;
        while (count < MaxCommandsPerStep && _commands.TryDequeue(out var command))
        {
            command.Collect(this, _events);
            count++;
        }

        _hasMoreCommands = count == MaxCommandsPerStep;

        _closing.Gather(_events, _streams, _stopListening);
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
        var effects = _tracing.Step(now, _events.ToArray(), _node, out var node);
        Volatile.Write(ref _previous, _node);
        Volatile.Write(ref _node, node);
        _steps++;
        IsSparing = NodeModule.Statistics(node).HeldBytes > Settings.Node.ReceiveBudget / 16;
        foreach (var effect in effects)
        {
            Perform(effect);
        }

        if (_tracing.KeepsContent)
        {
            _slabs.Clear();
        }
        else
        {
            _slabs.Release();
        }

        _isDone = _closing.IsDone(now, node, _streams);
    }

    private void StopListening()
    {
        if (_listener is { } listener)
        {
            _listener = null;
            _events.Add(Event.Unlisten);
            listener.OnStopped(Failure.NodeClosed());
        }
    }
}
