namespace UtpPunch;

/// <summary>
/// What a node records of itself: everything that its protocol was told and did, from which every step can be taken again
/// (<c>utp replay</c>; docs/utrace.md has the format). The recording lies in memory, the oldest part is dropped when it is full, and it is
/// written when <see cref="UtpNode.WriteTraceAsync"/> says so, or when the node breaks down.
/// </summary>
public sealed class UtpTraceOptions
{
    /// <summary>What is recorded of the bytes that streams carry.</summary>
    /// <value>The default is <see cref="UtpTracePayload.Hash"/>: it costs little, and a trace can be shown to others.</value>
    public UtpTracePayload Payload { get; set; } = UtpTracePayload.Hash;

    /// <summary>How many bytes the recording takes at most. With hashes, a packet takes about 50. The states of the node that it begins
    /// with, and the data that was under way at those moments, come on top of it.</summary>
    /// <value>The default is 16 MiB. The range is 64 KiB to 1 GiB.</value>
    public int Capacity { get; set; } = 16 << 20;

    /// <summary>The file that is written when the node breaks down, and replaced if it is there.</summary>
    /// <value>The default is <see langword="null"/>: no file is written.</value>
    public string? Path { get; set; }
}

/// <summary>What a trace has of the bytes that streams carry.</summary>
public enum UtpTracePayload
{
    /// <summary>A hash for each packet, and none of its bytes. Of a long payload it takes samples: it tells packets apart, and proves no
    /// content.</summary>
    Hash = 0,

    /// <summary>All of them.</summary>
    Full = 1,
}
