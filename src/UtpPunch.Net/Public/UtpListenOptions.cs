using System.Net;

namespace UtpPunch;

/// <summary>The options of a listener.</summary>
public sealed class UtpListenOptions
{
    /// <summary>Gets or sets the maximum number of streams that wait to be accepted. Further peers are not answered, and try again.</summary>
    /// <value>The default is 128.</value>
    public int Backlog { get; set; } = 128;

    /// <summary>Gets or sets a function that decides whether a peer may open a stream, by its address.</summary>
    /// <value>The default is <see langword="null"/>: every peer may.</value>
    /// <remarks>
    /// <para>It is called once for each stream that a peer asks for, before the peer gets an answer: the peer's
    /// <see cref="UtpNode.ConnectAsync(EndPoint, UtpConnectOptions?, CancellationToken)"/> fails at once with <see cref="UtpError.ConnectionRefused"/>, as if
    /// the node did not listen, and a refused peer takes no place in the backlog. If the function throws, that is logged
    /// (<see cref="UtpNodeOptions.LoggerFactory"/>), and the peer is refused.</para>
    /// <para>The address may be forged: it has proved nothing yet. Once many streams are half-open, or many peers were refused lately (of one address 32 at
    /// once, then 50 a second; of all about 500, then 800), peers are asked to prove theirs first; then the function is called for addresses that receive only, and a peer that it
    /// refuses has connected already: its stream is reset.</para>
    /// <para>It is called on the thread pool, for several peers at the same time, up to <see cref="UtpNodeOptions.MaxHalfOpen"/> of them. The peer gets its answer when
    /// it has decided; a peer waits for 10 s as a rule. After 40 s, and when the listener is disposed, its token is cancelled and the peer is forgotten. It is
    /// not called for the stream that a meeting or a punch of this node leads to.</para>
    /// </remarks>
    /// <example><code>
    /// var blocked = new HashSet&lt;IPAddress&gt; { IPAddress.Parse("192.0.2.7") };
    /// await using var listener = node.Listen(new UtpListenOptions
    /// {
    ///     Filter = (peer, cancellationToken) => ValueTask.FromResult(!blocked.Contains(peer.Address)),
    /// });
    /// </code></example>
    public Func<IPEndPoint, CancellationToken, ValueTask<bool>>? Filter { get; set; }
}
