using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.Logging;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The options of a node, checked and frozen.</summary>
internal sealed record Settings(
    NodeOptions Node,
    Dialect Dialect,
    UtpCongestionControl CongestionControl,
    TimeSpan ConnectTimeout,
    TimeSpan LingerTimeout,
    TimeSpan ShutdownTimeout,
    bool DiscoversNat64,
    Nat64Prefix? Nat64,
    IReadOnlyList<IPAddress>? HostAddresses,
    UtpTraceOptions? Trace,
    ILoggerFactory? LoggerFactory,
    IMeterFactory? MeterFactory)
{
    /// <summary>The options of the streams of a dialect.</summary>
    public StreamOptions For(Dialect dialect) => dialect.IsUtpPunch ? Node.UtpPunch : Node.Bep29;
}
