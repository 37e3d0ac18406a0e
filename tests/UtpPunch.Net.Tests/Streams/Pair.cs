using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;

namespace UtpPunch.Tests;

/// <summary>Two nodes on the loopback, and one stream between them.</summary>
internal sealed class Pair : IAsyncDisposable
{
    private Pair(UtpNode client, UtpNode server, UtpListener listener, UtpStream near, UtpStream far) =>
        (Client, Server, Listener, Near, Far) = (client, server, listener, near, far);

    public UtpNode Client { get; }

    public UtpNode Server { get; }

    public UtpListener Listener { get; }

    /// <summary>The dialling end.</summary>
    public UtpStream Near { get; }

    /// <summary>The accepting end.</summary>
    public UtpStream Far { get; }

    public static async Task<Pair> OpenAsync(Action<UtpNodeOptions>? configure = null)
    {
        var server = await BindAsync(configure);
        var client = await BindAsync(configure);
        var listener = server.Listen();
        var accepting = listener.AcceptAsync().AsTask();
        var near = await client.ConnectAsync(server.LocalEndPoint).AsTask().Within();
        return new Pair(client, server, listener, near, await accepting.Within());
    }

    public static ValueTask<UtpNode> BindAsync(Action<UtpNodeOptions>? configure = null)
    {
        var options = new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0) };
        configure?.Invoke(options);
        return UtpNode.BindAsync(options);
    }

    public ValueTask DisposeAsync()
    {
        Client.Dispose();
        Server.Dispose();
        return ValueTask.CompletedTask;
    }
}

internal static class Waiting
{
    // The hunt of mutants, which runs few tests on a quiet machine, has a shorter one.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(
        int.TryParse(Environment.GetEnvironmentVariable("UTP_TEST_WAIT"), out var seconds) ? seconds : 20);

    /// <summary>Every wait in a test is bounded.</summary>
    public static Task Within(this Task task) => task.WaitAsync(Limit);

    public static Task<T> Within<T>(this Task<T> task) => task.WaitAsync(Limit);

    public static Task Within(this ValueTask task) => task.AsTask().WaitAsync(Limit);

    public static Task<T> Within<T>(this ValueTask<T> task) => task.AsTask().WaitAsync(Limit);

    /// <summary>Waits until the peer has acknowledged that many bytes.</summary>
    public static async Task UntilSentAsync(this UtpStream stream, long bytes)
    {
        await UntilAsync(() => stream.GetStatistics().BytesAcknowledged >= bytes);
    }

    /// <summary>Waits for a condition that no task reports.</summary>
    public static async Task UntilAsync(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string claim = "")
    {
        var started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Check.That(Stopwatch.GetElapsedTime(started) < Limit, $"in time: {claim}");
            await Task.Delay(5);
        }
    }

    public static async Task<byte[]> ReadToEndAsync(this Stream stream)
    {
        var all = new MemoryStream();
        await stream.CopyToAsync(all).Within();
        return all.ToArray();
    }

    public static void Same(byte[] expected, byte[] actual) => Check.Equal(expected.AsSpan(), actual.AsSpan());

    /// <summary>Bytes that differ from place to place.</summary>
    public static byte[] Bytes(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
