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
}
