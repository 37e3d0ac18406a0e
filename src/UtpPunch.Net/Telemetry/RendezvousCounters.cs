using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The load of a rendezvous server, and what it has counted.</summary>
internal readonly record struct RendezvousCounters
{
    /// <summary>The load: peers that wait, introductions that are not complete, rooms.</summary>
    public long Registrations { get; init; }

    public long IntroductionsActive { get; init; }

    public long Rooms { get; init; }

    public long Introductions { get; init; }

    public long Dropped { get; init; }

    public long Registered { get; init; }

    public long Challenged { get; init; }

    public long ServerFull { get; init; }

    public long SourceFull { get; init; }

    public long RoomFull { get; init; }

    public long Met { get; init; }

    public long Failed { get; init; }

    /// <summary>Datagrams that the system has not sent.</summary>
    public long Unsent { get; init; }

    /// <summary>What remains when the server has ended: it has no load.</summary>
    public RendezvousCounters Ended => this with { Registrations = 0, IntroductionsActive = 0, Rooms = 0 };

    public static RendezvousCounters operator +(RendezvousCounters a, RendezvousCounters b) => new()
    {
        Registrations = a.Registrations + b.Registrations,
        IntroductionsActive = a.IntroductionsActive + b.IntroductionsActive,
        Rooms = a.Rooms + b.Rooms,
        Introductions = a.Introductions + b.Introductions,
        Dropped = a.Dropped + b.Dropped,
        Registered = a.Registered + b.Registered,
        Challenged = a.Challenged + b.Challenged,
        ServerFull = a.ServerFull + b.ServerFull,
        SourceFull = a.SourceFull + b.SourceFull,
        RoomFull = a.RoomFull + b.RoomFull,
        Met = a.Met + b.Met,
        Failed = a.Failed + b.Failed,
        Unsent = a.Unsent + b.Unsent,
    };

    public static RendezvousCounters Of(Protocol.Rendezvous server, long unsent)
    {
        var counts = RendezvousModule.Counts(server);
        var totals = counts.Totals;
        var met = counts.Reports.Where(report => report.Stage.IsOpen).Sum(report => report.Count);
        return new RendezvousCounters
        {
            Registrations = counts.Waiting,
            IntroductionsActive = counts.Introductions,
            Rooms = counts.Rooms,
            Introductions = counts.Introduced,
            Dropped = RendezvousModule.Statistics(server).Dropped,
            Registered = totals.Registered,
            Challenged = totals.Challenged,
            ServerFull = totals.ServerFull,
            SourceFull = totals.SourceFull,
            RoomFull = totals.RoomFull,
            Met = met,
            Failed = counts.Reports.Sum(report => report.Count) - met,
            Unsent = unsent,
        };
    }
}
