using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// Assigns packets to streams. The ids of a stream's two directions differ by one; a SYN carries the lower one (BEP 29), or the one that
/// its sender keeps (utp-punch).
/// </summary>
internal sealed class TraceConversations(TraceModel model)
{
    private readonly Dictionary<(string From, string To, ushort Id), int> _flows = [];
    private readonly Dictionary<(int Lane, long Stream), int> _streams = [];
    private readonly Dictionary<int, long> _dialling = [];
    private readonly List<(int Lane, long Stream, int First)> _dialled = [];
    private readonly List<(int Lane, long Stream, string From, ushort Id)> _accepted = [];
    private int _count;

    /// <summary>A stream is opened or accepted; its packets follow.</summary>
    public void Hear(TraceLine line, int lane)
    {
        if (line.Direction == "in" && line.Kind == "connect")
        {
            _dialling[lane] = line.Number("c");
        }
        else if (line.Direction == "out" && line.Kind == "accepted"
            && TraceText.ParseEffect(model.Payloads, line) is Effect.Accepted accepted)
        {
            var from = TraceText.Endpoint(accepted.remote);
            _accepted.Add((lane, accepted.connId, Side(model.LaneAt(from), from), accepted.connectionId));
        }
    }

    /// <summary>A packet is sent: the next one of the model.</summary>
    public void Hear(Transmission packet)
    {
        if (packet.Type == "SYN" && !packet.IsAgain && _dialling.Remove(packet.From, out var stream))
        {
            _dialled.Add((packet.From, stream, model.Packets.Count));
        }
    }

    /// <summary>Sets the conversation of every packet and sample.</summary>
    public void Assign()
    {
        var packets = model.Packets.Where(packet => !packet.Packet.IsRaw).ToList();
        var known = packets.Select(Flow).ToHashSet();
        foreach (var packet in packets.Where(packet => packet.Type == "SYN"))
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
            sample.Conversation = _streams.GetValueOrDefault((sample.Lane, sample.Values.Stream), _count == 1 ? 0 : -1);
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

    private (string From, string To, ushort Id) Flow(Transmission packet) =>
        (Side(packet.From, packet.FromAddress), Side(packet.To, packet.ToAddress), packet.Packet.Header.ConnectionId);

    // A node has one name, and may have several addresses.
    private string Side(int lane, string address) => lane == model.Outside ? address : model.Nodes[lane].Name;
}
