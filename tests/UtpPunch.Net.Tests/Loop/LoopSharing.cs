using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>The threads that run a node's loop: its own, writers, and callers that wait. No wake-up is lost.</summary>
public static class LoopSharing
{
    [Fact("an asynchronous read without data does not block its caller, also after bulk data")]
    public static async Task ReadsDoNotBlock()
    {
        await using var pair = await Pair.OpenAsync();
        var (chunk, buffer) = (Waiting.Bytes(100_000), new byte[100_000]);
        await Task.Run(async () =>
        {
            var first = pair.Far.ReadAsync(buffer);
            for (var round = 0; round < 300; round++)
            {
                await pair.Near.WriteAsync(chunk);
                var read = await first;
                await pair.Far.ReadExactlyAsync(buffer.AsMemory(read));

                // Nothing is written before this returns.
                first = pair.Far.ReadAsync(buffer);
            }

            pair.Near.CompleteWrites();
            Check.Equal(0, await first);
        }).Within();
    }

    [Fact("two threads that are blocked in reads of one node, and a task that waits for a third stream, all get their data", Timeout = 120)]
    public static async Task ThreeReaders()
    {
        const int Rounds = 300;
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var streams = await OpenAsync(client, server, 3);
        var heard = new SemaphoreSlim(0);
        var counts = new int[3];
        var readers = new[]
        {
            Block(() => ReadAll(0)),
            Block(() => ReadAll(1)),
            Task.Run(async () =>
            {
                var buffer = new byte[1];
                while (await streams[2].Near.ReadAsync(buffer) > 0)
                {
                    counts[2]++;
                    heard.Release();
                }
            }),
        };
        var random = new Random(1);
        for (var round = 0; round < Rounds; round++)
        {
            // One of them, or several at once; a round ends when each stream that was written to has been read.
            var mask = random.Next(1, 8);
            var expected = 0;
            for (var index = 0; index < 3; index++)
            {
                if ((mask & (1 << index)) != 0)
                {
                    await streams[index].Far.WriteAsync(new byte[1]).Within();
                    expected++;
                }
            }

            for (; expected > 0; expected--)
            {
                Check.That(await heard.WaitAsync(TimeSpan.FromSeconds(20)), $"round {round}, mask {mask}: {string.Join(' ', counts)}");
            }
        }

        foreach (var (_, far) in streams)
        {
            far.CompleteWrites();
        }

        await Task.WhenAll(readers).Within();

        void ReadAll(int index)
        {
            while (streams[index].Near.ReadByte() >= 0)
            {
                counts[index]++;
                heard.Release();
            }
        }
    }

    [Fact("a caller that leaves the leadership after any time hands the loop over", Timeout = 180)]
    public static async Task CallerLeaves()
    {
        await using var pair = await Pair.OpenAsync();
        using var rawSocket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        using var heard = new SemaphoreSlim(0);
        pair.Client.DatagramHandler = (_, _, _) => heard.Release();
        using var asks = new SemaphoreSlim(0);
        var rounds = 400;
        var reader = Block(() =>
        {
            for (var round = 0; round < rounds; round++)
            {
                asks.Wait();
                Check.Equal(round & 255, pair.Near.ReadByte());
                pair.Near.WriteByte(1);
            }
        });
        for (var round = 0; round < rounds; round++)
        {
            // Around the time for which the node's own thread stands by.
            asks.Release();
            var begun = Clock.Now;
            var pause = round % 40 * 50;
            SpinWait.SpinUntil(() => Clock.Now - begun >= pause);
            await pair.Far.WriteAsync(new[] { (byte)round }).Within();
            Check.Equal(1, pair.Far.ReadByte());

            // No thread reads from this node now: its own thread must receive this.
            rawSocket.SendTo("not uTP"u8, pair.Client.LocalEndPoint);
            Check.That(await heard.WaitAsync(TimeSpan.FromSeconds(20)), $"round {round}: the node receives");
        }

        await reader.Within();
    }

    [Fact("after callers that led thousands of times have gone, the node's own thread leads", Timeout = 180)]
    public static async Task CallersCease()
    {
        await using var pair = await Pair.OpenAsync();
        using var rawSocket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        using var heard = new SemaphoreSlim(0);
        pair.Client.DatagramHandler = (_, _, _) => heard.Release();
        pair.Server.DatagramHandler = (_, _, _) => heard.Release();
        const int Exchanges = 5;
        const int Rounds = 2000;
        for (var exchange = 0; exchange < Exchanges; exchange++)
        {
            var echo = Block(() =>
            {
                for (var round = 0; round < Rounds; round++)
                {
                    pair.Far.WriteByte((byte)pair.Far.ReadByte());
                }
            });
            await Block(() =>
            {
                for (var round = 0; round < Rounds; round++)
                {
                    pair.Near.WriteByte((byte)round);
                    Check.Equal(round & 255, pair.Near.ReadByte());
                }
            }).Within();
            await echo.Within();
            rawSocket.SendTo("not uTP"u8, pair.Client.LocalEndPoint);
            rawSocket.SendTo("not uTP"u8, pair.Server.LocalEndPoint);
            for (var node = 0; node < 2; node++)
            {
                Check.That(await heard.WaitAsync(TimeSpan.FromSeconds(20)), $"both nodes receive after exchange {exchange}");
            }
        }
    }

    [Fact("a blocked read ends when its stream is disposed, aborted, closed with its node, reset, ended, or too late")]
    public static async Task BlockedReadEnds()
    {
        await EndsBy<ObjectDisposedException>(pair => pair.Near.Dispose());
        await EndsBy<UtpException>(pair => pair.Near.Abort(), UtpError.Aborted);
        await EndsBy<UtpException>(pair => _ = pair.Client.CloseAsync(TimeSpan.FromSeconds(5)).AsTask(), UtpError.NodeClosed);
        await EndsBy<UtpException>(pair => pair.Client.Dispose(), UtpError.NodeClosed);
        await EndsBy<UtpException>(pair => pair.Far.Abort(), UtpError.ConnectionReset);
        await EndsBy<UtpException>(pair => pair.Client.Socket!.Dispose(), UtpError.InternalError);
        await EndsBy<UtpException>(pair => pair.Server.Dispose(), UtpError.ConnectionReset);
        await EndsBy<UtpException>(_ => { }, UtpError.OperationTimeout, readTimeout: 100);
        await using var ended = await Pair.OpenAsync();
        var reading = Block(() => Check.Equal(-1, ended.Near.ReadByte()));
        ended.Far.CompleteWrites();
        await reading.Within();

        static async Task EndsBy<TException>(Action<Pair> action, UtpError? error = null, int readTimeout = Timeout.Infinite)
            where TException : Exception
        {
            for (var round = 0; round < 4; round++)
            {
                await using var pair = await Pair.OpenAsync();
                pair.Near.ReadTimeout = readTimeout;
                var other = round % 2 == 0 ? null : await OpenAsync(pair);
                using var begun = new ManualResetEventSlim();

                // In half of the runs another read leads.
                var otherReading = other is null ? null : Block(() => Quietly(() => other.ReadByte()));
                var reading = Block(() =>
                {
                    begun.Set();
                    pair.Near.ReadByte();
                });
                begun.Wait();
                if (round < 2)
                {
                    await Waiting.UntilAsync(() => pair.Client.Engine.IsCallerDriven);
                }

                action(pair);
                var thrown = await Check.ThrowsAsync<TException>(() => reading.Within());
                Check.Equal(error, (thrown as UtpException)?.Error);
                other?.Abort();
                await (otherReading ?? Task.CompletedTask).Within();
            }
        }
    }

    [Fact("a blocked write ends when its stream is disposed, aborted, reset, or when there is room")]
    public static async Task BlockedWriteEnds()
    {
        foreach (var (index, action) in new Action<Pair>[]
        {
            pair => pair.Near.Dispose(), pair => pair.Near.Abort(), pair => pair.Far.Abort(), pair => pair.Client.Dispose(),
        }.Index())
        {
            await using var pair = await Pair.OpenAsync(SmallBuffers);
            var writing = Block(() => pair.Near.Write(new byte[1_000_000]));
            await pair.Near.UntilSentAsync(60_000);
            action(pair);
            var error = await Check.ThrowsAsync<Exception>(() => writing.Within());
            Check.That(error is ObjectDisposedException or UtpException, $"{index}: {error}");
        }

        await using var read = await Pair.OpenAsync(SmallBuffers);
        var sent = Waiting.Bytes(1_000_000);
        var sending = Block(() => read.Near.Write(sent));
        await read.Near.UntilSentAsync(60_000);
        var received = new byte[sent.Length];
        await read.Far.ReadExactlyAsync(received).Within();
        Waiting.Same(sent, received);
        await sending.Within();
    }

    [Fact("a blocked read ends although a writer of the same stream steps the command that ends it", Timeout = 120)]
    public static async Task EndedByAnothersStep()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        foreach (var (near, _) in await OpenAsync(client, server, 150))
        {
            // The writer posts the stream and steps on its own thread; the read leads, and waits on the socket.
            var reading = Block(() => near.ReadByte());
            var writing = Block(() => Quietly(() =>
            {
                while (true)
                {
                    near.Write(new byte[1]);
                }
            }));
            await Waiting.UntilAsync(() => near.GetStatistics().PacketsSent > 3);
            near.Abort();
            Check.Equal(UtpError.Aborted, (await Check.ThrowsAsync<UtpException>(() => reading.Within())).Error);
            await writing.Within();
        }
    }

    [Fact("many threads that write to many streams of one node, and as many that read: all bytes are correct", Timeout = 120)]
    public static async Task ManyWriters()
    {
        const int Count = 16;
        const int Length = 300_000;
        await using var server = await Pair.BindAsync(SmallBuffers);
        await using var client = await Pair.BindAsync(SmallBuffers);
        var streams = await OpenAsync(client, server, Count);
        await Task.WhenAll(streams.SelectMany((stream, index) => new[]
        {
            Block(() => Write(stream.Near, index)), Block(() => Write(stream.Far, index + 50)), Block(() => Read(stream.Far, index)),
            Task.Run(async () => Waiting.Same(Waiting.Bytes(Length, index + 50), await stream.Near.ReadToEndAsync())),
        })).WaitAsync(TimeSpan.FromSeconds(60));

        static void Write(UtpStream stream, int seed)
        {
            var random = new Random(seed);
            var bytes = Waiting.Bytes(Length, seed).AsSpan();
            while (!bytes.IsEmpty)
            {
                var count = Math.Min(bytes.Length, random.Next(4) == 0 ? random.Next(1, 50_000) : random.Next(1, 200));
                stream.Write(bytes[..count]);
                bytes = bytes[count..];
            }

            stream.CompleteWrites();
        }

        static void Read(UtpStream stream, int seed)
        {
            var received = new MemoryStream();
            stream.CopyTo(received, 5000);
            Waiting.Same(Waiting.Bytes(Length, seed), received.ToArray());
        }
    }

    [Fact("a caller that is interrupted while it leads does not break the node")]
    public static async Task Interrupted()
    {
        await using var pair = await Pair.OpenAsync();
        for (var round = 0; round < 20; round++)
        {
            Exception? thrown = null;
            using var begun = new ManualResetEventSlim();
            var thread = new Thread(() =>
            {
                begun.Set();
                try
                {
                    pair.Near.ReadByte();

                    // The read may have ended before the interrupt.
                    Thread.Sleep(Timeout.Infinite);
                }
                catch (Exception error)
                {
                    thrown = error;
                }
            });
            thread.Start();
            begun.Wait();
            thread.Interrupt();
            await pair.Far.WriteAsync(new byte[] { 5 }).Within();
            Check.That(await Task.Run(() => thread.Join(20_000)));
            Check.That(thrown is ThreadInterruptedException, $"{thrown}");
            Check.That(!pair.Client.Completion.IsCompleted);

            // It was read then, or can be read now; the stream continues in both cases.
            await pair.Far.WriteAsync(new byte[] { 6 }).Within();
            while (pair.Near.ReadByte() != 6)
            {
            }
        }
    }

    private static void SmallBuffers(UtpNodeOptions options) => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024;

    internal static async Task<(UtpStream Near, UtpStream Far)[]> OpenAsync(UtpNode client, UtpNode server, int count)
    {
        await using var listener = server.Listen(new UtpListenOptions { Backlog = count });
        var streams = new (UtpStream Near, UtpStream Far)[count];
        for (var index = 0; index < count; index++)
        {
            var near = await client.ConnectAsync(server.LocalEndPoint).Within();
            streams[index] = (near, await listener.AcceptAsync().Within());
        }

        return streams;
    }

    /// <summary>One more stream of a pair's nodes; its dialling end.</summary>
    private static async Task<UtpStream> OpenAsync(Pair pair)
    {
        var accepting = pair.Listener.AcceptAsync().AsTask();
        var near = await pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within();
        await accepting.Within();
        return near;
    }

    /// <summary>Runs an action on a thread of its own, as a synchronous call needs.</summary>
    internal static Task Block(Action action) =>
        Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    internal static void Quietly(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (error is UtpException or ObjectDisposedException)
        {
        }
    }
}
