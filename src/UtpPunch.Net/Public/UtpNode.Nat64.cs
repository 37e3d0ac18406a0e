using UtpPunch.Protocol;

namespace UtpPunch;

// Networks with IPv6 only: IPv4 addresses are reached through a NAT64 (RFC 6146).
public sealed partial class UtpNode
{
    private readonly Nat64Discovery? _nat64;

    private Nat64Discovery? CreateNat64()
    {
        // A socket for IPv4 uses nothing else.
        var speaksIPv6 = _transport.Speaks(EndpointModule.ofIPv6(0, 1, 1));
        return speaksIPv6 && (_settings.DiscoversNat64 || _settings.Nat64 is not null)
            ? new Nat64Discovery(Nat64Network.Machine, _settings.Nat64, OnNat64)
            : null;
    }

    /// <summary>The prefixes of the network's NAT64, once they are known, or the time is over.</summary>
    private async ValueTask<Nat64Prefix[]> Nat64Async(TimeSpan timeout, CancellationToken cancellationToken) =>
        _nat64 is null ? [] : await _nat64.FindAsync(timeout, cancellationToken).ConfigureAwait(false);

    /// <summary>The endpoint by which the node knows a peer: the IPv4 address, if this is one behind the network's NAT64.</summary>
    private async ValueTask<Endpoint> KnownAsync(Endpoint remote, TimeSpan timeout, CancellationToken cancellationToken) =>
        // Those are not translated, and need not wait.
        CandidateFilter.scope(remote).IsGlobal
            ? Nat64Translation.arrived(await Nat64Async(timeout, cancellationToken).ConfigureAwait(false), remote)
            : remote;

    // With the discovery's gate held.
    private void OnNat64(Nat64Prefix[] prefixes)
    {
        _engine.Post(new Nat64Command(prefixes));

        // Another network has another prefix, or none.
        ThreadPool.UnsafeQueueUserWorkItem(static node => node.WatchNetwork(), this, preferLocal: false);
    }

    /// <summary>The addresses of this machine are others: the streams learn of it, and again if the prefix is another one, which is known
    /// later.</summary>
    private void OnNetworkChanged(Endpoint[] hosts)
    {
        var before = _nat64?.Known;
        var search = _nat64?.RenewAsync();
        _engine.Post(new NetworkChangedCommand(hosts));
        if (search is { IsCompleted: false })
        {
            _ = AgainAsync(search, before!, hosts);
        }
    }

    private async Task AgainAsync(Task<Nat64Prefix[]> search, Nat64Prefix[] before, Endpoint[] hosts)
    {
        if (!(await search.ConfigureAwait(false)).AsSpan().SequenceEqual(before))
        {
            _engine.Post(new NetworkChangedCommand(hosts));
        }
    }
}
