using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using UtpPunch.Protocol;

namespace UtpPunch;

// How a stream comes into being and ends.
public sealed partial class UtpStream
{
    private readonly Engine _engine;
    private Endpoint _remote;

    // Null once the stream is open, or will never be.
    private DialState? _dial;
    private readonly ReadSide _read;
    private readonly WriteSide _write;
    private readonly long _born = Clock.Now;
    private LazyCompletion _opening;
    private LazyCompletion _readsClosed;
    private LazyCompletion _writesClosed;
    private LazyCompletion _closed;
    private IPEndPoint? _localEndPoint;
    private IPEndPoint? _remoteEndPoint;
    private StrongBox<UtpStreamStatistics>? _finalStatistics;
    private TimeSpan _idleTimeout;
    private UtpCongestionControl _congestionControl;
    private bool _congestionChanged;
    private bool _isSearching;
    private readonly bool _isNpm;

    // One more than the kind of path; 0 for none. Idle streams are many.
    private byte _pathKind;
    private PathHandlers? _pathHandlers;
    private int _disposed;

    private UtpStream(Engine engine, Endpoint remote, Dialling how, bool isIncoming)
    {
        var options = engine.Settings.For(how.Dialect);
        _engine = engine;
        _remote = remote;
        _dial = isIncoming ? null : new DialState(how);
        _idleTimeout = Clock.ToTimeSpan(options.IdleTimeout);
        _congestionControl = how.CongestionControl;
        _congestionChanged = how.CongestionControl != engine.Settings.CongestionControl;
        IsIncoming = isIncoming;
        _isNpm = how.Dialect.IsUtpPunch;
        _maxPayload = options.PacketSize - PacketModule.HeaderLength;
        _read = new ReadSide(this, options.ReceiveBuffer);
        _write = new WriteSide(this, options.SendBuffer, _maxPayload);
    }

    /// <summary>A stream that is about to be dialled: the step that collects it sends the SYN.</summary>
    internal static UtpStream Dialled(Engine engine, Endpoint remote, Dialling how) =>
        new(engine, remote, how, isIncoming: false);

    /// <summary>A stream that a peer has opened.</summary>
    internal static UtpStream Accepted(Engine engine, int connId, Endpoint remote, ushort connectionId)
    {
        var how = new Dialling(engine.Settings.Dialect, TimeSpan.Zero, engine.Settings.CongestionControl);
        var stream = new UtpStream(engine, remote, how, isIncoming: true)
        {
            _connId = connId,
        };
        stream.OnOpened(connectionId);
        return stream;
    }

    /// <summary>Completes when a dialled stream is open; fails when it never will be.</summary>
    internal Task Opening => _opening.Task;

    /// <summary>The stream that the peer opens at the same time, and that may take the place of this one, before this one is posted.</summary>
    internal Task<UtpStream>? Counterpart => _dial?.Counterpart?.Task;

    /// <summary>Whether the stream has ended for good.</summary>
    internal bool IsGone
    {
        get
        {
            lock (Gate)
            {
                return _gone;
            }
        }
    }

    /// <summary>Gets or sets how the stream follows the rate of its path. A new value takes effect at once, and begins with the window and the
    /// round trip of the old one.</summary>
    /// <value>The default is <see cref="UtpConnectOptions.CongestionControl"/>, or that of the node.</value>
    /// <exception cref="ArgumentNullException">The value is <see langword="null"/>.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    public UtpCongestionControl CongestionControl
    {
        get
        {
            lock (Gate)
            {
                return _congestionControl;
            }
        }

        set
        {
            ArgumentNullException.ThrowIfNull(value);
            ObjectDisposedException.ThrowIf(IsDisposed, this);
            lock (Gate)
            {
                _congestionControl = value;
                _congestionChanged = true;
            }

            Post();
        }
    }

    /// <summary>Gets or sets the time after which the stream fails with <see cref="UtpError.IdleTimeout"/> if no packet of the peer was received.</summary>
    /// <value>The default is <see cref="UtpNodeOptions.IdleTimeout"/>. It is 1 ms at least, and may be infinite.</value>
    /// <exception cref="ArgumentOutOfRangeException">The value is not positive.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    public TimeSpan IdleTimeout
    {
        get
        {
            lock (Gate)
            {
                return _idleTimeout;
            }
        }

        set
        {
            UtpNodeOptionsCheck.Positive(value, nameof(value), mayBeInfinite: true);
            ObjectDisposedException.ThrowIf(IsDisposed, this);
            lock (Gate)
            {
                _idleTimeout = value;
                _idleChanged = true;
            }

            Post();
        }
    }

    // The stream and its read side share a lock. A thread that holds it takes no other lock but the write side's.
    private object Gate => _read;

    private bool IsDisposed => Volatile.Read(ref _disposed) != 0;

    /// <summary>
    /// Ends this side: the peer reads the end after the last byte. Reads go on. Does not wait; see <see cref="WritesClosed"/>. A write
    /// under way may still complete, and the end follows it. Called again it does nothing. Some BitTorrent clients take the end of one
    /// side for that of both.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    public void CompleteWrites() => _write.Seal();

    /// <summary>
    /// Completes when the peer has acknowledged everything that was written up to now: the bytes have arrived at the peer's node. They need
    /// not have been read.
    /// </summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="UtpException">The stream broke off before.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled; that changes nothing.</exception>
    public ValueTask DrainAsync(CancellationToken cancellationToken = default) => new(_write.DrainAsync(cancellationToken));

    /// <summary>
    /// Resets the stream now: what was not yet sent or read is lost, and the peer meets <see cref="UtpError.ConnectionReset"/>. Reads
    /// and writes under way, and later ones, fail with <see cref="UtpError.Aborted"/>. Does not wait. Called again it does nothing.
    /// </summary>
    public void Abort() => AbortWith(null);

    /// <summary>
    /// Resets the stream as <see cref="Abort()"/> does, and gives the peer an error code of the application, which becomes
    /// <see cref="UtpException.ApplicationErrorCode"/> there. If the RESET is lost, the next packet that the peer sends within half a minute draws
    /// another one with the code; nothing tells this side whether it has arrived. Peers that are not UtpPunch nodes, and those that speak
    /// <see cref="UtpDialect.Npm"/>, get a RESET without a code.
    /// </summary>
    /// <param name="errorCode">The code, from 0 to 4294967295. What it means is up to the applications; it is neither encrypted nor
    /// authenticated.</param>
    /// <exception cref="ArgumentOutOfRangeException">The code is negative, or larger than 4294967295.</exception>
    /// <example><code>
    /// stream.Abort(errorCode: 3);
    /// </code></example>
    public void Abort(long errorCode)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(errorCode);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(errorCode, uint.MaxValue);
        AbortWith((uint)errorCode);
    }

    private void AbortWith(uint? errorCode)
    {
        lock (Gate)
        {
            if (_gone || _abortWanted)
            {
                return;
            }

            _abortWanted = true;
            _errorCode = errorCode;
        }

        var failure = Failure.Aborted(RemoteEndPoint);
        _read.Fail(failure, discard: true);
        _write.Fail(failure);
        Post();
    }

    /// <summary>Returns what the stream has measured and counted so far. It may be called when the stream has ended, too.</summary>
    /// <returns>The values of this moment, or of the stream's end.</returns>
    public UtpStreamStatistics GetStatistics()
    {
        var statistics = _engine.StatisticsOf(_connId);
        lock (Gate)
        {
            // A stream whose node has failed has none of its own.
            return _gone ? _finalStatistics?.Value ?? statistics ?? default : statistics ?? _finalStatistics?.Value ?? default;
        }
    }

    /// <summary>
    /// Ends this side as <see cref="CompleteWrites"/> does, waits until the peer has acknowledged everything that was written, and the end, and disposes the
    /// stream. Unlike <see cref="DisposeAsync"/> it tells whether all bytes have arrived. What the peer sends meanwhile is lost: read to its end before.
    /// </summary>
    /// <param name="cancellationToken">Ends the wait; the stream is then reset.</param>
    /// <exception cref="UtpException">The stream has failed before the peer had acknowledged everything. It is disposed.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed before.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled. The stream is reset and disposed.</exception>
    /// <example><code>
    /// await stream.WriteAsync(file);
    /// await stream.CloseAsync();   // every byte has arrived at the peer's node
    /// </code></example>
    public async ValueTask CloseAsync(CancellationToken cancellationToken = default)
    {
        CompleteWrites();
        try
        {
            await WritesClosed.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Abort();
            throw;
        }
        finally
        {
            Dispose();
        }
    }

    /// <summary>Returns a text for logs.</summary>
    /// <returns>The addresses of both ends, who has opened the stream, and its connection id: <c>uTP 192.0.2.1:9000 to 192.0.2.2:9000 (id 4711)</c>.</returns>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"uTP {LocalEndPoint} {(IsIncoming ? "from" : "to")} {RemoteEndPoint} (id {ConnectionId})");

    /// <summary>
    /// Disposes the stream as <see cref="Stream.Dispose()"/> does, and waits until the peer has acknowledged everything that was written, and
    /// the end. If nothing new is acknowledged for <see cref="UtpNodeOptions.LingerTimeout"/>, the stream is reset, what was not acknowledged
    /// is lost, and the wait ends. The wait does not include the peer's own direction. It never throws: <see cref="WritesClosed"/> has the
    /// outcome.
    /// </summary>
    public override async ValueTask DisposeAsync()
    {
        Dispose();
        await WritesClosed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>
    /// Releases the stream without waiting. What was written, and the end, are still sent. If nothing new is acknowledged for
    /// <see cref="UtpNodeOptions.LingerTimeout"/>, the stream is reset and the rest is lost; <see cref="WritesClosed"/> then fails. If bytes
    /// were received and not read, the stream is reset at once, as with TCP, and written bytes that were not acknowledged are lost: read to
    /// the end, or await <see cref="DrainAsync"/>, before the stream is disposed. Bytes that are received later are not acknowledged, and
    /// reset the stream as soon as everything that was written is acknowledged. Pending reads and writes fail with
    /// <see cref="ObjectDisposedException"/>.
    /// </summary>
    /// <param name="disposing"><see langword="true"/> from <see cref="Stream.Dispose()"/>.</param>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            var unread = _read.Dispose();
            _write.Dispose();
            lock (Gate)
            {
                var reset = unread || _engine.Settings.LingerTimeout == TimeSpan.Zero;
                _abortWanted |= reset;
                _releaseWanted |= !reset;
            }

            Post();
            if (_write.HasPiped)
            {
                _ = LingerAsync();
            }
        }

        base.Dispose(disposing);
    }

    // The core's own time begins when all flushed bytes have entered the send buffer.
    private async Task LingerAsync()
    {
        var acknowledged = -1L;
        while (!IsGone)
        {
            if (_write.IsStalled(ref acknowledged))
            {
                Abort();
            }

            await Closed.WaitAsync(_engine.Settings.LingerTimeout).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
