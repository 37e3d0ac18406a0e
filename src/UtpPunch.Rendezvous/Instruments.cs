using System.Diagnostics.Metrics;
using UtpPunch.Protocol;

namespace UtpPunch.Rendezvous;

/// <summary>The service's load as instruments. They are read when they are asked for; the server counts anyway.</summary>
internal sealed class Instruments : IDisposable
{
    public const string MeterName = "UtpPunch.Rendezvous";

    private readonly Meter _meter = new(MeterName);

    public Instruments(Service service)
    {
        _meter.CreateObservableUpDownCounter(
            "utp.rendezvous.registrations", () => service.Statistics.WaitingPeers, "{peer}", "Peers that wait for another one");
        _meter.CreateObservableUpDownCounter(
            "utp.rendezvous.introductions.active", () => service.Statistics.PendingIntroductions, "{introduction}", "Introductions that are not complete");
        _meter.CreateObservableCounter(
            "utp.rendezvous.introductions", () => service.Statistics.TotalIntroductions, "{introduction}", "Pairs that were introduced");
        _meter.CreateObservableCounter(
            "utp.rendezvous.dropped", () => service.Statistics.DatagramsRefused, "{datagram}", "Datagrams that were not valid, or too many");
        _meter.CreateObservableUpDownCounter("utp.rendezvous.rooms", () => service.Counts.Rooms, "{room}", "Rooms in which peers wait");
        _meter.CreateObservableCounter(
            "utp.rendezvous.registered", () => service.Counts.Totals.Registered, "{peer}", "Peers that have registered");
        _meter.CreateObservableCounter(
            "utp.rendezvous.challenged", () => service.Counts.Totals.Challenged, "{cookie}", "Cookies that were sent to addresses that had none");
        _meter.CreateObservableCounter(
            "utp.rendezvous.refused", () => Refused(service.Counts.Totals), "{registration}", "Registrations beyond a limit");
        _meter.CreateObservableCounter(
            "utp.rendezvous.reports", () => Reported(service.Counts.Reports), "{report}", "Reports of punches by the peers");
        _meter.CreateObservableGauge("utp.rendezvous.ready", () => service.IsReady ? 1 : 0, description: "Whether clients may be sent here");
        if (service.HasRedis)
        {
            _meter.CreateObservableGauge("utp.rendezvous.redis.connected", () => service.Rooms is { IsConnected: true } ? 1 : 0, description: "1 while Redis answers");
            _meter.CreateObservableCounter(
                "utp.rendezvous.redis.errors", () => service.Rooms?.Errors ?? 0, "{error}", "Requests to Redis that failed, and values there that are not valid");
        }
    }

    public void Dispose() => _meter.Dispose();

    private static Measurement<long>[] Refused(RendezvousTotals totals) =>
    [
        new(totals.ServerFull, new KeyValuePair<string, object?>("reason", "server")),
        new(totals.SourceFull, new KeyValuePair<string, object?>("reason", "source")),
        new(totals.RoomFull, new KeyValuePair<string, object?>("reason", "room")),
    ];

    private static Measurement<long>[] Reported(MeetingReportCount[] reports)
    {
        var met = reports.Where(report => report.Stage.IsOpen).Sum(report => report.Count);
        return
        [
            new(met, new KeyValuePair<string, object?>("outcome", "met")),
            new(reports.Sum(report => report.Count) - met, new KeyValuePair<string, object?>("outcome", "failed")),
        ];
    }
}
