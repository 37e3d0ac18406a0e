using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// What a node logs and measures of its streams. A user's callback that fails for each datagram of a stranger must not fill the log: of
/// such messages there is one a second at most, with the number of those in between.
/// </summary>
internal sealed class NodeTelemetry(ILoggerFactory? factory, IMeterFactory? meters, IPEndPoint localEndPoint)
{
    private const long Interval = 1_000_000;

    private readonly ILogger _logger = factory?.CreateLogger(Log.Category) ?? NullLogger.Instance;
    private readonly NodeMetrics _metrics = NodeMetrics.Of(meters);

    // Under the loop lock.
    private long _nextMessageAt;
    private readonly Lock _gate = new();
    private long _suppressed;

    public void OnStarted(Engine node)
    {
        _metrics.Add(node);
        _logger.NodeBound(localEndPoint);
    }

    public void OnEnded(Engine node, Failure? fault)
    {
        _metrics.Remove(node);
        if (fault is null)
        {
            _logger.NodeClosed(localEndPoint);
        }
        else
        {
            _logger.NodeFailed(fault.Cause, localEndPoint);
        }
    }

    public void OnOpened(UtpStream stream)
    {
        if (_logger.IsEnabled(LogLevel.Debug))
        {
            _logger.StreamOpened(stream.ConnectionId, stream.RemoteEndPoint, stream.IsIncoming);
        }
    }

    /// <summary>A stream that was open has ended, in order if there is no failure.</summary>
    public void OnClosed(UtpStream stream, Failure? failure, TimeSpan age, in UtpStreamStatistics statistics)
    {
        _metrics.Ended(age, stream.IsIncoming, failure?.Error, statistics);
        if (failure is null)
        {
            if (_logger.IsEnabled(LogLevel.Debug))
            {
                _logger.StreamEnded(
                    stream.ConnectionId, stream.RemoteEndPoint, age.TotalSeconds, statistics.BytesReceived, statistics.BytesAcknowledged);
            }
        }
        else if (_logger.IsEnabled(LogLevel.Information))
        {
            _logger.StreamFailed(
                stream.ConnectionId, stream.RemoteEndPoint, age.TotalSeconds, statistics.Retransmissions, failure.Error, failure.Message);
        }
    }

    public void OnPathLost(UtpStream stream)
    {
        _metrics.PathLost();
        _logger.PathLost(stream.ConnectionId, stream.RemoteEndPoint);
    }

    public void OnPathChanged(UtpStream stream)
    {
        _metrics.PathFound();
        _logger.PathChanged(stream.ConnectionId, stream.RemoteEndPoint);
    }

    public void OnConnected(TimeSpan duration, UtpPathKind? kind) => _metrics.Connected(duration, kind, null);

    /// <summary>An attempt has failed, or was cancelled.</summary>
    public void OnConnectFailed(TimeSpan duration, UtpPathKind? kind, IPEndPoint remote, Exception error)
    {
        _metrics.Connected(duration, kind, AttributeNames.NameOf(error));
        if (error is UtpException failure)
        {
            _logger.ConnectFailed(remote, failure.Error, failure.Message);
        }
    }

    public void OnPunched(PunchReport report)
    {
        var elapsed = Clock.ToTimeSpan(report.Elapsed);
        _metrics.Punched(elapsed, report);
        if (!_logger.IsEnabled(LogLevel.Information))
        {
            return;
        }

        if (report.Stage.IsOpen)
        {
            _logger.Punched(Addresses.ToIPEndPoint(report.Remote), elapsed.TotalSeconds);
        }
        else
        {
            _logger.PunchFailed(elapsed.TotalSeconds, report.Sent, report.Heard);
        }
    }

    public void OnDatagramHandlerFailed(Exception error, IPEndPoint remote)
    {
        if (MayLog(out var suppressed))
        {
            _logger.DatagramHandlerFailed(error, remote, suppressed);
        }
    }

    public void OnFilterFailed(Exception error, IPEndPoint remote)
    {
        if (MayLog(out var suppressed))
        {
            _logger.FilterFailed(error, remote, suppressed);
        }
    }

    public void OnPathHandlerFailed(Exception error, IPEndPoint remote)
    {
        if (MayLog(out var suppressed))
        {
            _logger.PathHandlerFailed(error, remote, suppressed);
        }
    }

    public void OnProgressFailed(Exception error)
    {
        if (MayLog(out var suppressed))
        {
            _logger.ProgressFailed(error, suppressed);
        }
    }

    public void OnMappingHandlerFailed(Exception error, IPEndPoint external)
    {
        if (MayLog(out var suppressed))
        {
            _logger.MappingHandlerFailed(error, external, suppressed);
        }
    }

    public void OnPeerFailed(IPEndPoint remote, UtpException error) => _logger.PeerFailed(remote, error.Error, error.Message);

    public void OnRoomStreamDropped(IPEndPoint remote)
    {
        if (MayLog(out var suppressed))
        {
            _logger.RoomStreamDropped(remote, suppressed);
        }
    }

    private bool MayLog(out long suppressed)
    {
        lock (_gate)
        {
            suppressed = _suppressed;
            var now = Clock.Now;
            if (now < _nextMessageAt)
            {
                _suppressed++;
                return false;
            }

            _nextMessageAt = now + Interval;
            _suppressed = 0;
            return true;
        }
    }
}
