namespace UtpPunch.Tests;

/// <summary>Concurrent operations at random times.</summary>
public static class Races
{
    [Fact("writes that are cancelled at any time leave prefixes of each write, in order")]
    public static async Task CancelledWrites()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var reading = Task.Run(async () =>
        {
            var buffer = new byte[30_000];
            var last = -1;
            var lengths = new List<int>();
            for (int count; (count = await pair.Far.ReadAsync(buffer)) > 0;)
            {
                foreach (var value in buffer.AsSpan(0, count))
                {
                    if (value != (byte)last || last < 0)
                    {
                        // Each write has its own value; one that was cancelled early may be missing completely.
                        var skipped = (byte)(value - (byte)(last + 1));
                        Check.That(skipped < 100, $"{value} after {last}");
                        last += 1 + skipped;
                        lengths.Add(0);
                    }

                    lengths[^1]++;
                    Check.That(lengths[^1] <= 100_000);
                }
            }

            return last;
        });
        var random = new Random(7);
        var cancelled = 0;
        const int Turns = 400;
        for (var turn = 0; turn < Turns; turn++)
        {
            using var source = new CancellationTokenSource();
            var sent = new byte[random.Next(1, 100_000)];
            Array.Fill(sent, (byte)turn);
            var writing = pair.Near.WriteAsync(sent, source.Token).AsTask();
            var cancelling = turn % 2 == 0 ? Task.Run(source.Cancel) : Task.CompletedTask;
            try
            {
                await writing.Within();
            }
            catch (OperationCanceledException)
            {
                cancelled++;
            }

            await cancelling.Within();
        }

        await pair.Near.WriteAsync(new[] { unchecked((byte)Turns) }, completeWrites: true).Within();
        Check.Equal(Turns, await reading.Within());
        Check.That(cancelled > 0);
    }

    [Fact("streams that are read, written, ended, aborted and disposed at any time leave no state, and no call hangs")]
    public static async Task Chaos()
    {
        await using var server = await Pair.BindAsync(Small);
        await using var client = await Pair.BindAsync(Small);
        using var unobserved = new UnobservedExceptions(server.LocalEndPoint, client.LocalEndPoint);
        var listener = server.Listen();
        var serving = Task.Run(async () =>
        {
            var all = new List<Task>();
            var seed = 1000;
            await foreach (var stream in listener.AcceptAllAsync())
            {
                all.Add(Task.Run(() => AbuseAsync(stream, new Random(seed++))));
            }

            await Task.WhenAll(all);
        });
        for (var turn = 0; turn < 10; turn++)
        {
            await Task.WhenAll(Enumerable.Range(turn * 20, 20).Select(seed => Task.Run(async () =>
            {
                try
                {
                    await AbuseAsync(await client.ConnectAsync(server.LocalEndPoint), new Random(seed));
                }
                catch (UtpException)
                {
                    // Accepted, and aborted before the dialler was told.
                }
            }))).Within();
        }

        await listener.DisposeAsync();
        await serving.Within();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 0 && server.GetStatistics().IncomingConnections == 0);
        client.Dispose();
        server.Dispose();
        UnobservedExceptions.Collect();
        Check.Equal("", string.Join('\n', unobserved.Seen));

        static void Small(UtpNodeOptions options)
        {
            options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024;
            options.LingerTimeout = TimeSpan.FromMilliseconds(500);
        }
    }

    [Fact("a node that is closed during concurrent operations ends all of them")]
    public static async Task ClosedInTheMidst()
    {
        for (var turn = 0; turn < 10; turn++)
        {
            var server = await Pair.BindAsync();
            var client = await Pair.BindAsync();
            var listener = server.Listen();
            var serving = Task.Run(async () =>
            {
                var all = new List<Task>();
                await foreach (var stream in listener.AcceptAllAsync())
                {
                    all.Add(Task.Run(() => EndlesslyAsync(stream)));
                }

                await Task.WhenAll(all);
            });
            var dialling = Enumerable.Range(0, 10).Select(_ => Task.Run(async () =>
            {
                while (true)
                {
                    await using var stream = await client.ConnectAsync(server.LocalEndPoint);
                    await EndlesslyAsync(stream);
                }
            })).ToArray();
            await Waiting.UntilAsync(() => server.GetStatistics().IncomingConnections >= 10);
            if (turn % 2 == 0)
            {
                await client.CloseAsync(TimeSpan.FromMilliseconds(10 * turn)).Within();
                server.Dispose();
            }
            else
            {
                server.Dispose();
                client.Dispose();
            }

            foreach (var dialler in dialling)
            {
                var error = await Check.ThrowsAsync<Exception>(() => dialler.Within());
                Check.That(error is UtpException or ObjectDisposedException, error.ToString());
            }

            await serving.Within();
        }
    }

    private static async Task AbuseAsync(UtpStream stream, Random random)
    {
        var buffer = new byte[random.Next(1, 50_000)];
        var sent = new byte[random.Next(1, 200_000)];
        var reading = Quietly(async () =>
        {
            while (await stream.ReadAsync(buffer) > 0)
            {
            }
        });
        var writing = Quietly(async () => await stream.WriteAsync(sent, completeWrites: random.Next(2) == 0));
        var draining = Quietly(async () => await stream.DrainAsync());
        for (var count = random.Next(5); count > 0; count--)
        {
            await Task.Yield();
        }

        switch (random.Next(5))
        {
            case 0:
                stream.Abort();
                break;
            case 1:
                stream.Dispose();
                break;
            case 2:
                await Quietly(async () => await stream.DisposeAsync());
                break;
            case 3:
                await Quietly(() =>
                {
                    stream.CompleteWrites();
                    return Task.CompletedTask;
                });
                await writing;
                break;
            default:
                await writing;
                break;
        }

        stream.Dispose();
        await Task.WhenAll(reading, writing, draining).Within();
        await stream.Closed.ContinueWith(_ => { }).Within();
        _ = stream.GetStatistics();
    }

    private static async Task EndlesslyAsync(UtpStream stream)
    {
        var writing = Quietly(async () =>
        {
            while (true)
            {
                await stream.WriteAsync(new byte[10_000]);
            }
        });
        var reading = Quietly(async () =>
        {
            while (await stream.ReadAsync(new byte[5_000]) > 0)
            {
            }
        });
        await Task.WhenAll(writing, reading);
    }

    private static async Task Quietly(Func<Task> action)
    {
        try
        {
            await action();
        }
        catch (Exception error) when (error is UtpException or ObjectDisposedException)
        {
            // Not InvalidOperationException: a read or a write that never ends makes the next one throw it.
        }
    }
}
