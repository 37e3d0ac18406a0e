using System.Net;
using System.Net.Sockets;
using UtpPunch;

/// <summary>Carries the datagrams of a node over a socket whose other datagrams, those that begin with 'G', are a game's.</summary>
internal sealed class SharedSocket : UtpDatagramTransport
{
    private readonly Socket _socket;
    private readonly Action<ReadOnlyMemory<byte>, IPEndPoint> _onGame;

    public SharedSocket(Socket socket, Action<ReadOnlyMemory<byte>, IPEndPoint> onGame)
    {
        _socket = socket;
        _socket.Blocking = false; // A full send buffer drops a datagram. It must not block the node.
        _onGame = onGame;
        LocalEndPoint = (IPEndPoint)socket.LocalEndPoint!;
        _ = ReceiveAsync();
    }

    public override IPEndPoint LocalEndPoint { get; }

    public override void Send(ReadOnlySpan<byte> datagram, IPEndPoint remoteEndPoint, int hopLimit) =>
        _socket.SendTo(datagram, SocketFlags.None, remoteEndPoint);

    protected override void Dispose(bool disposing)
    {
        _socket.Dispose();
        base.Dispose(disposing);
    }

    private async Task ReceiveAsync()
    {
        var buffer = new byte[65507];
        var any = new IPEndPoint(IPAddress.Any, 0);
        while (true)
        {
            try
            {
                var received = await _socket.ReceiveFromAsync(buffer, any);
                Deliver(buffer.AsMemory(0, received.ReceivedBytes), (IPEndPoint)received.RemoteEndPoint);
            }
            catch (Exception error) when (error is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
            {
                return;
            }
            catch (SocketException)
            {
                // An error of an earlier datagram, whose target has no socket. This one goes on.
            }
        }
    }

    private void Deliver(ReadOnlyMemory<byte> datagram, IPEndPoint from)
    {
        if (datagram.Span is [(byte)'G', ..])
        {
            _onGame(datagram, from);
        }
        else
        {
            OnReceived(datagram.Span, from);
        }
    }
}
