using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

// Opening streams: to one address, or to a name with several addresses (RFC 8305, "Happy Eyeballs").
public sealed partial class UtpNode
{
    // RFC 8305, 5: "One recommended value for a default delay is 250 milliseconds."
    internal static readonly TimeSpan HeadStart = TimeSpan.FromMilliseconds(250);

    // When a network changes, or an address is renewed, the system has no route for a moment.
    private static readonly TimeSpan SecondTryAfter = TimeSpan.FromSeconds(1);

    /// <summary>Opens a stream to a peer, and waits for the answer of the peer.</summary>
    /// <param name="remoteEndPoint">An <see cref="IPEndPoint"/>, or a <see cref="DnsEndPoint"/>. A wildcard address stands for this machine.
    /// The addresses of a name are tried one after the other, 250 ms apart, until a stream is open. Where the system has no route to any of
    /// them, they are tried once more after a second. On a machine that has IPv6 only, an IPv4 address is reached through the NAT64 of its network
    /// (<see cref="UtpNodeOptions.DiscoverNat64"/>).</param>
    /// <param name="options">The options; <see langword="null"/> for those of the node.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The stream, which the caller disposes.</returns>
    /// <exception cref="UtpException">The peer did not answer in time, or refused; there is no route to it; the name has no address; or the
    /// node has as many streams as it may have.</exception>
    /// <exception cref="ArgumentException">The end point is of another type, or is not the address of one host.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The attempt was cancelled.</exception>
    public ValueTask<UtpStream> ConnectAsync(
        EndPoint remoteEndPoint, UtpConnectOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        var how = new Dialling(
            Checked(options?.Dialect) ?? _settings.Dialect,
            options?.Timeout ?? _settings.ConnectTimeout,
            options?.CongestionControl ?? _settings.CongestionControl,
            options is { Simultaneous: true } ? options.PrimingHops : 0);
        if (options is { Simultaneous: true })
        {
            UtpNodeOptionsCheck.Between(options.PrimingHops, 1, 255, nameof(UtpConnectOptions.PrimingHops));
            if (!how.Dialect.IsBep29)
            {
                throw new ArgumentException("Only streams of BEP 29 are opened from both sides at once.", nameof(options));
            }
        }

        UtpNodeOptionsCheck.Positive(how.Timeout, nameof(UtpConnectOptions.Timeout));
        ThrowIfUnusable();
        switch (remoteEndPoint)
        {
            case DnsEndPoint { Port: 0 } or IPEndPoint { Port: 0 }:
                throw new ArgumentException("Port 0 is not the port of a peer.", nameof(remoteEndPoint));
            case DnsEndPoint name:
                return DialNameAsync(name, how, cancellationToken);
            case IPEndPoint any when SocketFactory.IsWildcard(any.Address):
                return DialLoopbackAsync(any, how, cancellationToken);
            case IPEndPoint one:
                return DialOneAsync(Addresses.ToEndpoint(one), how, cancellationToken);
            default:
                throw new ArgumentException($"The end point must be an IPEndPoint or a DnsEndPoint, not {remoteEndPoint.GetType()}.", nameof(remoteEndPoint));
        }
    }

    /// <inheritdoc cref="ConnectAsync(EndPoint, UtpConnectOptions?, CancellationToken)"/>
    public ValueTask<UtpStream> ConnectAsync(EndPoint remoteEndPoint, CancellationToken cancellationToken) =>
        ConnectAsync(remoteEndPoint, null, cancellationToken);

    /// <inheritdoc cref="ConnectAsync(string, int, UtpConnectOptions?, CancellationToken)"/>
    public ValueTask<UtpStream> ConnectAsync(string host, int port, CancellationToken cancellationToken = default) =>
        ConnectAsync(host, port, null, cancellationToken);

    /// <summary>Opens a stream to a peer by its name or address, and waits for the answer of the peer.</summary>
    /// <param name="host">The name, or an IP address in digits.</param>
    /// <param name="port">The UDP port, from 1 to 65535.</param>
    /// <param name="options">The options; <see langword="null"/> for those of the node.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <inheritdoc cref="ConnectAsync(EndPoint, UtpConnectOptions?, CancellationToken)"/>
    public ValueTask<UtpStream> ConnectAsync(
        string host, int port, UtpConnectOptions? options, CancellationToken cancellationToken = default) =>
        ConnectAsync(IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, port) : new DnsEndPoint(host, port), options, cancellationToken);

    private ValueTask<UtpStream> DialOneAsync(Endpoint remote, Dialling how, CancellationToken cancellationToken)
    {
        if (!_transport.Speaks(remote))
        {
            return ValueTask.FromException<UtpStream>(Failure.Unreachable(Addresses.ToIPEndPoint(remote)).ToException());
        }

        return _nat64 is null
            ? TwiceAsync(how, left => DialAsync(remote, left, cancellationToken), cancellationToken)
            : DialTranslatedAsync(remote, how, cancellationToken);
    }

    /// <summary>The peer may be known by another address than the one that is dialled.</summary>
    private async ValueTask<UtpStream> DialTranslatedAsync(Endpoint remote, Dialling how, CancellationToken cancellationToken)
    {
        var known = await KnownAsync(remote, how.Timeout, cancellationToken).ConfigureAwait(false);
        return await TwiceAsync(how, left => DialAsync(known, left, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The wildcard is this machine, as the systems have it: so the LocalEndPoint of a node that is bound to it can be dialled.</summary>
    private async ValueTask<UtpStream> DialLoopbackAsync(IPEndPoint wildcard, Dialling how, CancellationToken cancellationToken)
    {
        var started = Clock.Now;
        IPAddress[] loopbacks =
            wildcard.AddressFamily == AddressFamily.InterNetwork ? [IPAddress.Loopback] : [IPAddress.IPv6Loopback, IPAddress.Loopback];
        var remotes = loopbacks.Select(address => Addresses.ToEndpoint(new IPEndPoint(address, wildcard.Port))).Where(_transport.Speaks).ToList();
        return await DialAnyAsync(remotes, how, cancellationToken).ConfigureAwait(false)
            ?? throw NoAnswer(new DnsEndPoint("localhost", wildcard.Port), started);
    }

    /// <summary>If the system has no route, tries once more.</summary>
    private async ValueTask<T> TwiceAsync<T>(Dialling how, Func<Dialling, ValueTask<T>> dial, CancellationToken cancellationToken)
    {
        var started = Clock.Now;
        try
        {
            return await dial(how).ConfigureAwait(false);
        }
        catch (UtpException error)
            when (error.Error == UtpError.NetworkUnreachable && Clock.Since(started) + SecondTryAfter < how.Timeout)
        {
        }

        await IsWithinAsync(Completion, SecondTryAfter, cancellationToken).ConfigureAwait(false);
        return await dial(how with { Timeout = how.Timeout - Clock.Since(started) }).ConfigureAwait(false);
    }

    private async ValueTask<UtpStream> DialAsync(
        Endpoint remote, Dialling how, CancellationToken cancellationToken, UtpPathKind? kind = null)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var attempt = new ConnectAttempt(_engine.Telemetry, remote, kind);
        var stream = UtpStream.Dialled(_engine, remote, how);
        var counterpart = stream.Counterpart;
        stream.Post(inline: true);
        try
        {
            if (counterpart is not null)
            {
                stream = await FirstOfBothAsync(stream, counterpart, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await stream.Opening.WaitAsync(cancellationToken).ConfigureAwait(false);
            }

            WatchNetworkFor(remote);
            attempt.Succeed();
            return stream;
        }
        catch (UtpException error)
        {
            attempt.Fail(error);
            throw;
        }
        catch (OperationCanceledException error)
        {
            attempt.Fail(error);
            stream.Abort();
            if (counterpart is not null)
            {
                _ = AbortLateAsync(counterpart);
            }

            throw;
        }
    }

    /// <summary>The stream, or the one that the peer has opened in its place.</summary>
    private static async Task<UtpStream> FirstOfBothAsync(
        UtpStream stream, Task<UtpStream> counterpart, CancellationToken cancellationToken)
    {
        await Task.WhenAny(stream.Opening, counterpart).WaitAsync(cancellationToken).ConfigureAwait(false);
        if (counterpart.IsCompletedSuccessfully)
        {
            return await counterpart.ConfigureAwait(false);
        }

        await stream.Opening.WaitAsync(cancellationToken).ConfigureAwait(false);
        return stream;
    }

    // Reading the addresses takes milliseconds, which the first stream need not wait for.
    private void WatchNetworkFor(Endpoint remote)
    {
        if (_watch is null && _settings.Node.Bep29.Migrates && !EndpointModule.isLoopback(remote))
        {
            ThreadPool.UnsafeQueueUserWorkItem(static node => node.WatchNetwork(), this, preferLocal: false);
        }
    }

    private async ValueTask<UtpStream> DialNameAsync(DnsEndPoint name, Dialling how, CancellationToken cancellationToken)
    {
        var started = Clock.Now;
        var remotes = await ResolveAsync(name, how.Timeout, cancellationToken).ConfigureAwait(false);
        var left = how with { Timeout = how.Timeout - Clock.Since(started) };
        return await TwiceAsync(left, it => DialAnyAsync(remotes, it, cancellationToken), cancellationToken).ConfigureAwait(false)
            ?? throw NoAnswer(name, started);
    }

    /// <summary>
    /// Opens streams to several addresses and returns the first one that is open. The next attempt begins after the head start, or when an
    /// attempt fails. If all fail, it throws the exception of the first one that has failed for another reason than a missing route.
    /// </summary>
    /// <returns>The stream; <see langword="null"/> if the time was over before an attempt has failed.</returns>
    internal async ValueTask<UtpStream?> DialAnyAsync(
        IReadOnlyList<Endpoint> remotes, Dialling how, CancellationToken cancellationToken)
    {
        var started = Clock.Now;
        using var losers = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var attempts = new List<Task<UtpStream>>();
        Exception? first = null;
        var next = 0;
        try
        {
            while (true)
            {
                // Attempts that end by it must not look like those that have failed.
                cancellationToken.ThrowIfCancellationRequested();
                var left = how.Timeout - Clock.Since(started);
                if (next < remotes.Count && left > TimeSpan.Zero)
                {
                    attempts.Add(DialAsync(remotes[next++], how with { Timeout = left }, losers.Token).AsTask());
                }

                if (attempts.Count == 0)
                {
                    return first is null ? null : throw first;
                }

                var any = Task.WhenAny(attempts);
                if (next < remotes.Count && left > HeadStart && !await IsWithinAsync(any, HeadStart, cancellationToken).ConfigureAwait(false))
                {
                    continue;
                }

                var attempt = await any.WaitAsync(cancellationToken).ConfigureAwait(false);
                attempts.Remove(attempt);
                if (attempt.IsCompletedSuccessfully)
                {
                    return await attempt.ConfigureAwait(false);
                }

                first = first is null or UtpException { Error: UtpError.NetworkUnreachable } ? attempt.Exception?.InnerException ?? first : first;
            }
        }
        finally
        {
            await losers.CancelAsync().ConfigureAwait(false);
            foreach (var attempt in attempts)
            {
                _ = AbortLateAsync(attempt);
            }
        }
    }

    /// <summary>The addresses of a name that this node can send to, IPv6 and IPv4 in alternation (RFC 8305, 4).</summary>
    private async Task<List<Endpoint>> ResolveAsync(DnsEndPoint name, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var started = Clock.Now;
        IPAddress[] addresses;

        // Asked at the same time. A DNS64 may have made some of the addresses.
        var prefixes = Nat64Async(timeout, cancellationToken).AsTask();
        try
        {
            addresses = await Dns.GetHostAddressesAsync(name.Host, name.AddressFamily, cancellationToken)
                .WaitAsync(timeout, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw NoAnswer(name, started);
        }
        catch (SocketException error)
        {
            throw new UtpException(
                UtpError.HostNotFound, $"{name.Host} could not be resolved: {error.Message}", null, error.SocketErrorCode, error);
        }

        var nat64 = await prefixes.ConfigureAwait(false);
        var reachable = addresses.Select(address => Addresses.ToEndpoint(new IPEndPoint(address, name.Port)))
            .Where(_transport.Speaks)
            .Select(remote => Nat64Translation.arrived(nat64, remote))
            .Distinct()
            .ToList();
        if (reachable.Count == 0)
        {
            throw new UtpException(
                UtpError.HostNotFound, $"{name.Host} has no address that {LocalEndPoint} could reach.", null, SocketError.NoData);
        }

        var preferred = EndpointModule.isIPv4(reachable[0]);
        var ranked = reachable.Where(remote => EndpointModule.isIPv4(remote) == preferred).Select((remote, index) => (remote, 2 * index))
            .Concat(reachable.Where(remote => EndpointModule.isIPv4(remote) != preferred).Select((remote, index) => (remote, (2 * index) + 1)));
        return ranked.OrderBy(one => one.Item2).Select(one => one.remote).ToList();
    }

    private static UtpException NoAnswer(DnsEndPoint name, long started) =>
        new(UtpError.ConnectTimeout,
            $"{name.Host}:{name.Port} did not answer after {Failure.InWords(Clock.Since(started))}.",
            null,
            SocketError.TimedOut);

    /// <summary>Whether a task has ended in that time.</summary>
    internal static async Task<bool> IsWithinAsync(Task task, TimeSpan time, CancellationToken cancellationToken)
    {
        try
        {
            await task.WaitAsync(time, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    // Another attempt was faster.
    private static async Task AbortLateAsync(Task<UtpStream> attempt)
    {
        await ((Task)attempt).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (attempt.IsCompletedSuccessfully)
        {
            (await attempt.ConfigureAwait(false)).Abort();
        }
    }

    private static Dialect? Checked(UtpDialect? dialect)
    {
        if (dialect is { } some && !Enum.IsDefined(some))
        {
            throw new ArgumentOutOfRangeException(nameof(UtpConnectOptions.Dialect), dialect, "There is no such dialect.");
        }

        return dialect?.ToCore();
    }
}
