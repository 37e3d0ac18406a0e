using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// The sockets that birthday probing opens beside the node's own: 256 for some seconds, of which one remains if it has found the path.
/// </summary>
/// <param name="first">The node's own socket.</param>
internal sealed class BirthdaySockets(Socket first)
{
    // A probe is short, and a socket receives a few of them at most.
    private const int BufferSize = 1 << 16;

    private readonly Dictionary<ushort, UdpChannel> _open = [];
    private readonly ClosedChannels _closed = new();

    /// <summary>Opens sockets with consecutive numbers: as many as the limit on open files permits.</summary>
    public void Open(int firstVia, int count)
    {
        // Bound to the same address, so that all take the same route.
        var local = new IPEndPoint(((IPEndPoint)first.LocalEndPoint!).Address, 0);
        var codePoint = TrafficClass.Of(first);
        for (var via = firstVia; via < firstVia + count; via++)
        {
            try
            {
                _open.Add((ushort)via, new UdpChannel(SocketFactory.Bind(local, BufferSize, BufferSize, codePoint), (ushort)via));
            }
            catch (SocketException)
            {
                return;
            }
        }
    }

    /// <summary>Closes the sockets of a range.</summary>
    /// <param name="firstVia">The number of the first one.</param>
    /// <param name="count">How many numbers there are.</param>
    /// <param name="keep">The number of one that stays open; 0 for none.</param>
    /// <returns>The socket that stays open; <see langword="null"/> if none does.</returns>
    public UdpChannel? Close(int firstVia, int count, int keep)
    {
        for (var via = firstVia; via < firstVia + count; via++)
        {
            if (via != keep && _open.Remove((ushort)via, out var channel))
            {
                _closed.Add(channel);
            }
        }

        return Find((ushort)keep);
    }

    /// <summary>The open socket of that number.</summary>
    public UdpChannel? Find(ushort via) => _open.GetValueOrDefault(via);

    /// <summary>Adds the open sockets to those that the next wait is for. No thread waits on the closed ones any more.</summary>
    public void AddTo(List<UdpChannel> channels)
    {
        _closed.DisposeAll();
        channels.AddRange(_open.Values);
    }

    /// <summary>Closes and disposes all. No thread may be waiting.</summary>
    public void DisposeAll()
    {
        foreach (var channel in _open.Values)
        {
            _closed.Add(channel);
        }

        _open.Clear();
        _closed.DisposeAll();
    }
}
