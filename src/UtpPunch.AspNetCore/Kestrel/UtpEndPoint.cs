using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace UtpPunch.AspNetCore;

/// <summary>An endpoint at which Kestrel accepts uTP streams. <see cref="Microsoft.AspNetCore.Hosting.UtpKestrelExtensions"/> has the methods that create it.</summary>
/// <example><code>
/// builder.WebHost.UseUtp();
/// builder.WebHost.ConfigureKestrel(options => options.Listen(new UtpEndPoint(new IPEndPoint(IPAddress.Any, 9000))));
/// </code></example>
public sealed class UtpEndPoint : EndPoint
{
    /// <summary>Creates an endpoint with a node of its own, which is bound when the server starts and closed when it stops.</summary>
    /// <param name="localEndPoint">The address and UDP port of the node. Port 0 is a port that the system chooses.</param>
    /// <exception cref="ArgumentException">The address is neither an IPv4 nor an IPv6 address.</exception>
    public UtpEndPoint(IPEndPoint localEndPoint)
    {
        ArgumentNullException.ThrowIfNull(localEndPoint);
        if (localEndPoint.AddressFamily is not (AddressFamily.InterNetwork or AddressFamily.InterNetworkV6))
        {
            throw new ArgumentException("The address must be an IPv4 or an IPv6 address.", nameof(localEndPoint));
        }

        LocalEndPoint = localEndPoint;
    }

    /// <summary>Creates an endpoint over a node of
    /// <see cref="UtpServiceCollectionExtensions.AddUtpNode(IServiceCollection, string, Action{UtpNodeOptions})"/>, which can also open streams.
    /// The server does not close the node.</summary>
    /// <param name="nodeName">The name of the node.</param>
    /// <exception cref="ArgumentException">The name is empty.</exception>
    public UtpEndPoint(string nodeName)
    {
        ArgumentException.ThrowIfNullOrEmpty(nodeName);
        NodeName = nodeName;
    }

    internal UtpEndPoint(string? nodeName, IPEndPoint localEndPoint)
    {
        NodeName = nodeName;
        LocalEndPoint = localEndPoint;
    }

    /// <summary>Gets the address and UDP port; <see langword="null"/> for a named node that is not bound yet. When the server has started, the
    /// port is the one that the system chose.</summary>
    public IPEndPoint? LocalEndPoint { get; }

    /// <summary>Gets the name of the node; <see langword="null"/> for a node of its own.</summary>
    public string? NodeName { get; }

    /// <summary>Gets the options of the listener: how many streams may wait to be accepted, and which peers may open one.</summary>
    /// <value>The default is <see langword="null"/>: the defaults of <see cref="UtpListenOptions"/>.</value>
    public UtpListenOptions? ListenOptions { get; init; }

    /// <summary>Returns <see cref="AddressFamily.Unspecified"/>: it is no address of sockets.</summary>
    public override AddressFamily AddressFamily => AddressFamily.Unspecified;

    /// <summary>Returns <c>utp:</c> and the address, or the name of the node.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => $"utp:{LocalEndPoint?.ToString() ?? NodeName}";

    /// <summary>Returns whether both are the same address, or the same node.</summary>
    /// <param name="obj">Another endpoint.</param>
    /// <returns>Whether it is equal.</returns>
    public override bool Equals(object? obj) =>
        obj is UtpEndPoint other && NodeName == other.NodeName && Equals(LocalEndPoint, other.LocalEndPoint);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(NodeName, LocalEndPoint);
}
