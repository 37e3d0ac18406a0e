using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using UtpPunch;
using UtpPunch.AspNetCore;

namespace Microsoft.AspNetCore.Hosting;

/// <summary>Kestrel accepts uTP streams beside TCP connections.</summary>
public static class UtpKestrelExtensions
{
    /// <summary>Adds the uTP transport to the server. TCP endpoints are not affected.</summary>
    /// <param name="builder">The host's builder, such as <c>WebApplicationBuilder.WebHost</c>.</param>
    /// <returns>The builder.</returns>
    public static IWebHostBuilder UseUtp(this IWebHostBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices(services => services.AddUtpPunch());
    }

    /// <summary>Accepts uTP streams at a UDP port of all addresses, IPv4 and IPv6. <see cref="UseUtp"/> is needed, too.</summary>
    /// <param name="options">The server's options.</param>
    /// <param name="port">The UDP port, 0 to 65535; 0 is one that the system chooses.</param>
    /// <param name="configure">Configures the endpoint, such as its protocols and TLS.</param>
    /// <exception cref="ArgumentOutOfRangeException">The port is not in its range.</exception>
    /// <example><code>
    /// builder.WebHost.UseUtp();
    /// builder.WebHost.ConfigureKestrel(options =>
    /// {
    ///     options.ListenAnyIP(8080);
    ///     options.ListenUtp(9000, listen => listen.Protocols = HttpProtocols.Http2);
    /// });
    /// </code></example>
    public static void ListenUtp(this KestrelServerOptions options, int port, Action<ListenOptions>? configure = null) =>
        options.ListenUtp(new IPEndPoint(IPAddress.IPv6Any, port), configure);

    /// <summary>Accepts uTP streams at an address and UDP port. <see cref="UseUtp"/> is needed, too.</summary>
    /// <param name="options">The server's options.</param>
    /// <param name="localEndPoint">The address and port of a node, which is bound when the server starts and closed when it stops. Its other
    /// options are those of <c>services.Configure&lt;UtpNodeOptions&gt;(…)</c>. A <see cref="UtpEndPoint"/> can have options of the listener, such as a filter.</param>
    /// <param name="configure">Configures the endpoint, such as its protocols and TLS.</param>
    public static void ListenUtp(this KestrelServerOptions options, IPEndPoint localEndPoint, Action<ListenOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Listen(new UtpEndPoint(localEndPoint), configure ?? Nothing);
    }

    /// <summary>Accepts the uTP streams of a node of
    /// <see cref="UtpServiceCollectionExtensions.AddUtpNode(IServiceCollection, string, Action{UtpNodeOptions})"/>, which can open streams,
    /// too, over the same port. <see cref="UseUtp"/> is needed, too.</summary>
    /// <param name="options">The server's options.</param>
    /// <param name="nodeName">The name of the node. The server stops to listen, but does not close the node.</param>
    /// <param name="configure">Configures the endpoint, such as its protocols and TLS.</param>
    public static void ListenUtp(this KestrelServerOptions options, string nodeName, Action<ListenOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Listen(new UtpEndPoint(nodeName), configure ?? Nothing);
    }

    /// <summary>
    /// Stays in a room of a rendezvous server, and accepts the streams of all peers that enter it, also if both are behind NATs. While the
    /// rendezvous does not answer or is full, it is tried again after one second and up to 30 seconds later, and the failure is logged.
    /// <see cref="UseUtp"/> is needed, too.
    /// </summary>
    /// <param name="options">The server's options.</param>
    /// <param name="server">The address of the rendezvous server: an <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>. A
    /// <see cref="UtpRendezvousEndPoint"/> can have several.</param>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <param name="punchOptions">The options of the punches, such as the secret; <see langword="null"/> for the defaults.</param>
    /// <param name="nodeName">The name of the node; <see langword="null"/> for a node of its own, on a port that the system chooses.</param>
    /// <param name="configure">Configures the endpoint, such as its protocols and TLS.</param>
    /// <example><code>
    /// builder.WebHost.UseUtp();
    /// builder.WebHost.ConfigureKestrel(options => options.ListenRendezvous(
    ///     new DnsEndPoint("host.example", 42000), "my service", new UtpPunchOptions { Secret = secret }));
    /// </code></example>
    public static void ListenRendezvous(
        this KestrelServerOptions options,
        EndPoint server,
        string room,
        UtpPunchOptions? punchOptions = null,
        string? nodeName = null,
        Action<ListenOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Listen(new UtpRendezvousEndPoint(server, room) { PunchOptions = punchOptions, NodeName = nodeName }, configure ?? Nothing);
    }

    private static void Nothing(ListenOptions options)
    {
    }
}
