using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// Which packets belong to one stream. Its two directions differ by one in their ids, and a SYN carries its sender's lower one (BEP 29) or
/// the one that he keeps (utp-punch).
/// </summary>
internal sealed class TraceConversations(TraceModel model)
{
    private readonly Dictionary<(string From, string To, ushort Id), int> _flows = [];
    private readonly Dictionary<(int Lane, long Stream), int> _streams = [];
    private readonly Dictionary<int, long> _dialling = [];
    private readonly List<(int Lane, long Stream, int First)> _dialled = [];
    private readonly List<(int Lane, long Stream, string From, ushort Id)> _accepted = [];
    private int _count;

    /// <summary>A stream is opened or accepted: its packets are soon to come.</summary>
    public void Hear(TraceLine line, int lane)
    {
        if (line.Kind == "connect")
        {
            _dialling[lane] = line.Number("c");
        }
        else if (line.Kind == "accepted" && line.Find("from") is { } from)
        {
            _accepted.Add((lane, line.Number("c"), Side(model.LaneAt(from), from), (ushort)line.Number("id")));
        }
    }

    /// <summary>A packet goes out, as the next one of the model.</summary>
    public void Hear(TracePacket packet)
    {
        if (packet.Datagram.Type == "SYN" && !packet.IsAgain && _dialling.Remove(packet.From, out var stream))
        {
            _dialled.Add((packet.From, stream, model.Packets.Count));
        }
    }

    /// <summary>Says of each packet and each sample where it belongs.</summary>
    public void Assign()
    {
        var packets = model.Packets.Where(packet => !packet.Datagram.IsRaw).ToList();
        var known = packets.Select(Flow).ToHashSet();
        foreach (var packet in packets.Where(packet => packet.Datagram.Type == "SYN"))
        {
            Open(Flow(packet), known);
        }

        foreach (var packet in packets)
        {
            packet.Conversation = Join(Flow(packet));
        }

        foreach (var (lane, stream, first) in _dialled)
        {
            _streams[(lane, stream)] = model.Packets[first].Conversation;
        }

        foreach (var (lane, stream, from, id) in _accepted)
        {
            var to = Side(lane, "");
            _streams[(lane, stream)] = _flows.GetValueOrDefault((from, to, id), _flows.GetValueOrDefault((to, from, id), -1));
        }

        foreach (var sample in model.Samples)
        {
            sample.Conversation = _streams.GetValueOrDefault((sample.Lane, sample.Stream), _count == 1 ? 0 : -1);
        }
    }

    private void Open((string From, string To, ushort Id) syn, HashSet<(string From, string To, ushort Id)> known)
    {
        if (_flows.ContainsKey(syn))
        {
            return;
        }

        var next = (ushort)(syn.Id + 1);
        var keepsItsId = known.Contains((syn.To, syn.From, next)) && !known.Contains((syn.To, syn.From, syn.Id));
        _flows[syn] = _count;
        _flows.TryAdd(keepsItsId ? (syn.To, syn.From, next) : (syn.From, syn.To, next), _count);
        _flows.TryAdd(keepsItsId ? syn : (syn.To, syn.From, syn.Id), _count);
        _count++;
    }

    private int Join((string From, string To, ushort Id) flow)
    {
        if (_flows.TryGetValue(flow, out var found)
            || _flows.TryGetValue((flow.To, flow.From, (ushort)(flow.Id - 1)), out found)
            || _flows.TryGetValue((flow.To, flow.From, (ushort)(flow.Id + 1)), out found))
        {
            _flows[flow] = found;
            return found;
        }

        return _flows[flow] = _count++;
    }

    private (string From, string To, ushort Id) Flow(TracePacket packet) =>
        (Side(packet.From, packet.FromAddress), Side(packet.To, packet.ToAddress), packet.Datagram.Header.ConnectionId);

    // A node is the same behind every address that it is given.
    private string Side(int lane, string address) => lane == model.Outside ? address : model.Nodes[lane].Name;
}
