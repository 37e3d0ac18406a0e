using System.Buffers.Binary;
using System.Text;
using UtpPunch.Attacks.Wire;
using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>Hostile datagrams to a rendezvous server, by attackers who know all members, and have addresses of their own.</summary>
internal sealed class RendezvousDatagrams
{
    private readonly RendezvousHost[] _members;
    private readonly RendezvousHost[] _attackers;
    private readonly Draws _draws;

    public RendezvousDatagrams(RendezvousHost[] members, RendezvousHost[] attackers, Draws draws)
    {
        (_members, _attackers, _draws) = (members, attackers, draws);
        All =
        [
            new("registration without a cookie, any source", (to, out source) => ForgedRegistration(to, hasCookie: false, isMember: false, out source)),
            new("registration without a cookie, a member's address", (to, out source) => ForgedRegistration(to, hasCookie: false, isMember: true, out source)),
            new("registration, random cookie", (to, out source) => ForgedRegistration(to, hasCookie: true, _draws.OneIn(2), out source)),
            new("registration, a member's cookie, other address", Stolen),
            new("registration of an attacker in a member's room", Enter),
            new("acknowledgement or end, forged", ForgedEnd),
            new("acknowledgement or end, of an attacker", OwnEnd),
            new("registration cut or changed", Changed),
            new("question for the address", Observe),
            new("message of a server", MessageOfServer),
            new("offer or punch packet", Probe),
            new("STUN", Stun),
            new("question to the npm package's tracker", Tracker),
            new("uTP", UtpPacket),
            new("garbage of any length", Garbage),
        ];
    }

    public IReadOnlyList<HostileKind> All { get; }

    // ---- Registrations ----

    private int ForgedRegistration(Span<byte> to, bool hasCookie, bool isMember, out Endpoint source)
    {
        var member = _draws.Of(_members);
        source = isMember ? member.Endpoint : _draws.AnyEndpoint();
        var handle = isMember ? member.Handle : _draws.Next();
        var length = PunchMessages.WriteRegister(to, handle, member.Room, [], _draws.OneIn(2));
        if (hasCookie)
        {
            _draws.Fill(to.Slice(PunchMessages.CookieAt, PunchMessages.CookieLength));
        }

        return length;
    }

    private int Stolen(Span<byte> to, out Endpoint source)
    {
        var member = _draws.Of(_members);
        source = _draws.AnyEndpoint();
        return PunchMessages.WriteRegister(to, member.Handle, member.Room, member.Cookie, _draws.OneIn(2));
    }

    /// <summary>The cookie is valid: the server lets it enter, and introduces it, as far as the limits allow.</summary>
    private int Enter(Span<byte> to, out Endpoint source)
    {
        var attacker = _draws.Of(_attackers);
        source = attacker.Endpoint;
        return PunchMessages.WriteRegister(to, attacker.Handle, RoomOf(attacker), attacker.Cookie, _draws.OneIn(4));
    }

    // Each attacker visits a few rooms, so that it soon has all the registrations that it will have.
    private ulong RoomOf(RendezvousHost attacker) => _members[(int)((attacker.Handle + (ulong)_draws.Below(4)) % (ulong)_members.Length)].Room;

    private int Changed(Span<byte> to, out Endpoint source)
    {
        var attacker = _draws.Of(_attackers);
        source = attacker.Endpoint;
        var length = PunchMessages.WriteRegister(to, attacker.Handle, RoomOf(attacker), attacker.Cookie, stays: false);
        _draws.Fill(to.Slice(_draws.Below(length - 4), 4));
        if (_draws.OneIn(2))
        {
            // An offer of any length, as far as the datagram reaches.
            var more = _draws.Below(900);
            BinaryPrimitives.WriteUInt16BigEndian(to[63..], (ushort)_draws.Below(900));
            _draws.Fill(to.Slice(length, more));
            return length + more;
        }

        return _draws.Below(length);
    }

    // ---- Other messages ----

    private int ForgedEnd(Span<byte> to, out Endpoint source)
    {
        var member = _draws.Of(_members);
        source = _draws.OneIn(2) ? member.Endpoint : _draws.AnyEndpoint();
        return End(to, member.Handle, member.Room, source.Equals(member.Endpoint) ? Random(stackalloc byte[PunchMessages.CookieLength]) : member.Cookie);
    }

    private int OwnEnd(Span<byte> to, out Endpoint source)
    {
        var attacker = _draws.Of(_attackers);
        source = attacker.Endpoint;
        return End(to, attacker.Handle, RoomOf(attacker), attacker.Cookie);
    }

    private int End(Span<byte> to, ulong handle, ulong room, ReadOnlySpan<byte> cookie) => _draws.OneIn(2)
        ? PunchMessages.WriteLeave(to, handle, room, cookie)
        : PunchMessages.WriteAcknowledge(to, handle, room, cookie, Random(stackalloc byte[16]));

    private int Observe(Span<byte> to, out Endpoint source)
    {
        source = _draws.AnyEndpoint();
        return PunchMessages.WriteObserve(to, _draws.Next());
    }

    private int MessageOfServer(Span<byte> to, out Endpoint source)
    {
        source = _draws.OneIn(2) ? _draws.AnyEndpoint() : _draws.Of(_members).Endpoint;
        var length = _draws.Between(PunchMessages.RoomAt, 900);
        _draws.Fill(to[..length]);
        PunchMessages.Begin(to, (byte)_draws.Between(0x81, 0x88), _draws.Of(_members).Handle);
        return length;
    }

    private int Probe(Span<byte> to, out Endpoint source)
    {
        source = _draws.AnyEndpoint();
        var length = _draws.OneIn(2) ? PunchMessages.ProbeLength : _draws.Between(PunchMessages.RoomAt, 900);
        _draws.Fill(to[..length]);
        PunchMessages.Begin(to, (byte)(PunchMessages.FirstProbe + _draws.Below(8)), _draws.Next());
        return length;
    }

    private int Stun(Span<byte> to, out Endpoint source)
    {
        const int HeaderLength = 20;
        source = _draws.AnyEndpoint();
        var length = _draws.OneIn(2) ? 0 : 4 * _draws.Below(60);
        _draws.Fill(to[..(HeaderLength + length)]);
        BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)(_draws.OneIn(4) ? _draws.Below(0x4000) : 1));
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)length);
        BinaryPrimitives.WriteUInt32BigEndian(to[4..], 0x2112A442);
        return HeaderLength + length;
    }

    private int Tracker(Span<byte> to, out Endpoint source)
    {
        source = _draws.AnyEndpoint();
        var name = _draws.Below(3) switch { 0 => "SERVER", 1 => "CLIENT", _ => "OTHER" };
        var length = Encoding.ASCII.GetBytes($$"""{"name":"{{name}}"}""", to);
        if (_draws.OneIn(2))
        {
            to[_draws.Below(length)] = (byte)_draws.Next();
        }

        return length;
    }

    private int UtpPacket(Span<byte> to, out Endpoint source)
    {
        source = _draws.OneIn(2) ? _draws.AnyEndpoint() : _draws.Of(_members).Endpoint;
        var length = _draws.Between(Utp.Length, 1400);
        _draws.Fill(to[..length]);
        to[0] = (byte)((_draws.Below(5) << 4) | 1);
        return length;
    }

    private int Garbage(Span<byte> to, out Endpoint source)
    {
        source = _draws.OneIn(2) ? _draws.AnyEndpoint() : _draws.Of(_members).Endpoint;
        var length = _draws.Below(_draws.OneIn(2) ? 64 : to.Length);
        _draws.Fill(to[..length]);
        if (length >= 4 && _draws.OneIn(2))
        {
            "UPN1"u8.CopyTo(to);
        }

        return length;
    }

    private Span<byte> Random(Span<byte> bytes)
    {
        _draws.Fill(bytes);
        return bytes;
    }
}
