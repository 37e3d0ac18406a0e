using System.Diagnostics;
using System.IO.Pipelines;
using System.Net;

namespace UtpPunch;

/// <summary>
/// A reliable, ordered stream of bytes in both directions, between two nodes over UDP: one uTP connection.
/// </summary>
/// <remarks>
/// <para>One read and one write may be pending at the same time, from any threads; a second read, or a second write, throws
/// <see cref="InvalidOperationException"/>. All other members may be called from any thread at any time.</para>
/// <para>A read that was cancelled has taken nothing, and the stream stays usable. A write that was cancelled may have been accepted in
/// part, and that part is sent. Writes complete when the send buffer has taken the bytes; use <see cref="DrainAsync"/> to learn that they
/// have arrived. After the last byte of the peer, reads return 0; a stream that broke off never ends like that, but with a
/// <see cref="UtpException"/>.</para>
/// <para>A stream must be disposed. There is no finalizer: one that is only forgotten stays open until its peer ends it or falls silent, since both ends send
/// keep-alives.</para>
/// </remarks>
/// <example><code>
/// await using var stream = await node.ConnectAsync("peer.example", 9000);
/// await stream.WriteAsync("hello"u8.ToArray(), completeWrites: true);
/// var answer = await new StreamReader(stream).ReadToEndAsync();
/// </code></example>
[DebuggerDisplay("{ToString(),nq}")]
public sealed partial class UtpStream : Stream, IDuplexPipe
{
    private int _readTimeout = Timeout.Infinite;
    private int _writeTimeout = Timeout.Infinite;

    /// <summary>Gets the own address that the stream uses. Of a node that is bound to all addresses, it is the one that the peer has dialled, or at
    /// which the peer's answer has arrived; until then, and where the system does not tell, it is the address of the node.</summary>
    public IPEndPoint LocalEndPoint => Volatile.Read(ref _localEndPoint) ?? _engine.Transport.LocalEndPoint;

    /// <summary>Gets the address of the peer. It changes when the stream goes on over another path; see <see cref="PathChanged"/>.</summary>
    public IPEndPoint RemoteEndPoint
    {
        get
        {
            lock (Gate)
            {
                return _remoteEndPoint ??= Addresses.ToIPEndPoint(_remote);
            }
        }
    }

    /// <summary>
    /// Gets a value that indicates whether the path to the peer is lost and another one is searched. A stream of a meeting waits for at most
    /// <see cref="UtpPunchOptions.PathTimeout"/>, another one as <see cref="UtpNodeOptions.AllowMigration"/> says. Only a stream with another
    /// node of this library can find another path.
    /// </summary>
    public bool IsSearching
    {
        get
        {
            lock (Gate)
            {
                return _isSearching;
            }
        }
    }

    /// <summary>
    /// Occurs when the path to the peer is lost, and when the stream goes on over another path, or over the same one again: a NAT has given the
    /// peer, or this machine, another port, or one of them is in another network. <see cref="IsSearching"/> and <see cref="RemoteEndPoint"/>
    /// have changed by then. Handlers run on the thread pool, one after the other, in order; what they throw is logged
    /// (<see cref="UtpNodeOptions.LoggerFactory"/>).
    /// </summary>
    public event EventHandler? PathChanged
    {
        add => (LazyInitializer.EnsureInitialized(ref _pathHandlers, () => new PathHandlers(this))).Changed += value;
        remove
        {
            if (_pathHandlers is { } handlers)
            {
                handlers.Changed -= value;
            }
        }
    }

    /// <summary>Gets a value that indicates whether the peer has opened the stream, and not this side. The two ends of a stream differ in it, also after a meeting
    /// at a rendezvous, so it can assign roles such as those of TLS.</summary>
    public bool IsIncoming { get; }

    /// <summary>Gets how the path was found over which the stream was opened. It does not change when the stream goes on over another one.</summary>
    /// <value><see langword="null"/> for a stream that was opened or accepted without a punch.</value>
    public UtpPathKind? PathKind
    {
        get => _pathKind == 0 ? null : (UtpPathKind)(_pathKind - 1);
        internal set => _pathKind = value is { } kind ? (byte)(kind + 1) : (byte)0;
    }

    /// <summary>Gets the dialect of the stream on the wire.</summary>
    public UtpDialect Dialect => _isNpm ? UtpDialect.Npm : UtpDialect.Bep29;

    /// <summary>Gets the connection id of the stream on the wire, as BEP 29 calls it.</summary>
    public ushort ConnectionId { get; private set; }

    /// <summary>Gets the most bytes of the stream that one packet carries. It changes: between two nodes of this library path MTU discovery makes
    /// packets as large as the path carries. A write of a multiple of it fills its packets; other sizes work as well.</summary>
    public int MaxPayload => _maxPayload;

    /// <summary>
    /// Gets a task that completes when the peer has ended its side and all of its bytes have arrived, whether read or not. Fails with a
    /// <see cref="UtpException"/> when the stream fails before.
    /// </summary>
    public Task ReadsClosed => _readsClosed.Task;

    /// <summary>
    /// Gets a task that completes when this side was ended, by <see cref="CompleteWrites"/> or by disposing the stream, and the peer has acknowledged
    /// the end and with it every byte. Fails with a <see cref="UtpException"/> when the stream fails before.
    /// </summary>
    public Task WritesClosed => _writesClosed.Task;

    /// <summary>
    /// Gets a task that completes when both sides have ended and every byte of both has arrived, or when this side has disposed the stream or closed the
    /// node and the peer has acknowledged every byte and the end. Fails with a <see cref="UtpException"/> when the stream fails
    /// before.
    /// </summary>
    public Task Closed => _closed.Task;

    /// <summary>Gets a value that indicates whether the stream may be read: until it is disposed.</summary>
    public override bool CanRead => !IsDisposed;

    /// <summary>Gets a value that indicates whether the stream may be written: until it is disposed or <see cref="CompleteWrites"/> is called.</summary>
    public override bool CanWrite => !IsDisposed && !_write.IsSealed;

    /// <summary>Gets <see langword="false"/>: a stream has no positions.</summary>
    public override bool CanSeek => false;

    /// <summary>Gets <see langword="true"/>: see <see cref="ReadTimeout"/> and <see cref="WriteTimeout"/>.</summary>
    public override bool CanTimeout => true;

    /// <summary>
    /// Gets or sets how long a synchronous read waits, in milliseconds, until it throws a <see cref="UtpException"/> with
    /// <see cref="UtpError.OperationTimeout"/>. The stream stays usable. Asynchronous reads take a token instead.
    /// </summary>
    /// <value>-1, which is for ever, by default.</value>
    /// <exception cref="ArgumentOutOfRangeException">The value is 0, or less than -1.</exception>
    public override int ReadTimeout
    {
        get => _readTimeout;
        set => _readTimeout = CheckedTimeout(value);
    }

    /// <summary>
    /// Gets or sets how long a synchronous write waits for room in the send buffer, in milliseconds, until it throws a <see cref="UtpException"/>
    /// with <see cref="UtpError.OperationTimeout"/>. What was accepted by then is sent; the stream stays usable.
    /// </summary>
    /// <value>-1, which is for ever, by default.</value>
    /// <exception cref="ArgumentOutOfRangeException">The value is 0, or less than -1.</exception>
    public override int WriteTimeout
    {
        get => _writeTimeout;
        set => _writeTimeout = CheckedTimeout(value);
    }

    /// <summary>Not supported.</summary>
    public override long Length => throw new NotSupportedException();

    /// <summary>Not supported.</summary>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>
    /// Reads the available bytes, and waits for at least one byte or the end. With an empty buffer it waits in the same way and takes nothing.
    /// </summary>
    /// <param name="buffer">Where the bytes go.</param>
    /// <returns>The number of bytes that were read; 0 at the end, or when the buffer is empty.</returns>
    /// <exception cref="UtpException">The stream broke off, or <see cref="ReadTimeout"/> has passed.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another read is pending.</exception>
    public override int Read(Span<byte> buffer) => _read.Read(buffer, _readTimeout);

    /// <inheritdoc cref="Read(Span{byte})"/>
    /// <param name="buffer">Where the bytes go.</param>
    /// <param name="offset">The index of the first byte.</param>
    /// <param name="count">The most bytes to read.</param>
    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return _read.Read(buffer.AsSpan(offset, count), _readTimeout);
    }

    /// <summary>Reads one byte, and waits for it.</summary>
    /// <returns>The byte; -1 at the end.</returns>
    public override int ReadByte()
    {
        byte value = 0;
        return _read.Read(new Span<byte>(ref value), _readTimeout) == 0 ? -1 : value;
    }

    /// <summary>
    /// Reads the available bytes, and waits for at least one byte or the end. With an empty buffer it waits in the same way and takes nothing,
    /// so that a reader need not keep a buffer while nothing arrives.
    /// </summary>
    /// <param name="buffer">Where the bytes go; it must not be touched until the read has completed.</param>
    /// <param name="cancellationToken">Ends the wait. Nothing is lost, and the stream stays usable.</param>
    /// <returns>The number of bytes that were read; 0 at the end, or when the buffer is empty. It is awaited once.</returns>
    /// <exception cref="UtpException">The stream broke off.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another read is pending.</exception>
    /// <exception cref="OperationCanceledException">The read was cancelled.</exception>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _read.ReadAsync(buffer, cancellationToken);

    /// <inheritdoc cref="ReadAsync(Memory{byte}, CancellationToken)"/>
    /// <param name="buffer">Where the bytes go; it must not be touched until the read has completed.</param>
    /// <param name="offset">The index of the first byte.</param>
    /// <param name="count">The most bytes to read.</param>
    /// <param name="cancellationToken">Ends the wait. Nothing is lost, and the stream stays usable.</param>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return _read.ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <summary>Begins <see cref="ReadAsync(byte[], int, int, CancellationToken)"/>.</summary>
    /// <param name="buffer">Where the bytes go.</param>
    /// <param name="offset">The index of the first byte.</param>
    /// <param name="count">The most bytes to read.</param>
    /// <param name="callback">Is called when the read has completed.</param>
    /// <param name="state">The state of the result.</param>
    /// <returns>The pending read, for <see cref="EndRead"/>.</returns>
    public override IAsyncResult BeginRead(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state) =>
        TaskToAsyncResult.Begin(ReadAsync(buffer, offset, count, CancellationToken.None), callback, state);

    /// <summary>Ends what <see cref="BeginRead"/> began, and waits for it.</summary>
    /// <param name="asyncResult">The pending read.</param>
    /// <returns>The number of bytes that were read; 0 at the end.</returns>
    public override int EndRead(IAsyncResult asyncResult) => TaskToAsyncResult.End<int>(asyncResult);

    /// <summary>Writes all bytes: waits until the send buffer has taken them.</summary>
    /// <param name="buffer">The bytes, which are copied.</param>
    /// <exception cref="UtpException">The stream broke off, or <see cref="WriteTimeout"/> has passed.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another write is pending, or the writes were completed.</exception>
    public override void Write(ReadOnlySpan<byte> buffer) => _write.Write(buffer, _writeTimeout);

    /// <inheritdoc cref="Write(ReadOnlySpan{byte})"/>
    /// <param name="buffer">The bytes, which are copied.</param>
    /// <param name="offset">The index of the first byte.</param>
    /// <param name="count">The number of bytes.</param>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        _write.Write(buffer.AsSpan(offset, count), _writeTimeout);
    }

    /// <summary>Writes one byte. Bytes that are written faster than they are sent share packets.</summary>
    /// <param name="value">The byte.</param>
    public override void WriteByte(byte value) => _write.Write(new ReadOnlySpan<byte>(in value), _writeTimeout);

    /// <summary>Writes all bytes: completes when the send buffer has taken them.</summary>
    /// <param name="buffer">The bytes, which are copied; they must not change until the write has completed.</param>
    /// <param name="cancellationToken">Ends the wait for room. What was accepted by then is sent; how much that
    /// was is not known, so a stream is mostly aborted after a cancelled write.</param>
    /// <exception cref="UtpException">The stream broke off.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another write is pending, or the writes were completed.</exception>
    /// <exception cref="OperationCanceledException">The write was cancelled.</exception>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        _write.WriteAsync(buffer, thenSeal: false, cancellationToken);

    /// <summary>Writes all bytes, and after them the end, as <see cref="CompleteWrites"/> does. A write that fails or is cancelled is not
    /// followed by the end.</summary>
    /// <param name="buffer">The bytes, which are copied; they must not change until the write has completed.</param>
    /// <param name="completeWrites">Whether these are the last bytes.</param>
    /// <param name="cancellationToken">Ends the wait for room.</param>
    /// <inheritdoc cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)" path="/exception"/>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, bool completeWrites, CancellationToken cancellationToken = default) =>
        _write.WriteAsync(buffer, completeWrites, cancellationToken);

    /// <summary>Writes all bytes: completes when the send buffer has taken them.</summary>
    /// <param name="buffer">The bytes, which are copied; they must not change until the write has completed.</param>
    /// <param name="offset">The index of the first byte.</param>
    /// <param name="count">The number of bytes.</param>
    /// <param name="cancellationToken">Ends the wait for room. What was accepted by then is sent.</param>
    /// <inheritdoc cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)" path="/exception"/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return _write.WriteAsync(buffer.AsMemory(offset, count), thenSeal: false, cancellationToken).AsTask();
    }

    /// <summary>Begins <see cref="WriteAsync(byte[], int, int, CancellationToken)"/>.</summary>
    /// <param name="buffer">The bytes, which must not change until the write has completed.</param>
    /// <param name="offset">The index of the first byte.</param>
    /// <param name="count">The number of bytes.</param>
    /// <param name="callback">Is called when the write has completed.</param>
    /// <param name="state">The state of the result.</param>
    /// <returns>The pending write, for <see cref="EndWrite"/>.</returns>
    public override IAsyncResult BeginWrite(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state) =>
        TaskToAsyncResult.Begin(WriteAsync(buffer, offset, count, CancellationToken.None), callback, state);

    /// <summary>Ends what <see cref="BeginWrite"/> began, and waits for it.</summary>
    /// <param name="asyncResult">The pending write.</param>
    public override void EndWrite(IAsyncResult asyncResult) => TaskToAsyncResult.End(asyncResult);

    /// <summary>Does nothing: what was written is on its way. See <see cref="DrainAsync"/>.</summary>
    public override void Flush()
    {
    }

    /// <summary>Does nothing: what was written is on its way. See <see cref="DrainAsync"/>.</summary>
    /// <param name="cancellationToken">Cancels the task if it was cancelled before.</param>
    /// <returns>A task that has completed.</returns>
    public override Task FlushAsync(CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested ? Task.FromCanceled(cancellationToken) : Task.CompletedTask;

    /// <summary>Not supported.</summary>
    /// <param name="offset">Is not used.</param>
    /// <param name="origin">Is not used.</param>
    /// <returns>Nothing.</returns>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <summary>Not supported.</summary>
    /// <param name="value">Is not used.</param>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override void SetLength(long value) => throw new NotSupportedException();

    private static int CheckedTimeout(int milliseconds)
    {
        if (milliseconds is 0 or < Timeout.Infinite)
        {
            throw new ArgumentOutOfRangeException("value", milliseconds, "A time-out is positive, or -1 for none.");
        }

        return milliseconds;
    }
}
