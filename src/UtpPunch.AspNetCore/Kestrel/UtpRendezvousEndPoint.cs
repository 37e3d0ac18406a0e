using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace UtpPunch.AspNetCore;

/// <summary>
/// An endpoint at which Kestrel accepts the streams of all peers that enter a room of a rendezvous server, also behind a NAT.
/// <see cref="Microsoft.AspNetCore.Hosting.UtpKestrelExtensions.ListenRendezvous"/> creates it.
/// </summary>
public sealed class UtpRendezvousEndPoint : EndPoint
{
    /// <summary>Creates an endpoint.</summary>
    /// <param name="server">The address of the rendezvous server: an <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <exception cref="ArgumentException">The name is empty, or the address has another type.</exception>
    public UtpRendezvousEndPoint(EndPoint server, string room)
        : this([server], room)
    {
    }

    /// <summary>Creates an endpoint at several servers, as of <see cref="UtpRendezvousClient(UtpNode, IReadOnlyList{EndPoint})"/>.</summary>
    /// <param name="servers">The addresses of one to three rendezvous servers, each an <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <exception cref="ArgumentException">The name is empty, an address has another type, or there are none or more than three.</exception>
    public UtpRendezvousEndPoint(IReadOnlyList<EndPoint> servers, string room)
    {
        ArgumentNullException.ThrowIfNull(servers);
        ArgumentException.ThrowIfNullOrEmpty(room);
        if (servers.Count is < 1 or > UtpRendezvousClient.MaxServers)
        {
            throw new ArgumentException($"There are one to {UtpRendezvousClient.MaxServers} rendezvous servers.", nameof(servers));
        }

        Servers = [.. servers];
        foreach (var server in Servers)
        {
            ArgumentNullException.ThrowIfNull(server, nameof(servers));
            if (server is not (IPEndPoint or DnsEndPoint))
            {
                throw new ArgumentException($"The address must be an IPEndPoint or a DnsEndPoint, not {server.GetType()}.", nameof(servers));
            }
        }

        Room = room;
    }

    /// <summary>Gets the addresses of the rendezvous servers.</summary>
    public IReadOnlyList<EndPoint> Servers { get; }

    /// <summary>Gets the name of the room.</summary>
    public string Room { get; }

    /// <summary>Gets the options of the punches. <see cref="UtpPunchOptions.Timeout"/> is not used: the server stays in the room.</summary>
    /// <value>The default is <see langword="null"/>: the defaults of <see cref="UtpPunchOptions"/>.</value>
    public UtpPunchOptions? PunchOptions { get; init; }

    /// <summary>Gets the name of the node, one of
    /// <see cref="UtpServiceCollectionExtensions.AddUtpNode(IServiceCollection, string, Action{UtpNodeOptions})"/>.</summary>
    /// <value>The default is <see langword="null"/>: a node of its own, on a port that the system chooses.</value>
    public string? NodeName { get; init; }

    /// <summary>Returns <see cref="AddressFamily.Unspecified"/>: it is no address of sockets.</summary>
    public override AddressFamily AddressFamily => AddressFamily.Unspecified;

    /// <summary>Returns <c>utp-rendezvous:</c> and the addresses of the servers. The room is not shown: without a secret, who knows its name can
    /// enter it.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => $"utp-rendezvous:{string.Join(',', Servers.Select(Shown))}";

    /// <summary>Returns whether both are the same room at the same servers, over the same node.</summary>
    /// <param name="obj">Another endpoint.</param>
    /// <returns>Whether it is equal.</returns>
    public override bool Equals(object? obj) =>
        obj is UtpRendezvousEndPoint other && Room == other.Room && NodeName == other.NodeName && Servers.SequenceEqual(other.Servers);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Room, NodeName, Servers[0]);

    private static string Shown(EndPoint server) => server is DnsEndPoint name ? $"{name.Host}:{name.Port}" : $"{server}";
}
