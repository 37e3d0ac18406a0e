namespace UtpPunch;

/// <summary>
/// What a node records: the inputs and outputs of its protocol, with which every step can be repeated (<c>utp replay</c>;
/// docs/utrace.md is the format). The recording is kept in memory, and its oldest part is dropped when it is full. It is written by
/// <see cref="UtpNode.WriteTraceAsync"/>, and when the node fails.
/// </summary>
/// <example><code>
/// var options = new UtpNodeOptions { Trace = new UtpTraceOptions { Path = "node-failed.utrace" } };
/// </code></example>
public sealed class UtpTraceOptions
{
    /// <summary>Gets or sets what is recorded of the bytes that streams carry.</summary>
    /// <value>The default is <see cref="UtpTracePayload.Hash"/>: it costs little, and the trace discloses no contents.</value>
    public UtpTracePayload Payload { get; set; } = UtpTracePayload.Hash;

    /// <summary>Gets or sets the size of the recording, in bytes. With hashes, a packet takes about 50 bytes. The states of the node at the beginning of each
    /// part, and the data in flight at those times, come on top of it.</summary>
    /// <value>The default is 16 MiB. The range is 64 KiB to 1 GiB.</value>
    public int Capacity { get; set; } = 16 << 20;

    /// <summary>Gets or sets the file that is written when the node fails. An existing file is replaced.</summary>
    /// <value>The default is <see langword="null"/>: no file is written.</value>
    public string? Path { get; set; }
}

/// <summary>What a trace has of the bytes that streams carry.</summary>
public enum UtpTracePayload
{
    /// <summary>A hash for each packet, and none of its bytes. The hash of a long payload is one of samples: it tells packets apart, and
    /// does not prove their contents.</summary>
    Hash = 0,

    /// <summary>All bytes.</summary>
    Full = 1,
}
