using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// What a trace tells, with each packet's life in one place. Times are microseconds of the trace's first column; a lane is the index of a
/// node in <see cref="Nodes"/>, and one more than there are nodes stands for whoever wrote no lines of his own.
/// </summary>
internal sealed class TraceModel
{
    public required string File { get; init; }

    /// <summary>The first comment of the file; empty when it has none.</summary>
    public string Title { get; set; } = "";

    /// <summary>How many lines the file has, the header included.</summary>
    public int Lines { get; set; }

    public TracePayloads Payloads { get; } = new();

    public List<TraceNode> Nodes { get; } = [];

    /// <summary>The lane of all peers that are no nodes of the trace.</summary>
    public int Outside => Nodes.Count;

    /// <summary>The addresses of those peers.</summary>
    public SortedSet<string> Strangers { get; } = new(StringComparer.Ordinal);

    /// <summary>In the order in which they were sent, or received where nobody says that they were sent.</summary>
    public List<TracePacket> Packets { get; } = [];

    /// <summary>What a person wants to read, line by line.</summary>
    public List<TraceEvent> Events { get; } = [];

    public List<TraceSample> Samples { get; } = [];

    public string NameOf(int lane) => lane < Nodes.Count ? Nodes[lane].Name : "peer";

    public string AddressOf(int lane) => lane < Nodes.Count ? Nodes[lane].Address
        : Strangers.Count == 1 ? Strangers.Min! : $"{Strangers.Count} addresses";

    public int LaneAt(string address)
    {
        var lane = Nodes.FindIndex(node => node.Address == address);
        if (lane < 0)
        {
            Strangers.Add(address);
        }

        return lane < 0 ? Outside : lane;
    }
}

/// <summary>A node of the header, and where it is.</summary>
internal sealed record TraceNode(string Name, string Address);

/// <summary>A datagram as one `pkt` line has it.</summary>
internal sealed record TraceDatagram
{
    /// <summary>The number of the line.</summary>
    public required int Line { get; init; }

    /// <summary>SYN, DATA, …; RAW when the fields could not express the bytes.</summary>
    public required string Type { get; init; }

    /// <summary>Without meaning for RAW.</summary>
    public Header Header { get; init; }

    public int Length { get; init; }

    /// <summary>The selective acknowledgement in hexadecimal digits; empty for none.</summary>
    public string Sack { get; init; } = "";

    /// <summary>The extension bits; 0 for none.</summary>
    public ulong Bits { get; init; }

    /// <summary>Whether it went out without DF.</summary>
    public bool MayFragment { get; init; }

    /// <summary>What the line says of the payload; null when it says nothing.</summary>
    public string? Payload { get; init; }

    /// <summary>The whole datagram in hexadecimal digits; null unless it is RAW.</summary>
    public string? Raw { get; init; }

    public bool IsRaw => Raw is not null;

    /// <summary>Whether it takes a sequence number, so that the same one twice means: sent again.</summary>
    public bool TakesNumber => Type is "DATA" or "FIN" or "SYN";
}

/// <summary>A packet through its life.</summary>
internal sealed class TracePacket
{
    /// <summary>The number by which the trace follows it; 0 when it does not.</summary>
    public required long Number { get; init; }

    public required int From { get; init; }

    public required int To { get; init; }

    /// <summary>The addresses that its sender knows, or its receiver.</summary>
    public required string FromAddress { get; init; }

    public required string ToAddress { get; init; }

    /// <summary>When it was sent; null when only its arrival is known.</summary>
    public long? SentAt { get; init; }

    public required TraceDatagram Datagram { get; init; }

    public List<TraceArrival> Arrivals { get; } = [];

    /// <summary>When it will arrive, as the world says, once for each copy.</summary>
    public List<long> Promised { get; } = [];

    /// <summary>Why it was lost; null when it was not.</summary>
    public string? Lost { get; set; }

    /// <summary>How long it waited in a queue, in microseconds; null when nobody says.</summary>
    public long? Queue { get; set; }

    public bool IsCorrupt { get; set; }

    /// <summary>Whether the same number was sent before.</summary>
    public bool IsAgain { get; set; }

    /// <summary>Which conversation it belongs to.</summary>
    public int Conversation { get; set; } = -1;

    /// <summary>When it is first heard of.</summary>
    public long Start => SentAt ?? Arrivals[0].At;
}

/// <summary>A copy of a packet that was received.</summary>
internal sealed record TraceArrival(long At, int Lane, TraceDatagram Datagram);

/// <summary>A line for the table. `Packet` is an index or -1, `Arrival` which of its copies arrives here, or -1.</summary>
internal sealed record TraceEvent(long At, int Lane, string Direction, string Kind, string Text, int Packet = -1, int Arrival = -1)
{
    public bool IsViolation => Kind == "violation";
}

/// <summary>What a stream measured.</summary>
internal sealed record TraceSample
{
    public required long At { get; init; }

    public required int Lane { get; init; }

    public required long Stream { get; init; }

    public required long Window { get; init; }

    public required long Flight { get; init; }

    public required long RoundTrip { get; init; }

    public required long Timeout { get; init; }

    public required long Delay { get; init; }

    public required long Target { get; init; }

    public required long PeerWindow { get; init; }

    public required long Unread { get; init; }

    public int Conversation { get; set; } = -1;
}
