using System.Buffers.Binary;
using UtpPunch.Attacks.Wire;
using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>Hostile datagrams to a node, each made from what the attacker knows and from random numbers.</summary>
internal sealed class NodeDatagrams
{
    private const int MaxPayload = 1400;
    private const int MaxGuessed = 256;

    private static readonly byte[] s_types = [Utp.Data, Utp.Fin, Utp.State, Utp.Reset];

    private readonly NodeFacts _facts;
    private readonly Draws _draws;
    private readonly List<(Endpoint Source, Utp Syn)> _syns = [];
    private int _nextSyn;

    public NodeDatagrams(NodeFacts facts, Draws draws)
    {
        (_facts, _draws) = (facts, draws);
        All =
        [
            new("SYN, any source", AnySyn),
            new("SYN, address and id of a stream", SynOfStream),
            new("a guess after a SYN", Guess),
            new("STATE, id of a stream", (to, out source) => OfStream(Utp.State, to, out source)),
            new("DATA, id of a stream", (to, out source) => OfStream(Utp.Data, to, out source)),
            new("FIN, id of a stream", (to, out source) => OfStream(Utp.Fin, to, out source)),
            new("RESET, id of a stream", (to, out source) => OfStream(Utp.Reset, to, out source)),
            new("numbers of a stream nearly right, wrong clocks", NearlyRight) { NeedsPeers = true },
            new("extensions at random", Extensions),
            new("ids at random", AnyId),
            new("replay, same address", (to, out source) => Replay(to, isMoved: false, out source)) { NeedsPeers = true },
            new("replay, other address", (to, out source) => Replay(to, isMoved: true, out source)) { NeedsPeers = true },
            new("punch packet, wrong code", Probe) { NeedsPeers = true },
            new("message of a rendezvous", RendezvousMessage) { NeedsPeers = true },
            new("STUN", Stun),
            new("punch of the npm package", LegacyPunch),
            new("garbage of any length", Garbage),
        ];
    }

    public IReadOnlyList<HostileKind> All { get; }

    // ---- Packets ----

    private int AnySyn(Span<byte> to, out Endpoint source)
    {
        source = _draws.AnyEndpoint();
        var syn = Random(Utp.Syn, _draws.Short());
        if (_syns.Count < MaxGuessed)
        {
            _syns.Add((source, syn));
        }
        else
        {
            _syns[_nextSyn++ % MaxGuessed] = (source, syn);
        }

        return syn.Write(to);
    }

    private int SynOfStream(Span<byte> to, out Endpoint source)
    {
        var stream = _draws.Of(_facts.Streams);
        source = stream.Remote;
        return Random(Utp.Syn, (ushort)(stream.Id - 1)).Write(to);
    }

    /// <summary>What would confirm a SYN-ACK that the attacker has not seen.</summary>
    private int Guess(Span<byte> to, out Endpoint source)
    {
        if (_syns.Count == 0)
        {
            return AnySyn(to, out source);
        }

        var (address, syn) = _draws.Of(_syns);
        source = address;
        var type = _draws.OneIn(2) ? Utp.State : Utp.Data;
        var guess = Random(type, (ushort)(syn.Id + 1)) with { Seq = (ushort)(syn.Seq + 1) };
        return Payload(to, guess.Write(to), type);
    }

    private int OfStream(byte type, Span<byte> to, out Endpoint source)
    {
        var stream = _draws.Of(_facts.Streams);
        source = stream.Remote;
        return Payload(to, NotExact(Random(type, stream.Id), stream).Write(to), type);
    }

    /// <summary>
    /// All but the clocks, which are wrong by ten minutes and more: with those, an attacker who knows everything else would succeed now and then
    /// (docs/security.md).
    /// </summary>
    private int NearlyRight(Span<byte> to, out Endpoint source)
    {
        const uint Wrong = 600_000_000;
        const int Far = 64;
        const int Near = 3;
        var stream = _draws.Of(_facts.Streams);
        source = stream.Remote;
        var type = _draws.Of(s_types);
        var packet = Random(type, stream.Id) with
        {
            Seq = (ushort)(stream.Seq + _draws.Between(-Far, Far)),
            Ack = (ushort)(stream.Ack + _draws.Between(-Near, Near)),
        };
        packet.Difference = packet.Stamp - (stream.Echo + Wrong + (uint)_draws.Between(0, int.MaxValue));
        return Payload(to, NotExact(packet, stream).Write(to), type);
    }

    /// <summary>Selective acknowledgements, bits, codes and unknown extensions, of which the last may be cut.</summary>
    private int Extensions(Span<byte> to, out Endpoint source)
    {
        const int Most = 6;
        var stream = _draws.Of(_facts.Streams);
        source = stream.Remote;
        var packet = Random(_draws.OneIn(2) ? Utp.State : Utp.Data, stream.Id);
        var at = packet.Write(to);
        var link = 1;
        for (var count = _draws.Between(1, Most); count > 0; count--)
        {
            to[link] = Kind();
            var length = _draws.OneIn(3) ? 8 : _draws.Below(256);
            (link, to[at + 1]) = (at, (byte)length);
            to[at] = 0;
            _draws.Fill(to.Slice(at + 2, length));
            at += 2 + length;
        }

        return _draws.OneIn(4) ? _draws.Between(Utp.Length, at) : at;

        byte Kind() => _draws.Below(5) switch { 0 => 1, 1 => 2, 2 => 85, 3 => 86, _ => (byte)_draws.Between(3, 84) };
    }

    private int AnyId(Span<byte> to, out Endpoint source)
    {
        source = _draws.OneIn(2) ? _draws.AnyEndpoint() : _draws.Of(_facts.Streams).Remote;
        var type = _draws.Of(s_types);
        var packet = Random(type, _draws.Short());
        packet = _facts.Find(source, packet.Id) is { } stream ? NotExact(packet, stream) : packet;
        return Payload(to, packet.Write(to), type);
    }

    private int Replay(Span<byte> to, bool isMoved, out Endpoint source)
    {
        var (from, packet) = _draws.Of(_facts.Replays);
        source = isMoved ? _draws.AnyEndpoint() : from;
        var length = Math.Min(packet.Length, to.Length);
        packet.AsSpan(0, length).CopyTo(to);
        return length;
    }

    private Utp Random(byte type, ushort id) =>
        new(type, id, _draws.Word(), _draws.OneIn(8) ? 0 : _draws.Word(), _draws.Word() >> _draws.Below(32), _draws.Short(), _draws.Short());

    /// <summary>A RESET with the exact number ends a stream, as with TCP (RFC 5961): 2 of 65,536 guesses of an attacker who knows the id.</summary>
    private static Utp NotExact(Utp packet, StreamFacts stream)
    {
        const int Near = 8;
        var distance = (short)(packet.Ack - stream.Next);
        return packet.Type == Utp.Reset && Math.Abs((int)distance) <= Near ? packet with { Ack = (ushort)(stream.Next + 1000) } : packet;
    }

    private int Payload(Span<byte> to, int length, byte type)
    {
        var count = type == Utp.Data || _draws.OneIn(8) ? _draws.Below(MaxPayload) : 0;
        _draws.Fill(to.Slice(length, count));
        return length + count;
    }

    // ---- Other datagrams ----

    private int Probe(Span<byte> to, out Endpoint source)
    {
        const int NumberAt = 14;
        source = _draws.OneIn(2) ? _draws.AnyEndpoint() : _draws.Of(_facts.Streams).Remote;
        _draws.Of(_facts.Probes).CopyTo(to);
        to[4] = (byte)(PunchMessages.FirstProbe + _draws.Below(5));
        if (_draws.OneIn(4))
        {
            _draws.Fill(to.Slice(PunchMessages.HandleAt, sizeof(ulong)));
        }

        // Each from the number on, or the code alone.
        var from = _draws.OneIn(2) ? NumberAt : PunchMessages.ProbeLength - 16;
        _draws.Fill(to[from..PunchMessages.ProbeLength]);
        return PunchMessages.ProbeLength;
    }

    private int RendezvousMessage(Span<byte> to, out Endpoint source)
    {
        source = _draws.AnyEndpoint();
        var length = _draws.Between(PunchMessages.RoomAt, 900);
        _draws.Fill(to[..length]);
        var kind = _draws.OneIn(4) ? _draws.Between(1, 4) : _draws.Between(0x81, 0x88);
        var handle = _draws.OneIn(2) ? PunchMessages.HandleOf(_draws.Of(_facts.Registrations)) : _draws.Next();
        PunchMessages.Begin(to, (byte)kind, handle);
        return length;
    }

    /// <summary>Requests and answers with the magic cookie of RFC 8489 and attributes at random.</summary>
    private int Stun(Span<byte> to, out Endpoint source)
    {
        const int HeaderLength = 20;
        source = _draws.AnyEndpoint();
        var length = 4 * _draws.Below(60);
        _draws.Fill(to[..(HeaderLength + length)]);
        BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)(_draws.OneIn(2) ? 0x0101 : _draws.Below(0x4000)));
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)length);
        BinaryPrimitives.WriteUInt32BigEndian(to[4..], 0x2112A442);
        for (var at = HeaderLength; at + 4 <= HeaderLength + length;)
        {
            var size = _draws.Below(24);
            BinaryPrimitives.WriteUInt16BigEndian(to[at..], (ushort)(_draws.OneIn(2) ? _draws.Below(0x30) : 0x8020 + _draws.Below(16)));
            BinaryPrimitives.WriteUInt16BigEndian(to[(at + 2)..], (ushort)size);
            at += 4 + ((size + 3) / 4 * 4);
        }

        return HeaderLength + length;
    }

    private int LegacyPunch(Span<byte> to, out Endpoint source)
    {
        source = _draws.AnyEndpoint();
        var text = _draws.OneIn(2) ? "PUNCH"u8 : "PUNCHED"u8;
        text.CopyTo(to);
        return text.Length;
    }

    private int Garbage(Span<byte> to, out Endpoint source)
    {
        source = _draws.OneIn(2) ? _draws.AnyEndpoint() : _draws.Of(_facts.Streams).Remote;
        var length = _draws.Below(_draws.OneIn(2) ? 64 : to.Length);
        _draws.Fill(to[..length]);
        if (length > 0 && _draws.OneIn(4))
        {
            // So that it is read as a packet of uTP.
            to[0] = (byte)((_draws.Below(5) << 4) | 1);
        }
        else if (length >= 4 && _draws.OneIn(4))
        {
            "UPN1"u8.CopyTo(to);
        }

        return length;
    }
}
