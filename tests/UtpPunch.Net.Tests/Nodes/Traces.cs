using System.Text;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Tests;

/// <summary>What nodes record of themselves, and whether every step of it can be taken again.</summary>
public static class Traces
{
    [Fact("a recording over loopback replays with equal effects, with hashes")]
    public static Task ReplaysWithHashes() => ReplaysAsync(UtpTracePayload.Hash);

    [Fact("a recording over loopback replays with equal effects, in full")]
    public static Task ReplaysInFull() => ReplaysAsync(UtpTracePayload.Full);

    [Fact("a recording that exceeded its capacity begins with a snapshot, stays within its capacity and replays, with hashes")]
    public static Task RunsOverWithHashes() => RunsOverAsync(UtpTracePayload.Hash);

    [Fact("a recording that exceeded its capacity begins with a snapshot, stays within its capacity and replays, in full")]
    public static Task RunsOverInFull() => RunsOverAsync(UtpTracePayload.Full);

    [Fact("a trace may be written while data goes, more than once, and when the node is closed")]
    public static async Task WrittenAtAnyTime()
    {
        await using var pair = await Pair.OpenAsync(options => options.Trace = new UtpTraceOptions { Capacity = 1 << 20 });
        var moving = MoveAsync(pair.Near, pair.Far, 20_000_000);
        while (!moving.IsCompleted)
        {
            Equal(await TextAsync(pair.Client));
            Equal(await TextAsync(pair.Server));
        }

        await moving;
        pair.Client.Dispose();
        var trace = await TextAsync(pair.Client);
        Equal(trace);
        Equal(await TextAsync(pair.Client));
    }

    [Fact("a trace has foreign datagrams byte for byte")]
    public static async Task ForeignDatagrams()
    {
        await using var pair = await Pair.OpenAsync(options => options.Trace = new UtpTraceOptions());
        var heard = new TaskCompletionSource();
        pair.Server.DatagramHandler = (_, _, _) => heard.TrySetResult();
        await pair.Client.SendDatagramAsync("garbage"u8.ToArray(), pair.Server.LocalEndPoint);
        await heard.Task.Within();
        var text = await TextAsync(pair.Server);
        Equal(text);
        Check.That(text.Contains($" raw={Convert.ToHexStringLower("garbage"u8)}\n", StringComparison.Ordinal), text);
    }

    [Fact("a node that breaks down writes its trace to the file it was told")]
    public static async Task WrittenAtFault()
    {
        var path = Path.GetTempFileName();
        try
        {
            await using var pair = await Pair.OpenAsync(options => options.Trace = new UtpTraceOptions { Path = path });
            await MoveAsync(pair.Near, pair.Far, 100_000);
            pair.Server.Dispose();
            pair.Client.Socket!.Dispose();
            await pair.Near.WriteAsync(new byte[1]).AsTask().ContinueWith(_ => { }).Within();
            await Check.ThrowsAsync<UtpException>(() => pair.Client.Completion.Within());
            var text = await File.ReadAllTextAsync(path);
            Equal(text);
            Check.Equal(text, await TextAsync(pair.Client));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact("without the option there is no trace, and asking for one fails")]
    public static async Task NotRecorded()
    {
        await using var node = await Pair.BindAsync();
        await Check.ThrowsAsync<InvalidOperationException>(() => node.WriteTraceAsync(Stream.Null).AsTask());
    }

    [Fact("invalid options throw with their names")]
    public static void Options()
    {
        Check.Equal("Capacity", Refused(new UtpTraceOptions { Capacity = 1000 }));
        Check.Equal("Payload", Refused(new UtpTraceOptions { Payload = (UtpTracePayload)9 }));

        static string? Refused(UtpTraceOptions trace) =>
            Check.Throws<ArgumentOutOfRangeException>(() => UtpNode.BindAsync(new UtpNodeOptions { Trace = trace }).AsTask().Wait()).ParamName;
    }

    [Fact("every kind of event and effect is recorded as it was, in full and with hashes")]
    public static void EveryKind()
    {
        var remote = EndpointModule.local(3, EndpointModule.via(2, EndpointModule.ofIPv4(0x0A000001, 5000)));
        var packet = new byte[] { 0x01, 1, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 4, 0, 5, 0, 4, 1, 2, 3, 4, 77, 78 };
        byte[] slab = [.. packet, .. packet, .. packet.AsSpan(0, 27), .. "garbage"u8];
        var plan = new MeetPlan([remote], new Owned(new byte[32]), [remote], true, 5, 6, true, 4, PrivateAddressPolicy.Always, 7, true);
        Event[] events =
        [
            Event.NewReceived(remote, new Datagrams(slab, 0, 83, 28, 5)),
            Event.NewReceived(remote, new Datagrams(slab, 83, 7, 7, 6)),
            Event.NewReceived(remote, new Datagrams(new byte[3], 1, 0, 1, 6)),
            Event.NewConnect(2, remote, Dialect.UtpPunch, Time.never),
            Event.NewConnectSimultaneously(4, remote, Time.never, 4),
            Event.NewListen(7),
            Event.NewListenSelectively(7),
            Event.NewDecided(1, true),
            Event.Unlisten,
            Event.NewTaken(1),
            Event.NewWrite(2, new Owned(packet)),
            Event.NewConsumed(2, 9),
            Event.NewFinish(2),
            Event.NewRelease(2, 99),
            Event.NewAbort(2),
            Event.NewAbortWithCode(2, 4_000_000_000),
            Event.NewSetIdleTimeout(2, 77),
            Event.NewSetCongestionControl(2, UtpPunch.Protocol.CongestionControls.cubic),
            Event.NewUnreachable(remote),
            Event.NewTooLong(remote, 1500, 1472),
            Event.NewPortUnreachable(remote, new Owned(packet)),
            Event.NewMeet(1, plan),
            Event.NewMeetAlso(5, 1, plan),
            Event.NewPunchOffered(4, plan, new Owned(packet), new Owned(slab), true),
            Event.NewPunchLegacy(2, remote, 10),
            Event.NewDiscover(3, StunClientModule.Standard([remote])),
            Event.NewServers(1, [remote, remote]),
            Event.NewNetworkChanged([remote]),
            Event.NewLocalGone(2),
            Event.NewNat64([Nat64.wellKnown]),
            Event.NewCancel(3),
        ];
        var report = new PunchReport(
            Protocol.PunchStage.NothingHeard, remote, PathKind.Host, 0, false, remote, default, PortPrediction.Unknown, default, PortPrediction.NewDependent(1), 2, 3, 4);
        PacketModule.decode(new Borrowed(packet), out var decoded);
        Effect[] effects =
        [
            Effect.NewSend(remote, new Train(decoded.Header, BorrowedModule.keep(decoded.Sack), Owned.Empty, 0)),
            Effect.NewSend(remote, new Train(decoded.Header, Owned.Empty, new Owned(slab), 50)),
            Effect.NewSend(remote, new Train(decoded.Header, BorrowedModule.keep(decoded.Sack), ExtensionBits.probe(7, 1472), new Owned(slab), slab.Length, true)),
            Effect.NewDeliver(2, new Payload(slab, 3, 28, 2, 5)),
            Effect.NewAsked(1, remote),
            Effect.NewAccepted(1, remote, 3, false),
            Effect.NewOpened(2, 4),
            Effect.NewWritable(2, 5, 7),
            Effect.NewPacketSized(2, 1452),
            Effect.NewPathChanged(2, remote),
            Effect.NewPathLost(2),
            Effect.NewEnded(2),
            Effect.NewFinished(2),
            Effect.NewResetWithCode(2, 4_000_000_000),
            Effect.NewClosed(2, CloseReason.Refused),
            Effect.NewForeign(remote, new Borrowed(packet)),
            Effect.NewNoted(Rule.LossProbe, remote),
            Effect.NewSendDatagram(remote, new Owned(packet), 4),
            Effect.NewSendAlone(remote, 600),
            Effect.NewServerSilent(1),
            Effect.NewOpenSockets(1, 256),
            Effect.NewCloseSockets(1, 256, 7),
            Effect.NewRegistered(1, remote, PortPrediction.EndpointIndependent),
            Effect.NewIntroduced(1, remote),
            Effect.NewPunched(1, report),
            Effect.NewDiscovered(3, StunOutcome.NewFailed(StunFailure.Nonsense)),
        ];
        Check.Equal(typeof(Event.Tags).GetFields().Length, events.Select(item => item.Tag).Distinct().Count());
        Check.Equal(typeof(Effect.Tags).GetFields().Length, effects.Select(item => item.Tag).Distinct().Count());

        foreach (var full in new[] { false, true })
        {
            var seed = new Owned(new byte[32]);
            var node = new TraceNode("A", remote, NodeOptionsModule.standard, seed, 0);
            var recorder = new Recorder(1 << 16, full, node.Create());
            recorder.Begin(11, events, node.Create());
            recorder.Complete(effects, changed: true);
            recorder.Begin(12, [], node.Create());
            recorder.Complete([], changed: false);
            recorder.Begin(13, [], node.Create());
            recorder.Fault(new InvalidOperationException());
            var text = string.Concat(new Recording(recorder.Copy(), node, full).Chunks());

            var payloads = full ? TracePayloads.Full : TracePayloads.Hash;
            TraceLine[] expected =
            [
                .. TraceText.Events(payloads, null, 11, "A", 11, events),
                .. TraceText.Effects(payloads, null, 11, "A", effects),
                .. TraceText.Events(payloads, null, 13, "A", 13, []),
                TraceText.Fault(13, "A", new InvalidOperationException()),
            ];
            Check.Equal(string.Join('\n', (object[])expected), string.Join('\n', (object[])Trace.Parse(text).Lines));
        }
    }

    private static async Task ReplaysAsync(UtpTracePayload payload)
    {
        await using var pair = await Pair.OpenAsync(options => options.Trace = new UtpTraceOptions { Payload = payload });
        await Task.WhenAll(MoveAsync(pair.Near, pair.Far, 1_000_000), MoveAsync(pair.Far, pair.Near, 300_000));
        pair.Near.CompleteWrites();
        pair.Far.CompleteWrites();
        await Task.WhenAll(pair.Near.WritesClosed, pair.Far.WritesClosed).Within();
        foreach (var node in new[] { pair.Client, pair.Server })
        {
            var trace = Equal(await TextAsync(node));
            Check.That(!trace.Header.HasSnapshot("A"), "there is no snapshot");
            Check.Equal(payload == UtpTracePayload.Hash, trace.Payloads.IsHash);
        }
    }

    private static async Task RunsOverAsync(UtpTracePayload payload)
    {
        const int Capacity = 64 * 1024;
        await using var pair = await Pair.OpenAsync(options =>
        {
            // Many packets, so that there is much to record.
            options.PacketSize = 1400;
            options.Trace = new UtpTraceOptions { Payload = payload, Capacity = Capacity };
        });
        await Task.WhenAll(MoveAsync(pair.Near, pair.Far, 10_000_000), MoveAsync(pair.Far, pair.Near, 3_000_000));
        foreach (var node in new[] { pair.Client, pair.Server })
        {
            var recorded = node.Engine.Tracing.Recorder!.Copy().Sum(segment => segment.Steps.Length);
            var trace = Equal(await TextAsync(node));
            Check.That(trace.Header.HasSnapshot("A"), "there is a snapshot");

            // What a step takes is not known before.
            Check.That(recorded < (payload == UtpTracePayload.Hash ? Capacity : 40 * Capacity), $"{recorded} bytes were kept");
        }
    }

    private static async Task MoveAsync(UtpStream from, UtpStream to, int count)
    {
        var writing = WriteAsync();
        var buffer = new byte[100_000];
        for (var left = count; left > 0;)
        {
            left -= await to.ReadAsync(buffer.AsMemory(0, Math.Min(buffer.Length, left))).Within();
        }

        await writing;

        async Task WriteAsync()
        {
            var block = new byte[77_777];
            System.Random.Shared.NextBytes(block);
            for (var left = count; left > 0; left -= block.Length)
            {
                await from.WriteAsync(block.AsMemory(0, Math.Min(block.Length, left))).Within();
            }
        }
    }

    private static async Task<string> TextAsync(UtpNode node)
    {
        var text = new MemoryStream();
        await node.WriteTraceAsync(text).Within();
        return Encoding.UTF8.GetString(text.ToArray());
    }

    private static Trace Equal(string text)
    {
        var trace = Trace.Parse(text);
        Check.That(trace.IsComplete, "the trace has an end");
        var result = Replay.Run(ReplayMode.Strict, trace, null);
        Check.That(result.Divergence is null, $"{result.Divergence}");
        Check.Equal(trace.Steps.Length, result.Steps);
        Check.That(result.Steps > 0, "there are steps");
        return trace;
    }
}
