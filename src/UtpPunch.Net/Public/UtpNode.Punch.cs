using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

// Punching: with the npm package, or over a path that a rendezvous has helped to find (RendezvousClient).
public sealed partial class UtpNode
{
    /// <summary>
    /// Punches as the npm package <c>utp-punch</c> does: sends <c>PUNCH</c> to the peer every half second, while the peer does the same, and
    /// answers what comes. Goes on answering for ten seconds after its own success. Streams are opened and accepted as usual then, with
    /// <see cref="UtpDialect.UtpPunch"/>.
    /// </summary>
    /// <param name="remoteEndPoint">An <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="attempts">How often to try; half a second each.</param>
    /// <param name="cancellationToken">Calls it off.</param>
    /// <returns>What came of it; failing is no exception.</returns>
    /// <exception cref="ArgumentException">The end point is of another kind, or nobody can be reached there.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no attempt.</exception>
    /// <exception cref="UtpException">The name has no address; the node was closed meanwhile, or broke down.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">It was called off.</exception>
    public async ValueTask<PunchResult> PunchAsync(EndPoint remoteEndPoint, int attempts = 10, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(attempts);
        ThrowIfUnusable();
        var remote = await OneAddressAsync(remoteEndPoint, cancellationToken).ConfigureAwait(false);
        return await RunAsync(new MeetCommand(taskId => Event.NewPunchLegacy(taskId, remote, attempts), isLegacy: true), cancellationToken)
            .ConfigureAwait(false);
    }

    /// <summary>
    /// The stream over a path that was punched: one side opens it, the other one accepts it, and both call this, once. The node need not
    /// listen for it.
    /// </summary>
    /// <exception cref="ArgumentException">The punch found no path.</exception>
    /// <exception cref="UtpException">The peer did not answer, or not open it, within <see cref="UtpNodeOptions.ConnectTimeout"/>; the node
    /// was closed.</exception>
    /// <exception cref="OperationCanceledException">The attempt was cancelled.</exception>
    public async ValueTask<UtpStream> OpenAsync(PunchResult path, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!path.Success)
        {
            throw new ArgumentException("The punch found no path.", nameof(path));
        }

        ThrowIfUnusable();
        if (path.Opened is null)
        {
            return await DialAsync(path.Remote, Dialect.Bep29, _settings.ConnectTimeout, cancellationToken).ConfigureAwait(false);
        }

        try
        {
            return await path.Opened.WaitAsync(_settings.ConnectTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw Failure.NotOpened(path.RemoteEndPoint!, _settings.ConnectTimeout).ToException();
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

    /// <summary>An address that the node's socket can reach; of a name, the first.</summary>
    internal async ValueTask<Endpoint> OneAddressAsync(EndPoint remote, CancellationToken cancellationToken)
    {
        switch (remote)
        {
            case DnsEndPoint { Port: > 0 } name:
                return (await ResolveAsync(name, _settings.ConnectTimeout, cancellationToken).ConfigureAwait(false))[0];
            case IPEndPoint { Port: > 0 } one when !one.Address.Equals(IPAddress.Any) && !one.Address.Equals(IPAddress.IPv6Any):
                var endpoint = Addresses.ToEndpoint(one);
                return _transport.Speaks(endpoint) ? endpoint : throw Failure.Unreachable(one).ToException();
            default:
                throw new ArgumentException($"Nobody can be reached at {remote}.", nameof(remote));
        }
    }

    internal Endpoint[] Hosts(UtpMeetOptions options) => HostAddresses.Of(
        LocalEndPoint,
        _transport.Speaks(Addresses.ToEndpoint(new IPEndPoint(IPAddress.IPv6Loopback, 1))),
        options.HostAddresses);
}
