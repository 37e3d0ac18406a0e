using System.Text.Json;
using System.Text.RegularExpressions;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>What the tool reports beside its data: `--verbose`, `--stats`, `--json`, `--trace`, colours.</summary>
public static class ToolReports
{
    [Fact("utp cat --verbose reports the stream, and --stats its figures, on standard error", Parallel = true)]
    public static async Task VerboseCat()
    {
        using var listener = await ToolProcess.ListenAsync("--stats");
        using var dialler = ToolProcess.Dial(listener.EndPoint, "-v");
        listener.EndInput();
        await dialler.SayAsync(PeerNoise.Bytes(OurSeed, 50_000));
        Check.Equal(0, await dialler.ExitAsync());
        Check.Equal(0, await listener.ExitAsync());
        Check.Equal(Of(OurSeed, 50_000), await listener.DigestAsync());
        var log = dialler.ErrorOutput.Split('\n');
        Check.That(log.All(line => line.StartsWith("utp: ", StringComparison.Ordinal)), dialler.ErrorOutput);
        Check.That(log.Any(line => Regex.IsMatch(line, $"^utp: Stream \\d+ with {listener.EndPoint} is open; opened by the peer: False$")), dialler.ErrorOutput);
        var statistics = listener.ErrorOutput.Split('\n');
        Check.Equal(3, statistics.Length, listener.ErrorOutput);
        Check.That(Regex.IsMatch(statistics[0], @"^sent 0 bytes, 0\.00 MB/s: \d+ packets, \d+ retransmissions, 0 bytes lost, \d+ timeouts$"), statistics[0]);
        Check.That(Regex.IsMatch(statistics[1], @"^received 50000 bytes, [\d.]+ MB/s: \d+ packets, \d+ duplicates$"), statistics[1]);
        Check.That(Regex.IsMatch(statistics[2], @"^round trip [\d.]+ ms, queueing delay [\d.]+ ms, packets of \d+ bytes; [\d.]+ s with 127\.0\.0\.1:\d+$"), statistics[2]);
    }

    [Fact("utp cat --json reports the figures as JSON on standard error, also of a stream that fails", Parallel = true)]
    public static async Task CatStatistics()
    {
        using var listener = await ToolProcess.ListenAsync("--json --timeout 2");
        using var dialler = ToolProcess.Dial(listener.EndPoint);
        await dialler.SayAsync(PeerNoise.Bytes(OurSeed, 50_000), end: false);
        await listener.DigestAsync(length: 50_000);
        dialler.Kill();
        Check.Equal(5, await listener.ExitAsync());
        var seen = JsonDocument.Parse(listener.ErrorOutput.Split('\n')[0]).RootElement;
        Check.Equal("ended", seen.GetProperty("event").GetString());
        Check.Equal(50_000, seen.GetProperty("bytesReceived").GetInt64());
        Check.Equal(0, seen.GetProperty("bytesSent").GetInt64());
        Check.That(seen.GetProperty("seconds").GetDouble() >= 1.9, "the time until it was given up");
    }

    [Fact("utp cat --verbose reports a meeting; utp punch --trace and utp stun --trace write traces that replay", Parallel = true)]
    public static async Task Meeting()
    {
        using var files = new TraceFiles();
        using var server = await ToolProcess.IntroduceAsync("--stun");
        var meet = $"--rendezvous {server.EndPoint} --room den";
        using var one = ToolProcess.Start($"cat {meet} -v");
        using var other = ToolProcess.Start($"cat {meet} --verbose");
        await one.SayAsync("hello"u8.ToArray());
        other.EndInput();
        Check.Equal(0, await one.ExitAsync());
        Check.Equal(0, await other.ExitAsync());
        Check.Equal("hello", await other.TextAsync());
        foreach (var said in new[] { "utp: registered as 127.0.0.1:", "utp: introduced to 127.0.0.1:", "utp: A punch has found a path to " })
        {
            Check.That(other.ErrorOutput.Contains(said, StringComparison.Ordinal), $"{said} in {other.ErrorOutput}");
        }

        using var third = ToolProcess.Start($"punch {meet} --trace {files.At("one.utrace")}");
        using var fourth = ToolProcess.Start($"punch {meet} --trace {files.At("other.utrace")}");
        await third.SucceedAsync();
        await fourth.SucceedAsync();
        using var stun = ToolProcess.Start($"stun {server.EndPoint} --trace {files.At("stun.utrace")}");
        await stun.SucceedAsync();
        foreach (var trace in new[] { "one", "other", "stun" })
        {
            using var replay = ToolProcess.Start($"replay {files.At($"{trace}.utrace")} --json");
            await replay.SucceedAsync();
            var result = JsonDocument.Parse(await replay.TextAsync()).RootElement;
            Check.That(result.GetProperty("equal").GetBoolean() && result.GetProperty("steps").GetInt32() > 1, $"{trace}: {result}");
        }
    }

    [Fact("utp trace --json counts what the page shows; utp replay --json has the divergence, code 1", Parallel = true)]
    public static async Task Traces()
    {
        foreach (var (file, packets, lost, again) in new[] { (TraceFiles.Sample, 30, 1, 1), (TraceFiles.Transfer, 163, 5, 4) })
        {
            var seen = JsonDocument.Parse(await TraceFiles.ShowAsync(file, "--json")).RootElement;
            Check.Equal(packets, seen.GetProperty("packets").GetInt32());
            Check.Equal(lost, seen.GetProperty("lost").GetInt32());
            Check.Equal(again, seen.GetProperty("retransmissions").GetInt32());
            Check.Equal(0, seen.GetProperty("violations").GetInt32());
            Check.Equal("A B", string.Join(' ', seen.GetProperty("nodes").EnumerateArray().Select(node => node.GetProperty("name").GetString())));
        }

        using var files = new TraceFiles();
        var recorded = files.At("recorded.utrace");
        using var sim = ToolProcess.Start($"sim --scenario {Path.Combine(Repository.Root, "tests/corpus/silent-dialler.scenario")} --trace {recorded}");
        await sim.SucceedAsync();
        string[] lines = [.. (await File.ReadAllLinesAsync(recorded)).Where(line => !line.StartsWith("#end", StringComparison.Ordinal))];
        var sent = Array.FindIndex(lines, line => line.Contains(" out pkt ", StringComparison.Ordinal));
        lines[sent] = lines[sent].Replace("to=10.0.0.2:6000", "to=10.0.0.2:6001", StringComparison.Ordinal);
        using var replay = ToolProcess.Start($"replay {files.Write("edited.utrace", lines)} --json");
        await replay.FailAsync(1);
        var divergence = JsonDocument.Parse(await replay.TextAsync()).RootElement.GetProperty("divergence");
        Check.Equal(sent + 1, divergence.GetProperty("line").GetInt32());
        Check.That(divergence.GetProperty("recorded").GetString() != divergence.GetProperty("actual").GetString(), $"{divergence}");
    }

    [Fact("utp demo --json prints one object, with equal hashes for each direction", Parallel = true)]
    public static async Task Demo()
    {
        using var tool = ToolProcess.Start("demo --size 1 --json");
        Check.Equal(0, await tool.ExitAsync());
        var result = JsonDocument.Parse(await tool.TextAsync()).RootElement;
        Check.Equal(1 << 20, result.GetProperty("bytes").GetInt64());
        Check.Equal(64, result.GetProperty("toServer").GetProperty("sha256").GetString()!.Length);
        Check.That(result.GetProperty("toClient").GetProperty("seconds").GetDouble() > 0, $"{result}");
    }

    [Fact("on a terminal progress is coloured, and with NO_COLOR it is not", Parallel = true)]
    public static async Task Colours()
    {
        var script = OtherTool.Find("script");
        Skip.Unless(script is not null && OperatingSystem.IsLinux(), "needs script (util-linux)");
        var demo = $"dotnet exec '{ToolProcess.Assembly}' demo --size 1";
        Check.That(IsColoured(await RunAsync([])), "coloured");
        Check.That(!IsColoured(await RunAsync(["NO_COLOR=1"])), "NO_COLOR");

        async Task<string> RunAsync(string[] variables) =>
            (await OtherTool.RunAsync("env", ["-u", "NO_COLOR", "TERM=xterm-256color", .. variables, script!, "-qec", demo, "/dev/null"])).Output;

        static bool IsColoured(string output) => Regex.IsMatch(output, "\e\\[(\\d+;)*(3[0-8]|9[0-7])(;\\d+)*m");
    }
}
