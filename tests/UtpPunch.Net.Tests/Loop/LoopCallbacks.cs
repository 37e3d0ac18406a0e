using System.Net;
using System.Net.Sockets;
using static UtpPunch.Tests.LoopSharing;

namespace UtpPunch.Tests;

/// <summary>Callbacks that run under the loop lock, and a fault in a step on a caller's thread.</summary>
public static class LoopCallbacks
{
    [Fact("callbacks may call all members of the node that do not wait; they are not nested, and nothing hangs")]
    public static async Task Callbacks()
    {
        await using var pair = await Pair.OpenAsync();
        var accepting = pair.Listener.AcceptAsync().AsTask();
        await pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within();
        var silent = await accepting.Within();
        var depth = 0;
        var deepest = 0;
        var failures = new List<Exception>();
        var done = new SemaphoreSlim(0);
        pair.Server.DatagramHandler = (datagram, from, node) =>
        {
            deepest = Math.Max(deepest, ++depth);
            try
            {
                pair.Far.Write(datagram); // There is room: it does not wait.
                _ = node.SendDatagramAsync("answer"u8.ToArray(), from).AsTask();
                _ = node.SendDatagramAsync("\u00ffto itself"u8.ToArray(), node.LocalEndPoint).AsTask();
                Check.Throws<InvalidOperationException>(() => node.Listen());
                Check.Throws<InvalidOperationException>(() => silent.ReadByte());
                _ = node.GetStatistics();
                if (datagram.SequenceEqual("stop"u8))
                {
                    node.DatagramHandler = null;
                    _ = pair.Listener.DisposeAsync();
                    node.Listen();
                }
            }
            catch (Exception error)
            {
                failures.Add(error);
            }
            finally
            {
                depth--;
                done.Release();
            }
        };

        // On the node's own thread, and on one that waits for a stream.
        var buffer = new byte[20];
        for (var round = 0; round < 20; round++)
        {
            await pair.Client.SendDatagramAsync("hello"u8.ToArray(), pair.Server.LocalEndPoint).Within();
            Check.That(await done.WaitAsync(TimeSpan.FromSeconds(20)));
        }

        var reading = Block(() => Quietly(() => pair.Far.ReadByte()));
        await pair.Client.SendDatagramAsync("stop"u8.ToArray(), pair.Server.LocalEndPoint).Within();
        await Check.ThrowsAsync<ObjectDisposedException>(async () =>
        {
            await pair.Listener.AcceptAsync().Within();
        });
        Check.That(await pair.Near.ReadAsync(buffer).Within() > 0);
        Check.Equal(1, deepest);
        Check.Equal("", string.Join('\n', failures));
        pair.Server.DatagramHandler = (_, _, node) => node.Dispose();
        await pair.Client.SendDatagramAsync("end"u8.ToArray(), pair.Server.LocalEndPoint).Within();
        await pair.Server.Completion.Within();
        await reading.Within();
    }

    [Fact("a filter may write, send, and close its node")]
    public static async Task Filter()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        UtpStream? first = null;
        var asked = 0;
        await using var listener = server.Listen(new UtpListenOptions
        {
            Filter = (remote, cancelled) =>
            {
                asked++;
                first?.Write("another one"u8);
                _ = server.SendDatagramAsync("who are you"u8.ToArray(), remote, cancelled).AsTask();
                if (asked == 3)
                {
                    server.Dispose();
                }

                return ValueTask.FromResult(true);
            },
        });
        var accepting = listener.AcceptAsync().AsTask();
        var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        first = await accepting.Within();

        // It leads, and the filter is called on its thread.
        var reading = Block(() => Check.Throws<UtpException>(() => first.ReadByte()));
        await client.ConnectAsync(server.LocalEndPoint).Within();
        var buffer = new byte[11];
        await near.ReadExactlyAsync(buffer).Within();
        Waiting.Same("another one"u8.ToArray(), buffer);
        var refused = await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(server.LocalEndPoint).Within());
        Check.Equal(UtpError.ConnectionRefused, refused.Error);
        await server.Completion.Within();
        await reading.Within();
        Check.Equal(3, asked);
    }

    [Fact("bytes that are delivered to a stream that was disposed in the same step reset it")]
    public static async Task DeliveredToDisposed()
    {
        await using var pair = await Pair.OpenAsync();
        pair.Server.DatagramHandler = (datagram, _, node) =>
        {
            if (datagram.SequenceEqual("begin"u8))
            {
                // While this runs, the server receives nothing: it finds both datagrams in its socket, and takes them into one step.
                pair.Client.SendDatagramAsync("dispose"u8.ToArray(), node.LocalEndPoint).AsTask().Within().GetAwaiter().GetResult();
                pair.Near.Write("lost"u8);
            }
            else
            {
                pair.Far.Dispose();
            }
        };
        var reading = pair.Near.ReadAsync(new byte[1]).AsTask();
        await pair.Client.SendDatagramAsync("begin"u8.ToArray(), pair.Server.LocalEndPoint).Within();
        Check.Equal(UtpError.ConnectionReset, (await Check.ThrowsAsync<UtpException>(() => reading.Within())).Error);
    }

    [Fact("a fault in a step on a caller's thread fails the node as any other: all calls fail, and the trace is written")]
    public static async Task FaultOnACallersThread()
    {
        foreach (var waits in new[] { false, true })
        {
            var path = System.IO.Path.GetTempFileName();
            try
            {
                var breaks = false;
                await using var server = await Pair.BindAsync();
                var socket = SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 1 << 20, 1 << 20);
                var transport = new ManagedTransport([socket], OperatingSystem.IsLinux(), (datagram, target) =>
                {
                    if (Volatile.Read(ref breaks))
                    {
                        throw new InvalidOperationException("the fault of the test");
                    }

                    socket.SendTo(datagram, SocketFlags.None, target);
                });
                var options = new UtpNodeOptions { Trace = new UtpTraceOptions { Path = path } };
                await using var client = UtpNode.Over(transport, UtpNodeOptionsCheck.Freeze(options));
                var streams = await OpenAsync(client, server, 2);
                var other = streams[1].Near.ReadAsync(new byte[1]).AsTask();
                var reading = waits ? Block(() => streams[0].Near.ReadByte()) : null;
                if (waits)
                {
                    await Waiting.UntilAsync(() => client.Engine.IsCallerDriven);
                }

                Volatile.Write(ref breaks, true);
                if (waits)
                {
                    // The reader sends the acknowledgement of this.
                    await streams[1].Far.WriteAsync(new byte[1]).Within();
                    Check.Equal(UtpError.InternalError, (await Check.ThrowsAsync<UtpException>(() => reading!.Within())).Error);
                }
                else
                {
                    await Block(() => Quietly(() => streams[0].Near.Write(new byte[10]))).Within();
                }

                var error = await Check.ThrowsAsync<UtpException>(() => client.Completion.Within());
                Check.Equal(UtpError.InternalError, error.Error);
                Check.That(error.Message.Contains("the fault of the test", StringComparison.Ordinal), error.Message);
                if (!waits)
                {
                    Check.Equal(UtpError.InternalError, (await Check.ThrowsAsync<UtpException>(() => other.Within())).Error);
                }

                Check.Equal(
                    UtpError.InternalError,
                    (await Check.ThrowsAsync<UtpException>(() => streams[0].Near.WriteAsync(new byte[1]).Within())).Error);
                Check.Throws<UtpException>(() => client.Listen());
                Check.That(new FileInfo(path).Length > 0, "the trace");
                server.Dispose();
            }
            finally
            {
                File.Delete(path);
            }
        }
    }
}
