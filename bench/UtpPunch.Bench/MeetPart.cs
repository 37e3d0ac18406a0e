using System.Diagnostics;
using System.Net;
using UtpPunch.Cli.Bench;
using UtpPunch.Protocol;

namespace UtpPunch.Bench;

/// <summary>The time until two nodes on the loopback have a stream, and the capacity of a rendezvous server.</summary>
internal static class MeetPart
{
    public const string Name = "meet";
    private const int Meetings = 51;
    private const int Peers = 4000;

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        yield return new BenchGroup(
            Name,
            $"{Meetings} meetings at a rendezvous on the loopback, until a stream is open at both ends",
            [new("ms from the introduction on", MoreIsBetter: false), new("ms from the second call on", MoreIsBetter: false)],
            [new BenchCase("UtpPunch, medians", async _ =>
            {
                var (calls, introductions) = await MeetAsync();
                return [Median(introductions), Median(calls)];
            })])
        {
            Compares = false,
        };
        yield return new BenchGroup(
            Name,
            $"a rendezvous server alone, {Peers} peers in memory, with challenge, comparison and introduction",
            [new("registrations/s", MoreIsBetter: true), new("B a peer", MoreIsBetter: false)],
            [new BenchCase("UtpPunch", _ =>
            {
                var (rate, bytes) = Serve();
                return Task.FromResult<double[]>([rate, bytes]);
            })])
        {
            Compares = false,
        };
    }

    private static double Median(List<double> times) => times.Order().ElementAt(times.Count / 2);

    private static async Task<(List<double> Calls, List<double> FromIntroduction)> MeetAsync()
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions
        {
            LocalEndPoints = [loopback, loopback],
            DatagramsPerSecondPerSource = 100_000,
        });
        await using var one = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = loopback });
        await using var other = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = loopback });
        var calls = new List<double>();
        var introductions = new List<double>();
        for (var index = 0; index < Meetings; index++)
        {
            // The waiting peer is introduced as soon as the other one has registered; deriving the room's key takes most of that time.
            var room = $"room {index}";
            var waits = new TaskCompletionSource();
            var first = OpenAsync(one, room, new Immediately(_ => waits.TrySetResult()));
            await waits.Task;
            var begun = Stopwatch.GetTimestamp();
            var ends = await Task.WhenAll(first, OpenAsync(other, room, null));
            calls.Add(Stopwatch.GetElapsedTime(begun, ends.Max(end => end.OpenedAt)).TotalMilliseconds);
            introductions.Add(ends.Max(end => end.SinceIntroduction.TotalMilliseconds));
        }

        return (calls, introductions);

        async Task<(long OpenedAt, TimeSpan SinceIntroduction)> OpenAsync(UtpNode node, string room, IProgress<UtpPunchProgress>? progress)
        {
            var punch = await new UtpRendezvousClient(node, server.LocalEndPoints[0]).PunchAsync(room, new UtpPunchOptions { Progress = progress });
            var punchedAt = Stopwatch.GetTimestamp();
            await using var stream = await punch.Path!.OpenAsync();
            return (Stopwatch.GetTimestamp(), punch.Elapsed + Stopwatch.GetElapsedTime(punchedAt));
        }
    }

    // Progress<T> would report later, from a queue.
    private sealed class Immediately(Action<UtpPunchProgress> report) : IProgress<UtpPunchProgress>
    {
        public void Report(UtpPunchProgress value) => report(value);
    }

    // The peers are nodes too, but only the server is timed.
    private static (double Rate, double Bytes) Serve()
    {
        var standard = RendezvousModule.standard;
        var sockets = new[] { 1, 2 }.Select(port => EndpointModule.ofIPv4(0xC6336401, (ushort)port)).ToArray();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var server = RendezvousModule.Create(
            new RendezvousOptions(sockets, Peers, Peers, Peers, 1_000_000, standard.Lifetime, false, false), new Owned(new byte[32]), 0);
        var watch = new Stopwatch();
        var nodes = new Node[Peers];
        var queue = new Queue<(int Peer, Endpoint Socket, Owned Datagram)>();
        var now = 0L;

        for (var peer = 0; peer < Peers; peer++)
        {
            var seed = new byte[32];
            BitConverter.TryWriteBytes(seed, peer + 1);
            nodes[peer] = NodeModule.Create(NodeOptionsModule.standard, new Owned(seed), now);
            var room = new byte[32];
            BitConverter.TryWriteBytes(room, peer + 1);
            var plan = new MeetPlan(
                [sockets[0]], new Owned(room), [], false, 60_000_000, 10_000_000, false, 4, PrivateAddressPolicy.Shared, 0, false);
            Tell(peer, Event.NewMeet(1, plan));
        }

        while (queue.TryDequeue(out var sent))
        {
            var via = Array.FindIndex(sockets, socket => socket.Port == sent.Socket.Port);
            var from = EndpointModule.via((ushort)via, Address(sent.Peer));
            now++;
            watch.Start();
            (server, var answers) = RendezvousModule.Step(now, [(from, sent.Datagram.AsBorrowed)], server);
            watch.Stop();
            foreach (var (remote, datagram) in answers)
            {
                Tell((int)(remote.Low & 0xFFFFFF), Event.NewReceived(sockets[remote.Via], Datagrams.One(datagram.AsBorrowed, now)));
            }
        }

        var waiting = RendezvousModule.Statistics(server).Waiting;
        if (waiting != Peers)
        {
            throw new InvalidOperationException($"{waiting} of {Peers} peers are registered.");
        }

        queue.Clear();
        Array.Clear(nodes);
        var after = GC.GetTotalMemory(forceFullCollection: true);
        GC.KeepAlive(server);
        return (Peers / watch.Elapsed.TotalSeconds, (double)(after - before) / Peers);

        static Endpoint Address(int peer) => EndpointModule.ofIPv4(0x0A000000 | (uint)peer, 4000);

        void Tell(int peer, Event what)
        {
            (nodes[peer], var effects) = NodeModule.Step(now, [what], nodes[peer]);
            foreach (var effect in effects)
            {
                if (effect is Effect.SendDatagram send)
                {
                    queue.Enqueue((peer, send.remote, send.datagram));
                }
            }
        }
    }
}
