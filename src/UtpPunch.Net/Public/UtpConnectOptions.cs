namespace UtpPunch;

/// <summary>The options of one stream that is opened. What is <see langword="null"/> is taken from the options of the node.</summary>
public sealed class UtpConnectOptions
{
    /// <summary>Gets or sets the dialect of the peer.</summary>
    /// <value>The default is <see langword="null"/>: <see cref="UtpNodeOptions.Dialect"/>.</value>
    public UtpDialect? Dialect { get; set; }

    /// <summary>Gets or sets the time after which connecting fails if the peer does not answer. If a name has several addresses, it is the
    /// time for all of them together.</summary>
    /// <value>The default is <see langword="null"/>: <see cref="UtpNodeOptions.ConnectTimeout"/>.</value>
    public TimeSpan? Timeout { get; set; }

    /// <summary>Gets or sets how the stream follows the rate of its path.</summary>
    /// <value>The default is <see langword="null"/>: <see cref="UtpNodeOptions.CongestionControl"/>.</value>
    public UtpCongestionControl? CongestionControl { get; set; }

    /// <summary>Gets or sets a value that indicates whether the peer opens a stream to this node at the same time, so that both pass their NATs: the
    /// two peers of BitTorrent's holepunch extension (BEP 55), whose addresses a third one has told them. SYNs are sent at once, after 100, 350 and
    /// 850 ms, and then less and less often; a RESET of a peer that has not begun is no refusal. If the node does not listen, the stream that the
    /// peer opens is the result as well, and <see cref="UtpStream.IsIncoming"/> is true. If both come about, two nodes of this library that do
    /// not listen keep the same one of them; a node that listens gets both, one from its listener, and the application closes one, as the BEP
    /// says. The dialect must be <see cref="UtpDialect.Bep29"/>.</summary>
    /// <value>The default is <see langword="false"/>.</value>
    /// <example>
    /// <code>
    /// var options = new UtpConnectOptions { Simultaneous = true };
    /// await using var stream = await node.ConnectAsync(peer, options);   // the peer does the same
    /// </code>
    /// </example>
    public bool Simultaneous { get; set; }

    /// <summary>Gets or sets the hop limit of the first SYN if <see cref="Simultaneous"/> is true. It must pass the NATs of this side and expire before
    /// those of the peer, where it could occupy the port that the peer's SYN needs.</summary>
    /// <value>The default is 4. The range is 1 to 255.</value>
    public int PrimingHops { get; set; } = 4;
}
