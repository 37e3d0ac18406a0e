using Activity = System.Diagnostics.Activity;
using Endpoint = UtpPunch.Protocol.Endpoint;

namespace UtpPunch;

/// <summary>An attempt to open a stream to one address, in the metrics, as a span and in the log.</summary>
internal readonly struct ConnectAttempt(NodeTelemetry telemetry, Endpoint remote, UtpPathKind? kind) : IDisposable
{
    private readonly long _started = Clock.Now;
    private readonly Activity? _span = Spans.Connect(remote, kind);

    public void Succeed() => telemetry.OnConnected(Clock.Since(_started), kind);

    /// <summary>It has failed, or was cancelled.</summary>
    public void Fail(Exception error)
    {
        Spans.Fail(_span, error, isDescribed: true);
        telemetry.OnConnectFailed(Clock.Since(_started), kind, Addresses.ToIPEndPoint(remote), error);
    }

    public void Dispose() => _span?.Dispose();
}
