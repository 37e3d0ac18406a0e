using System.Diagnostics;
using UtpPunch.Protocol;

namespace UtpPunch.Bench;

/// <summary>A path: losses and reordering per thousand packets; and whether both ends record a trace with hashes.</summary>
internal sealed record Course(int Lost = 0, int Reordered = 0, bool IsRecorded = false);

/// <summary>Per data packet that arrived: nanoseconds of both ends together, of each end's steps, and bytes of garbage.</summary>
internal readonly record struct CoreTurn(double Nanoseconds, double Sender, double Receiver, double Garbage);

/// <summary>A train, the events with which it arrives, and the receiving node.</summary>
internal sealed record Arrival(long Now, Event[] Events, Train Train, Node Receiver);

/// <summary>The core alone: two nodes in memory, one stream, bulk data in 1400-byte packets. Both ends are counted, with every packet encoded,
/// copied once (as by the kernel) and decoded. The garbage is the core's: the driver reuses its buffers.</summary>
internal sealed class CoreBench
{
    private const int PayloadSize = 1380;
    private const int ChunkSize = 46 * PayloadSize;

    // Microseconds between steps.
    private const long Pause = 20;

    private static readonly Endpoint s_a = Endpoint(1);
    private static readonly Endpoint s_b = Endpoint(2);

    // The packet size of the budget; path MTU discovery is off.
    private static readonly NodeOptions s_options = WithPackets(NodeOptionsModule.standard, 1400);

    private readonly byte[] _chunk = new byte[ChunkSize];
    private readonly List<Event> _toA = [];
    private readonly List<Event> _toB = [];
    private Node _a = NodeModule.Create(s_options, new Owned(Enumerable.Repeat((byte)1, 32).ToArray()), 0);
    private Node _b = NodeModule.Create(s_options, new Owned(Enumerable.Repeat((byte)2, 32).ToArray()), 0);
    private readonly Recorder? _recorderA;
    private readonly Recorder? _recorderB;
    private long _now;
    private int _room = NodeOptionsModule.standard.Bep29.SendBuffer;
    private long _delivered;

    private readonly PacketPath _there;
    private readonly PacketPath _here;
    private long _ticksOfA;
    private long _ticksOfB;
    private bool _wantsArrival;
    private Arrival? _arrival;

    private CoreBench(Course course)
    {
        _there = new PacketPath(course, seed: 1);
        _here = new PacketPath(course, seed: 2);
        if (course.IsRecorded)
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
            it.SendBuffer, it.MaxSendBuffer, it.ReceiveBuffer, it.MaxReceiveBuffer, size, size, it.PacketWindow, it.MaxPacketWindow,
            it.ReorderWindow, it.GiveUpAfter, it.IdleTimeout, it.KeepAlive, it.Migrates, it.InitialRto, it.MinRto, it.MaxRto, it.TargetDelay,
            it.Congestion, it.NoDelay);
        return new NodeOptions(
            node.Dialect, node.MaxConnections, node.MaxPerAddress, node.MaxHalfOpen, node.ReceiveBudget, node.HalfOpenTimeout, streams,
            node.UtpPunch);
    }

    private static Endpoint Endpoint(uint address) => EndpointModule.ofIPv4(address, 5000);

    /// <summary>Sends bulk data over a path, after a warm-up of the same length.</summary>
    public static CoreTurn Run(TimeSpan time, Course course)
    {
        var bench = new CoreBench(course);
        bench.Open();
        bench.Pump(time);
        var before = bench._delivered;
        (bench._ticksOfA, bench._ticksOfB) = (0, 0);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var started = Stopwatch.GetTimestamp();
        bench.Pump(time);
        var elapsed = Stopwatch.GetElapsedTime(started);
        var garbage = GC.GetAllocatedBytesForCurrentThread() - allocated;
        var packets = (bench._delivered - before) / (double)PayloadSize;
        return new CoreTurn(
            elapsed.TotalNanoseconds / packets,
            Nanoseconds(bench._ticksOfA) / packets,
            Nanoseconds(bench._ticksOfB) / packets,
            garbage / packets);

        static double Nanoseconds(long ticks) => ticks * 1e9 / Stopwatch.Frequency;
    }

    /// <summary>A full train, and the receiver before it arrives.</summary>
    public static Arrival Capture()
    {
        var bench = new CoreBench(new Course());
        bench.Open();
        bench.Pump(100 * ChunkSize);
        bench._wantsArrival = true;
        while (bench._arrival is null)
        {
            bench.Pump(ChunkSize);
        }

        return bench._arrival;
    }

    private void Open()
    {
        StepB(Event.NewListen(16));
        StepA(Event.NewConnect(0, s_b, Dialect.Bep29, 60_000_000));
    }

    private void Pump(TimeSpan time)
    {
        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < time)
        {
            Pump(100 * ChunkSize);
        }
    }

    private void Pump(long bytes)
    {
        var until = _delivered + bytes;

        while (_delivered < until)
        {
            while (_room >= ChunkSize)
            {
                _room -= ChunkSize;
                _toA.Add(Event.NewWrite(0, new Owned(_chunk)));
            }

            // Nothing is in flight: the clock goes to the next deadline.
            var idle = _toA.Count == 0 && _toB.Count == 0;
            _now = idle ? Math.Max(_now + Pause, Math.Min(NodeModule.Deadline(_a), NodeModule.Deadline(_b))) : _now + Pause;
            StepA();
            if (_toB.Count > 0 || NodeModule.Deadline(_b) <= _now)
            {
                StepB();
            }
        }
    }

    // A's trains reach B at once; B's reach A in A's next step.
    private void StepA(Event? first = null)
    {
        var started = Stopwatch.GetTimestamp();
        var effects = Step(ref _a, _recorderA, _toA, first);
        _ticksOfA += Stopwatch.GetTimestamp() - started;
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case Effect.Send send:
                    _there.Carry(send.train, s_a, _now, _toB);
                    if (_wantsArrival && send.train.Count == ChunkSize / PayloadSize)
                    {
                        _wantsArrival = false;
                        _arrival = new Arrival(_now, [PacketPath.Kept(send.train, s_a, _now)], send.train, _b);
                    }

                    if (_toB.Count > 0)
                    {
                        StepB();
                    }

                    break;
                case Effect.Writable writable:
                    _room = writable.room;
                    break;
            }
        }
    }

    private void StepB(Event? first = null)
    {
        var started = Stopwatch.GetTimestamp();
        var effects = Step(ref _b, _recorderB, _toB, first);
        _ticksOfB += Stopwatch.GetTimestamp() - started;
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case Effect.Send send:
                    _here.Carry(send.train, s_b, _now, _toA);
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
}
