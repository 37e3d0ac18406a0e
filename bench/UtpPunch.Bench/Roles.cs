using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Bench;

/// <summary>What a process of this program does for a throughput contest: <c>sink utp|utp-traced|tcp</c> or <c>source utp|utp-traced|tcp PORT BYTES</c>.
/// The events are those of the npm peers.</summary>
internal static class Roles
{
    private const int BlockSize = 256 * 1024;

    public static async Task<int> PlayAsync(string[] arguments)
    {
        switch (arguments)
        {
            case ["sink", "utp" or "utp-traced"]:
                {
                    await using var node = await BindAsync(arguments[1] == "utp-traced");
                    var listener = node.Listen();
                    Tell($"\"event\":\"listening\",\"port\":{node.LocalEndPoint.Port}");
                    await using var stream = await listener.AcceptAsync();
                    await SinkAsync(stream);
                    return 0;
                }

            case ["sink", "tcp"]:
                {
                    using var listener = new TcpListener(IPAddress.Loopback, 0);
                    listener.Start();
                    Tell($"\"event\":\"listening\",\"port\":{((IPEndPoint)listener.LocalEndpoint).Port}");
                    using var client = await listener.AcceptTcpClientAsync();
                    await SinkAsync(client.GetStream());
                    return 0;
                }

            case ["source", "utp" or "utp-traced", var port, var bytes]:
                {
                    await using var node = await BindAsync(arguments[1] == "utp-traced");
                    await using var stream = await node.ConnectAsync(Target(port));
                    await SourceAsync(stream, bytes);
                    stream.CompleteWrites();
                    await stream.WritesClosed;
                    var seen = stream.GetStatistics();
                    Tell($"\"event\":\"sent\",\"retransmissions\":{seen.Retransmissions}");
                    return 0;
                }

            case ["source", "tcp", var port, var bytes]:
                {
                    using var client = new TcpClient { NoDelay = true };
                    await client.ConnectAsync(Target(port));
                    await SourceAsync(client.GetStream(), bytes);
                    client.Client.Shutdown(SocketShutdown.Send);
                    Tell("\"event\":\"sent\",\"retransmissions\":0");
                    return await client.GetStream().ReadAsync(new byte[1]) == 0 ? 0 : 1;
                }

            default:
                return 2;
        }
    }

    // Traced with hashes, as a node may be that serves for months.
    private static ValueTask<UtpNode> BindAsync(bool traced) => UtpNode.BindAsync(new UtpNodeOptions
    {
        LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
        Trace = traced ? new UtpTraceOptions() : null,
    });

    private static IPEndPoint Target(string port) => new(IPAddress.Loopback, int.Parse(port, CultureInfo.InvariantCulture));

    private static async Task SinkAsync(Stream stream)
    {
        var block = new byte[BlockSize];
        long bytes = 0;
        long started = 0;
        int read;

        while ((read = await stream.ReadAsync(block)) > 0)
        {
            started = started == 0 ? Stopwatch.GetTimestamp() : started;
            bytes += read;
        }

        var elapsed = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        Tell(string.Create(CultureInfo.InvariantCulture, $"\"event\":\"received\",\"bytes\":{bytes},\"ms\":{elapsed:F3}"));
    }

    private static async Task SourceAsync(Stream stream, string bytes)
    {
        var block = new byte[BlockSize];

        for (var left = long.Parse(bytes, CultureInfo.InvariantCulture); left > 0; left -= block.Length)
        {
            await stream.WriteAsync(block.AsMemory(0, (int)Math.Min(block.Length, left)));
        }
    }

    private static void Tell(string members)
    {
        Console.WriteLine("{" + members + "}");
        Console.Out.Flush();
    }
}
