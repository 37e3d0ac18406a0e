using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// The reference: minimal punching with peer-reflexive candidates. It probes the endpoint that the introducer saw, answers any source from
/// which a probe of the peer arrives, and then probes that source too. The first probes have a TTL that opens the sender's NAT and expires
/// before the peer's.
/// </summary>
internal sealed class ReflexivePuncher(Socket socket, IPEndPoint rendezvous, string room, string name)
{
    private const short LowTtl = 4;
    private const short PlainTtl = 64;

    private readonly byte[] _buffer = new byte[2048];
    private readonly HashSet<IPEndPoint> _targets = [];
    private readonly byte[] _probe = Encoding.UTF8.GetBytes($"PROBE {room} {name}");
    private readonly byte[] _answer = Encoding.UTF8.GetBytes($"ANSWER {room} {name}");
    private readonly Stopwatch _clock = new();

    public static TimeSpan Interval { get; } = TimeSpan.FromMilliseconds(50);

    /// <value>The number of first probes with a low TTL.</value>
    public int Primed { get; init; } = 5;

    /// <value>The time from the introduction to the first probe; nothing is received before.</value>
    public TimeSpan Hold { get; init; }

    /// <value>How long it waits to be introduced.</value>
    public TimeSpan WaitForPeer { get; init; } = TimeSpan.FromSeconds(20);

    /// <value>How long it probes.</value>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <value>How long it answers after it has succeeded, for the peer's sake.</value>
    public TimeSpan Linger { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Punches.</summary>
    public Outcome Run()
    {
        if (Meet() is not { } peer)
        {
            return Outcome.Trouble("no peer came");
        }

        Thread.Sleep(Hold);
        _targets.Add(peer);
        _clock.Start();
        return Punch();
    }

    private IPEndPoint? Meet()
    {
        var waiting = Stopwatch.StartNew();
        while (waiting.Elapsed < WaitForPeer)
        {
            socket.SendTo(Encoding.UTF8.GetBytes($"JOIN {room} {name}"), rendezvous);
            if (Receive(TimeSpan.FromMilliseconds(100)) is ({ } words, _) && words.StartsWith("PEER ", StringComparison.Ordinal))
            {
                return IPEndPoint.Parse(words[5..]);
            }
        }

        return null;
    }

    private Outcome Punch()
    {
        var probes = 0;
        var success = default(Outcome);
        var end = Timeout;
        while (_clock.Elapsed < end)
        {
            if (_clock.Elapsed >= probes * Interval)
            {
                socket.Ttl = probes < Primed ? LowTtl : PlainTtl;
                foreach (var target in _targets)
                {
                    socket.SendTo(_probe, target);
                }

                probes++;
            }

            if (Receive(probes * Interval - _clock.Elapsed) is not ({ } words, { } from))
            {
                continue;
            }

            if (IsTheirs(words, "PROBE"))
            {
                _targets.Add(from);
                socket.Ttl = PlainTtl;
                socket.SendTo(_answer, from);
            }
            else if (IsTheirs(words, "ANSWER") && success is null)
            {
                success = Outcome.Success("", _clock.Elapsed);
                end = _clock.Elapsed + Linger;
            }
        }

        return success ?? Outcome.Failure($"no answer to {probes} probes of {string.Join(", ", _targets)}");
    }

    private bool IsTheirs(string words, string kind) =>
        words.Split(' ') is [var first, var where, var who] && first == kind && where == room && who != name;

    private (string? Words, IPEndPoint? From) Receive(TimeSpan timeout)
    {
        if (!socket.Poll(timeout > TimeSpan.Zero ? timeout : TimeSpan.Zero, SelectMode.SelectRead))
        {
            return default;
        }

        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        var length = socket.ReceiveFrom(_buffer, ref from);
        return (Encoding.UTF8.GetString(_buffer, 0, length), (IPEndPoint)from);
    }
}
