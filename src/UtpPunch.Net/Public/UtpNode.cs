using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A UDP socket over which any number of <see cref="UtpStream"/>s are opened and accepted. All members may be called from any thread at any
/// time.
/// </summary>
/// <remarks>Calls on a closed node throw <see cref="ObjectDisposedException"/>; calls that wait when it is closed, and those on a node that has failed, throw a
/// <see cref="UtpException"/>. <see cref="DisposeAsync"/> lets the streams finish, <see cref="Dispose"/> resets them.</remarks>
/// <example><code>
/// await using var node = await UtpNode.BindAsync(new IPEndPoint(IPAddress.IPv6Any, 9000));
/// await using var listener = node.Listen();                             // accepts streams,
/// await using var stream = await node.ConnectAsync("peer.example", 9000);   // and opens others, from one port
/// </code></example>
[DebuggerDisplay("{LocalEndPoint}")]
public sealed partial class UtpNode : IAsyncDisposable, IDisposable
{
    private const int SeedLength = 32;

    private readonly IDatagramTransport _transport;
    private readonly Settings _settings;
    private readonly Engine _engine;
    private readonly Lock _gate = new();
    private UtpListener? _listener;
    private NetworkWatch? _watch;

    private UtpNode(IDatagramTransport transport, Settings settings)
    {
        _transport = transport;
        _settings = settings;
        _nat64 = CreateNat64();
        _engine = new Engine(this, transport, settings, RandomNumberGenerator.GetBytes(SeedLength));
        _engine.Start();
    }

    /// <summary>Binds a socket and starts to serve it. The node can open streams at once. It accepts streams after
    /// <see cref="Listen"/>.</summary>
    /// <param name="options">The options, which are copied; <see langword="null"/> for the defaults.</param>
    /// <param name="cancellationToken">Is checked before the socket is bound.</param>
    /// <returns>The node, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">An option is not valid. <see cref="ArgumentException.ParamName"/> is its name.</exception>
    /// <exception cref="PlatformNotSupportedException"><see cref="UtpNodeOptions.SocketMode"/> does not work on this system, or in this
    /// process.</exception>
    /// <exception cref="SocketException">The socket could not be bound; with <see cref="SocketError.AddressAlreadyInUse"/> the port is in
    /// use.</exception>
    public static ValueTask<UtpNode> BindAsync(UtpNodeOptions? options = null, CancellationToken cancellationToken = default)
    {
        try
        {
            return cancellationToken.IsCancellationRequested
                ? ValueTask.FromCanceled<UtpNode>(cancellationToken)
                : new ValueTask<UtpNode>(Bind(options ?? new UtpNodeOptions()));
        }
        catch (Exception error) when (error is not ArgumentException)
        {
            return ValueTask.FromException<UtpNode>(error);
        }
    }

    /// <summary>Binds a socket to an address, with the default options, and starts to serve it.</summary>
    /// <param name="localEndPoint">The address; with port 0 the system chooses one.</param>
    /// <param name="cancellationToken">Is checked before the socket is bound.</param>
    /// <inheritdoc cref="BindAsync(UtpNodeOptions?, CancellationToken)"/>
    public static ValueTask<UtpNode> BindAsync(IPEndPoint localEndPoint, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(localEndPoint);
        return BindAsync(new UtpNodeOptions { LocalEndPoint = localEndPoint }, cancellationToken);
    }

    /// <summary>Binds a socket to an address, with the default options, and starts to serve it.</summary>
    /// <param name="localEndPoint">The address; with port 0 the system chooses one.</param>
    /// <returns>The node, which the caller disposes.</returns>
    /// <exception cref="SocketException">The socket could not be bound.</exception>
    public static UtpNode Bind(IPEndPoint localEndPoint)
    {
        ArgumentNullException.ThrowIfNull(localEndPoint);
        return Bind(new UtpNodeOptions { LocalEndPoint = localEndPoint });
    }

    /// <summary>Binds a socket and starts to serve it, as <see cref="BindAsync(UtpNodeOptions?, CancellationToken)"/> does, for callers that are not
    /// asynchronous.</summary>
    /// <param name="options">The options, which are copied.</param>
    /// <returns>The node, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">An option is not valid. <see cref="ArgumentException.ParamName"/> is its name.</exception>
    /// <exception cref="PlatformNotSupportedException"><see cref="UtpNodeOptions.SocketMode"/> does not work on this system, or in this
    /// process.</exception>
    /// <exception cref="SocketException">The socket could not be bound.</exception>
    public static UtpNode Bind(UtpNodeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var settings = UtpNodeOptionsCheck.Freeze(options);
        return Over(TransportChoice.Bind(options), settings);
    }

    /// <summary>Creates a node over a transport, which it owns.</summary>
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

    /// <summary>Gets the address to which the socket is bound, with the port that the system chose.</summary>
    public IPEndPoint LocalEndPoint => _transport.LocalEndPoint;

    /// <summary>Gets the socket, for options of the system that the library has none for. It belongs to the node, which fails if it is closed, and does not
    /// get the datagrams that are received from it elsewhere.</summary>
    /// <value><see langword="null"/> with a <see cref="UtpNodeOptions.TransportFactory"/>.</value>
    [EditorBrowsable(EditorBrowsableState.Advanced)]
    public Socket? Socket => _transport.Socket;

    /// <summary>
    /// Gets a task that completes when the node is closed. It fails with a <see cref="UtpException"/> if the node fails, by a fault in this
    /// library or because the socket was closed; all streams of the node fail with the same error.
    /// </summary>
    public Task Completion => _engine.Completion;

    internal Engine Engine => _engine;

    /// <summary>Returns the numbers of streams, and what they have carried since the node was bound. It may be called on a closed node. It takes time
    /// with the number of streams.</summary>
    /// <returns>The values of this moment.</returns>
    public UtpNodeStatistics GetStatistics() => UtpNodeStatistics.Of(_engine.Node, _engine.Traffic(), _transport);

    /// <summary>
    /// Returns how often each of the less common rules of the protocol was applied since the node was bound, such as
    /// <c>RetransmitTimeout</c>, <c>Duplicate</c>, <c>ResetAccepted</c> or <c>KeepAlive</c>, for logs and graphs. The rules may change with
    /// any version.
    /// </summary>
    /// <returns>A new dictionary of all rules, by name, including those that were never applied.</returns>
    public IReadOnlyDictionary<string, long> GetRuleCounts() => _engine.CountRules();

    /// <summary>
    /// Starts to accept streams. A node has at most one listener; after that is disposed, it may listen again. A node that does not listen
    /// refuses the streams of its peers with a RESET.
    /// </summary>
    /// <param name="options">The options, which are copied; <see langword="null"/> for the defaults.</param>
    /// <returns>The listener. Disposing it ends the listening; streams that were accepted, and the node, stay.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><see cref="UtpListenOptions.Backlog"/> is not positive.</exception>
    /// <exception cref="InvalidOperationException">The node already has a listener.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="UtpException">The node has failed.</exception>
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
    /// Closes the node and waits until it is closed. The node stops to listen, pending reads and writes fail with
    /// <see cref="UtpError.NodeClosed"/>, and data that was written is still sent. Streams with data that was not read are reset at once, as
    /// if they were disposed. When all data was acknowledged, the time is over, or the wait is cancelled, the remaining streams are reset
    /// and the socket is closed. If it is called several times, the earliest deadline holds. Port mappings are deleted before, which takes
    /// 250 ms at most.
    /// </summary>
    /// <param name="timeout">How long the streams may take to finish; it may be zero, or <see cref="Timeout.InfiniteTimeSpan"/>.</param>
    /// <param name="cancellationToken">Resets the remaining streams.</param>
    /// <exception cref="ArgumentOutOfRangeException">The timeout is negative.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    public async ValueTask CloseAsync(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        UtpNodeOptionsCheck.Positive(timeout, nameof(timeout), mayBeInfinite: true, mayBeZero: true);
        await DeleteMappings().ConfigureAwait(false);
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

    /// <summary>
    /// Closes the node as <see cref="CloseAsync"/> does. The streams have <see cref="UtpNodeOptions.ShutdownTimeout"/> to finish. Then the
    /// socket stays open until no peer can lack the acknowledgement of its end: a round trip as a rule, at most 12 s if the path loses
    /// packets. It does not throw.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await DeleteMappings().ConfigureAwait(false);
        await _engine.Close(_settings.ShutdownTimeout, awaitsFarewell: _settings.ShutdownTimeout != TimeSpan.Zero).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>
    /// Closes the node at once: its streams are reset. It returns when the socket is closed, after at most the current step of the protocol,
    /// and up to 250 ms if a port mapping must be deleted.
    /// <see cref="DisposeAsync"/> lets the streams finish.
    /// </summary>
    public void Dispose()
    {
        var deleted = DeleteMappings();
        if (!_engine.HoldsLoopLock)
        {
            deleted.Wait(s_deletion);
        }

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
