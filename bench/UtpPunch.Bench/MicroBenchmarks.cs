using BenchmarkDotNet.Attributes;
using UtpPunch.Protocol;

namespace UtpPunch.Bench;

/// <summary>Packets, trains and steps of the core.</summary>
public class MicroBenchmarks
{
    private const int Keys = 1000;

    private const int Runs = 2000;
    private const long AcknowledgedAt = 20_000;
    private static readonly Rtt s_rtt = RttModule.observe(40_000, RttModule.none);

    private readonly byte[] _target = new byte[65536];
    private readonly Arrival _arrival = CoreBench.Capture();
    private readonly Recorder _recorder;
    private readonly Effect[] _effects;
    private readonly Sender _sender = Started();
    private Borrowed _packet;
    private Header _header;
    private Owned _payload;
    private Radix<string> _map = Radix.empty<string>();

    // 2000 packets of a write each, of which the first of every 32 is missing.
    private static Sender Started()
    {
        var sender = SenderModule.create(StreamOptionsModule.bep29, new SeqNr(1));
        SenderModule.lengthen(Runs, sender);
        SenderModule.advertise(int.MaxValue, 0, true, sender);
        for (var index = 0; index < Runs; index++)
        {
            SenderModule.write(new Owned(new byte[100]), sender);
            SenderModule.sendNew(index, int.MaxValue, sender);
        }

        SenderModule.acknowledge(AcknowledgedAt, s_rtt, new SeqNr(0), Ranges(31), true, true, sender);
        return sender;
    }

    private static Borrowed Ranges(int last)
    {
        var bytes = new byte[4 * SackRanges.Most];
        for (var range = 0; range < SackRanges.Most; range++)
        {
            var first = 2 + (32 * range);
            bytes[4 * range] = (byte)(first >> 8);
            bytes[(4 * range) + 1] = (byte)first;
            bytes[(4 * range) + 3] = (byte)(range == SackRanges.Most - 1 ? last - 15 : 31);
        }

        return new Borrowed(bytes);
    }

    public MicroBenchmarks()
    {
        var train = _arrival.Train;
        _header = train.Header;
        _payload = train.Payload.Slice(0, train.PacketSize);
        _packet = new Borrowed(_target, 0, train.Write(0, _target));
        _recorder = new Recorder(new UtpTraceOptions().Capacity, full: false, _arrival.Receiver);
        (_, _effects) = NodeModule.Step(_arrival.Now, _arrival.Events, _arrival.Receiver);
        for (var key = 0; key < Keys; key++)
        {
            _map = Radix.add(key, "value", _map);
        }
    }

    [Benchmark(Description = "PacketModule.decode")]
    public Malformed Decode() => PacketModule.decode(_packet, out _);

    [Benchmark(Description = "PacketModule.encode, 1380 bytes")]
    public int Encode() => PacketModule.encode(in _header, default, 0, _payload, _target);

    [Benchmark(Description = "Train.Write, 46 packets")]
    public int WriteTrain()
    {
        var length = 0;
        for (var index = 0; index < _arrival.Train.Count; index++)
        {
            length += _arrival.Train.Write(index, _target.AsSpan(length));
        }

        return length;
    }

    /// <summary>An acknowledgement of 63 ranges, of which the last has grown, with 2000 runs outstanding: at most 20 µs.</summary>
    [Benchmark(Description = "SenderModule.acknowledge, 2000 runs")]
    public object Acknowledge()
    {
        var sender = SenderModule.copy(_sender);
        SenderModule.acknowledge(AcknowledgedAt, s_rtt, new SeqNr(0), Ranges(32), true, true, sender);
        return sender;
    }

    [Benchmark(Description = "Radix.tryFind of 1000")]
    public Microsoft.FSharp.Core.FSharpValueOption<string> Find() => Radix.tryFind(517, _map);

    [Benchmark(Description = "Radix.add to 1000")]
    public object Add() => Radix.add(Keys, "value", _map);

    /// <summary>The node is a value, so the same train can arrive any number of times.</summary>
    [Benchmark(Description = "Node.step, 46 packets arrive")]
    public object Receive()
    {
        var (node, _) = NodeModule.Step(_arrival.Now, _arrival.Events, _arrival.Receiver);
        return node;
    }

    [Benchmark(Description = "Node.step, a tick with nothing due")]
    public object Tick()
    {
        var (node, _) = NodeModule.Step(_arrival.Now, [], _arrival.Receiver);
        return node;
    }

    [Benchmark(Description = "Recorder, the step with 46 packets")]
    public void Record()
    {
        _recorder.Begin(_arrival.Now, _arrival.Events, _arrival.Receiver);
        _recorder.Complete(_effects, changed: true);
    }
}
