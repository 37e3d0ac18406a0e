using System.Collections.Concurrent;
using System.Diagnostics;

namespace UtpPunch.Attacks.Wire;

/// <summary>A stream of a peer that is scripted, from an address of the attacker's own.</summary>
internal sealed class RawPeer(Address local, ushort id)
{
    public Address Local { get; } = local;

    public ushort Id { get; } = id;

    public bool IsOpen { get; set; }

    public ushort Seq { get; set; } = 1;

    /// <summary>The last number before the victim's first data.</summary>
    public ushort Ack { get; set; }

    /// <summary>The last number of the victim that was received in order.</summary>
    public ushort Received { get; set; }

    /// <summary>Our clock less the victim's, in its last packet.</summary>
    public uint Difference { get; set; }

    /// <summary>The same, in its SYN-ACK.</summary>
    public uint FirstDifference { get; set; }

    public long BytesDrawn { get; set; }

    public long BytesSent { get; set; }
}

/// <summary>
/// Peers that open streams as they must, at any number of own addresses, and then do what an attack says. All have one port, at which a UDP
/// socket keeps the kernel from answering with ICMP errors.
/// </summary>
internal sealed class RawPeers : IDisposable
{
    public const int Port = 4000;

    private readonly RawSender _sender;
    private readonly Lock _sending = new();
    private readonly PacketReader _reader;
    private readonly IDisposable _silence;
    private readonly Address _victim;
    private readonly ConcurrentDictionary<(Address, ushort), RawPeer> _peers = new();
    private readonly uint _window;

    /// <param name="field">The network.</param>
    /// <param name="victim">To what they connect.</param>
    /// <param name="largest">The length of the largest packet.</param>
    /// <param name="window">The window that their first packets advertise.</param>
    public RawPeers(Network.Field field, Address victim, int largest = 256, uint window = 1 << 20)
    {
        _victim = victim;
        _window = window;
        _sender = field.NewSender(largest);
        _silence = field.Attacker.Bind(new(System.Net.IPAddress.Any, Port));
        _reader = field.ReadAttacker(Take);
    }

    public int Opened => _peers.Values.Count(peer => peer.IsOpen);

    public IEnumerable<RawPeer> All => _peers.Values;

    public void Dispose()
    {
        _reader.Dispose();
        _silence.Dispose();
        _sender.Dispose();
    }

    /// <summary>Sends a SYN, which the victim may leave unanswered.</summary>
    public RawPeer Dial(Address local, ushort id)
    {
        var peer = _peers.GetOrAdd((local, id), _ => new RawPeer(local, id));
        Write(peer, new Utp(Utp.Syn, id, Utp.Now, 0, _window, peer.Seq, 0), 0);
        return peer;
    }

    /// <summary>
    /// Opens streams of these addresses, at most 200 at a time, until all are open or none was opened within two seconds; the number.
    /// </summary>
    public int Open(int count, Func<int, (Address Local, ushort Id)> name, TimeSpan limit)
    {
        const int AtATime = 200;
        var clock = Stopwatch.StartNew();
        var lastAt = clock.Elapsed;
        var dialled = 0;
        var opened = 0;
        while (opened < count && clock.Elapsed < limit && clock.Elapsed - lastAt < TimeSpan.FromSeconds(2))
        {
            for (var burst = 0; dialled < count && burst < AtATime && dialled - opened < AtATime; burst++)
            {
                var (local, id) = name(dialled++);
                Dial(local, id);
            }

            Thread.Sleep(5);
            var now = Opened;
            if (now > opened)
            {
                opened = now;
                lastAt = clock.Elapsed;
            }
        }

        return opened;
    }

    /// <summary>Sends a packet of an open stream: everything but the SYN carries the next id. Data is zeros.</summary>
    public void Send(RawPeer peer, byte type, ushort seq, ushort ack, uint window, int length = 0)
    {
        var now = Utp.Now;
        Write(peer, new Utp(type, (ushort)(peer.Id + 1), now, peer.Difference, window, seq, ack), length);
    }

    private void Write(RawPeer peer, Utp header, int length)
    {
        lock (_sending)
        {
            _sender.Add(0, (long _, Span<byte> payload, out Address source, out Address target) =>
            {
                source = peer.Local;
                target = _victim;
                header.Write(payload);
                return Utp.Length + length;
            });
            _sender.Flush();
            peer.BytesSent += RawSender.Headers + Utp.Length + length;
        }
    }

    private void Take(Address source, Address target, ReadOnlySpan<byte> payload)
    {
        if (source != _victim || !Utp.TryRead(payload, out var header) || !_peers.TryGetValue((target, header.Id), out var peer))
        {
            return;
        }

        peer.BytesDrawn += RawSender.Headers + payload.Length;
        if (!peer.IsOpen && header.Type == Utp.State)
        {
            peer.Difference = Utp.Now - header.Stamp;
            peer.FirstDifference = peer.Difference;
            peer.Ack = (ushort)(header.Seq - 1);
            peer.Received = peer.Ack;
            peer.IsOpen = true;
            Send(peer, Utp.State, ++peer.Seq, peer.Ack, _window);
        }
        else if (peer.IsOpen)
        {
            peer.Difference = Utp.Now - header.Stamp;
            if (header.Type == Utp.Data && header.Seq == (ushort)(peer.Received + 1))
            {
                peer.Received++;
            }
        }
    }
}
