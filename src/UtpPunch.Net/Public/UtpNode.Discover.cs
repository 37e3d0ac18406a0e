using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

// What the world outside sees of the node's port.
public sealed partial class UtpNode
{
    /// <summary>
    /// Asks STUN servers (RFC 8489) how they see the node's port, and, if they help with that, how its NAT behaves (RFC 5780). It is the
    /// node's own socket that asks, so what they see holds for its streams. Takes a round trip when nothing filters, up to six seconds more
    /// when something does.
    /// </summary>
    /// <param name="servers">One or two. Two that see different ports tell that the mapping depends on whom one writes to.</param>
    /// <param name="timeout">For the first answer; null stands for five seconds.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ArgumentException">There is no server, there are more than two, or nobody can be reached there.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.DiscoveryFailed"/>: nobody answered, or with an error or nonsense. Or the name
    /// has no address, or the node was closed meanwhile.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    public async ValueTask<NatDiscovery> DiscoverAsync(
        IReadOnlyList<EndPoint> servers, TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(servers);
        if (servers.Count is < 1 or > 2)
        {
            throw new ArgumentException("One STUN server is asked, or two.", nameof(servers));
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
            remotes, LocalTowards(remotes[0]), Clock.ToMicroseconds(limit), standard.TestTimeout, standard.Behaviour));
        _engine.Post(command);
        return await command.Outcome.WaitAsync(cancellationToken).ConfigureAwait(false) switch
        {
            StunOutcome.Found found => NatDiscovery.Of(found.report),
            StunOutcome.Failed failed => throw Failure.Of(failed.failure, servers[^1]).ToException(),
            var other => throw new InvalidOperationException($"Unknown outcome {other}."),
        };
    }

    /// <summary>The address that datagrams to a server leave from; none when the system does not tell.</summary>
    private Microsoft.FSharp.Core.FSharpValueOption<Endpoint> LocalTowards(Endpoint server)
    {
        try
        {
            var remote = Addresses.ToIPEndPoint(server);
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
