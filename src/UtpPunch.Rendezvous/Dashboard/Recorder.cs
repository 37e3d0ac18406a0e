using System.Diagnostics;
using System.Reflection;
using System.Text.Json;
using Microsoft.Extensions.Hosting;
using UtpPunch.Protocol;

namespace UtpPunch.Rendezvous.Dashboard;

/// <summary>Takes a sample of the server each second, and makes the dashboard's JSON of the samples when it is asked for.</summary>
internal sealed class Recorder(Service service, Settings settings) : BackgroundService
{
    private const int MaxRooms = 50;
    private const int MaxMembers = 8;

    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    private static readonly string s_version =
        typeof(Recorder).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    private readonly long _startedAt = Stopwatch.GetTimestamp();
    private readonly Lock _lock = new();
    private readonly History _history = new();
    private readonly Dictionary<string, string> _names = settings.RoomNames
        .Distinct(StringComparer.Ordinal)
        .ToDictionary(UtpRendezvousServer.TagOf, name => name, StringComparer.Ordinal);

    // The answer to all who ask within a moment: many pages must not cost the server more than one.
    private byte[] _answer = [];
    private long _answeredAt;

    /// <summary>The state now, in UTF-8; at most half a second old.</summary>
    public byte[] GetJson()
    {
        lock (_lock)
        {
            if (_answer.Length == 0 || Stopwatch.GetElapsedTime(_answeredAt) > s_interval / 2)
            {
                _answer = JsonSerializer.SerializeToUtf8Bytes(GetState(), JsonSerializerOptions.Web);
                _answeredAt = Stopwatch.GetTimestamp();
            }

            return _answer;
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(s_interval);
        do
        {
            lock (_lock)
            {
                var counts = service.Counts;
                _history.Add(SampleOf(counts), counts.Reports);
            }
        }
        while (await WaitAsync(timer, stoppingToken).ConfigureAwait(false));
    }

    private static async Task<bool> WaitAsync(PeriodicTimer timer, CancellationToken cancellationToken)
    {
        try
        {
            return await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static string NameOf(Series series) => JsonNamingPolicy.CamelCase.ConvertName($"{series}");

    private static Dictionary<string, long[]> ToSeries(IReadOnlyCollection<Sample> samples) =>
        Sample.All.ToDictionary(NameOf, series => samples.Select(sample => sample[series]).ToArray(), StringComparer.Ordinal);

    private Sample SampleOf(RendezvousCounts counts) => new(counts, service.Rooms?.Errors ?? 0);

    private DashboardState GetState()
    {
        var counts = service.Counts;
        var now = SampleOf(counts);
        return new DashboardState(
            s_version,
            (long)Stopwatch.GetElapsedTime(_startedAt).TotalSeconds,
            service.IsReady,
            new Load(
                counts.Rooms, counts.Waiting, counts.Staying, counts.Registrations, settings.Server.MaxRegistrations, counts.Introductions),
            Sample.All.Skip(Sample.Loads).ToDictionary(NameOf, series => now[series], StringComparer.Ordinal),
            ToSeries(_history.Seconds),
            ToSeries(_history.Minutes),
            Outcomes.Of(counts.Reports, _history.ReportsAnHourAgo),
            Outcomes.Of(counts.Reports, []),
            counts.Totals.ReportsRefused,
            service.Rooms is { } rooms ? new RedisState($"{rooms.Instance:x16}", rooms.IsConnected, rooms.UnderWay, rooms.Errors) : null,
            settings.ShowNames ? GetNamed() : null);
    }

    private NamedState GetNamed() => new(
        [.. service.EndPoints.Select(endPoint => $"{endPoint}")],
        [.. service.GetRooms(MaxRooms, MaxMembers).Select(room => new NamedRoom(
            room.Tag, _names.GetValueOrDefault(room.Tag), room.Visitors, room.Staying, [.. room.Members.Select(member => $"{member}")]))]);
}
