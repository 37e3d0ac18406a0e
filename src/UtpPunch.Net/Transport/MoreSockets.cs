using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The sockets that birthday probing opens beside the node's own: many for seconds, at most one for longer.</summary>
internal sealed class MoreSockets(Socket first)
{
    private const int MaxDatagram = 2048;
    private const int MaxBatch = 64;

    private readonly List<Socket?> _sockets = [];
    private readonly List<int> _readable = [];
    private readonly List<Socket> _closed = [];
    private readonly SocketAddress _source = new(first.AddressFamily);

    public void Open(int count)
    {
        Close(0);
        var any = first.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any;
        var local = ((IPEndPoint)first.LocalEndPoint!).Address;
        for (var index = 0; index < count; index++)
        {
            try
            {
                // Bound where the first one is, so that all take the same way out.
                _sockets.Add(SocketFactory.Bind(new IPEndPoint(local.Equals(IPAddress.Any) ? any : local, 0), 1 << 16, 1 << 16));
            }
            catch (SocketException)
            {
                // As many as there are files to be had.
                return;
            }
        }
    }

    /// <summary>Closes for good what may have been waited for until now.</summary>
    public void Sweep()
    {
        foreach (var socket in _closed)
        {
            socket.Dispose();
        }

        _closed.Clear();
    }

    public void Close(int keep)
    {
        for (var index = 0; index < _sockets.Count; index++)
        {
            if (index + 1 != keep)
            {
                if (_sockets[index] is { } socket)
                {
                    _closed.Add(socket); // A thread may be waiting for it.
                }

                _sockets[index] = null;
            }
        }

        if (keep == 0)
        {
            _sockets.Clear();
        }
    }

    /// <summary>Adds those that are open to a list of what is waited for from now on.</summary>
    public void AddTo(List<Socket> sockets)
    {
        Sweep();
        foreach (var socket in _sockets)
        {
            if (socket is not null)
            {
                sockets.Add(socket);
            }
        }
    }

    public void OnReadable(Socket socket)
    {
        if (_sockets.IndexOf(socket) is >= 0 and var index)
        {
            _readable.Add(index);
        }
    }

    public void Receive(List<Event> received)
    {
        foreach (var index in _readable)
        {
            for (var count = 0; count < MaxBatch && ReceiveOne(index, received); count++)
            {
            }
        }

        _readable.Clear();
    }

    private bool ReceiveOne(int index, List<Event> received)
    {
        if (_sockets[index] is not { } socket || socket.Available == 0)
        {
            return false;
        }

        try
        {
            var buffer = new byte[MaxDatagram];
            var length = socket.ReceiveFrom(buffer, SocketFlags.None, _source);
            var from = EndpointModule.via((ushort)(index + 1), Addresses.Read(_source));
            received.Add(Event.NewReceived(from, Datagrams.One(new Borrowed(buffer, 0, length), Clock.Now)));
            return true;
        }
        catch (SocketException error)
        {
            return error.SocketErrorCode != SocketError.WouldBlock;
        }
    }

    /// <summary>The socket of that number, if it is open.</summary>
    public Socket? Find(ushort via) => via > 0 && via <= _sockets.Count ? _sockets[via - 1] : null;

    public SocketError Send(ushort via, ReadOnlySpan<byte> datagram, SocketAddress address)
    {
        if (Find(via) is not { } socket)
        {
            return SocketError.NotSocket;
        }

        try
        {
            socket.SendTo(datagram, SocketFlags.None, address);
            return SocketError.Success;
        }
        catch (SocketException error)
        {
            return error.SocketErrorCode;
        }
    }
}
