using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>What a discovery asks of the machine.</summary>
/// <param name="HasIPv4">Whether there is a route to IPv4 addresses.</param>
/// <param name="HasIPv6">Whether there is one to IPv6 addresses.</param>
/// <param name="Resolve">Gives the IPv6 addresses of <c>ipv4only.arpa</c>.</param>
internal sealed record Nat64Network(Func<bool> HasIPv4, Func<bool> HasIPv6, Func<CancellationToken, Task<IPAddress[]>> Resolve)
{
    // RFC 7050, 3: the name has A records only. An AAAA record for it was made by a DNS64, with the prefix of the network's NAT64.
    private const string KnownName = "ipv4only.arpa";

    /// <summary>This machine.</summary>
    public static Nat64Network Machine { get; } = new(
        OwnAddresses.HasIPv4Route,
        OwnAddresses.HasIPv6Route,
        static cancellationToken => Dns.GetHostAddressesAsync(KnownName, AddressFamily.InterNetworkV6, cancellationToken));
}

/// <summary>
/// Finds the prefixes of the network's NAT64 (RFC 7050) where the machine has no route to IPv4 addresses. The result is kept until the network
/// changes; if nothing was found, the name is asked again when an address is needed, but not all the time.
/// </summary>
/// <param name="network">The machine.</param>
/// <param name="given">The prefix, if the application has named it.</param>
/// <param name="changed">Is told the prefixes when they are others than before, before a caller of <see cref="FindAsync"/> is.</param>
internal sealed class Nat64Discovery(Nat64Network network, Nat64Prefix? given, Action<Nat64Prefix[]> changed)
{
    /// <summary>A resolver that does not answer delays the first stream by that much.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    // A resolver of the system repeats a lost query after 5 s.
    private const int MostQueries = 3;
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromSeconds(1);

    // Routes change without addresses, and not all nodes watch these.
    private static readonly TimeSpan RouteLifetime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private Nat64Prefix[] _prefixes = [];
    private Task<Nat64Prefix[]>? _search;
    private long _validUntil = long.MinValue;
    private int _generation;

    /// <summary>The prefixes, as far as they are known.</summary>
    public Nat64Prefix[] Known => Volatile.Read(ref _prefixes);

    /// <summary>The prefixes; none where the machine reaches IPv4 addresses itself, or no NAT64 was found in time. It does not throw, unless it is
    /// cancelled.</summary>
    public ValueTask<Nat64Prefix[]> FindAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        Task<Nat64Prefix[]> search;
        lock (_gate)
        {
            if (_search is null && Clock.Now < _validUntil)
            {
                return new ValueTask<Nat64Prefix[]>(_prefixes);
            }

            search = _search ?? Begin();
        }

        return search.IsCompletedSuccessfully ? new ValueTask<Nat64Prefix[]>(search.Result) : WaitAsync(search, timeout, cancellationToken);
    }

    /// <summary>The network has changed. What was known is used until more is known, unless the machine reaches IPv4 addresses now.</summary>
    public Task<Nat64Prefix[]> RenewAsync()
    {
        lock (_gate)
        {
            return Begin();
        }
    }

    private async ValueTask<Nat64Prefix[]> WaitAsync(Task<Nat64Prefix[]> search, TimeSpan timeout, CancellationToken cancellationToken)
    {
        try
        {
            return await search.WaitAsync(timeout, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            return Known;
        }
    }

    // Under the gate.
    private Task<Nat64Prefix[]> Begin()
    {
        var generation = ++_generation;
        if (network.HasIPv4() || !network.HasIPv6())
        {
            _search = null;
            Keep([], RouteLifetime);
            return Task.FromResult(_prefixes);
        }

        if (given is { } prefix)
        {
            _search = null;
            Keep([prefix], RouteLifetime);
            return Task.FromResult(_prefixes);
        }

        var search = Task.Run(() => SearchAsync(generation));
        _search = search;
        return search;
    }

    private async Task<Nat64Prefix[]> SearchAsync(int generation)
    {
        var found = await AskAsync().ConfigureAwait(false);
        lock (_gate)
        {
            if (generation == _generation)
            {
                _search = null;
                Keep(found, found.Length > 0 ? TimeSpan.MaxValue : RetryAfter);
            }

            return _prefixes;
        }
    }

    /// <summary>The first answer, also if it is that there is none.</summary>
    private async Task<Nat64Prefix[]> AskAsync()
    {
        using var limit = new CancellationTokenSource(Limit);
        var asked = new List<Task<Nat64Prefix[]>>();
        while (true)
        {
            asked.Add(AskOnceAsync(limit.Token));
            try
            {
                var first = Task.WhenAny(asked);
                var time = asked.Count < MostQueries ? AskAgainAfter : Limit;
                return await (await first.WaitAsync(time, limit.Token).ConfigureAwait(false)).ConfigureAwait(false);
            }
            catch (TimeoutException) when (asked.Count < MostQueries)
            {
            }
            catch (Exception error) when (error is TimeoutException or OperationCanceledException)
            {
                return [];
            }
        }
    }

    private async Task<Nat64Prefix[]> AskOnceAsync(CancellationToken cancellationToken)
    {
        try
        {
            // The system's resolver need not heed the token.
            var answers = await network.Resolve(cancellationToken).WaitAsync(cancellationToken).ConfigureAwait(false);
            return Nat64.find([.. answers
                .Where(answer => answer.AddressFamily == AddressFamily.InterNetworkV6)
                .Select(answer => Addresses.ToEndpoint(new IPEndPoint(answer, 0)))]);
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException)
        {
            return [];                                   // no DNS64, or no resolver
        }
    }

    // Under the gate, so that the node learns of changes in their order.
    private void Keep(Nat64Prefix[] prefixes, TimeSpan lifetime)
    {
        _validUntil = lifetime == TimeSpan.MaxValue ? long.MaxValue : Clock.Now + Clock.ToMicroseconds(lifetime);
        if (!prefixes.AsSpan().SequenceEqual(_prefixes))
        {
            Volatile.Write(ref _prefixes, prefixes);
            changed(prefixes);
        }
    }
}
