using System.Diagnostics;
using UtpPunch.Protocol;

namespace UtpPunch.Bench;

/// <summary>The core alone: two nodes in memory, one stream, bulk data in 1400-byte packets. Counted are both ends together, with
/// every packet encoded, copied once (as the kernel would) and decoded; the garbage is the core's, since the driver reuses its
/// own buffers.</summary>
internal sealed class CoreBench
{
    private const int ChunkSize = 46 * 1380;

    private static readonly Endpoint s_a = Endpoint(1);
    private static readonly Endpoint s_b = Endpoint(2);

    // The size that the budget is for; nothing larger is searched for.
    private static readonly NodeOptions s_options = WithPackets(NodeOptionsModule.standard, 1400);

    private readonly byte[] _chunk = new byte[ChunkSize];
    private readonly byte[][] _slabs = [.. Enumerable.Range(0, 4).Select(_ => new byte[65536])];
    private readonly List<Event> _toA = [];
    private readonly List<Event> _toB = [];
    private Node _a = NodeModule.Create(s_options, new Bytes(Enumerable.Repeat((byte)1, 32).ToArray()), 0);
    private Node _b = NodeModule.Create(s_options, new Bytes(Enumerable.Repeat((byte)2, 32).ToArray()), 0);
    private readonly Recorder? _recorderA;
    private readonly Recorder? _recorderB;
    private long _now;
    private int _slab;
    private int _room = NodeOptionsModule.standard.Bep29.SendBuffer;
    private long _packets;
    private long _delivered;

    private CoreBench(bool recorded)
    {
        if (recorded)
        {
            var capacity = new UtpTraceOptions().Capacity;
            _recorderA = new Recorder(capacity, full: false, _a);
            _recorderB = new Recorder(capacity, full: false, _b);
        }
    }

    private static NodeOptions WithPackets(NodeOptions node, int size)
    {
        var it = node.Bep29;
        var streams = new StreamOptions(
            it.SendBuffer, it.ReceiveBuffer, size, size, it.PacketWindow, it.GiveUpAfter, it.IdleTimeout, it.KeepAlive, it.InitialRto,
            it.MinRto, it.MaxRto, it.TargetDelay, it.NoDelay);
        return new NodeOptions(
            node.Dialect, node.MaxConnections, node.MaxHalfOpen, node.HalfOpenTimeout, streams, node.UtpPunch);
    }

    private static Endpoint Endpoint(uint address) => EndpointModule.ofIPv4(address, 5000);

    /// <summary>Sends that many bytes and gives nanoseconds and bytes of garbage a data packet. Both ends may be recorded, with
    /// hashes.</summary>
    public static (double Nanoseconds, double Garbage, long Packets) Run(long bytes, bool recorded)
    {
        var bench = new CoreBench(recorded);
        bench.Open();
        bench.Pump(bytes / 10);
        bench._packets = 0;
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var started = Stopwatch.GetTimestamp();
        bench.Pump(bytes);
        var elapsed = Stopwatch.GetElapsedTime(started);
        var garbage = GC.GetAllocatedBytesForCurrentThread() - allocated;
        return (elapsed.TotalNanoseconds / bench._packets, (double)garbage / bench._packets, bench._packets);
    }

    private void Open()
    {
        StepB(Event.NewListen(16));
        StepA(Event.NewConnect(0, s_b, Dialect.Bep29, 60_000_000));
    }

    private void Pump(long bytes)
    {
        var until = _delivered + bytes;

        while (_delivered < until)
        {
            while (_room >= ChunkSize)
            {
                _room -= ChunkSize;
                _toA.Add(Event.NewWrite(0, new Bytes(_chunk)));
            }

            _now += 20;
            StepA();
        }
    }

    // Each train that A sends reaches B at once; what B sends waits for A's next step.
    private void StepA(Event? first = null)
    {
        foreach (var effect in Step(ref _a, _recorderA, _toA, first))
        {
            switch (effect)
            {
                case Effect.Send send:
                    Carry(send.train, s_a, _toB);
                    StepB();
                    break;
                case Effect.Writable writable:
                    _room = writable.room;
                    break;
            }
        }
    }

    private void StepB(Event? first = null)
    {
        foreach (var effect in Step(ref _b, _recorderB, _toB, first))
        {
            switch (effect)
            {
                case Effect.Send send:
                    Carry(send.train, s_b, _toA);
                    break;
                case Effect.Deliver deliver:
                    _delivered += deliver.payload.Length;
                    _toB.Add(Event.NewConsumed(deliver.connId, deliver.payload.Length));
                    break;
                case Effect.Accepted accepted:
                    _toB.Add(Event.NewTaken(accepted.connId));
                    break;
            }
        }
    }

    private Effect[] Step(ref Node node, Recorder? recorder, List<Event> events, Event? first)
    {
        if (first is not null)
        {
            events.Add(first);
        }

        var batch = events.ToArray();
        events.Clear();
        var before = node;
        recorder?.Begin(_now, batch, before);
        (node, var effects) = NodeModule.Step(_now, batch, before);
        recorder?.Complete(effects, !ReferenceEquals(node, before));
        return effects;
    }

    private void Carry(Train train, Endpoint from, List<Event> target)
    {
        var slab = _slabs[_slab++ % _slabs.Length];
        var length = 0;

        for (var index = 0; index < train.Count; index++)
        {
            length += train.Write(index, slab.AsSpan(length));
        }

        _packets += train.Header.Type == PacketType.Data ? train.Count : 0;
        target.Add(Event.NewReceived(from, new Datagrams(slab, 0, length, train.LengthOf(0), _now)));
    }
}
