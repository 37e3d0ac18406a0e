using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

// Finding out the public address and the NAT by STUN.
public sealed partial class UtpNode
{
    /// <inheritdoc cref="DiscoverNatAsync(IReadOnlyList{EndPoint}, TimeSpan?, CancellationToken)"/>
    /// <param name="server">The server.</param>
    /// <param name="timeout">The time to wait for the first answer; <see langword="null"/> for 5 s.</param>
    /// <param name="cancellationToken">Ends the discovery.</param>
    public ValueTask<UtpNatDiscovery> DiscoverNatAsync(EndPoint server, TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(server);
        return DiscoverNatAsync([server], timeout, cancellationToken);
    }

    /// <summary>
    /// Asks STUN servers (RFC 8489) for the public address of the node and, if they support it, for the behavior of its NAT (RFC 5780). The
    /// requests use the socket of the node, so that the results hold for its streams. It takes a round trip, or up to 6 s more if packets are
    /// filtered.
    /// </summary>
    /// <param name="servers">One server or two. If two see different ports, the mapping depends on the destination.</param>
    /// <param name="timeout">The time to wait for the first answer; <see langword="null"/> for 5 s.</param>
    /// <param name="cancellationToken">Ends the discovery.</param>
    /// <returns>What the servers have found out.</returns>
    /// <exception cref="ArgumentException">There is no server, there are more than two, or one is not the address of a host.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.DiscoveryFailed"/>: there was no answer, or none that was valid. Or the name has no
    /// address, or the node was closed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The discovery was cancelled.</exception>
    public async ValueTask<UtpNatDiscovery> DiscoverNatAsync(
        IReadOnlyList<EndPoint> servers, TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(servers);
        if (servers.Count is < 1 or > 2)
        {
            throw new ArgumentException("There must be one STUN server or two.", nameof(servers));
        }

        var limit = timeout ?? TimeSpan.FromSeconds(5);
        UtpNodeOptionsCheck.Positive(limit, nameof(timeout));
        ThrowIfUnusable();
        var remotes = new Endpoint[servers.Count];
        for (var index = 0; index < remotes.Length; index++)
        {
            remotes[index] = await OneAddressAsync(servers[index], cancellationToken).ConfigureAwait(false);
        }

        var standard = StunClientModule.Standard(remotes);
        var command = new DiscoverCommand(new StunOptions(
            remotes,
            LocalTowards(remotes[0]),
            Clock.ToMicroseconds(limit),
            standard.TestTimeout,
            standard.Behaviour));
        _engine.Post(command);
        try
        {
            return await command.Outcome.WaitAsync(cancellationToken).ConfigureAwait(false) switch
            {
                StunOutcome.Found found => UtpNatDiscovery.Of(found.report),
                StunOutcome.Failed failed => throw Failure.Of(failed.failure, servers[^1]).ToException(),
                var other => throw new InvalidOperationException($"Unknown outcome {other}."),
            };
        }
        catch (OperationCanceledException)
        {
            command.Cancel(_engine);
            throw;
        }
    }

    /// <summary>The source address of datagrams to a server, if the system tells it.</summary>
    private Microsoft.FSharp.Core.FSharpValueOption<Endpoint> LocalTowards(Endpoint server)
    {
        try
        {
            var remote = Addresses.ToIPEndPoint(Nat64Translation.leaving(_nat64?.Known ?? [], server));
            using var probe = new Socket(remote.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            probe.Connect(remote);
            var local = new IPEndPoint(((IPEndPoint)probe.LocalEndPoint!).Address, LocalEndPoint.Port);
            return Microsoft.FSharp.Core.FSharpValueOption<Endpoint>.Some(Addresses.ToEndpoint(local));
        }
        catch (SocketException)
        {
            return Microsoft.FSharp.Core.FSharpValueOption<Endpoint>.None;
        }
    }
}
