using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Attacks.Hosts;

/// <summary>
/// A socket that answers each datagram with the first 20 bytes of it, as a SYN-ACK has, and does nothing else: what a flood costs any program that answers it.
/// </summary>
internal static class Responder
{
    private const int AnswerLength = 20;
    private const int BufferSize = 4 << 20;

    public static string Start(IPAddress ip)
    {
        var socket = new Socket(SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = BufferSize, SendBufferSize = BufferSize };
        socket.Bind(new IPEndPoint(ip, 0));
        new Thread(() => Answer(socket)) { IsBackground = true }.Start();
        return $"port={((IPEndPoint)socket.LocalEndPoint!).Port}";
    }

    private static void Answer(Socket socket)
    {
        var buffer = new byte[2048];
        var from = new SocketAddress(socket.AddressFamily);
        while (true)
        {
            try
            {
                var length = socket.ReceiveFrom(buffer, SocketFlags.None, from);
                socket.SendTo(buffer.AsSpan(0, Math.Min(length, AnswerLength)), SocketFlags.None, from);
            }
            catch (SocketException)
            {
                // An answer for which the system has no room or no route.
            }
        }
    }
}
