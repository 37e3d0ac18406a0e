using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

// Punching with the npm package, and what all punches share.
public sealed partial class UtpNode
{
    /// <summary>
    /// Punches by the protocol of the npm package <c>utp-punch</c>: both peers send <c>PUNCH</c> every 500 ms, and answer the other's. This side
    /// answers for another 10 s after it has succeeded. After that, streams with <see cref="UtpDialect.Npm"/> are opened and accepted as
    /// usual.
    /// </summary>
    /// <param name="remoteEndPoint">An <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="attempts">The number of attempts, 500 ms each.</param>
    /// <param name="cancellationToken">Ends the punch.</param>
    /// <returns>The result. A punch that fails does not throw.</returns>
    /// <exception cref="ArgumentException">The end point is of another type, or is not the address of one host.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="attempts"/> is not positive.</exception>
    /// <exception cref="UtpException">The name has no address, or the node was closed or has failed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The punch was cancelled.</exception>
    public async ValueTask<UtpPunchResult> PunchNpmAsync(EndPoint remoteEndPoint, int attempts = 10, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(attempts);
        ThrowIfUnusable();
        return await Spans.PunchAsync(async () =>
        {
            var remote = await OneAddressAsync(remoteEndPoint, cancellationToken).ConfigureAwait(false);
            var work = new MeetCommand(taskId => Event.NewPunchLegacy(taskId, remote, attempts), isLegacy: true);
            return await RunAsync(work, cancellationToken).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    /// <summary>Opens the stream over a path, or takes the one that the peer opens.</summary>
    internal async ValueTask<UtpStream> OpenAsync(
        Endpoint remote, Task<UtpStream>? opened, bool isNpm, UtpPathKind kind, CancellationToken cancellationToken)
    {
        ThrowIfUnusable();
        var stream = opened is null
            ? await DialAsync(
                remote,
                new Dialling(isNpm ? Dialect.UtpPunch : Dialect.Bep29, _settings.ConnectTimeout, _settings.CongestionControl),
                cancellationToken,
                kind).ConfigureAwait(false)
            : await TakeAsync(remote, opened, kind, cancellationToken).ConfigureAwait(false);
        stream.PathKind = kind;
        return stream;
    }

    private async ValueTask<UtpStream> TakeAsync(Endpoint remote, Task<UtpStream> opened, UtpPathKind kind, CancellationToken cancellationToken)
    {
        using var attempt = new ConnectAttempt(_engine.Telemetry, remote, kind);
        try
        {
            var stream = await TakeAsync(remote, opened, cancellationToken).ConfigureAwait(false);
            attempt.Succeed();
            return stream;
        }
        catch (Exception error) when (error is UtpException or OperationCanceledException)
        {
            attempt.Fail(error);
            throw;
        }
    }

    private async ValueTask<UtpStream> TakeAsync(Endpoint remote, Task<UtpStream> opened, CancellationToken cancellationToken)
    {
        try
        {
            return await opened.WaitAsync(_settings.ConnectTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _engine.Post(new AwaitNoMoreCommand(remote, opened));
            throw Failure.NotOpened(Addresses.ToIPEndPoint(remote), _settings.ConnectTimeout).ToException();
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            _engine.Post(new AwaitNoMoreCommand(remote, opened));
            throw;
        }
    }

    internal async ValueTask<UtpPunchResult> RunAsync(MeetCommand work, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _engine.Post(work);
        try
        {
            return await work.Result.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            work.Cancel(_engine);
            throw;
        }
    }

    /// <summary>The address, if the node can send to it; the best such address of a name.</summary>
    internal async ValueTask<Endpoint> OneAddressAsync(EndPoint remote, CancellationToken cancellationToken) =>
        (await AddressesAsync(remote, cancellationToken).ConfigureAwait(false))[0];

    /// <summary>The address, if the node can send to it; a few such addresses of a name, the best one first.</summary>
    internal async ValueTask<Endpoint[]> AddressesAsync(EndPoint remote, CancellationToken cancellationToken)
    {
        const int Most = 6;
        switch (remote)
        {
            case DnsEndPoint { Port: > 0 } name:
                return [.. (await ResolveAsync(name, _settings.ConnectTimeout, cancellationToken).ConfigureAwait(false)).Take(Most)];
            case IPEndPoint { Port: > 0 } one when !SocketFactory.IsWildcard(one.Address):
                var endpoint = Addresses.ToEndpoint(one);
                return _transport.Speaks(endpoint)
                    ? [await KnownAsync(endpoint, _settings.ConnectTimeout, cancellationToken).ConfigureAwait(false)]
                    : throw Failure.Unreachable(one).ToException();
            default:
                throw new ArgumentException($"{remote} is not the address of a host.", nameof(remote));
        }
    }

    /// <summary>The addresses that a meeting offers. From here on, the node tells its streams when they change.</summary>
    internal Endpoint[] Hosts()
    {
        WatchNetwork();
        return HostsNow();
    }

    /// <summary>From here on, the streams learn when the addresses of this machine change.</summary>
    private void WatchNetwork()
    {
        lock (_gate)
        {
            if (_watch is null && SocketFactory.IsWildcard(LocalEndPoint.Address) && !_engine.IsClosing)
            {
                _watch = new NetworkWatch(HostsNow, OnNetworkChanged);
                _ = _engine.Completion.ContinueWith(static (_, watch) => ((NetworkWatch)watch!).Dispose(), _watch, TaskScheduler.Default);
            }
        }
    }

    private Endpoint[] HostsNow() => HostAddresses.Of(
        LocalEndPoint,
        _transport.Speaks(Addresses.ToEndpoint(new IPEndPoint(IPAddress.IPv6Loopback, 1))),
        _settings.HostAddresses);
}
