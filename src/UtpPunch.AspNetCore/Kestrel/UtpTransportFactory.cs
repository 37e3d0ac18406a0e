using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace UtpPunch.AspNetCore;

/// <summary>Binds the endpoints of this library for Kestrel, which asks each transport whether it can bind an endpoint.</summary>
internal sealed class UtpTransportFactory(IServiceProvider services, NodeFactory nodes, ILoggerFactory loggers)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly ILogger _logger = loggers.CreateLogger("UtpPunch.AspNetCore");

    private static readonly IPEndPoint AnyPort = new(IPAddress.IPv6Any, 0);

    public bool CanBind(EndPoint endpoint) => endpoint is UtpEndPoint or UtpRendezvousEndPoint;

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return endpoint switch
        {
            UtpEndPoint { NodeName: { } name } shared => Listen(Named(name), shared, isOwn: false),
            UtpEndPoint own => Listen(await OwnAsync(own.LocalEndPoint!).ConfigureAwait(false), own, isOwn: true),
            UtpRendezvousEndPoint { NodeName: { } name } room => new RendezvousConnectionListener(Named(name), isOwn: false, room, _logger),
            UtpRendezvousEndPoint room =>
                new RendezvousConnectionListener(await OwnAsync(AnyPort).ConfigureAwait(false), isOwn: true, room, _logger),
            _ => throw new NotSupportedException($"{endpoint} is no endpoint of uTP."),
        };
    }

    private static UtpConnectionListener Listen(UtpNode node, UtpEndPoint endPoint, bool isOwn)
    {
        try
        {
            return new UtpConnectionListener(node, node.Listen(endPoint.ListenOptions), endPoint.NodeName, isOwn);
        }
        catch when (isOwn)
        {
            node.Dispose();
            throw;
        }
    }

    private UtpNode Named(string name) =>
        services.GetKeyedService<UtpNode>(name)
        ?? throw new InvalidOperationException($"There is no uTP node \"{name}\"; services.AddUtpNode(\"{name}\") adds it.");

    // Kestrel expects this exception, and names the address in its own.
    private async ValueTask<UtpNode> OwnAsync(IPEndPoint localEndPoint)
    {
        try
        {
            return await nodes.BindAsync(localEndPoint).ConfigureAwait(false);
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new AddressInUseException(error.Message, error);
        }
    }
}
