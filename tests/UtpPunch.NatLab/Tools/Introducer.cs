using System.Net;
using System.Net.Sockets;
using System.Text;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// A minimal rendezvous. Peers send `JOIN room name` until they are answered; when two peers of a room have done so, each is sent
/// `PEER address:port` of the other at the same time.
/// </summary>
internal sealed class Introducer : IDisposable
{
    private readonly Dictionary<string, Dictionary<string, EndPoint>> _rooms = [];
    private readonly Socket _socket;
    private readonly Thread _thread;

    public Introducer(Socket socket)
    {
        _socket = socket;
        _thread = new Thread(Run) { IsBackground = true, Name = "introducer" };
        _thread.Start();
    }

    public void Dispose()
    {
        _socket.Dispose();
        _thread.Join();
    }

    private void Run()
    {
        var buffer = new byte[2048];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        while (true)
        {
            int length;
            try
            {
                length = _socket.ReceiveFrom(buffer, ref from);
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return;
            }

            if (Encoding.UTF8.GetString(buffer, 0, length).Split(' ') is ["JOIN", var room, var name])
            {
                Join(room, name, from);
            }
        }
    }

    private void Join(string room, string name, EndPoint from)
    {
        if (!_rooms.TryGetValue(room, out var members))
        {
            _rooms[room] = members = [];
        }

        members[name] = from;
        foreach (var (_, other) in members.Where(member => member.Key != name))
        {
            _socket.SendTo(Encoding.UTF8.GetBytes($"PEER {other}"), from);
            _socket.SendTo(Encoding.UTF8.GetBytes($"PEER {from}"), other);
        }
    }
}
