using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace UtpPunch.Tests;

/// <summary>A process that ends without closing its nodes.</summary>
public static class ProcessEnds
{
    private const string Returns = "the streams of a process that returns from Main are reset";
    private const string Exits = "the streams of a process that calls Environment.Exit are reset";
    private const string Port = "UTPPUNCH_TESTS_PORT";

    [Fact(Returns)]
    public static Task ReturnsFromMain() => EndAsync(Returns, () => { });

    [Fact(Exits)]
    public static Task CallsExit() => EndAsync(Exits, () => Environment.Exit(0));

    [Fact("a closed node is not referenced by the process any more")]
    public static async Task Forgotten()
    {
        var node = await CloseOneAsync();
        for (var round = 0; round < 10 && node.IsAlive; round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            await Task.Delay(10);
        }

        Check.That(!node.IsAlive);

        static async Task<WeakReference> CloseOneAsync()
        {
            var node = await Pair.BindAsync();
            await node.DisposeAsync();
            return new WeakReference(node);
        }
    }

    // Runs the same test in a process of its own, which dials this one.
    private static async Task EndAsync(string claim, Action end)
    {
        if (Environment.GetEnvironmentVariable(Port) is { } port)
        {
            await DialAsync(int.Parse(port, CultureInfo.InvariantCulture));
            end();
            return;
        }

        await using var node = await Pair.BindAsync();
        await using var listener = node.Listen();
        var start = new ProcessStartInfo(
            Environment.ProcessPath!, [typeof(ProcessEnds).Assembly.Location, "--filter-test-case", claim, "--no-spinner", "--colours", "0"])
        {
            RedirectStandardOutput = true,
            Environment = { [Port] = node.LocalEndPoint.Port.ToString(CultureInfo.InvariantCulture) },
        };
        using var process = Process.Start(start)!;
        var (synchronous, waiting) = (await listener.AcceptAsync().Within(), await listener.AcceptAsync().Within());
        Check.Equal(1, await synchronous.ReadAsync(new byte[10]).Within());
        Check.Equal(1, await waiting.ReadAsync(new byte[10]).Within());
        var readings = new[] { synchronous.ReadAsync(new byte[10]).AsTask(), waiting.ReadAsync(new byte[10]).AsTask() };
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(20));
        var soon = TimeSpan.FromSeconds(1);
        foreach (var reading in readings)
        {
            var error = await Check.ThrowsAsync<UtpException>(() => reading.WaitAsync(soon));
            Check.Equal(UtpError.ConnectionReset, error.Error);
        }
    }

    // Two streams of a node that nothing closes; in one of them a thread waits, and so runs the node's loop.
    private static async Task DialAsync(int port)
    {
        var node = await Pair.BindAsync();
        var target = new IPEndPoint(IPAddress.Loopback, port);
        var synchronous = await node.ConnectAsync(target).Within();
        var waiting = await node.ConnectAsync(target).Within();
        await synchronous.WriteAsync(new byte[1]).Within();
        await waiting.WriteAsync(new byte[1]).Within();
        await synchronous.DrainAsync().Within();
        await waiting.DrainAsync().Within();
        new Thread(() => LoopSharing.Quietly(() => synchronous.ReadByte())) { IsBackground = true }.Start();
        await Waiting.UntilAsync(() => node.Engine.IsCallerDriven);
    }
}
