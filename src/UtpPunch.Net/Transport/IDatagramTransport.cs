using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// UDP sockets as a node or a server needs them. Except for <see cref="Wait"/>, <see cref="Wake"/> and the properties, a member may be called only
/// by the thread that holds the loop lock. No condition of the network makes a member throw; a socket that was closed, or that the system
/// does not let this process use, does.
/// </summary>
internal interface IDatagramTransport : IDisposable
{
    /// <summary>The address to which the first socket is bound, with the port that the system chose.</summary>
    IPEndPoint LocalEndPoint { get; }

    /// <summary>The own address that is used with a peer (<see cref="Endpoint.Local"/>), as far as it is known.</summary>
    IPEndPoint LocalEndPointOf(Endpoint remote);

    /// <summary>The endpoint with the own address that its datagrams are to have as source, if the transport can choose it.</summary>
    Endpoint From(IPAddress own, Endpoint remote);

    /// <summary>The first socket; <see langword="null"/> if the transport has none.</summary>
    Socket? Socket { get; }

    /// <summary>The buffers that the system has granted to the socket.</summary>
    BufferSizes BufferSizes { get; }

    /// <summary>Whether the socket can send to the address family of an endpoint.</summary>
    bool Speaks(Endpoint remote);

    /// <summary>Tells that the calling thread will do little else than <see cref="Wait"/>.</summary>
    void Adopt();

    /// <summary>Prepares the next <see cref="Wait"/>.</summary>
    void Prepare();

    /// <summary>Waits until a datagram is there, <see cref="Wake"/> was called, or the time is over. It may return early. One thread at a
    /// time may wait; others may send meanwhile.</summary>
    /// <param name="microseconds">The longest time to wait.</param>
    /// <returns>Whether anything but the time has ended the wait.</returns>
    bool Wait(long microseconds);

    /// <summary>Ends the current <see cref="Wait"/>, or the next one if no thread waits. From any thread.</summary>
    void Wake();

    /// <summary>
    /// Receives, without waiting, from the sockets that the last <see cref="Wait"/> has found readable. Consecutive datagrams of one source
    /// and one size become one <see cref="Datagrams"/>.
    /// </summary>
    /// <param name="received">Gets an <see cref="Event.Received"/> for each run of datagrams. The transport never writes to their buffers
    /// again, unless a buffer is that of a slab.</param>
    /// <param name="slabs">Gets the slabs among the buffers. The caller must release them.</param>
    void Receive(List<Event> received, List<Slab> slabs);

    /// <summary>What the system, or ICMP, has reported about datagrams that were sent. The caller hands it to the core and clears the
    /// list.</summary>
    List<Event> News { get; }

    /// <summary>The datagrams that the system has not sent.</summary>
    DropCounters Drops { get; }

    /// <summary>How many datagrams the system has not sent, for any reason.</summary>
    long Dropped => Drops.Total;

    /// <summary>Sends the packets of a train. What a stalled device does not take is dropped.</summary>
    /// <returns><see langword="false"/> if there is no route to the address.</returns>
    bool Send(Endpoint remote, Train train);

    /// <summary>For some time, packets of trains to an endpoint are given to the system one by one: the path loses what it gets together.</summary>
    /// <param name="remote">The endpoint.</param>
    /// <param name="microseconds">The time.</param>
    void SendAlone(Endpoint remote, long microseconds);

    /// <summary>Sends one datagram.</summary>
    /// <param name="remote">The target.</param>
    /// <param name="datagram">The payload.</param>
    /// <param name="hops">The hop limit; 0 for that of the system.</param>
    /// <returns>The error of the system; <see langword="null"/> if it has sent the datagram.</returns>
    SocketException? Send(Endpoint remote, ReadOnlySpan<byte> datagram, int hops = 0);

    /// <summary>Opens more sockets, or as many of them as the system permits.</summary>
    /// <param name="first">The <see cref="Endpoint.Via"/> of the first one; those of the others follow.</param>
    /// <param name="count">How many.</param>
    void OpenSockets(int first, int count);

    /// <summary>Closes sockets that <see cref="OpenSockets"/> has opened.</summary>
    /// <param name="first">The <see cref="Endpoint.Via"/> of the first one.</param>
    /// <param name="count">How many.</param>
    /// <param name="keep">The <see cref="Endpoint.Via"/> of one that stays open, and that streams may use from now on; 0 for none.</param>
    void CloseSockets(int first, int count, int keep);
}
