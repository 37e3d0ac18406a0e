using System.Net;

namespace UtpPunch;

/// <summary>The options of a listener.</summary>
public sealed class UtpListenOptions
{
    /// <summary>Gets or sets the maximum number of streams that wait to be accepted. Further peers are not answered, and try again.</summary>
    /// <value>The default is 128.</value>
    public int Backlog { get; set; } = 128;

    /// <summary>Gets or sets a function that decides whether a peer may open a stream. A stream that it refuses is reset; if it throws, the
    /// peer is refused. It is called on the thread that serves the socket, and must not block.</summary>
    /// <value>The default is <see langword="null"/>: every peer may.</value>
    public Func<IPEndPoint, bool>? Filter { get; set; }
}
