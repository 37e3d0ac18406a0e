using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// The contents of a trace, with all events of a packet in one place. Times are microseconds of the trace's first column. A lane is the
/// index of a node in <see cref="Nodes"/>; <see cref="Outside"/> is the lane of all peers that the trace has no lines of.
/// </summary>
internal sealed class TraceModel(TraceHeader header)
{
    private readonly Dictionary<string, int> _lanes = new(StringComparer.Ordinal);

    public required string File { get; init; }

    /// <summary>The first remark of the file; empty when it has none.</summary>
    public string Title => header.Title;

    /// <summary>The number of lines, the header included.</summary>
    public int Lines { get; set; }

    public TracePayloads Payloads => header.Payloads;

    public IReadOnlyList<TraceNodeLine> Nodes => header.Nodes;

    /// <summary>The lane of all peers that are not nodes of the trace.</summary>
    public int Outside => Nodes.Count;

    /// <summary>The addresses of those peers.</summary>
    public SortedSet<string> OutsideAddresses { get; } = new(StringComparer.Ordinal);

    /// <summary>In the order in which they were sent, or received where the trace does not have their sending.</summary>
    public List<Transmission> Packets { get; } = [];

    /// <summary>What is shown line by line.</summary>
    public List<TraceEvent> Events { get; } = [];

    public List<Measurement> Samples { get; } = [];

    public string NameOf(int lane) => lane < Nodes.Count ? Nodes[lane].Name : "peer";

    public string AddressOf(int lane) => lane < Nodes.Count ? Nodes[lane].Address
        : OutsideAddresses.Count == 1 ? OutsideAddresses.Min! : $"{OutsideAddresses.Count} addresses";

    public int LaneAt(string address)
    {
        // Nodes may still be added; a lane never changes.
        for (var lane = _lanes.Count; lane < Nodes.Count; lane++)
        {
            _lanes.TryAdd(Nodes[lane].Address, lane);
        }

        if (_lanes.TryGetValue(address, out var found))
        {
            return found;
        }

        OutsideAddresses.Add(address);
        return Outside;
    }
}

/// <summary>A packet, from its sending to its arrivals.</summary>
internal sealed class Transmission
{
    /// <summary>The number of the packet in the trace; 0 when it has none.</summary>
    public required long Number { get; init; }

    public required int From { get; init; }

    public required int To { get; init; }

    /// <summary>The addresses that its sender knows, or its receiver.</summary>
    public required string FromAddress { get; init; }

    public required string ToAddress { get; init; }

    /// <summary>When it was sent; null when only its arrival is known.</summary>
    public long? SentAt { get; init; }

    /// <summary>The packet as its first line has it, and the number of that line.</summary>
    public required TracePacket Packet { get; init; }

    public required int Line { get; init; }

    public List<Arrival> Deliveries { get; } = [];

    /// <summary>The scheduled arrival time of each copy.</summary>
    public List<long> Promised { get; } = [];

    /// <summary>The cause of its loss; null when it was not lost.</summary>
    public string? Lost { get; set; }

    /// <summary>How long it waited in a queue, in microseconds; null when unknown.</summary>
    public long? Queue { get; set; }

    public bool IsCorrupt { get; set; }

    /// <summary>Whether the same number was sent before.</summary>
    public bool IsAgain { get; set; }

    /// <summary>The conversation that it belongs to.</summary>
    public int Conversation { get; set; } = -1;

    /// <summary>SYN, DATA, …; RAW when the line has the bytes instead of fields.</summary>
    public string Type => TypeOf(Packet);

    public static string TypeOf(TracePacket packet) => packet.IsRaw ? "RAW" : TraceNames.PacketTypes.Name(packet.Header.Type);
}

/// <summary>A copy of a packet that was received, and the number of its line.</summary>
internal sealed record Arrival(long At, int Lane, TracePacket Packet, int Line);

/// <summary>A line of the table. `Packet` is an index or -1; `Arrival` is the index of the copy that arrives here, or -1.</summary>
internal sealed record TraceEvent(long At, int Lane, string Direction, string Kind, string Text, int Packet = -1, int Arrival = -1)
{
    public bool IsViolation => Kind == "violation";
}

/// <summary>What a stream has measured, and when.</summary>
internal sealed record Measurement(long At, int Lane, TraceSample Values)
{
    public int Conversation { get; set; } = -1;
}
