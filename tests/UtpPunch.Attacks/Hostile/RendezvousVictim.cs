using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>
/// A rendezvous server with members that stay in their rooms: half of them in rooms of four, and the others in one room. Attackers have
/// addresses of their own, too, at which they receive cookies.
/// </summary>
internal sealed class RendezvousVictim : Victim
{
    private const int MicrosecondsPerDatagram = 10;
    private const int PerRoom = 4;
    private const int PerAddress = 32;
    private const int Attackers = 512;
    private const int AttackersPerAddress = 8;
    private const int Sample = 200;
    private const long RenewEvery = 20_000_000;
    private const ulong LargeRoom = 1_000_000;

    private readonly List<RendezvousHost> _members = [];
    private readonly Dictionary<(Endpoint, ulong), RendezvousHost> _byHandle = [];
    private readonly HashSet<RendezvousHost> _attackers = [];
    private readonly List<(Endpoint From, Borrowed Datagram)> _pending = [];
    private (Endpoint Source, Borrowed Datagram)[] _batch = [];
    private (Endpoint Target, Owned Datagram)[] _sent = [];
    private Rendezvous _server;
    private int _nextRenewal;

    // 65536 sources that have proved their addresses, as many that have not, and as many registrations.
    public override double FullTables => 80;

    public RendezvousVictim(int members, ulong seed)
        : base(members, MicrosecondsPerDatagram)
    {
        var standard = RendezvousModule.standard;
        var options = new RendezvousOptions(
            standard.Sockets, standard.MaxRegistrations, standard.MaxPerSource, standard.MaxPerRoom, standard.RatePerSource, standard.Lifetime,
            legacy: true, stun: true);
        _server = RendezvousModule.Create(options, new Owned([.. Enumerable.Repeat((byte)3, 32)]), Now);
        for (var index = 0; index < members; index++)
        {
            var room = index < members / 2 ? LargeRoom : (ulong)(index / PerRoom);
            _members.Add(Add(0xC6120000 + (uint)(index / PerAddress), 5000 + (index % PerAddress), (ulong)(index + 1) << 20, room, stays: true));
        }

        for (var index = 0; index < Attackers; index++)
        {
            var address = 0xC6140000 + (uint)(index / AttackersPerAddress);
            _attackers.Add(Add(address, 6000, ((ulong)(index + 1) << 20) + 1, room: 0, stays: false));
        }

        EnterAll();
        Kinds = new RendezvousDatagrams([.. _members], [.. _attackers], new Draws(seed + 1)).All;
    }

    public override IReadOnlyList<HostileKind> Kinds { get; }

    private int Waiting => RendezvousModule.Statistics(_server).Waiting;

    public override void Step() => (_server, _sent) = RendezvousModule.Step(Now, _batch, _server);

    public override void Perform()
    {
        foreach (var (target, datagram) in _sent)
        {
            var message = datagram.Span;
            if (!PunchMessages.IsOurs(message) || !_byHandle.TryGetValue((target, PunchMessages.HandleOf(message)), out var host))
            {
                continue;
            }

            if (_attackers.Contains(host))
            {
                host.TryKeepCookie(message);
            }
            else if (host.Answer(message) is { } answer)
            {
                _pending.Add((host.Endpoint, new Borrowed(answer)));
            }
        }
    }

    /// <summary>Members renew their registrations, and answer what they were sent.</summary>
    public override void Settle()
    {
        for (; _members[_nextRenewal].RenewAt <= Now; _nextRenewal = (_nextRenewal + 1) % Size)
        {
            var member = _members[_nextRenewal];
            member.RenewAt = Now + RenewEvery;
            _pending.Add((member.Endpoint, new Borrowed(member.Register())));
        }

        Exchange();
    }

    public override Survivors Check()
    {
        var live = _members.Count(IsThere);

        // The registrations of attackers expire.
        const int Second = 1_000_000;
        for (var second = 0; second < 65; second++)
        {
            Now += Second;
            Settle();
        }

        var sample = Math.Min(Sample, Size);
        var visits = Enumerable.Range(0, sample).Select(index => Visit(index, _members[(int)((long)index * Size / sample)].Room)).ToList();
        var wrong = visits.Count(visit => visit.Peer != 0 && !_members.Exists(it => it.Handle == visit.Peer && it.Room == visit.Room));
        return new Survivors(live, sample, visits.Count(visit => visit.MayGo), wrong + Math.Max(0, Waiting - Size));
    }

    public override string ToString() => $"{RendezvousModule.Statistics(_server).Waiting} wait";

    protected override void Receive((Endpoint Source, Borrowed Datagram)[] datagrams) => _batch = datagrams;

    private RendezvousHost Add(uint address, int port, ulong handle, ulong room, bool stays)
    {
        var host = new RendezvousHost(EndpointModule.ofIPv4(address, (ushort)port), handle, room, stays);
        _byHandle.Add((host.Endpoint, handle), host);
        return host;
    }

    private void EnterAll()
    {
        foreach (var member in _members)
        {
            Send(member.Endpoint, member.Register());
            member.RenewAt = Now + RenewEvery;
        }

        foreach (var attacker in _attackers)
        {
            Send(attacker.Endpoint, attacker.Register());
        }

        if (Waiting != Size)
        {
            throw new InvalidOperationException($"{Waiting} of {Size} members wait.");
        }
    }

    /// <summary>A member that leaves was there; what else is due was done before.</summary>
    private bool IsThere(RendezvousHost member)
    {
        Exchange();
        var before = Waiting;
        _batch = [(member.Endpoint, new Borrowed(member.Leave()))];
        Step();
        var after = Waiting;
        Perform();
        Send(member.Endpoint, member.Register());
        return before - after == 1;
    }

    /// <summary>A visitor enters a room, and is introduced to a member.</summary>
    private RendezvousHost Visit(int index, ulong room)
    {
        const int Pause = 10_000;
        const int Rounds = 400;
        var visitor = Add(0xC6160000 + (uint)index, 7000, ((ulong)index << 20) + 2, room, stays: false);
        Send(visitor.Endpoint, visitor.Register());
        for (var round = 0; round < Rounds && !visitor.MayGo; round++)
        {
            Now += Pause;
            Settle();
        }

        return visitor;
    }

    private void Send(Endpoint source, byte[] message)
    {
        _pending.Add((source, new Borrowed(message)));
        Exchange();
    }

    // Until nothing is under way.
    private void Exchange()
    {
        while (_pending.Count > 0 || RendezvousModule.Deadline(_server) <= Now)
        {
            Now += 10;
            _batch = [.. _pending];
            _pending.Clear();
            Step();
            Perform();
        }
    }
}
