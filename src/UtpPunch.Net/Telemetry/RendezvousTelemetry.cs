using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// What a rendezvous server logs and measures. What strangers send must not fill the log: what was refused is added up, and logged once a minute at
/// most.
/// </summary>
internal sealed class RendezvousTelemetry(ILoggerFactory? factory, IMeterFactory? meters)
{
    private const long Interval = 60_000_000;

    private readonly ILogger _logger = factory?.CreateLogger(Log.Category) ?? NullLogger.Instance;
    private readonly RendezvousMetrics _metrics = RendezvousMetrics.Of(meters);

    // The server's thread's.
    private RendezvousTotals _told = UtpRendezvousServer.NoCounts.Totals;
    private long _toldDropped;
    private long _nextMessageAt;

    /// <summary>Gets the time at which <see cref="OnStep"/> has something to log; <see cref="long.MaxValue"/> if it has not.</summary>
    public long Deadline { get; private set; } = long.MaxValue;

    public void OnStarted(UtpRendezvousServer server)
    {
        if (_logger.IsEnabled(LogLevel.Debug))
        {
            _logger.RendezvousBound(AddressesOf(server));
        }

        _metrics.Add(server);
    }

    /// <summary>The server has taken a step.</summary>
    public void OnStep(long now, Protocol.Rendezvous state)
    {
        if (factory is null || RendezvousModule.Statistics(state).Dropped == _toldDropped)
        {
            return;
        }

        if (now < _nextMessageAt)
        {
            Deadline = _nextMessageAt;
            return;
        }

        TellRefusals(state);
        _nextMessageAt = now + Interval;
        Deadline = long.MaxValue;
    }

    public void OnEnded(UtpRendezvousServer server, Protocol.Rendezvous state, Exception? fault)
    {
        _metrics.Remove(server);
        TellRefusals(state);
        var end = server.GetStatistics();
        if (fault is not null)
        {
            _logger.RendezvousFailed(fault, AddressesOf(server));
        }
        else if (_logger.IsEnabled(LogLevel.Debug))
        {
            _logger.RendezvousClosed(AddressesOf(server), end.TotalIntroductions, end.WaitingPeers, end.DatagramsRefused);
        }
    }

    // As text: a structured log shows the name of a list's type.
    private static string AddressesOf(UtpRendezvousServer server) => string.Join(", ", server.LocalEndPoints);

    private void TellRefusals(Protocol.Rendezvous state)
    {
        var now = RendezvousModule.Counts(state).Totals;
        var (unproven, proven) = (now.TooManyUnproven - _told.TooManyUnproven, now.TooManyProven - _told.TooManyProven);
        if (unproven + proven > 0)
        {
            _logger.RendezvousFlooded(unproven, proven);
        }

        var (source, room) = (now.SourceFull - _told.SourceFull, now.RoomFull - _told.RoomFull);
        if (source + room > 0)
        {
            _logger.RegistrationsRefused(source, room);
        }

        if (now.ServerFull > _told.ServerFull)
        {
            _logger.RendezvousFull(now.ServerFull - _told.ServerFull);
        }

        if (now.Invalid > _told.Invalid)
        {
            _logger.InvalidDatagrams(now.Invalid - _told.Invalid);
        }

        _told = now;
        _toldDropped = RendezvousModule.Statistics(state).Dropped;
    }
}
