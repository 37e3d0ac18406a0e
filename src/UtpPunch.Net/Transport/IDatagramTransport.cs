using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A UDP socket as the engine needs it. All members but <see cref="Wait"/>, <see cref="Wake"/> and the properties belong to whoever has the
/// engine's turn. No member throws for what a network can do; only a socket that somebody else has closed does.
/// </summary>
internal interface IDatagramTransport : IDisposable
{
    /// <summary>Where the socket is bound, with the port that the system chose.</summary>
    IPEndPoint LocalEndPoint { get; }

    /// <summary>The socket, when there is one.</summary>
    Socket? Socket { get; }

    /// <summary>Whether the socket speaks the address family of an endpoint.</summary>
    bool Speaks(Endpoint remote);

    /// <summary>The calling thread is made for this transport, and will do nothing but wait.</summary>
    void Adopt();

    /// <summary>What comes next is a <see cref="Wait"/>.</summary>
    void Prepare();

    /// <summary>Waits until datagrams have come, somebody called <see cref="Wake"/>, or so many microseconds have passed, and says whether
    /// there is anything. May return early. One thread at a time; others may send meanwhile.</summary>
    bool Wait(long microseconds);

    /// <summary>Ends a <see cref="Wait"/>, now or the next one. From any thread.</summary>
    void Wake();

    /// <summary>
    /// Receives what the last <see cref="Wait"/> has found, up to a limit, without waiting, and adds it as <see cref="Event.Received"/>. Consecutive datagrams of one
    /// source become one <see cref="Datagrams"/>. The buffers belong to the receiver for ever, or, if they are those of
    /// <paramref name="slabs"/>, until it releases them.
    /// </summary>
    void Receive(List<Event> received, List<Slab> slabs);

    /// <summary>What the system, or the path, has said of datagrams that were sent: to be told to the core, and cleared.</summary>
    List<Event> News { get; }

    /// <summary>Datagrams that the system would not send, for whatever reason.</summary>
    long Dropped { get; }

    /// <summary>Sends a train; false says that the network has no way there. What a stuck device does not take is dropped.</summary>
    bool Send(Endpoint remote, Train train);

    /// <summary>Sends one datagram that is not uTP, over so many hops at most; 0 for as many as usual. Why the system would not; null when
    /// it has.</summary>
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
