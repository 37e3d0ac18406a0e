using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;

namespace UtpPunch;

/// <summary>
/// The instruments of all rendezvous servers with one meter. Servers count anyway; what they have counted is added up when a listener asks.
/// </summary>
internal sealed class RendezvousMetrics
{
    private static readonly ConditionalWeakTable<Meter, RendezvousMetrics> s_byMeter = [];

    private readonly Lock _gate = new();
    private readonly HashSet<UtpRendezvousServer> _servers = [];

    // What the servers that have ended had counted.
    private RendezvousCounters _past;

    private RendezvousMetrics(Meter meter)
    {
        meter.CreateObservableUpDownCounter(
            "utp.rendezvous.registrations", () => Total().Registrations, "{peer}", "Peers that wait for another one");
        meter.CreateObservableUpDownCounter(
            "utp.rendezvous.introductions.active", () => Total().IntroductionsActive, "{introduction}", "Introductions that are not complete");
        meter.CreateObservableUpDownCounter("utp.rendezvous.rooms", () => Total().Rooms, "{room}", "Rooms in which peers wait");
        meter.CreateObservableCounter(
            "utp.rendezvous.introductions", () => Total().Introductions, "{introduction}", "Pairs that were introduced");
        meter.CreateObservableCounter("utp.rendezvous.registered", () => Total().Registered, "{peer}", "Peers that have registered");
        meter.CreateObservableCounter(
            "utp.rendezvous.challenged", () => Total().Challenged, "{cookie}", "Cookies that were sent to addresses that had none");
        meter.CreateObservableCounter("utp.rendezvous.refused", Refused, "{registration}", "Registrations beyond a limit");
        meter.CreateObservableCounter("utp.rendezvous.reports", Reports, "{report}", "Reports of punches by the peers");
        meter.CreateObservableCounter(
            "utp.rendezvous.dropped", () => Total().Dropped, "{datagram}", "Datagrams that were not valid, or too many");
        meter.CreateObservableCounter(
            "utp.rendezvous.unsent", () => Total().Unsent, "{datagram}", "Datagrams that the system has not sent");
    }

    /// <summary>Gets the instruments of a factory's meter; those of the process without one.</summary>
    public static RendezvousMetrics Of(IMeterFactory? factory)
    {
        var meter = Meters.Of(factory);
        lock (s_byMeter)
        {
            return s_byMeter.GetValue(meter, static meter => new RendezvousMetrics(meter));
        }
    }

    public void Add(UtpRendezvousServer server)
    {
        lock (_gate)
        {
            _servers.Add(server);
        }
    }

    public void Remove(UtpRendezvousServer server)
    {
        lock (_gate)
        {
            if (_servers.Remove(server))
            {
                _past += server.GetCounters().Ended;
            }
        }
    }

    private RendezvousCounters Total()
    {
        lock (_gate)
        {
            return _servers.Aggregate(_past, (sum, server) => sum + server.GetCounters());
        }
    }

    private Measurement<long>[] Refused()
    {
        const string Reason = "utp.reason";
        var total = Total();
        return
        [
            Meters.Measured(total.ServerFull, Reason, "server"),
            Meters.Measured(total.SourceFull, Reason, "source"),
            Meters.Measured(total.RoomFull, Reason, "room"),
        ];
    }

    private Measurement<long>[] Reports()
    {
        const string Outcome = "utp.outcome";
        var total = Total();
        return [Meters.Measured(total.Met, Outcome, "met"), Meters.Measured(total.Failed, Outcome, "failed")];
    }
}
