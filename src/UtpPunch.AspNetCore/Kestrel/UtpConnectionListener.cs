using System.Net;
using Microsoft.AspNetCore.Connections;

namespace UtpPunch.AspNetCore;

/// <summary>The streams that peers open to a node, for Kestrel.</summary>
internal sealed class UtpConnectionListener(UtpNode node, UtpListener listener, string? name, bool isOwn) : IConnectionListener
{
    public EndPoint EndPoint { get; } = new UtpEndPoint(name, listener.LocalEndPoint);

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            return new UtpConnection(await listener.AcceptAsync(cancellationToken).ConfigureAwait(false));
        }
        catch (Exception stopped) when (stopped is ObjectDisposedException or UtpException { Error: UtpError.NodeClosed })
        {
            return null;
        }
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default) => listener.DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        await listener.DisposeAsync().ConfigureAwait(false);
        if (isOwn)
        {
            await node.DisposeAsync().ConfigureAwait(false);
        }
    }
}
