using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace UtpPunch.Tests;

/// <summary>Several instances of the rendezvous as processes, with one Redis: the peers of a room are at different ones.</summary>
public static class SharedRendezvous
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(5);

    // The long form (docs/rendezvous.md) sets UTP_ROOMS=10000, and UTP_INSTANCES=1 for the figures of one instance beside it.
    private static int Rooms => Number("UTP_ROOMS", 24);

    private static int Count => Number("UTP_INSTANCES", 3);

    [Fact("peers of rooms meet across three instances", Parallel = true)]
    public static async Task Meet()
    {
        using var redis = new RedisServer();
        await redis.StartAsync();
        await using var instances = await Instances.StartAsync(redis, Count);
        var rooms = Rooms;
        var begun = Stopwatch.GetTimestamp();
        var all = new List<double>();
        await Parallel.ForEachAsync(Enumerable.Range(0, rooms), new ParallelOptions { MaxDegreeOfParallelism = 24 }, async (room, _) =>
        {
            var since = Stopwatch.GetTimestamp();
            await MeetAsync($"room {room}", instances.Of(room), instances.Of(room + 1 + (room / 3 % 2)));
            var took = Stopwatch.GetElapsedTime(since);
            lock (redis)
            {
                all.Add(took.TotalSeconds);
            }
        });
        all.Sort();
        Console.WriteLine(
            $"{rooms} rooms at {Count} instances in {Stopwatch.GetElapsedTime(begun).TotalSeconds:F1} s; a meeting takes {all[rooms / 2]:F2} s in the median,"
            + $" {all[rooms * 99 / 100]:F2} s at most in 99 of 100, {all[^1]:F2} s at most");
    }

    [Fact("Redis is killed, and is back without what it knew: those that wait meet", Parallel = true)]
    public static async Task RedisIsBack()
    {
        using var redis = new RedisServer();
        await redis.StartAsync();
        await using var instances = await Instances.StartAsync(redis, 2);
        await MeetAsync("before", instances.Of(0), instances.Of(1));
        redis.Kill();
        await instances.LineAsync(0, "is away");
        await using var one = UtpNode.Bind(WebPair.Loopback);
        await using var other = UtpNode.Bind(WebPair.Loopback);
        var meetings = new[] { ConnectAsync(one, instances.Of(0), "room"), ConnectAsync(other, instances.Of(1), "room") };

        // Within one instance, peers meet meanwhile.
        await MeetAsync("own", instances.Of(1), instances.Of(1));
        Check.That(meetings.All(meeting => !meeting.IsCompleted), "the peers of different instances wait");
        await redis.StartAsync();
        var begun = Stopwatch.GetTimestamp();
        foreach (var stream in await Task.WhenAll(meetings).WaitAsync(WebPair.Limit))
        {
            stream.Abort();
        }

        Check.That(Stopwatch.GetElapsedTime(begun) < s_soon, $"they meet {Stopwatch.GetElapsedTime(begun)} after Redis is back");
    }

    [Fact("an instance is killed with the peers that waited there: no one is introduced to them, and those of others meet", Parallel = true)]
    public static async Task Killed()
    {
        using var redis = new RedisServer();
        await redis.StartAsync();
        await using var instances = await Instances.StartAsync(redis, 3);
        await using var ghost = UtpNode.Bind(WebPair.Loopback);
        using var gone = new CancellationTokenSource();
        var waiting = new UtpRendezvousClient(ghost, instances.Of(0)).ConnectAsync("room", null, gone.Token).AsTask();
        await Waiting.UntilAsync(() => redis.AskAsync("KEYS", "utp:*").Result.Length > 1, "it is in Redis");
        instances.Kill(0);
        var begun = Stopwatch.GetTimestamp();
        await MeetAsync("room", instances.Of(1), instances.Of(2));
        Check.That(Stopwatch.GetElapsedTime(begun) < s_soon, $"they meet in {Stopwatch.GetElapsedTime(begun)}");
        Check.That(!waiting.IsCompleted, "the peer at the killed instance waits");
        await gone.CancelAsync();
        await waiting.ContinueWith(_ => { }, TaskScheduler.Default);
    }

    [Fact("values in Redis that no instance has written get a line in the log, and peers still meet", Parallel = true)]
    public static async Task Hostile()
    {
        using var redis = new RedisServer();
        await redis.StartAsync();
        await using var instances = await Instances.StartAsync(redis, 2);
        var channels = (await redis.AskAsync("PUBSUB", "CHANNELS", "utp:*")).Where(line => line.StartsWith("utp:", StringComparison.Ordinal)).ToArray();
        Check.Equal(2, channels.Length);
        foreach (var channel in channels)
        {
            foreach (var text in new[] { "", "x", new string('x', 40), "12345678UPI1" + new string('\u0001', 60), new string('x', 100_000) })
            {
                await redis.AskAsync("PUBLISH", channel, text);
            }
        }

        // Redis' client hands messages over in any order, and there is one line a second.
        Check.That((await instances.LineAsync(0, "InvalidStoredValueException")).Contains("a message has ", StringComparison.Ordinal));
        await using var one = UtpNode.Bind(WebPair.Loopback);
        await using var other = UtpNode.Bind(WebPair.Loopback);
        var first = ConnectAsync(one, instances.Of(0), "room");
        string[] keys = [];
        await Waiting.UntilAsync(
            () => (keys = [.. redis.AskAsync("KEYS", "utp:*").Result.Where(line => line.StartsWith("utp:", StringComparison.Ordinal))]).Length > 0,
            "the room is in Redis");
        await redis.AskAsync("SET", keys[0], "not a sorted set");
        await instances.LineAsync(0, "RedisServerException");
        await redis.AskAsync("DEL", keys[0]);
        await redis.AskAsync("ZADD", keys[0], "99999999999999", "no member");
        var second = ConnectAsync(other, instances.Of(1), "room");
        await instances.LineAsync(1, "a member of a room has 9 bytes");
        await redis.AskAsync("DEL", keys[0]);
        foreach (var stream in await Task.WhenAll(first, second).WaitAsync(WebPair.Limit))
        {
            stream.Abort();
        }
    }

    private static int Number(string variable, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : standard;

    private static async Task MeetAsync(string room, IPEndPoint server, IPEndPoint otherServer)
    {
        using var one = UtpNode.Bind(WebPair.Loopback);
        using var other = UtpNode.Bind(WebPair.Loopback);
        var streams = await Task.WhenAll(ConnectAsync(one, server, room), ConnectAsync(other, otherServer, room)).WaitAsync(WebPair.Limit);
        Check.Equal(1, streams.Count(stream => stream.IsIncoming));
        Check.Equal(other.LocalEndPoint, streams[0].RemoteEndPoint);
        Check.Equal(one.LocalEndPoint, streams[1].RemoteEndPoint);
        foreach (var stream in streams)
        {
            stream.Abort();
        }
    }

    private static Task<UtpStream> ConnectAsync(UtpNode node, IPEndPoint server, string room) =>
        new UtpRendezvousClient(node, server).ConnectAsync(room).AsTask();

    private sealed class Instances : IAsyncDisposable
    {
        private readonly List<(ProgramRun Process, IPEndPoint Server)> _all = [];

        public static async Task<Instances> StartAsync(RedisServer redis, int count)
        {
            var instances = new Instances();
            for (var index = 0; index < count; index++)
            {
                var process = ProgramRun.Start(
                    Repository.Root,
                    "dotnet",
                    [
                        "exec", Repository.OutputOf("src/UtpPunch.Rendezvous", "utp-rendezvous"), "--Admin", "127.0.0.1:0", "--Redis", $"{redis.EndPoint}",
                        "--Listen:0", "127.0.0.1:0", "--Listen:1", "127.0.0.1:0",
                        "--DatagramsPerSecondPerSource", "100000", "--MaxRegistrationsPerSource", "65536",
                    ]);
                instances._all.Add((process, new IPEndPoint(IPAddress.Loopback, 0)));
            }

            for (var index = 0; index < count; index++)
            {
                var (process, _) = instances._all[index];
                var line = await process.LineAsync("Listening on");
                instances._all[index] = (process, IPEndPoint.Parse(Regex.Match(line, @"127\.0\.0\.1:\d+").Value));
            }

            return instances;
        }

        public IPEndPoint Of(int index) => _all[index % _all.Count].Server;

        public Task<string> LineAsync(int index, string text) => _all[index].Process.LineAsync(text);

        public void Kill(int index)
        {
            using var kill = Process.Start("kill", ["-KILL", $"{_all[index].Process.Id}"]);
            kill.WaitForExit();
        }

        public ValueTask DisposeAsync()
        {
            _all.ForEach(one => one.Process.Dispose());
            return ValueTask.CompletedTask;
        }
    }
}
