using System.Diagnostics.Metrics;

namespace UtpPunch.Rendezvous;

/// <summary>What the library's meter does not have of the service. The instruments are read when they are asked for.</summary>
internal sealed class Instruments : IDisposable
{
    private const string MeterName = "UtpPunch.Rendezvous";

    private readonly Meter _meter = new(MeterName);

    public Instruments(Service service)
    {
        _meter.CreateObservableGauge("utp.rendezvous.ready", () => service.IsReady ? 1 : 0, description: "Whether clients may be sent here");
        if (service.HasRedis)
        {
            _meter.CreateObservableGauge("utp.rendezvous.redis.connected", () => service.Rooms is { IsConnected: true } ? 1 : 0, description: "1 while Redis answers");
            _meter.CreateObservableCounter(
                "utp.rendezvous.redis.errors", () => service.Rooms?.Errors ?? 0, "{error}", "Requests to Redis that failed, and values there that are not valid");
        }
    }

    /// <summary>Gets the meters of the page of metrics: the library's, and this one.</summary>
    public static IReadOnlyCollection<string> MeterNames { get; } = ["UtpPunch.Net", MeterName];

    public void Dispose() => _meter.Dispose();
}
