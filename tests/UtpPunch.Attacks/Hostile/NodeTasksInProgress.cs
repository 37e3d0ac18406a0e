using Microsoft.FSharp.Core;
using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>
/// What a node does beside its streams, all of which reads hostile datagrams: it stays in a room of a rendezvous, where peers have come whose
/// packets do not arrive, so that the punches go on; it asks a STUN server that does not answer; and it punches as the npm package does.
/// </summary>
internal sealed class NodeTasksInProgress
{
    private const long Forever = 1_000_000_000_000;
    private const int Peers = 4;

    private static readonly Endpoint s_server = EndpointModule.ofIPv4(0xC0000202, 6000);
    private static readonly Endpoint s_stun = EndpointModule.ofIPv4(0xC0000203, 3478);
    private static readonly Endpoint s_legacy = EndpointModule.ofIPv4(0xC0000204, 7000);

    private readonly Endpoint _victim;
    private readonly Action<Event> _post;
    private readonly HonestPeer[] _peers;
    private readonly List<(Endpoint From, Borrowed Datagram)> _toServer = [];
    private Rendezvous _server;
    private int _entered;
    private int _task;
    private int _discovery;
    private int _punch;

    /// <param name="victim">The victim's endpoint.</param>
    /// <param name="post">Takes events for the victim.</param>
    /// <param name="now">The time.</param>
    public NodeTasksInProgress(Endpoint victim, Action<Event> post, long now)
    {
        (_victim, _post) = (victim, post);
        _server = RendezvousModule.Create(RendezvousModule.standard, new Owned([.. Enumerable.Repeat((byte)101, 32)]), now);
        _peers = [.. Enumerable.Range(0, Peers).Select(index => new HonestPeer(
            EndpointModule.ofIPv4(0xC0586302 + (uint)index, 5000), victim, NodeOptionsModule.standard, (byte)(110 + index), now))];
    }

    public void Begin()
    {
        _post(Event.NewMeet(++_task, Plan(_victim, stays: true)));
        Discover();
        Punch();
    }

    /// <summary>A datagram of the victim's.</summary>
    public void Take(Endpoint target, Owned datagram)
    {
        if (target.Equals(s_server))
        {
            _toServer.Add((_victim, datagram.AsBorrowed));
        }
    }

    /// <summary>The rendezvous and the peers of meetings do what is due. Whether there was something.</summary>
    public bool Step(long now)
    {
        var isBusy = false;
        foreach (var peer in _peers)
        {
            isBusy |= peer.Step(now, (target, datagram) =>
            {
                if (target.Equals(s_server))
                {
                    _toServer.Add((peer.Endpoint, new Borrowed(datagram)));
                }
            });
        }

        if (_toServer.Count == 0 && RendezvousModule.Deadline(_server) > now)
        {
            return isBusy;
        }

        (_server, var sent) = RendezvousModule.Step(now, [.. _toServer], _server);
        _toServer.Clear();
        foreach (var (target, datagram) in sent)
        {
            var received = Packets.Received(s_server, datagram.Span.ToArray(), now);
            if (target.Equals(_victim))
            {
                _post(received);
            }
            else
            {
                Array.Find(_peers, peer => peer.Endpoint.Equals(target))?.Post(received);
            }
        }

        return true;
    }

    /// <summary>One peer enters the room after the other, so that they meet the victim. What has ended begins anew.</summary>
    public void Perform(Effect effect)
    {
        switch (effect)
        {
            case Effect.Registered or Effect.Introduced when _entered < _peers.Length:
                var peer = _peers[_entered++];
                peer.Post(Event.NewMeet(1, Plan(peer.Endpoint, stays: false)));
                break;
            case Effect.Discovered it when it.taskId == _discovery:
                Discover();
                break;
            case Effect.Punched it when it.taskId == _punch:
                Punch();
                break;
        }
    }

    private void Discover()
    {
        _discovery = ++_task;
        _post(Event.NewDiscover(_discovery, new StunOptions([s_stun], FSharpValueOption<Endpoint>.None, Forever, Forever, behaviour: false)));
    }

    private void Punch()
    {
        _punch = ++_task;
        _post(Event.NewPunchLegacy(_punch, s_legacy, int.MaxValue));
    }

    private static MeetPlan Plan(Endpoint own, bool stays) => new(
        [s_server],
        new Owned([.. Enumerable.Repeat((byte)7, 32)]),
        [own],
        stays,
        Forever,
        Forever,
        birthday: false,
        primingHops: 0,
        PrivateAddressPolicy.Never,
        pathTimeout: 0,
        reports: false);
}
