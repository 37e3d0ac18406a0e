namespace UtpPunch;

/// <summary>How one stream is dialled. Null stands for what the node was made with.</summary>
public sealed class UtpConnectOptions
{
    /// <summary>The dialect of the peer.</summary>
    /// <value><see cref="UtpNodeOptions.Dialect"/> by default.</value>
    public UtpDialect? Dialect { get; set; }

    /// <summary>How long the peer may take to answer; with a name of several addresses, all of them together.</summary>
    /// <value><see cref="UtpNodeOptions.ConnectTimeout"/> by default.</value>
    public TimeSpan? Timeout { get; set; }
}
