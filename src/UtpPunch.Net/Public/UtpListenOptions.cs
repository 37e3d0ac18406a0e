using System.Net;

namespace UtpPunch;

/// <summary>How a node listens.</summary>
public sealed class UtpListenOptions
{
    /// <summary>How many streams wait to be accepted at most. Peers that want to open more are not answered, and try again.</summary>
    /// <value>128 by default.</value>
    public int Backlog { get; set; } = 128;

    /// <summary>Says whether a peer may come in; a stream of one that may not is reset. It runs on the thread that serves the socket:
    /// it must not block. When it throws, the peer may not come in.</summary>
    /// <value>Null by default: all may.</value>
    public Func<IPEndPoint, bool>? Filter { get; set; }
}
