using Microsoft.FSharp.Collections;
using UtpPunch.Sim;

namespace UtpPunch.Tests;

/// <summary>Streams of the facade over a simulated network: whole nodes, with all their threads, and not one socket.</summary>
public static class Simulated
{
    private const int Mebibyte = 1 << 20;

    [Fact("a mebibyte each way arrives over a path that loses a tenth, and delays, doubles and reorders the rest", Timeout = 120)]
    public static async Task Chaos()
    {
        var network = new SimulatedNetwork(Path(loss: 100, reorder: 50, duplication: 20), seed: 7);
        var (client, server, near, far) = await network.OpenAsync();
        using var _ = client;
        using var __ = server;
        var (there, back) = (Waiting.Bytes(Mebibyte, 1), Waiting.Bytes(Mebibyte, 2));
        var writing = Task.WhenAll(
            near.WriteAsync(there, completeWrites: true).AsTask(), far.WriteAsync(back, completeWrites: true).AsTask());
        var (atFar, atNear) = (ReadAsync(far), ReadAsync(near));
        Waiting.Same(there, await atFar);
        Waiting.Same(back, await atNear);
        await writing.Within();
        await Task.WhenAll(near.Closed, far.Closed).Within();
        Check.That(network.Lost > 100, $"a tenth of two mebibytes: {network.Lost} datagrams");

        static async Task<byte[]> ReadAsync(UtpStream stream)
        {
            var all = new MemoryStream();
            await stream.CopyToAsync(all).WaitAsync(TimeSpan.FromSeconds(80)); // Losses take their time, the more so on a busy machine.
            return all.ToArray();
        }
    }

    [Fact("synchronous reads and writes work, too")]
    public static async Task Synchronous()
    {
        var network = new SimulatedNetwork(Path(loss: 20), seed: 8);
        var (client, server, near, far) = await network.OpenAsync();
        using var _ = client;
        using var __ = server;
        for (var round = 0; round < 50; round++)
        {
            var sent = Waiting.Bytes(100, round);
            var received = new byte[100];
            near.ReadTimeout = far.ReadTimeout = 20_000;
            near.Write(sent);
            far.ReadExactly(received);
            Waiting.Same(sent, received);
            far.Write(received);
            near.ReadExactly(received);
            Waiting.Same(sent, received);
        }
    }

    [Fact("a partition stops a stream, and the stream continues after it")]
    public static async Task Partition()
    {
        var network = new SimulatedNetwork(Path(rate: 4 * Mebibyte), seed: 9);
        var (client, server, near, far) = await network.OpenAsync();
        using var _ = client;
        using var __ = server;
        var sent = Waiting.Bytes(2 * Mebibyte);
        var writing = near.WriteAsync(sent, completeWrites: true).AsTask();
        var reading = far.ReadToEndAsync();
        await near.UntilSentAsync(100_000);
        network.IsCut = true;
        await Waiting.UntilAsync(() => client.GetRuleCounts()["RetransmitTimeout"] > 0);
        Check.That(!reading.IsCompleted && !near.Closed.IsCompleted);
        network.IsCut = false;
        Waiting.Same(sent, await reading);
        await writing.Within();
    }

    [Fact("a stalled reader stops the writer, also over a slow path")]
    public static async Task BackPressure()
    {
        var network = new SimulatedNetwork(Path(rate: 4 * Mebibyte), seed: 10);
        var options = new UtpNodeOptions { SendBufferSize = 64 * 1024, ReceiveBufferSize = 64 * 1024 };
        var (client, server, near, far) = await network.OpenAsync(options);
        using var _ = client;
        using var __ = server;
        var sent = Waiting.Bytes(Mebibyte);
        var writing = near.WriteAsync(sent, completeWrites: true).AsTask();

        // Once the window has been asked after, both buffers are full.
        await Waiting.UntilAsync(() => client.GetRuleCounts()["WindowProbe"] > 0);
        Check.That(!writing.IsCompleted);
        Check.That(near.GetStatistics().BytesAcknowledged <= 64 * 1024);
        Waiting.Same(sent, await far.ReadToEndAsync());
        await writing.Within();
    }

    [Fact("a connect without an answer fails after its time-out")]
    public static async Task NoAnswer()
    {
        var network = new SimulatedNetwork(Path(), seed: 11) { IsCut = true };
        var options = new UtpNodeOptions { ConnectTimeout = TimeSpan.FromMilliseconds(200) };
        var error = await Check.ThrowsAsync<UtpException>(() => network.OpenAsync(options));
        Check.Equal(UtpError.ConnectTimeout, error.Error);
    }

    /// <summary>A path of 5 ms. Shares are in thousandths.</summary>
    private static Sim.Path Path(int loss = 0, int reorder = 0, int duplication = 0, int rate = 0) =>
        new(
            delay: 5000,
            lateness: loss == 0 ? Lateness.Never : Lateness.NewUniform(1000),
            rate: rate == 0 ? Rate.Unlimited : Rate.NewConstant(rate),
            queue: Sim.Queue.NewTail(200_000),
            loss: loss == 0 ? Loss.Never : Loss.NewEach(loss),
            drops: FSharpList<Drop>.Empty,
            reorder: reorder,
            reorderBy: 8000,
            duplication: duplication,
            copies: 1,
            copiesLate: 3000,
            corruption: 0,
            harm: Harm.Noticed,
            mtu: ListModule.OfSeq([PathModule.narrow(1500)]),
            cuts: FSharpList<Cut>.Empty);
}
