using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace UtpPunch.AspNetCore;

/// <summary>The streams of the peers that enter a room, for Kestrel.</summary>
internal sealed partial class RendezvousConnectionListener : IConnectionListener
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    private readonly UtpNode _node;
    private readonly bool _isOwn;
    private readonly UtpRendezvousEndPoint _endPoint;
    private readonly UtpRendezvousClient _client;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _unbound = new();
    private IAsyncEnumerator<UtpStream>? _streams;
    private Task<UtpStream?>? _next;
    private TimeSpan _pause = FirstPause;

    public RendezvousConnectionListener(UtpNode node, bool isOwn, UtpRendezvousEndPoint endPoint, ILogger logger)
    {
        _node = node;
        _isOwn = isOwn;
        _endPoint = endPoint;
        _logger = logger;
        _client = new UtpRendezvousClient(node, endPoint.Servers);
        // The server is registered when it has started, and not only when it accepts.
        _next = NextAsync();
    }

    public EndPoint EndPoint => _endPoint;

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        // A cancelled call loses no stream: the next call waits for the same one.
        var stream = await (_next ??= NextAsync()).WaitAsync(cancellationToken).ConfigureAwait(false);
        _next = null;
        return stream is null ? null : new UtpConnection(stream);
    }

    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default) => await _unbound.CancelAsync().ConfigureAwait(false);

    public async ValueTask DisposeAsync()
    {
        await _unbound.CancelAsync().ConfigureAwait(false);
        if (_next is { } next)
        {
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (next.IsCompletedSuccessfully)
            {
                next.Result?.Abort();
            }
        }

        await LeaveAsync().ConfigureAwait(false);
        if (_isOwn)
        {
            await _node.DisposeAsync().ConfigureAwait(false);
        }

        _unbound.Dispose();
    }

    // Null when the listener was unbound, or its node closed.
    private async Task<UtpStream?> NextAsync()
    {
        while (!_unbound.IsCancellationRequested)
        {
            try
            {
                _streams ??= _client.AcceptAllAsync(_endPoint.Room, _endPoint.PunchOptions, _unbound.Token).GetAsyncEnumerator();
                if (!await _streams.MoveNextAsync().ConfigureAwait(false))
                {
                    return null;
                }

                _pause = FirstPause;
                return _streams.Current;
            }
            catch (OperationCanceledException) when (_unbound.IsCancellationRequested)
            {
            }
            catch (Exception closed) when (closed is ObjectDisposedException or UtpException { Error: UtpError.NodeClosed })
            {
                return null;
            }
            catch (UtpException error) when (error.Error != UtpError.InternalError)
            {
                LogRetry(error, _endPoint.ToString(), _pause.TotalSeconds);
                await LeaveAsync().ConfigureAwait(false);
                await PauseAsync().ConfigureAwait(false);
            }
        }

        return null;
    }

    private async Task PauseAsync()
    {
        await Task.Delay(_pause, _unbound.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _pause = _pause * 2 < LongestPause ? _pause * 2 : LongestPause;
    }

    private async Task LeaveAsync()
    {
        if (Interlocked.Exchange(ref _streams, null) is { } streams)
        {
            await streams.DisposeAsync().ConfigureAwait(false);
        }
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Warning, Message = "{EndPoint} accepts no peers for now; it is tried again in {Seconds} s")]
    private partial void LogRetry(Exception error, string endPoint, double seconds);
}
