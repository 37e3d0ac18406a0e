using UtpPunch.Protocol;

namespace UtpPunch.Rendezvous.Dashboard;

/// <summary>The series of the dashboard. The first four are the load at a time, the others count what happened in an interval.</summary>
internal enum Series
{
    Rooms,
    Waiting,
    Staying,
    IntroductionsUnderWay,
    Registered,
    Renewed,
    Introduced,
    Vanished,
    ServerFull,
    SourceFull,
    RoomFull,
    Challenged,
    Invalid,
    TooManyUnproven,
    TooManyProven,
    RedisErrors,
}

/// <summary>All series at one time: the load, and what was counted since the server started.</summary>
internal sealed class Sample
{
    /// <summary>The number of series that are a load; those after it are counters.</summary>
    public const int Loads = 4;

    private readonly long[] _values;

    public Sample(RendezvousCounts counts, long redisErrors)
    {
        var totals = counts.Totals;
        _values =
        [
            counts.Rooms, counts.Waiting, counts.Staying, counts.Introductions, totals.Registered, totals.Renewed, counts.Introduced, totals.Vanished,
            totals.ServerFull, totals.SourceFull, totals.RoomFull, totals.Challenged, totals.Invalid, totals.TooManyUnproven, totals.TooManyProven, redisErrors,
        ];
    }

    private Sample(long[] values) => _values = values;

    public static IReadOnlyList<Series> All { get; } = Enum.GetValues<Series>();

    public long this[Series series] => _values[(int)series];

    /// <summary>The load of this sample, and what was counted since an earlier one.</summary>
    public Sample Since(Sample earlier) => new([.. _values.Select((value, index) => index < Loads ? value : value - earlier._values[index])]);
}
