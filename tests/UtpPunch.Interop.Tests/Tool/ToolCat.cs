using System.Globalization;
using System.Net;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Two processes of `utp cat`: the input of one is the output of the other.</summary>
public static class ToolCat
{
    [Fact("two utp cat exchange five megabytes each way: equal by hash, and nothing but data on standard output")]
    [CarriesStreams]
    public static async Task BothWays()
    {
        const int Count = 5_000_000;
        using var listener = await ToolProcess.ListenAsync();
        using var dialler = ToolProcess.Dial(listener.EndPoint);
        await Task.WhenAll(
            listener.SayAsync(PeerNoise.Bytes(OurSeed, Count)),
            dialler.SayAsync(PeerNoise.Bytes(TheirSeed, Count)));
        Check.Equal(Of(OurSeed, Count), await dialler.DigestAsync());
        Check.Equal(Of(TheirSeed, Count), await listener.DigestAsync());
        await dialler.SucceedAsync();
        await listener.SucceedAsync();
    }

    [Fact("sixty thousand bytes, written and ended at once, arrive over ten kilobytes a second, and both succeed", Parallel = true)]
    public static async Task ThroughABottleneck()
    {
        var path = new RelayPath { BytesPerSecond = 10_000, QueueBytes = 20_000 };
        var timeout = TimeSpan.FromSeconds(50);
        using var listener = await ToolProcess.ListenAsync();
        using var relay = UdpRelay.Symmetric(listener.EndPoint, path);
        using var dialler = ToolProcess.Dial(relay.EndPoint);
        listener.EndInput();
        await dialler.SayAsync(PeerNoise.Bytes(OurSeed, 60_000));
        Check.Equal(Of(OurSeed, 60_000), await listener.DigestAsync(timeout));
        await dialler.SucceedAsync(timeout);
        await listener.SucceedAsync(timeout);
        Check.Equal(0, (await dialler.OutputAsync()).Length);
    }

    [Fact("a megabyte arrives over a path that loses a tenth and reorders, and both succeed")]
    public static async Task ThroughABadPath()
    {
        var path = new RelayPath { Loss = 0.1, Shuffle = TimeSpan.FromMilliseconds(10) };
        using var listener = await ToolProcess.ListenAsync();
        using var relay = UdpRelay.Symmetric(listener.EndPoint, path, seed: 3);
        using var dialler = ToolProcess.Dial(relay.EndPoint);
        listener.EndInput();
        await dialler.SayAsync(PeerNoise.Bytes(OurSeed, Mebibyte));
        Check.Equal(Of(OurSeed, Mebibyte), await listener.DigestAsync(TimeSpan.FromSeconds(50)));
        await dialler.SucceedAsync();
        await listener.SucceedAsync();
    }

    [Fact("utp cat --trace writes a trace of both sides of a transfer, which replay")]
    public static async Task RecordsATransfer()
    {
        using var files = new TraceFiles();
        var (near, far) = (files.At("near.utrace"), files.At("far.utrace"));
        using var listener = await ToolProcess.ListenAsync($"--trace {far}");
        using var dialler = ToolProcess.Dial(listener.EndPoint, $"--trace {near}");
        await Task.WhenAll(listener.SayAsync(PeerNoise.Bytes(OurSeed, 50_000)), dialler.SayAsync(PeerNoise.Bytes(TheirSeed, 50_000)));
        await dialler.SucceedAsync();
        await listener.SucceedAsync();
        foreach (var trace in new[] { near, far })
        {
            using var replay = ToolProcess.Start($"replay {trace}");
            Check.That((await replay.TextAsync()).StartsWith("equal: ", StringComparison.Ordinal));
            await replay.SucceedAsync();
        }
    }

    [Fact("utp cat --trace writes a trace of a connect that fails; a file that cannot be created is found out first")]
    public static async Task RecordsAFailure()
    {
        using var files = new TraceFiles();
        using var mute = new System.Net.Sockets.UdpClient(new IPEndPoint(IPAddress.Loopback, 0));
        var target = (IPEndPoint)mute.Client.LocalEndPoint!;
        var trace = files.At("failed.utrace");
        using var failing = ToolProcess.Dial(target, $"--connect-timeout 1.5 --trace {trace}");
        Check.That((await failing.FailAsync(5)).Contains("did not answer", StringComparison.Ordinal));
        using var replay = ToolProcess.Start($"replay {trace}");
        Check.That((await replay.TextAsync()).StartsWith("equal: ", StringComparison.Ordinal));
        await replay.SucceedAsync();
        using var nowhere = ToolProcess.Dial(target, $"--trace {files.At("no/folder.utrace")}");
        Check.That((await nowhere.FailAsync(1)).Contains("cannot be written: there is no such file", StringComparison.Ordinal));
    }

    [Fact("short transfers over a path that loses a tenth each way: both processes succeed every time", Timeout = 900)]
    public static async Task EndsOverABadPath()
    {
        // The figures of docs/ends.md need more transfers.
        var runs = int.Parse(Environment.GetEnvironmentVariable("UTP_CAT_RUNS") ?? "8", CultureInfo.InvariantCulture);
        var path = new RelayPath { Loss = 0.1, Delay = TimeSpan.FromMilliseconds(20) };
        await Parallel.ForEachAsync(Enumerable.Range(1, runs), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (run, _) =>
        {
            var count = run % 4 * 1000;
            using var listener = await ToolProcess.ListenAsync();
            using var relay = UdpRelay.Symmetric(listener.EndPoint, path, seed: run);
            using var dialler = ToolProcess.Dial(relay.EndPoint, "--connect-timeout 40");
            if (run % 2 == 0)
            {
                listener.EndInput();
                await dialler.SayAsync(PeerNoise.Bytes(OurSeed, count));
            }
            else
            {
                await dialler.SayAsync(PeerNoise.Bytes(OurSeed, count));
                await listener.DigestAsync(count);
                listener.EndInput();
            }

            Check.Equal(Of(OurSeed, count), await listener.DigestAsync(TimeSpan.FromSeconds(60)));
            await dialler.SucceedAsync(TimeSpan.FromSeconds(60));
            await listener.SucceedAsync(TimeSpan.FromSeconds(60));
        });
    }

    [Fact("the end of the dialler's input leaves the other direction open")]
    [CarriesStreams]
    public static async Task DiallerEndsFirst()
    {
        using var listener = await ToolProcess.ListenAsync();
        using var dialler = ToolProcess.Dial(listener.EndPoint);
        await EndFirstAsync(dialler, listener);
    }

    [Fact("the end of the listener's input leaves the other direction open")]
    public static async Task ListenerEndsFirst()
    {
        using var listener = await ToolProcess.ListenAsync();
        using var dialler = ToolProcess.Dial(listener.EndPoint);
        await EndFirstAsync(listener, dialler);
    }

    [Fact("the listener's data arrives although the dialler sends nothing")]
    public static async Task SilentDialler()
    {
        using var listener = await ToolProcess.ListenAsync();
        using var dialler = ToolProcess.Dial(listener.EndPoint);
        await listener.SayAsync(PeerNoise.Bytes(OurSeed, 100_000));
        Check.Equal(Of(OurSeed, 100_000), await dialler.DigestAsync(length: 100_000));
        dialler.EndInput();
        await listener.SucceedAsync();
        await dialler.SucceedAsync();
    }

    [Fact("standard input that was closed from the start is an empty one")]
    public static async Task NoInput()
    {
        Skip.Unless(!OperatingSystem.IsWindows(), "needs a shell");
        using var listener = await ToolProcess.ListenAsync();
        using var dialler = ToolProcess.Dial(listener.EndPoint, withInput: false);
        await listener.SayAsync(PeerNoise.Bytes(OurSeed, 100_000));
        Check.Equal(Of(OurSeed, 100_000), await dialler.DigestAsync());
        await dialler.SucceedAsync();
        await listener.SucceedAsync();
        Check.Equal(0, (await listener.OutputAsync()).Length);
    }

    [Fact("two utp cat can also use the dialect of utp-punch")]
    [CarriesStreams]
    public static async Task PunchDialect()
    {
        using var listener = await ToolProcess.ListenAsync("--dialect utp-punch");
        using var dialler = ToolProcess.Dial(listener.EndPoint, "--dialect utp-punch");
        await Task.WhenAll(
            listener.SayAsync(PeerNoise.Bytes(OurSeed, 500_000)),
            dialler.SayAsync(PeerNoise.Bytes(TheirSeed, 500_000)));
        Check.Equal(Of(OurSeed, 500_000), await dialler.DigestAsync());
        Check.Equal(Of(TheirSeed, 500_000), await listener.DigestAsync());
        await dialler.SucceedAsync();
        await listener.SucceedAsync();
    }

    [Fact("utp cat sends with the congestion control that it was given: heavy loss slows LEDBAT down, and not the default")]
    public static async Task Congestion()
    {
        const int Count = 8 * Mebibyte;
        const int Mtu = 1472;
        var path = new RelayPath { Loss = 0.1, Delay = TimeSpan.FromMilliseconds(20) };
        var bytes = PeerNoise.Bytes(OurSeed, Count);
        using var slowListener = await ToolProcess.ListenAsync();
        using var fastListener = await ToolProcess.ListenAsync();
        using var slowRelay = new UdpRelay(slowListener.EndPoint, path, path, drop: (_, _, datagram) => datagram.Length > Mtu);
        using var fastRelay = new UdpRelay(fastListener.EndPoint, path, path, drop: (_, _, datagram) => datagram.Length > Mtu);
        using var slow = ToolProcess.Dial(slowRelay.EndPoint, "--congestion ledbat");
        using var fast = ToolProcess.Dial(fastRelay.EndPoint);
        var saying = slow.SayAsync(bytes);
        fastListener.EndInput();
        await fast.SayAsync(bytes);
        Check.Equal(Of(OurSeed, Count), await fastListener.DigestAsync(TimeSpan.FromSeconds(50)));
        var (few, many) = (slowRelay.Counts(RelayDirection.ToTarget).Forwarded, fastRelay.Counts(RelayDirection.ToTarget).Forwarded);
        Check.That(few > 0 && 2 * few < many, $"{few} packets with LEDBAT, {many} by default");
        await fast.SucceedAsync();
        slow.Kill();
        await saying.ContinueWith(_ => { }, TaskScheduler.Default);
    }

    [Fact("a peer that does not read stops the reading of standard input")]
    [CarriesStreams]
    public static async Task InputWaits()
    {
        using var tool = await ToolProcess.ListenAsync();
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var stream = await node.ConnectAsync(tool.EndPoint);
        var taken = await FillAsync(tool.Input);
        Check.That(taken is > Mebibyte and < 4 * Mebibyte, $"{taken} bytes are a few buffers");
        stream.Abort();
    }

    [Fact("standard output that is not read stops the peer")]
    [CarriesStreams]
    public static async Task OutputWaits()
    {
        using var tool = await ToolProcess.ListenAsync(gather: false);
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var stream = await node.ConnectAsync(tool.EndPoint);
        var taken = await FillAsync(stream);
        Check.That(taken is > Mebibyte and < 4 * Mebibyte, $"{taken} bytes are a few buffers");
        stream.Abort();
    }

    /// <summary>The number of bytes that are taken until none are any more. The last write stays pending.</summary>
    private static async Task<long> FillAsync(Stream stream)
    {
        var block = new byte[64 * 1024];
        for (var taken = 0L; ; taken += block.Length)
        {
            try
            {
                await stream.WriteAsync(block).AsTask().WaitAsync(TimeSpan.FromSeconds(2));
            }
            catch (TimeoutException)
            {
                return taken;
            }
        }
    }

    private static async Task EndFirstAsync(ToolProcess first, ToolProcess last)
    {
        await first.SayAsync("over"u8.ToArray());
        Check.Equal("over", await last.TextAsync(length: 4));
        await last.SayAsync(PeerNoise.Bytes(OurSeed, 300_000));
        await first.SucceedAsync();
        await last.SucceedAsync();
        Check.Equal(Of(OurSeed, 300_000), await first.DigestAsync());
        Check.Equal("over", await last.TextAsync());
    }
}
