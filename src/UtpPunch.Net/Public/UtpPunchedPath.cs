using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>A path to a peer that a punch has found. One stream can be opened over it.</summary>
/// <remarks>Both peers open the stream at most 30 s after the punch. A path that is not needed is disposed, so that a stream that the peer
/// has opened over it is reset, and is not left without an owner.</remarks>
/// <example><code>
/// var punch = await node.PunchAsync(offer, peerOffer);
/// if (!punch.Success)
/// {
///     throw new IOException(punch.Explanation);
/// }
///
/// await using var stream = await punch.Path.OpenAsync();
/// </code></example>
public sealed class UtpPunchedPath : IAsyncDisposable
{
    private readonly UtpNode _node;
    private readonly Endpoint _remote;
    private readonly long _roundTrip;
    private readonly Task<UtpStream>? _opened;
    private readonly bool _isNpm;
    private int _state;

    private UtpPunchedPath(UtpNode node, PunchReport report, Task<UtpStream>? opened, bool isNpm)
    {
        _node = node;
        _remote = report.Remote;
        _roundTrip = report.RoundTrip;
        _opened = opened;
        _isNpm = isNpm;
        Kind = (UtpPathKind)report.Kind.Tag;
        RemoteEndPoint = Addresses.ToIPEndPoint(_remote);
    }

    /// <summary>Gets the address of the peer.</summary>
    public IPEndPoint RemoteEndPoint { get; }

    /// <summary>Gets how the path was found.</summary>
    public UtpPathKind Kind { get; }

    /// <summary>Gets the round-trip time of the path; <see langword="null"/> if it was not measured.</summary>
    public TimeSpan? RoundTripTime => _roundTrip == 0 ? null : Clock.ToTimeSpan(_roundTrip);

    /// <summary>
    /// Opens the stream over the path, or accepts it: the two nodes have agreed which one does what, so both call this. The node need not listen.
    /// After <see cref="UtpNode.PunchNpmAsync"/> it always opens one, with <see cref="UtpDialect.Npm"/>: only one of the two peers calls it, and the
    /// other one listens.
    /// </summary>
    /// <param name="cancellationToken">Ends the attempt. The path is then disposed.</param>
    /// <returns>The stream, which the caller disposes.</returns>
    /// <exception cref="InvalidOperationException">It was called before.</exception>
    /// <exception cref="UtpException">The peer did not answer, or did not open the stream, within
    /// <see cref="UtpNodeOptions.ConnectTimeout"/>; or the node was closed.</exception>
    /// <exception cref="ObjectDisposedException">The path was disposed, or the node was closed.</exception>
    /// <exception cref="OperationCanceledException">The attempt was cancelled.</exception>
    public async ValueTask<UtpStream> OpenAsync(CancellationToken cancellationToken = default)
    {
        switch (Interlocked.CompareExchange(ref _state, State.Opened, State.New))
        {
            case State.Opened:
                throw new InvalidOperationException("The stream of the path was opened before. A path has one.");
            case State.Disposed:
                throw new ObjectDisposedException(nameof(UtpPunchedPath));
        }

        return await _node.OpenAsync(_remote, _opened, _isNpm, Kind, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Gives the path up if no stream was opened over it: one that the peer opens is reset. It does not wait. A stream that
    /// <see cref="OpenAsync"/> has returned is not affected.</summary>
    public ValueTask DisposeAsync()
    {
        GiveUp();
        return ValueTask.CompletedTask;
    }

    internal void GiveUp()
    {
        if (Interlocked.CompareExchange(ref _state, State.Disposed, State.New) == State.New && _opened is not null)
        {
            _node.Engine.Post(new AwaitNoMoreCommand(_remote, _opened));
        }
    }

    /// <summary>Whether the peer opens the stream.</summary>
    internal bool IsAwaited => _opened is not null;

    /// <summary>The result of a punch, with its path if it has found one.</summary>
    /// <param name="node">The node.</param>
    /// <param name="report">What the core reports.</param>
    /// <param name="opened">The stream that the peer opens; <see langword="null"/> if this side has to open it.</param>
    /// <param name="isNpm">Whether the peer speaks the npm package's dialect.</param>
    internal static UtpPunchResult ResultOf(UtpNode node, PunchReport report, Task<UtpStream>? opened, bool isNpm) =>
        new(report, report.Stage.IsOpen ? new UtpPunchedPath(node, report, opened, isNpm) : null);

    private static class State
    {
        public const int New = 0;
        public const int Opened = 1;
        public const int Disposed = 2;
    }
}
