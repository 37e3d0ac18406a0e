using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// What carries the datagrams of a node or a server in place of a UDP socket of its own: a socket that is shared with another protocol, a relay (TURN,
/// RFC 8656), or memory, as <see cref="UtpMemoryNetwork"/> does. <see cref="UtpNodeOptions.TransportFactory"/> takes it.
/// </summary>
/// <remarks>
/// <para>A datagram may be lost, duplicated, reordered, but must arrive unchanged or not at all, and no path may merge or split datagrams. The sockets of
/// birthday probing are not available over such a transport, nor the port mappings of a router.</para>
/// <para>A derived class calls <see cref="OnReceived"/> for each datagram that comes, from any thread.</para>
/// </remarks>
/// <example><code>
/// var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
/// socket.Bind(new IPEndPoint(IPAddress.Any, 9000));
///
/// // The class of docs/testing.md: datagrams of another protocol come to the function, the others to the node.
/// var transport = new SharedSocket(socket, (datagram, from) => Console.WriteLine($"{datagram.Length} bytes from {from}"));
/// await using var node = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => transport });
/// </code></example>
public abstract class UtpDatagramTransport : IDisposable
{
    private CustomTransport? _owner;
    private ushort _number;

    /// <summary>Gets the address and port at which peers of this network reach it. It does not change.</summary>
    public abstract IPEndPoint LocalEndPoint { get; }

    /// <summary>Returns whether datagrams can be sent to an address at all.</summary>
    /// <param name="address">An IPv4 or IPv6 address.</param>
    /// <returns>By default, whether <see cref="LocalEndPoint"/> is an IPv6 address or both are IPv4 addresses, as with sockets.</returns>
    public virtual bool CanSendTo(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return LocalEndPoint.AddressFamily == AddressFamily.InterNetworkV6 || address.AddressFamily == AddressFamily.InterNetwork;
    }

    /// <summary>Sends a datagram. It is called by one thread at a time, which serves all streams of the node, and must not block: what cannot be sent now is
    /// dropped.</summary>
    /// <param name="datagram">The payload, up to 65507 bytes. It is valid during the call only.</param>
    /// <param name="remoteEndPoint">The address and port of the peer.</param>
    /// <param name="hopLimit">The hop limit (RFC 8200), from 1 to 255; 0 for the usual one. A transport without one ignores it.</param>
    /// <exception cref="SocketException">The datagram was not sent: <see cref="SocketError.MessageSize"/> if it is too long for the path, which path MTU discovery
    /// (RFC 8899) must learn; <see cref="SocketError.NetworkUnreachable"/> if there is no route; or another error, as of a socket. A transport that
    /// throws anything else ends the node.</exception>
    public abstract void Send(ReadOnlySpan<byte> datagram, IPEndPoint remoteEndPoint, int hopLimit);

    /// <summary>Hands a datagram that was received to the node. It may be called from any thread, and does not block. Datagrams that come before the node is
    /// bound, or after it was closed, are dropped, and so are those for which the receive buffer has no room
    /// (<see cref="UtpNodeOptions.SocketReceiveBufferSize"/>).</summary>
    /// <param name="datagram">The payload, which is copied.</param>
    /// <param name="remoteEndPoint">The source.</param>
    protected void OnReceived(ReadOnlySpan<byte> datagram, IPEndPoint remoteEndPoint)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        Volatile.Read(ref _owner)?.OnReceived(_number, datagram, remoteEndPoint);
    }

    /// <summary>Releases what the transport holds. The node calls it when it has closed.</summary>
    public void Dispose()
    {
        Volatile.Write(ref _owner, null);
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what the transport holds.</summary>
    /// <param name="disposing"><see langword="true"/> from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
    }

    /// <summary>From here on, datagrams are handed to a node.</summary>
    /// <exception cref="InvalidOperationException">Another node has the transport.</exception>
    internal void Attach(CustomTransport owner, int number)
    {
        _number = (ushort)number;
        if (Interlocked.CompareExchange(ref _owner, owner, null) is not null)
        {
            throw new InvalidOperationException("The transport belongs to another node.");
        }
    }
}
