using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

// Punching with the npm package, and opening streams over paths that were found.
public sealed partial class UtpNode
{
    /// <summary>
    /// Punches by the protocol of the npm package <c>utp-punch</c>: both peers send <c>PUNCH</c> every 500 ms, and answer the other's. This side
    /// answers for another 10 s after it has succeeded. After that, streams with <see cref="UtpDialect.UtpPunch"/> are opened and accepted as
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
    public async ValueTask<PunchResult> PunchLegacyAsync(EndPoint remoteEndPoint, int attempts = 10, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(attempts);
        ThrowIfUnusable();
        var remote = await OneAddressAsync(remoteEndPoint, cancellationToken).ConfigureAwait(false);
        return await RunAsync(new MeetCommand(taskId => Event.NewPunchLegacy(taskId, remote, attempts), isLegacy: true), cancellationToken)
            .ConfigureAwait(false);
    }

    /// <summary>
    /// Opens or accepts the stream over a path that was punched. Both peers must call it once, at most 30 s after the punch. The node need
    /// not listen.
    /// </summary>
    /// <param name="path">The result of a punch of this node.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="ArgumentException">The punch has found no path.</exception>
    /// <exception cref="UtpException">The peer did not answer, or did not open the stream, within
    /// <see cref="UtpNodeOptions.ConnectTimeout"/>; or the node was closed.</exception>
    /// <exception cref="OperationCanceledException">The attempt was cancelled.</exception>
    public async ValueTask<UtpStream> OpenAsync(PunchResult path, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!path.Success)
        {
            throw new ArgumentException("The punch has found no path.", nameof(path));
        }

        ThrowIfUnusable();
        if (path.Opened is null)
        {
            var how = new Dialling(Dialect.Bep29, _settings.ConnectTimeout, _settings.CongestionControl);
            return await DialAsync(path.Remote, how, cancellationToken).ConfigureAwait(false);
        }

        try
        {
            return await path.Opened.WaitAsync(_settings.ConnectTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _engine.Post(new AwaitNoMoreCommand(path.Remote, path.Opened));
            throw Failure.NotOpened(path.RemoteEndPoint!, _settings.ConnectTimeout).ToException();
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            _engine.Post(new AwaitNoMoreCommand(path.Remote, path.Opened));
            throw;
        }
    }

    internal async ValueTask<PunchResult> RunAsync(MeetCommand work, CancellationToken cancellationToken)
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
    internal Endpoint[] Hosts(UtpMeetOptions options)
    {
        // Read again when the network changes: the caller may change its list.
        IReadOnlyList<IPAddress>? given = options.HostAddresses is { } named ? [.. named] : null;
        _givenHosts = given;
        WatchNetwork();
        return HostsOf(given);
    }

    /// <summary>From here on, the streams learn when the addresses of this machine change.</summary>
    private void WatchNetwork()
    {
        lock (_gate)
        {
            if (_watch is null && SocketFactory.IsWildcard(LocalEndPoint.Address) && !_engine.IsClosing)
            {
                _watch = new NetworkWatch(() => HostsOf(null), hosts => OnNetworkChanged(_givenHosts is { } chosen ? HostsOf(chosen) : hosts));
                _ = _engine.Completion.ContinueWith(static (_, watch) => ((NetworkWatch)watch!).Dispose(), _watch, TaskScheduler.Default);
            }
        }
    }

    private Endpoint[] HostsOf(IReadOnlyList<IPAddress>? given) => HostAddresses.Of(
        LocalEndPoint,
        _transport.Speaks(Addresses.ToEndpoint(new IPEndPoint(IPAddress.IPv6Loopback, 1))),
        given);
}
