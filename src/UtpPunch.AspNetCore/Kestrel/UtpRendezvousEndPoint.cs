using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace UtpPunch.AspNetCore;

/// <summary>
/// An endpoint at which Kestrel accepts the streams of all peers that enter a room of a rendezvous server, also behind a NAT.
/// <see cref="UtpKestrelExtensions.ListenRendezvous"/> creates it.
/// </summary>
public sealed class UtpRendezvousEndPoint : EndPoint
{
    /// <summary>Creates an endpoint.</summary>
    /// <param name="server">The address of the rendezvous server: an <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <exception cref="ArgumentException">The name is empty, or the address has another type.</exception>
    public UtpRendezvousEndPoint(EndPoint server, string room)
    {
        ArgumentNullException.ThrowIfNull(server);
        ArgumentException.ThrowIfNullOrEmpty(room);
        if (server is not (IPEndPoint or DnsEndPoint))
        {
            throw new ArgumentException($"The address must be an IPEndPoint or a DnsEndPoint, not {server.GetType()}.", nameof(server));
        }

        Server = server;
        Room = room;
    }

    /// <summary>Gets the address of the rendezvous server.</summary>
    public EndPoint Server { get; }

    /// <summary>Gets the name of the room.</summary>
    public string Room { get; }

    /// <summary>Gets or sets the options of the meetings. <see cref="UtpMeetOptions.Timeout"/> is not used: the server stays in the room.</summary>
    /// <value>The default is <see langword="null"/>: the defaults of <see cref="UtpMeetOptions"/>.</value>
    public UtpMeetOptions? MeetOptions { get; set; }

    /// <summary>Gets or sets the name of the node, one of
    /// <see cref="UtpServiceCollectionExtensions.AddUtpNode(IServiceCollection, string, Action{UtpNodeOptions})"/>.</summary>
    /// <value>The default is <see langword="null"/>: a node of its own, on a port that the system chooses.</value>
    public string? NodeName { get; set; }

    /// <summary>Returns <see cref="AddressFamily.Unspecified"/>: it is no address of sockets.</summary>
    public override AddressFamily AddressFamily => AddressFamily.Unspecified;

    /// <summary>Returns <c>utp-rendezvous:</c> and the address of the server. The room is not shown: without a secret, who knows its name can
    /// enter it.</summary>
    public override string ToString() => $"utp-rendezvous:{(Server is DnsEndPoint name ? $"{name.Host}:{name.Port}" : Server)}";
}
