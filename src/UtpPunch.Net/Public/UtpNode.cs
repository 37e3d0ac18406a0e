using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// One UDP port that both listens and dials: any number of <see cref="UtpStream"/>s share its socket. All members may be called from any
/// thread at any time.
/// </summary>
public sealed partial class UtpNode : IAsyncDisposable, IDisposable
{
    private const int SeedLength = 32;

    private readonly IDatagramTransport _transport;
    private readonly Settings _settings;
    private readonly Engine _engine;
    private readonly Lock _gate = new();
    private UtpListener? _listener;

    private UtpNode(IDatagramTransport transport, Settings settings)
    {
        _transport = transport;
        _settings = settings;
        _engine = new Engine(this, transport, settings, RandomNumberGenerator.GetBytes(SeedLength));
        _engine.Start();
    }

    /// <summary>Binds a socket and starts to serve it. The node dials at once, and listens when <see cref="Listen"/> says so.</summary>
    /// <param name="options">Null stands for the defaults. They are copied.</param>
    /// <param name="cancellationToken">Looked at before the socket is bound.</param>
    /// <exception cref="ArgumentException">An option makes no sense; <see cref="ArgumentException.ParamName"/> is its name.</exception>
    /// <exception cref="PlatformNotSupportedException">The system cannot have <see cref="UtpNodeOptions.Transport"/>.</exception>
    /// <exception cref="SocketException">The socket could not be bound: <see cref="SocketError.AddressAlreadyInUse"/> when the port is
    /// taken.</exception>
    public static ValueTask<UtpNode> BindAsync(UtpNodeOptions? options = null, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return new ValueTask<UtpNode>(Bind(options ?? new UtpNodeOptions()));
    }

    /// <summary>Binds a socket to an address, with the default options.</summary>
    /// <exception cref="SocketException">The socket could not be bound.</exception>
    public static UtpNode Bind(IPEndPoint localEndPoint)
    {
        ArgumentNullException.ThrowIfNull(localEndPoint);
        return Bind(new UtpNodeOptions { LocalEndPoint = localEndPoint });
    }

    private static UtpNode Bind(UtpNodeOptions options)
    {
        var settings = UtpNodeOptionsCheck.Freeze(options);
        return Over(TransportChoice.Bind(options), settings);
    }

    /// <summary>A node over any transport, which it owns from then on.</summary>
    internal static UtpNode Over(IDatagramTransport transport, Settings settings)
    {
        try
        {
            return new UtpNode(transport, settings);
        }
        catch
        {
            transport.Dispose();
            throw;
        }
    }

    /// <summary>Where the socket is bound, with the port that the system chose.</summary>
    public IPEndPoint LocalEndPoint => _transport.LocalEndPoint;

    /// <summary>The socket, for options such as <see cref="Socket.Ttl"/>. Who receives from it, or closes it, breaks the node.</summary>
    public Socket? Socket => _transport.Socket;

    /// <summary>How many streams the node may have at once.</summary>
    public int MaxConnections => _settings.Node.MaxConnections;

    /// <summary>How many streams there are that peers have opened.</summary>
    public int IncomingConnections => GetStatistics().Incoming;

    /// <summary>How many streams there are that were dialled here, including those that are not open yet.</summary>
    public int OutgoingConnections => GetStatistics().Outgoing;

    /// <summary>
    /// Completes when the node is closed. Fails with a <see cref="UtpException"/> when it broke down, by a fault of this library or because
    /// the socket was taken from it; all its streams fail likewise then.
    /// </summary>
    public Task Completion => _engine.Completion;

    internal Engine Engine => _engine;

    /// <summary>How many streams there are, by kind, and what could not be sent. May be called when the node is closed, too.</summary>
    public UtpNodeStatistics GetStatistics() => UtpNodeStatistics.Of(_engine.Node, _transport);

    /// <summary>
    /// How often each uncommon rule of the protocol has fired since the node was bound, such as <c>RetransmitTimeout</c>, <c>Duplicate</c>,
    /// <c>ResetAccepted</c> or <c>KeepAlive</c>: for logs and graphs. All rules are there, also those that never fired; which there are
    /// may change with any version. A snapshot, which belongs to the caller.
    /// </summary>
    public IReadOnlyDictionary<string, long> GetRuleCounts() => _engine.CountRules();

    /// <summary>
    /// Accepts streams from now on. There is one listener at a time; when it is disposed, another may be made. Peers that dial a node which
    /// does not listen are refused.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><see cref="UtpListenOptions.Backlog"/> is not positive.</exception>
    /// <exception cref="InvalidOperationException">The node listens already.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="UtpException">The node broke down.</exception>
    public UtpListener Listen(UtpListenOptions? options = null)
    {
        options ??= new UtpListenOptions();
        var backlog = options.Backlog;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(backlog, nameof(options.Backlog));
        UtpListener listener;
        lock (_gate)
        {
            ThrowIfUnusable();
            if (_listener is not null)
            {
                throw new InvalidOperationException("The node listens already.");
            }

            listener = new UtpListener(this, options.Filter);
            _listener = listener;
            _engine.Post(new ListenCommand(listener, backlog));
        }

        return listener;
    }

    /// <summary>
    /// Closes the node: it listens no more, reads and writes under way fail with <see cref="UtpError.NodeClosed"/>, what was written is
    /// still sent. Streams with bytes that were never read are reset at once, as when they are disposed. When everything has arrived, or
    /// the time is over, or the wait is cancelled, streams that are left are reset and the socket is closed. Waits for that. May be called
    /// several times, also at once; the earliest deadline holds.
    /// </summary>
    /// <param name="timeout">How long streams may take to finish; <see cref="Timeout.InfiniteTimeSpan"/> is as long as they like.</param>
    /// <param name="cancellationToken">Resets what is left.</param>
    /// <exception cref="ArgumentOutOfRangeException">The time-out is negative.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    public async ValueTask CloseAsync(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        UtpNodeOptionsCheck.Positive(timeout, nameof(timeout), mayBeInfinite: true, mayBeZero: true);
        var closed = _engine.Close(timeout);
        if (cancellationToken.CanBeCanceled)
        {
            using var registration = cancellationToken.UnsafeRegister(static self => _ = ((UtpNode)self!)._engine.Close(TimeSpan.Zero), this);
            await closed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
        }
        else
        {
            await closed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Closes the node as <see cref="CloseAsync"/> does, within <see cref="UtpNodeOptions.ShutdownTimeout"/>. Never
    /// throws.</summary>
    public ValueTask DisposeAsync() => CloseAsync(_settings.ShutdownTimeout);

    /// <summary>
    /// Closes the node at once: streams that are left are reset. Returns when the socket is closed, which takes no longer than the step
    /// under way. Use <see cref="DisposeAsync"/> to let them finish.
    /// </summary>
    public void Dispose()
    {
        _ = _engine.Close(TimeSpan.Zero);
        if (!_engine.HoldsLoopLock)
        {
            _engine.Join();
        }
    }

    internal void StopListening(UtpListener listener)
    {
        lock (_gate)
        {
            if (ReferenceEquals(_listener, listener))
            {
                _listener = null;
                _engine.Post(new UnlistenCommand(listener));
            }
        }
    }

    private void ThrowIfUnusable()
    {
        if (_engine.Fault is { } fault)
        {
            throw fault.ToException();
        }

        ObjectDisposedException.ThrowIf(_engine.IsClosing, this);
    }
}
