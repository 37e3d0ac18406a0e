using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>
/// A node that listens and echoes, with streams of honest peers, and with a meeting, punches and a discovery in progress
/// (<see cref="NodeTasksInProgress"/>). Packets take no time, but a peer acts only between two slices of hostile datagrams.
/// </summary>
internal sealed class NodeVictim : Victim
{
    private const int MicrosecondsPerDatagram = 2;
    private const int MaxPeers = 16;
    private const int DialledAtOnce = 128;
    private const int Sample = 200;

    private static readonly Endpoint s_endpoint = EndpointModule.ofIPv4(0xCB007102, 4000);

    private readonly NodeFacts _facts = new();
    private readonly HonestPeer[] _peers;
    private readonly Dictionary<Endpoint, HonestPeer> _byEndpoint;
    private readonly NodeTasksInProgress _tasks;
    private readonly HashSet<int> _honest = [];
    private readonly Draws _draws;
    private readonly List<Event> _pending = [];
    private Event[] _batch = [];
    private Effect[] _effects = [];
    private Node _node;
    private int _accepted;
    private int _lost;

    public NodeVictim(int streams, ulong seed)
        : base(streams, MicrosecondsPerDatagram)
    {
        _draws = new Draws(seed);
        var options = NodeOptionsModule.standard;
        _node = NodeModule.Create(options, new Owned([.. Enumerable.Repeat((byte)1, 32)]), Now);
        _peers = [.. Enumerable.Range(0, Math.Min(MaxPeers, streams)).Select(index => new HonestPeer(
            EndpointModule.ofIPv4(0xC6336400 + (uint)index, 5000), s_endpoint, options, (byte)(2 + index), Now))];
        _byEndpoint = _peers.ToDictionary(peer => peer.Endpoint);
        _tasks = new NodeTasksInProgress(s_endpoint, _pending.Add, Now);
        Kinds = new NodeDatagrams(_facts, new Draws(seed + 1)).All;
        _pending.Add(Event.NewListen(1024));
        _tasks.Begin();
        OpenAll();
    }

    public override IReadOnlyList<HostileKind> Kinds { get; }

    public override void Step() => (_node, _effects) = NodeModule.Step(Now, _batch, _node);

    public override void Perform()
    {
        foreach (var effect in _effects)
        {
            Perform(effect);
        }
    }

    /// <summary>One honest exchange begins, and what is under way arrives.</summary>
    public override void Settle()
    {
        var stream = _draws.Below(Size);
        _peers[stream % _peers.Length].Write(stream / _peers.Length);
        Exchange(rounds: 8);
    }

    public override Survivors Check()
    {
        var sample = Enumerable.Range(0, Math.Min(Sample, Size)).Select(index => (int)((long)index * Size / Math.Min(Sample, Size))).ToList();
        foreach (var stream in sample)
        {
            _peers[stream % _peers.Length].Write(stream / _peers.Length);
        }

        // Long enough for all retransmissions.
        const int Rounds = 1000;
        const int Pause = 10_000;
        for (var round = 0; round < Rounds; round++)
        {
            Now += Pause;
            Exchange(rounds: 8);
        }

        var answered = sample.Count(stream => _peers[stream % _peers.Length].IsComplete(stream / _peers.Length));
        var wrong = _accepted - _honest.Count + (int)_peers.Sum(peer => peer.Wrong);
        return new Survivors(_honest.Count - Math.Max(_lost, _peers.Sum(peer => peer.Closed)), sample.Count, answered, wrong);
    }

    public override string ToString()
    {
        var now = NodeModule.Statistics(_node);
        return $"{now.Incoming} incoming, {now.HalfOpen} half-open, {now.Lingering} lingering, {now.HeldBytes} bytes held";
    }

    protected override void Receive((Endpoint Source, Borrowed Datagram)[] datagrams) =>
        _batch = Array.ConvertAll(datagrams, it => Event.NewReceived(it.Source, Datagrams.One(it.Datagram, Now)));

    private void OpenAll()
    {
        const int Rounds = 12;
        for (var dialled = 0; dialled < Size;)
        {
            for (var i = 0; i < DialledAtOnce && dialled < Size; i++)
            {
                _peers[dialled++ % _peers.Length].Dial();
            }

            Exchange(Rounds);
        }

        // Until a peer has echoed what the victim has sent, its stream is easier to attack (docs/security.md).
        for (var stream = 0; stream < Size; stream++)
        {
            _peers[stream % _peers.Length].Write(stream / _peers.Length);
        }

        // The meetings need some time, too.
        const int Pause = 10_000;
        for (var round = 0; round < 400; round++)
        {
            Now += Pause;
            Settle();
        }

        var opened = _peers.Sum(peer => peer.Opened);
        if (opened != Size || _honest.Count != Size || _facts.Probes.Count == 0)
        {
            throw new InvalidOperationException($"{opened} of {Size} streams are open, {_facts.Probes.Count} probes were sent.");
        }
    }

    // Until nothing is under way, or for some rounds.
    private void Exchange(int rounds)
    {
        const int RoundTrip = 200;
        for (var round = 0; round < rounds; round++)
        {
            Now += RoundTrip / 2;
            var isBusy = _tasks.Step(Now);
            foreach (var peer in _peers)
            {
                isBusy |= peer.Step(Now, (_, packet) =>
                {
                    _facts.NoteToVictim(peer.Endpoint, packet);
                    _pending.Add(Packets.Received(peer.Endpoint, packet, Now));
                });
            }

            if (_pending.Count > 0 || NodeModule.Deadline(_node) <= Now)
            {
                _batch = [.. _pending];
                _pending.Clear();
                Step();
                Perform();
            }
            else if (!isBusy)
            {
                return;
            }
        }
    }

    private void Perform(Effect effect)
    {
        switch (effect)
        {
            case Effect.Send it when _byEndpoint.TryGetValue(it.remote, out var peer):
                Packets.ForEach(it.train, packet =>
                {
                    _facts.NoteFromVictim(peer.Endpoint, packet);
                    peer.Post(Packets.Received(s_endpoint, packet, Now));
                });
                break;
            // The probes of links do not arrive: a network may let pass uTP only, and no stream may suffer from that.
            case Effect.SendDatagram it:
                _facts.NoteDatagram(it.datagram.Span);
                _tasks.Take(it.remote, it.datagram);
                break;
            case Effect.Deliver it:
                _pending.Add(Event.NewWrite(it.connId, new Owned(Packets.Copy(it.payload))));
                _pending.Add(Event.NewConsumed(it.connId, it.payload.Length));
                break;
            case Effect.Accepted it:
                _accepted++;
                _pending.Add(Event.NewTaken(it.connId));
                if (_byEndpoint.ContainsKey(it.remote))
                {
                    _honest.Add(it.connId);
                }

                break;
            case Effect.Closed it:
                _lost += _honest.Contains(it.connId) ? 1 : 0;
                break;
            default:
                _tasks.Perform(effect);
                break;
        }
    }
}
