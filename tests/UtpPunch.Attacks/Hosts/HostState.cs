using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;

namespace UtpPunch.Attacks.Hosts;

/// <summary>What a host has: one node or one rendezvous server, its streams, and what it has counted.</summary>
internal sealed class HostState : IDisposable
{
    private const int Block = 64 << 10;

    private readonly List<UtpNode> _nodes = [];
    private readonly ConcurrentQueue<UtpStream> _streams = new();
    private readonly ConcurrentQueue<double> _closings = new();
    private UtpRendezvousServer? _server;
    private UtpListener? _listener;
    private UtpStream? _last;
    private long _sent;
    private long _accepted;
    private long _received;
    private long _wrong;
    private long _failed;
    private long _unexpected;
    private string _lastError = "none";

    public HostState() => Churn = new(Note);

    /// <summary>The load of a soak run.</summary>
    public Soak.Churn Churn { get; }

    private UtpNode Node => _nodes[0];

    public void Note(Exception error)
    {
        Interlocked.Increment(ref _unexpected);
        _lastError = $"{error.GetType().Name}:{error.Message}".Replace(' ', '_').ReplaceLineEndings("_");
    }

    public async Task<string> BindAsync(UtpNodeOptions options)
    {
        var node = await UtpNode.BindAsync(options);
        _nodes.Add(node);
        return $"port={node.LocalEndPoint.Port} budget={(typeof(UtpNodeOptions).GetProperty("MemoryBudget") is null ? 0 : 1)}";
    }

    public string StartRendezvous(IPAddress ip)
    {
        _server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [new(ip, 0), new(ip, 0)] });
        return $"port={_server.LocalEndPoints[0].Port}";
    }

    public void Dispose() => Churn.Dispose();

    /// <summary>Opens streams to a peer until <see cref="StopChurn"/>, or to another peer than before.</summary>
    public string StartChurn(IPEndPoint peer, int workers, int seed)
    {
        Churn.Open(Node, peer, workers, seed);
        return "ok=1";
    }

    public string StopChurn()
    {
        Churn.Stop();
        return "ok=1";
    }

    /// <summary>The state after a garbage collection.</summary>
    public string SoakStatus()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        var node = Node.GetStatistics();
        return $"{Status()} {Churn.Words} streams={node.IncomingConnections + node.OutgoingConnections}";
    }

    /// <summary>Accepts all streams from now on.</summary>
    public string Accept(Func<UtpStream, Task> serve, bool keeps = true)
    {
        _listener = Node.Listen(new UtpListenOptions { Backlog = 4096 });
        _ = Task.Run(async () =>
        {
            try
            {
                await foreach (var stream in _listener.AcceptAllAsync())
                {
                    Interlocked.Increment(ref _accepted);
                    if (keeps)
                    {
                        _streams.Enqueue(stream);
                    }

                    _ = ServeAsync(stream, serve);
                }
            }
            catch (Exception e) when (e is ObjectDisposedException or UtpException)
            {
                // The node was disposed.
            }
        });
        return "ok=1";
    }

    /// <summary>Reads to the end, and checks every byte.</summary>
    public async Task SinkAsync(UtpStream stream)
    {
        var buffer = new byte[Block];
        long offset = 0;
        while (await stream.ReadAsync(buffer) is > 0 and var count)
        {
            Interlocked.Add(ref _wrong, Pattern.CountWrong(buffer.AsSpan(0, count), offset));
            Interlocked.Add(ref _received, count);
            offset += count;
        }

        await stream.DisposeAsync();
    }

    public async Task EchoAsync(UtpStream stream)
    {
        var buffer = new byte[Block];
        while (await stream.ReadAsync(buffer) is > 0 and var count)
        {
            Interlocked.Add(ref _received, count);
            await stream.WriteAsync(buffer.AsMemory(0, count));
        }

        await stream.DisposeAsync();
    }

    public static async Task SendAsync(UtpStream stream, long bytes)
    {
        var buffer = new byte[Block];
        for (long offset = 0; offset < bytes; offset += Block)
        {
            Pattern.Fill(buffer, offset);
            await stream.WriteAsync(buffer.AsMemory(0, (int)Math.Min(Block, bytes - offset)));
        }
    }

    /// <summary>Writes, disposes the stream, and notes how long it took to be closed.</summary>
    public async Task LeaveAsync(UtpStream stream, int bytes)
    {
        await stream.WriteAsync(new byte[bytes]);
        var clock = Stopwatch.StartNew();
        await stream.DisposeAsync();
        await stream.Closed.ContinueWith(_ => { }, TaskScheduler.Default);
        _closings.Enqueue(clock.Elapsed.TotalSeconds);
    }

    public async Task<string> ConnectAsync(IPEndPoint remote)
    {
        var clock = Stopwatch.StartNew();
        _last = await Node.ConnectAsync(remote);
        _sent = 0;
        return string.Create(CultureInfo.InvariantCulture, $"ms={clock.Elapsed.TotalMilliseconds:F0} id={_last.ConnectionId}");
    }

    /// <summary>Sends the next bytes of the pattern on the last stream.</summary>
    public async Task<string> SendLastAsync(long bytes)
    {
        var clock = Stopwatch.StartNew();
        await SendNextAsync(() => _sent < bytes);
        return string.Create(CultureInfo.InvariantCulture, $"seconds={clock.Elapsed.TotalSeconds:F3}");
    }

    /// <summary>Sends for a time; the bytes that were acknowledged meanwhile.</summary>
    public async Task<string> SendForAsync(TimeSpan time)
    {
        var clock = Stopwatch.StartNew();
        var before = _last!.GetStatistics().BytesAcknowledged;
        await SendNextAsync(() => clock.Elapsed < time);
        var bytes = _last.GetStatistics().BytesAcknowledged - before;
        return string.Create(CultureInfo.InvariantCulture, $"bytes={bytes} seconds={clock.Elapsed.TotalSeconds:F3}");
    }

    /// <summary>Writes a few bytes to an echo and waits for them.</summary>
    public async Task<string> PingAsync()
    {
        var question = Encoding.ASCII.GetBytes($"{_sent++:D8}");
        var answer = new byte[question.Length];
        await _last!.WriteAsync(question);
        await _last.ReadExactlyAsync(answer).AsTask().WaitAsync(TimeSpan.FromSeconds(10));
        return question.AsSpan().SequenceEqual(answer) ? "ok=1" : throw new IOException($"{Encoding.ASCII.GetString(answer)} was echoed");
    }

    public string Abort()
    {
        _last!.Abort();
        return "ok=1";
    }

    public string Status()
    {
        using var process = Process.GetCurrentProcess();
        var udp = UdpCounters();
        var dropped = _server?.GetStatistics().DatagramsRefused ?? 0;
        var closings = _closings.IsEmpty ? 0 : _closings.Max();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"accepted={_accepted} open={_streams.Count(stream => !stream.Closed.IsCompleted)} bytes={_received} wrong={_wrong} "
            + $"failed={_failed} unexpected={_unexpected} error={_lastError} cpu={process.TotalProcessorTime.TotalSeconds:F4} user={process.UserProcessorTime.TotalSeconds:F4} "
            + $"rss={process.WorkingSet64} heap={GC.GetTotalMemory(false)} in={udp.Received} overflown={udp.Overflown} "
            + $"dropped={dropped} waiting={_server?.GetStatistics().WaitingPeers ?? 0} closings={_closings.Count} longest={closings:F2} "
            + $"handles={Directory.GetFiles("/proc/self/fd").Length} threads={process.Threads.Count}");
    }

    public async Task<string> DisposeNodeAsync()
    {
        var clock = Stopwatch.StartNew();
        foreach (var node in _nodes)
        {
            await node.DisposeAsync();
        }

        return string.Create(CultureInfo.InvariantCulture, $"seconds={clock.Elapsed.TotalSeconds:F2}");
    }

    /// <summary>Meets a peer, and compares a word that each writes: a stream of any other host has not the room's.</summary>
    public async Task<string> MeetAsync(IPEndPoint server, string room, UtpPunchOptions options)
    {
        var clock = Stopwatch.StartNew();
        await using var stream = await new UtpRendezvousClient(Node, server).ConnectAsync(room, options);
        var word = Encoding.ASCII.GetBytes($"the word of room {room}");
        await stream.WriteAsync(word);
        var heard = new byte[word.Length];
        var isRight = true;
        try
        {
            await stream.ReadExactlyAsync(heard).AsTask().WaitAsync(TimeSpan.FromSeconds(5));
        }
        catch (Exception e) when (e is TimeoutException or IOException)
        {
            isRight = false;
        }

        isRight &= heard.AsSpan().SequenceEqual(word);
        return string.Create(CultureInfo.InvariantCulture, $"ms={clock.Elapsed.TotalMilliseconds:F0} right={(isRight ? 1 : 0)}");
    }

    /// <summary>Begins a meeting, of which nothing is expected, from a node that claims addresses of others.</summary>
    public string Visit(IPEndPoint server, string room, UtpPunchOptions options, IReadOnlyList<IPAddress> hosts)
    {
        var own = new UtpNodeOptions { LocalEndPoint = new IPEndPoint(Node.LocalEndPoint.Address, 0), HostAddresses = hosts };
        _ = Task.Run(async () =>
        {
            await using var node = await UtpNode.BindAsync(own);
            await new UtpRendezvousClient(node, server).PunchAsync(room, options);
        });
        return "ok=1";
    }

    /// <summary>Stays in a room, and greets each peer with the word.</summary>
    public string Serve(IPEndPoint server, string room, UtpPunchOptions options)
    {
        var word = Encoding.ASCII.GetBytes($"the word of room {room}");
        _ = Task.Run(async () =>
        {
            await foreach (var stream in new UtpRendezvousClient(Node, server).AcceptAllAsync(room, options))
            {
                Interlocked.Increment(ref _accepted);
                _ = ServeAsync(stream, async it => await it.WriteAsync(word));
            }
        });
        return "ok=1";
    }

    /// <summary>Many peers that enter a room again and again.</summary>
    public string Crowd(IPEndPoint server, string room, UtpPunchOptions options, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var node = _nodes[i % _nodes.Count];
            _ = Task.Run(async () =>
            {
                while (true)
                {
                    await new UtpRendezvousClient(node, server).PunchAsync(room, options);
                }
            });
        }

        return "ok=1";
    }

    private async Task SendNextAsync(Func<bool> hasMore)
    {
        var buffer = new byte[Block];
        while (hasMore())
        {
            Pattern.Fill(buffer, _sent);
            await _last!.WriteAsync(buffer);
            _sent += Block;
        }
    }

    private async Task ServeAsync(UtpStream stream, Func<UtpStream, Task> serve)
    {
        try
        {
            await serve(stream);
        }
        catch (Exception e) when (e is UtpException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _failed);
        }
        catch (Exception e)
        {
            Note(e);
        }
    }

    // Of this network namespace: datagrams that were handed to sockets, and those for which a socket had no room.
    private static (long Received, long Overflown) UdpCounters()
    {
        var lines = File.ReadLines("/proc/self/net/snmp").Where(line => line.StartsWith("Udp:", StringComparison.Ordinal)).ToArray();
        var names = lines[0].Split(' ');
        var values = lines[1].Split(' ');
        return (long.Parse(values[Array.IndexOf(names, "InDatagrams")], CultureInfo.InvariantCulture),
            long.Parse(values[Array.IndexOf(names, "RcvbufErrors")], CultureInfo.InvariantCulture));
    }
}
