using System.Text;
using UtpPunch.Protocol;
using UtpPunch.Tracing;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Traces of real sockets against a real peer, over a path that loses and reorders.</summary>
public static class Traces
{
    [Fact("a mebibyte each way with utp-native over a bad path replays with equal effects, with hashes", Timeout = 400, Parallel = true)]
    public static Task NativeWithHashes() => NativeAsync(UtpTracePayload.Hash);

    [Fact("a mebibyte each way with utp-native over a bad path replays with equal effects, in full", Timeout = 400, Parallel = true)]
    public static Task NativeInFull() => NativeAsync(UtpTracePayload.Full);

    [Fact("utp replay ends with code 0 when everything is equal, and with 1 and a report otherwise")]
    public static async Task Tool()
    {
        await using var node = await BindAsync(NpmPeer.Native, new UtpTraceOptions());
        using var peer = await NpmPeer.ServeAsync(NpmPeer.Native, "exchange", 10_000, TheirSeed);
        await using var stream = await DialAsync(node, NpmPeer.Native, peer.EndPoint);
        await Transfers.ExchangeAsync(stream, peer, NpmPeer.Native, 10_000);
        var text = await TextAsync(node);
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, text);
            Check.That((await RunAsync($"replay {file}", 0)).StartsWith("equal: ", StringComparison.Ordinal));
            Check.Equal(Body(text), Body(await RunAsync($"replay --mode inputs-only {file}", 0)));

            var lines = text.Split('\n');
            var place = Array.FindIndex(lines, line => line.Contains(" out opened", StringComparison.Ordinal));
            await File.WriteAllTextAsync(file, string.Join('\n', lines[..place].Concat(lines[(place + 1)..^2])) + "\n");
            var report = await RunAsync($"replay {file} --mode semantic", 1);
            Check.That(report.Contains("kind: pkt -> opened", StringComparison.Ordinal), report);

            await File.WriteAllTextAsync(file, "#utrace 9\n");
            await RunAsync($"replay {file}", 1);
            await RunAsync($"replay {file}.none", 1);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static async Task NativeAsync(UtpTracePayload payload)
    {
        // Large enough for everything.
        await using var node = await BindAsync(NpmPeer.Native, new UtpTraceOptions { Payload = payload, Capacity = 64 << 20 });
        using var peer = await NpmPeer.ServeAsync(NpmPeer.Native, "exchange", Mebibyte, TheirSeed);
        using var relay = new UdpRelay(peer.EndPoint, Transfers.Bad, Transfers.Bad, 7);
        await using var stream = await DialAsync(node, NpmPeer.Native, relay.EndPoint);
        await Transfers.ExchangeAsync(stream, peer, NpmPeer.Native);
        var trace = Trace.Parse(await TextAsync(node));
        var result = Replay.Run(ReplayMode.Strict, trace, null);
        Check.That(result.Divergence is null, $"{result.Divergence}");
        Check.That(trace.IsComplete && !trace.Header.HasSnapshot("A"), "it is whole");
        Check.That(result.Lines > 1000, $"{result.Lines} lines");
    }

    // Without the header and the end, and the hashes of sent payloads, which a replay cannot know.
    private static string Body(string text) =>
        string.Concat(text.Split('\n').Where(line => line.Length > 0 && line[0] != '#').Select(line => line.Split(" pay=")[0] + "\n"));

    private static async Task<string> RunAsync(string words, int code)
    {
        using var tool = ToolProcess.Start(words);
        if (code != 0)
        {
            await tool.FailAsync(code);
        }

        return Encoding.UTF8.GetString(await tool.OutputAsync());
    }

    private static async Task<string> TextAsync(UtpNode node)
    {
        var text = new MemoryStream();
        await node.WriteTraceAsync(text);
        return Encoding.UTF8.GetString(text.ToArray());
    }
}
