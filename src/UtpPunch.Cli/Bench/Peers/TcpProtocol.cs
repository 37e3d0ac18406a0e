using System.Net;
using System.Net.Sockets;
using System.Text;

namespace UtpPunch.Cli.Bench;

/// <summary>The system's TCP through <see cref="NetworkStream"/>, with TCP_NODELAY.</summary>
/// <param name="local">The address to listen on.</param>
/// <param name="congestion">The congestion control of the connections that are dialled; null for the system's default.</param>
internal sealed class TcpProtocol(IPAddress local, string? congestion) : StreamProtocol
{
    private const int Backlog = 1024;
    private const int TcpLevel = 6;                         // IPPROTO_TCP
    private const int CongestionOption = 13;                // TCP_CONGESTION of Linux

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public override int Listen()
    {
        _listener.Bind(new IPEndPoint(local, 0));
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
            if (congestion is not null)
            {
                socket.SetRawSocketOption(TcpLevel, CongestionOption, Encoding.ASCII.GetBytes(congestion));
            }

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
