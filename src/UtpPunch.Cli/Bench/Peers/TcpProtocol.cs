using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Cli.Bench;

/// <summary>The system's TCP through <see cref="NetworkStream"/>, with TCP_NODELAY.</summary>
internal sealed class TcpProtocol : StreamProtocol
{
    private const int Backlog = 1024;

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public override int Listen()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(Backlog);
        return ((IPEndPoint)_listener.LocalEndPoint!).Port;
    }

    public override async ValueTask<Stream> AcceptAsync(CancellationToken cancellationToken)
    {
        var socket = await _listener.AcceptAsync(cancellationToken);
        socket.NoDelay = true;
        return new NetworkStream(socket, ownsSocket: true);
    }

    public override async ValueTask<Stream> DialAsync(IPEndPoint target)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(target);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public override void Finish(Stream stream) => ((NetworkStream)stream).Socket.Shutdown(SocketShutdown.Send);

    public override ValueTask DisposeAsync()
    {
        _listener.Dispose();
        return ValueTask.CompletedTask;
    }
}
