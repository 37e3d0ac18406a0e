using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Attackers with a plain socket.</summary>
public static class Hostile
{
    private const int Header = 20;
    private const int Data = 0;
    private const int State = 2;
    private const int Reset = 3;
    private const int Syn = 4;

    [Fact("100 000 random, mutated and misaddressed datagrams into a listening node do no harm: memory stays bounded, "
          + "and a real client still connects and transfers", Timeout = 120)]
    public static async Task Flood()
    {
        const int Count = 100_000;
        const int Burst = 64;
        var marker = "d6:marker5:floode"u8.ToArray();
        await using var server = await Pair.BindAsync();
        await using var listener = server.Listen();
        using var attacker = AttackerSocket(server);
        using var markers = new SemaphoreSlim(0);
        var foreign = 0;
        server.DatagramHandler = (datagram, _, _) =>
        {
            foreign++;
            if (datagram.SequenceEqual(marker))
            {
                markers.Release();
            }
        };
        var random = new Random(20);
        var answered = new List<byte[]>();
        var mostHalfOpen = 0;
        var mostIncoming = 0;
        var before = GC.GetTotalMemory(true);
        for (var sent = 1; sent <= Count; sent++)
        {
            attacker.Send((sent % 3) switch
            {
                0 => Garbage(random),
                1 => Mutated(random, Plausible(random, answered)),
                _ => Misaddressed(random),
            });
            if (sent % Burst == 0 || sent == Count)
            {
                // The node has processed this burst when it has processed the marker: its receive buffer never overflows.
                attacker.Send(marker);
                Check.That(await markers.WaitAsync(TimeSpan.FromSeconds(20)), "the node still reads");
                DrainReplies(attacker, answered);
                var now = server.GetStatistics();
                mostHalfOpen = Math.Max(mostHalfOpen, now.HalfOpen);
                mostIncoming = Math.Max(mostIncoming, now.IncomingConnections);
            }
        }

        answered.Clear();
        var growth = GC.GetTotalMemory(true) - before;
        var seen = Volatile.Read(ref foreign);
        Check.That(seen > Count / 4, $"enough random datagrams arrived: {seen}");
        Check.That(!server.Completion.IsCompleted);
        Check.That(mostHalfOpen is > 0 and <= 256, $"half-open streams are bounded: {mostHalfOpen}");
        Check.That(mostIncoming is > 0 and <= 128, $"streams that are not accepted are bounded: {mostIncoming}");
        Check.That(growth < 64 << 20, $"memory is bounded: {growth} bytes more");

        await using var client = await Pair.BindAsync();
        var accepting = AcceptFromAsync(listener, client.LocalEndPoint);
        await using var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        await using var far = await accepting.Within();
        var request = Waiting.Bytes(1 << 20, 1);
        var answer = Waiting.Bytes(1 << 20, 2);
        var asking = near.WriteAsync(request, completeWrites: true).AsTask();
        var answering = far.WriteAsync(answer, completeWrites: true).AsTask();
        var atFar = far.ReadToEndAsync();
        Waiting.Same(answer, await near.ReadToEndAsync());
        Waiting.Same(request, await atFar);
        await Task.WhenAll(asking, answering).Within();
        client.Dispose();
        server.Dispose();
        Check.That(server.Completion.IsCompletedSuccessfully);
    }

    [Fact("a spoofed SYN to a server that writes first draws at most three SYN-ACKs, and no data")]
    public static async Task SpoofedSyn()
    {
        await using var server = await Pair.BindAsync();
        var listener = server.Listen();
        var accepted = 0;
        var serving = Task.Run(async () =>
        {
            await foreach (var stream in listener.AcceptAllAsync())
            {
                Interlocked.Increment(ref accepted);
                await stream.WriteAsync(Waiting.Bytes(100_000));
            }
        });
        using var attacker = AttackerSocket(server);
        attacker.Send(Packet(Syn, 1000, 77, 0));
        var answers = new List<byte[]>();
        var started = Stopwatch.GetTimestamp();

        // The third comes after three seconds; a fourth would come after seven, data at once.
        while (TimeSpan.FromSeconds(6) - Stopwatch.GetElapsedTime(started) is { Ticks: > 0 } left
               && await ReceiveAsync(attacker, left) is { } answer)
        {
            answers.Add(answer);
        }

        Check.That(answers.Count is >= 1 and <= 3, $"one to three answers, but {answers.Count}");
        foreach (var answer in answers)
        {
            Check.Equal(Header, answer.Length);
            Check.Equal(State, TypeOf(answer));
            Check.Equal(1000, IdOf(answer));
            Check.Equal(77, AckOf(answer));
            Check.Equal(SeqOf(answers[0]), SeqOf(answer));
        }

        Check.Equal(0, Volatile.Read(ref accepted));
        await listener.DisposeAsync();
        await serving.Within();
        server.Dispose();
    }

    [Fact("a stray packet draws at most one RESET, and a RESET draws none")]
    public static async Task Stray()
    {
        var silence = TimeSpan.FromMilliseconds(500);
        await using var node = await Pair.BindAsync();
        _ = node.Listen();
        using var attacker = AttackerSocket(node);
        attacker.Send(Packet(Data, 4242, 5, 6, Waiting.Bytes(100)));
        var reset = await ReceiveAsync(attacker, TimeSpan.FromSeconds(20));
        Check.That(reset is not null);
        Check.Equal(Header, reset!.Length);
        Check.Equal(Reset, TypeOf(reset));
        Check.Equal(4242, IdOf(reset));
        Check.That(await ReceiveAsync(attacker, silence) is null, "there is one RESET only");
        attacker.Send(Packet(Reset, 4243, 5, 6));
        Check.That(await ReceiveAsync(attacker, silence) is null, "a RESET is not answered");

        // It sends no RESET, but is still running.
        attacker.Send(Packet(Data, 4244, 5, 6));
        Check.Equal(4244, IdOf((await ReceiveAsync(attacker, TimeSpan.FromSeconds(20)))!));
        node.Dispose();
    }

    [Fact("a connect to a port that is not bound yet succeeds when the server starts")]
    public static async Task ServerComesLate()
    {
        await using var client = await Pair.BindAsync();
        var late = FreePort();
        var connecting = client.ConnectAsync(late).AsTask();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 1);
        using (var mute = Open())
        {
            mute.Bind(late);
            var syn = await ReceiveAsync(mute, TimeSpan.FromSeconds(9));
            Check.That(syn is not null, "a SYN comes");
            Check.Equal(Syn, TypeOf(syn!));
        }

        Check.That(!connecting.IsCompleted);
        await using var server = await Pair.BindAsync(options => options.LocalEndPoint = late);
        await using var listener = server.Listen();
        await using var near = await connecting.Within();
        await using var far = await listener.AcceptAsync().Within();
        Check.Equal(client.LocalEndPoint, far.RemoteEndPoint);
        var asking = near.WriteAsync(Waiting.Bytes(50_000, 1), completeWrites: true).AsTask();
        Waiting.Same(Waiting.Bytes(50_000, 1), await far.ReadToEndAsync());
        var answering = far.WriteAsync(Waiting.Bytes(50_000, 2), completeWrites: true).AsTask();
        Waiting.Same(Waiting.Bytes(50_000, 2), await near.ReadToEndAsync());
        await Task.WhenAll(asking, answering).Within();
        client.Dispose();
        server.Dispose();
    }

    // ---- Datagrams of the attacker ----

    private static byte[] Garbage(Random random)
    {
        var bytes = new byte[random.Next(1501)];
        random.NextBytes(bytes);
        return bytes;
    }

    // Plausible packets: a SYN, the next packet of a stream that the node has answered, or a packet of any kind.
    private static byte[] Plausible(Random random, List<byte[]> answered)
    {
        var choice = random.Next(4);
        if (choice == 0)
        {
            return Packet(Syn, Word(random), Word(random), 0);
        }

        if (choice < 3 && answered.Count > 0)
        {
            var synAck = answered[random.Next(answered.Count)];
            var packet = Packet(
                random.Next(Reset + 1),
                (ushort)(IdOf(synAck) + 1),
                (ushort)(AckOf(synAck) + random.Next(1, 4)),
                (ushort)(SeqOf(synAck) - 1),
                new byte[random.Next(1400)],
                new byte[4 * random.Next(3)]);

            // It echoes the node's clock, as only a peer can that has received the SYN-ACK.
            BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(8), StampOf(packet) - StampOf(synAck));
            return packet;
        }

        return Misaddressed(random);
    }

    private static byte[] Mutated(Random random, byte[] packet)
    {
        for (var count = random.Next(4); count > 0; count--)
        {
            // Mostly in the header and the extensions.
            packet[random.Next(Math.Min(packet.Length, random.Next(2) == 0 ? Header + 8 : packet.Length))] = (byte)random.Next(256);
        }

        return random.Next(8) == 0 ? packet[..random.Next(packet.Length)] : packet;
    }

    private static byte[] Misaddressed(Random random)
    {
        var sack = new byte[4 * random.Next(3)];
        random.NextBytes(sack);
        return Packet(random.Next(Reset + 1), Word(random), Word(random), Word(random), new byte[random.Next(1400)], sack);
    }

    private static ushort Word(Random random) => (ushort)random.Next(0x10000);

    private static byte[] Packet(int type, ushort id, ushort seq, ushort ack, byte[]? payload = null, byte[]? sack = null)
    {
        var extension = sack is { Length: > 0 } ? (byte[])[0, (byte)sack.Length, .. sack] : [];
        byte[] packet = [.. new byte[Header], .. extension, .. payload ?? []];
        packet[0] = (byte)((type << 4) | 1);
        packet[1] = (byte)(extension.Length > 0 ? 1 : 0);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), id);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(4), (uint)Stopwatch.GetTimestamp());
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(12), 1 << 20);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(16), seq);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(18), ack);
        return packet;
    }

    private static int TypeOf(byte[] packet) => packet[0] >> 4;

    private static int IdOf(byte[] packet) => BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(2));

    private static uint StampOf(byte[] packet) => BinaryPrimitives.ReadUInt32BigEndian(packet.AsSpan(4));

    private static int SeqOf(byte[] packet) => BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(16));

    private static int AckOf(byte[] packet) => BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(18));

    // ---- The attacker's socket ----

    private static Socket Open() => new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);

    private static Socket AttackerSocket(UtpNode node)
    {
        var socket = Open();
        socket.Connect(node.LocalEndPoint);
        return socket;
    }

    private static IPEndPoint FreePort()
    {
        using var socket = Open();
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>The next datagram; null when there is none in that time.</summary>
    private static async Task<byte[]?> ReceiveAsync(Socket socket, TimeSpan limit)
    {
        using var source = new CancellationTokenSource(limit);
        var buffer = new byte[2048];
        try
        {
            return buffer[..await socket.ReceiveAsync(buffer.AsMemory(), SocketFlags.None, source.Token)];
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    // Keeps the last few acknowledgements: most are SYN-ACKs.
    private static void DrainReplies(Socket socket, List<byte[]> answered)
    {
        var buffer = new byte[2048];
        while (socket.Poll(0, SelectMode.SelectRead))
        {
            var reply = buffer[..socket.Receive(buffer)];
            if (reply.Length >= Header && TypeOf(reply) == State)
            {
                answered.Add(reply);
            }
        }

        answered.RemoveRange(0, Math.Max(0, answered.Count - 64));
    }

    private static async Task<UtpStream> AcceptFromAsync(UtpListener listener, IPEndPoint remote)
    {
        while (true)
        {
            var stream = await listener.AcceptAsync().Within();
            if (stream.RemoteEndPoint.Equals(remote))
            {
                return stream;
            }

            stream.Abort();
            await stream.DisposeAsync();
        }
    }
}
