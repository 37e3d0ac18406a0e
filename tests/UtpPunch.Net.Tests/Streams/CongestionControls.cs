using System.Text;
using UtpPunch.Protocol;
using UtpPunch.Tracing;
using Stopwatch = System.Diagnostics.Stopwatch;

namespace UtpPunch.Tests;

/// <summary>How a stream gets its congestion control, and controllers of the application's own. The phase in the statistics shows which
/// controller runs.</summary>
public static class CongestionControls
{
    private const int Mebibyte = 1 << 20;
    private static readonly string[] s_ofLedbat = ["slow-start", "avoidance", "recovery", "slowdown"];

    [Fact("streams use BBR by default, and the congestion control of the node's options otherwise, dialled and accepted ones")]
    public static async Task ByNodeOption()
    {
        await using (var pair = await Pair.OpenAsync())
        {
            Check.Equal(UtpCongestionControl.Bbr, pair.Near.CongestionControl);
            await MoveBothWaysAsync(pair);
            IsBbr(pair.Near);
            IsBbr(pair.Far);
        }

        await using (var pair = await Pair.OpenAsync(options => options.CongestionControl = UtpCongestionControl.Ledbat))
        {
            Check.Equal(UtpCongestionControl.Ledbat, pair.Near.CongestionControl);
            Check.Equal(UtpCongestionControl.Ledbat, pair.Far.CongestionControl);
            await MoveBothWaysAsync(pair);
            IsLedbat(pair.Near);
            IsLedbat(pair.Far);
        }
    }

    [Fact("a connect option chooses the congestion control of its stream only")]
    public static async Task ByConnectOption()
    {
        await using var pair = await Pair.OpenAsync();
        var accepting = pair.Listener.AcceptAsync().AsTask();
        var options = new UtpConnectOptions { CongestionControl = UtpCongestionControl.Ledbat };
        var near = await pair.Client.ConnectAsync(pair.Server.LocalEndPoint, options).Within();
        var far = await accepting.Within();
        Check.Equal(UtpCongestionControl.Ledbat, near.CongestionControl);
        await MoveAsync(near, far, 100_000);
        await MoveAsync(pair.Near, pair.Far, 100_000);
        IsLedbat(near);
        IsBbr(far);
        IsBbr(pair.Near);
    }

    [Fact("the congestion control of a stream can be changed while data goes, as often as the application likes")]
    public static async Task AtRunTime()
    {
        await using var pair = await Pair.OpenAsync();
        var seen = new Observations();
        var moving = MoveAsync(pair.Near, pair.Far, 10 * Mebibyte);
        pair.Near.CongestionControl = UtpCongestionControl.Ledbat;
        Check.Equal(UtpCongestionControl.Ledbat, pair.Near.CongestionControl);
        await Waiting.UntilAsync(() => s_ofLedbat.Contains(pair.Near.GetStatistics().Phase));
        pair.Near.CongestionControl = UtpCongestionControl.Bbr;
        await Waiting.UntilAsync(() => !s_ofLedbat.Contains(pair.Near.GetStatistics().Phase));
        pair.Near.CongestionControl = FixedWindow.Create(20, seen);
        await Waiting.UntilAsync(() => pair.Near.GetStatistics().Phase == "fixed");
        await moving;
        IsBbr(pair.Far);
        await MoveAsync(pair.Near, pair.Far, 100_000);
        // The last acknowledgements may still be on their way.
        await Waiting.UntilAsync(() => seen.Samples > 0);
    }

    [Fact("a new congestion control starts from the packet size, the window and the round trip of the stream")]
    public static async Task StartsFromTheOldOne()
    {
        var (first, second) = (new Observations(), new Observations());
        await using var pair = await Pair.OpenAsync(options =>
        {
            options.PacketSize = 1220;
            options.CongestionControl = FixedWindow.Create(16, first);
        });
        await MoveAsync(pair.Near, pair.Far, 100_000);
        pair.Near.CongestionControl = FixedWindow.Create(8, second);
        await Waiting.UntilAsync(() => !second.Starts.IsEmpty);
        Check.That(first.Starts.All(from => from is { Packet: 1200, Window: 0 }), "the first ones start from nothing");
        Check.That(second.Starts.TryPeek(out var start));
        Check.Equal(1200, start.Packet);
        Check.Equal(16 * 1200, start.Window);
        Check.That(start.RoundTrip > 0, "the round trip was measured");
    }

    [Fact("the values of congestion controls that cannot be used throw with their names")]
    public static async Task WrongValues()
    {
        var error = await Check.ThrowsAsync<ArgumentNullException>(
            async () => (await Pair.BindAsync(options => options.CongestionControl = null!)).Dispose());
        Check.Equal(nameof(UtpNodeOptions.CongestionControl), error.ParamName);
        await using var pair = await Pair.OpenAsync();
        Check.Throws<ArgumentNullException>(() => pair.Near.CongestionControl = null!);
        Check.Equal(UtpCongestionControl.Bbr, pair.Near.CongestionControl);
        await pair.Near.DisposeAsync().Within();
        Check.Throws<ObjectDisposedException>(() => pair.Near.CongestionControl = UtpCongestionControl.Ledbat);
    }

    [Fact("every congestion control of the library is found by its name, and an own one has a name that no other has")]
    public static void Names()
    {
        foreach (var kind in UtpCongestionControl.All)
        {
            Check.That(UtpCongestionControl.TryGet(kind.Name.ToUpperInvariant(), out var found) && ReferenceEquals(kind, found), kind.Name);
            Check.Equal(kind.Name, kind.ToString());
            Check.Equal("name", Refused<ArgumentException>(kind.Name));
        }

        Check.That(UtpCongestionControl.All.Contains(UtpCongestionControl.Bbr) && UtpCongestionControl.All.Contains(UtpCongestionControl.Ledbat));
        Check.That(!UtpCongestionControl.TryGet("no-such-kind", out _));
        foreach (var name in new[] { "", "Upper", "two words", "under_score", "ü", "a=b" })
        {
            Check.Equal("name", Refused<ArgumentException>(name));
        }

        Check.Equal("name", Refused<ArgumentNullException>(null!));
        Check.Equal("start", Check.Throws<ArgumentNullException>(() => UtpCongestionControl.Create("own", null!)).ParamName);
        Check.Equal("own-2", FixedWindowNamed("own-2").Name);
        Check.That(!UtpCongestionControl.TryGet("own-2", out _));

        static string? Refused<T>(string name)
            where T : ArgumentException => Check.Throws<T>(() => FixedWindowNamed(name)).ParamName;

        static UtpCongestionControl FixedWindowNamed(string name) =>
            UtpCongestionControl.Create(name, from => new FixedWindow(10, long.MaxValue, from.Packet, new Observations()));
    }

    [Fact("a controller of the application's own moves a megabyte, and no more is in flight than its window")]
    public static async Task OwnController()
    {
        const int Window = 10 * 1200;
        var seen = new Observations();
        await using var pair = await Pair.OpenAsync(options => options.PacketSize = 1220);
        pair.Near.CongestionControl = FixedWindow.Create(10, seen);
        await Waiting.UntilAsync(() => pair.Near.GetStatistics().Phase == "fixed");
        var moving = MoveAsync(pair.Near, pair.Far, Mebibyte);
        var most = 0;
        while (!moving.IsCompleted)
        {
            most = Math.Max(most, pair.Near.GetStatistics().BytesInFlight);
            await Task.Yield();
        }

        await moving;
        await pair.Near.DrainAsync().Within();
        var statistics = pair.Near.GetStatistics();
        Check.Equal(Window, statistics.CongestionWindow);
        Check.Equal(0L, statistics.PacingRate);

        // The oldest lost packet is retransmitted whatever the window is.
        var bound = statistics.BytesLost > 0 ? Window + 1200 : Window;
        Check.That(most <= bound, $"{most} bytes were in flight");
        Check.That(seen.MostInFlight is > 0 && seen.MostInFlight <= bound, $"{seen.MostInFlight} bytes were in flight");
        Check.That(seen.Samples >= Mebibyte / Window, $"{seen.Samples} samples: at least one for each window");
    }

    [Fact("a stream keeps to the pacing rate of a controller of the application's own")]
    public static async Task OwnRate()
    {
        const int Rate = 500_000;
        const int Count = 600_000;
        await using var server = await Pair.BindAsync();
        using var relay = UdpRelay.Symmetric(server.LocalEndPoint, new RelayPath { Delay = TimeSpan.FromMilliseconds(10) });
        await using var client = await Pair.BindAsync(options => options.CongestionControl = FixedWindow.Create(1000, new Observations(), Rate));
        var accepting = server.Listen().AcceptAsync().AsTask();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var far = await accepting.Within();
        await MoveAsync(near, far, 1000); // the round trip is known
        var started = Stopwatch.GetTimestamp();
        await MoveAsync(near, far, Count);
        var elapsed = Stopwatch.GetElapsedTime(started);
        Check.Equal((long)Rate, near.GetStatistics().PacingRate);
        Check.That(elapsed > 0.9 * TimeSpan.FromSeconds((double)Count / Rate), $"{Count} bytes took {elapsed}");
    }

    [Fact("a trace of a node with a controller of the application's own can be read, and its replay fails with the reason")]
    public static async Task Traced()
    {
        await using var pair = await Pair.OpenAsync(options =>
        {
            options.Trace = new UtpTraceOptions();
            options.CongestionControl = FixedWindow.Create(10, new Observations());
        });
        await MoveAsync(pair.Near, pair.Far, 100_000);
        var trace = Trace.Parse(await TraceOfAsync(pair.Client));
        Check.That(trace.IsComplete && trace.Steps.Length > 0);
        Check.Equal("foreign", trace.Nodes[0].Options.Bep29.Congestion.Name);
        NotReplayed(trace);
    }

    [Fact("the replay of a trace fails where a stream changes to a controller of the application's own")]
    public static async Task TracedChange()
    {
        await using var pair = await Pair.OpenAsync(options => options.Trace = new UtpTraceOptions());
        pair.Near.CongestionControl = FixedWindow.Create(10, new Observations());
        await MoveAsync(pair.Near, pair.Far, 100_000);
        var text = await TraceOfAsync(pair.Client);
        Check.That(text.Contains(" control=foreign", StringComparison.Ordinal), "the change is in the trace");
        NotReplayed(Trace.Parse(text));
    }

    [Fact("a trace that begins with the state of a controller of the application's own is refused with the reason")]
    public static async Task TracedFromASnapshot()
    {
        await using var pair = await Pair.OpenAsync(options =>
        {
            options.PacketSize = 1400;
            options.Trace = new UtpTraceOptions { Capacity = 1 << 16 };
            options.CongestionControl = FixedWindow.Create(10, new Observations());
        });
        await MoveAsync(pair.Near, pair.Far, 4 * Mebibyte);
        var text = await TraceOfAsync(pair.Client);
        var error = Check.Throws<TraceException>(() => Trace.Parse(text));
        Check.That(error.Message.Contains("of the application's own, which is not in the trace", StringComparison.Ordinal), error.Message);
    }

    [Fact("a controller that fails ends its node, and the error names the controller and has the reason")]
    public static async Task Fails()
    {
        foreach (var (fault, reason) in new[]
        {
            (ControllerFault.ThrowsAtStart, "FormatException: the mistake"),
            (ControllerFault.ThrowsAtSample, "FormatException: the mistake"),
            (ControllerFault.ReturnsNull, "it returned no controller"),
            (ControllerFault.HasNoWindow, "its window is 0 bytes"),
            (ControllerFault.HasNoRate, "its pacing rate is 0 bytes per second"),
        })
        {
            await using var pair = await Pair.OpenAsync();
            pair.Near.CongestionControl = FaultyController.Create(fault);
            var error = await Check.ThrowsAsync<UtpException>(() => MoveAsync(pair.Near, pair.Far, 100_000));
            Check.Equal(UtpError.InternalError, error.Error);
            Check.That(error.Message.Contains($"'{FaultyController.Name}'", StringComparison.Ordinal), error.Message);
            Check.That(error.Message.Contains(reason, StringComparison.Ordinal), error.Message);
            Check.That(error.InnerException?.InnerException is FormatException or InvalidOperationException);
            Check.Equal(error.Message, (await Check.ThrowsAsync<UtpException>(() => pair.Client.Completion.Within())).Message);
        }
    }

    [Fact("a window of less than one packet counts as one packet")]
    public static async Task SmallWindow()
    {
        await using var pair = await Pair.OpenAsync(options =>
        {
            options.PacketSize = 1220;
            options.CongestionControl = FaultyController.Create(ControllerFault.HasSmallWindow);
        });
        await MoveAsync(pair.Near, pair.Far, 10_000);
        Check.Equal(1200, pair.Near.GetStatistics().CongestionWindow);
    }

    [Fact("statistics after a transfer have a delivery rate and what limits the stream")]
    public static async Task StatisticsAfterATransfer()
    {
        foreach (var kind in UtpCongestionControl.All)
        {
            await using var pair = await Pair.OpenAsync(options => options.CongestionControl = kind);
            Check.Equal(0L, pair.Near.GetStatistics().DeliveryRate);

            // A rate is measured over a round trip at least. The only one that is known may be that of the handshake, while code was compiled.
            for (var count = 0; count < 100 && pair.Near.GetStatistics().DeliveryRate == 0; count++)
            {
                await MoveAsync(pair.Near, pair.Far, Mebibyte);
                await pair.Near.DrainAsync().Within();
            }

            var statistics = pair.Near.GetStatistics();
            Check.That(statistics.DeliveryRate > 0, $"{kind}: {statistics.DeliveryRate} bytes per second");
            Check.That(statistics.BytesLost >= 0, $"{kind}: {statistics.BytesLost} bytes were lost");
            Check.That(statistics.PacingRate >= 0 && statistics.CongestionWindow >= statistics.MaxPayload, $"{kind}: {statistics}");
            Check.Equal(0, statistics.BytesInFlight);
            Check.That(statistics.IsApplicationLimited, $"{kind}: nothing is left to send");
        }
    }

    [Fact("what a path loses is counted in bytes, with each congestion control")]
    public static async Task LossesAreCounted()
    {
        foreach (var kind in UtpCongestionControl.All)
        {
            await using var server = await Pair.BindAsync();
            using var relay = UdpRelay.Symmetric(server.LocalEndPoint, new RelayPath { Loss = 0.05 });
            await using var client = await Pair.BindAsync(options =>
            {
                options.PacketSize = 1220;
                options.CongestionControl = kind;
            });
            var accepting = server.Listen().AcceptAsync().AsTask();
            var near = await client.ConnectAsync(relay.EndPoint).Within();
            await MoveAsync(near, await accepting.Within(), 300_000);
            await near.DrainAsync().Within();
            var statistics = near.GetStatistics();
            Check.That(statistics.BytesLost > 0 && statistics.Retransmissions > 0, $"{kind}: {statistics}");
            client.Dispose();
        }
    }

    private static void NotReplayed(Trace trace)
    {
        foreach (var mode in Enum.GetValues<ReplayMode>())
        {
            var error = Check.Throws<TraceException>(() => Replay.Run(mode, trace, null));
            Check.That(error.Message.Contains("The congestion control is the application's own", StringComparison.Ordinal), error.Message);
        }
    }

    private static async Task<string> TraceOfAsync(UtpNode node)
    {
        var text = new MemoryStream();
        await node.WriteTraceAsync(text).Within();
        return Encoding.UTF8.GetString(text.ToArray());
    }

    private static void IsBbr(UtpStream stream)
    {
        var phase = stream.GetStatistics().Phase;
        Check.That(phase is "startup" or "drain" || phase.StartsWith("probe-", StringComparison.Ordinal), phase);
    }

    private static void IsLedbat(UtpStream stream)
    {
        var phase = stream.GetStatistics().Phase;
        Check.That(s_ofLedbat.Contains(phase), phase);
    }

    private static async Task MoveBothWaysAsync(Pair pair)
    {
        await MoveAsync(pair.Near, pair.Far, 100_000);
        await MoveAsync(pair.Far, pair.Near, 100_000);
    }

    private static async Task MoveAsync(UtpStream from, UtpStream to, int count)
    {
        var sent = Waiting.Bytes(count);
        var received = new byte[count];
        var reading = to.ReadExactlyAsync(received).AsTask();
        await from.WriteAsync(sent).Within();
        await Task.WhenAny(reading, from.Closed).Within();
        if (!reading.IsCompleted)
        {
            await from.Closed;
        }

        await reading.Within();
        Waiting.Same(sent, received);
    }
}
