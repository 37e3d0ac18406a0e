using System.Diagnostics;
using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A UDP port that a router has mapped to a node, so that peers outside reach it without a punch. It is renewed until it is disposed. All
/// members may be called from any thread.
/// </summary>
[DebuggerDisplay("{ExternalEndPoint}")]
public sealed class UtpPortMapping : IAsyncDisposable
{
    private readonly PortMapperTask _task;
    private volatile MapperLease? _lease;
    private volatile string? _lossReason;
    private int _renewals;

    internal UtpPortMapping(PortMapperTask task) => _task = task;

    /// <summary>Occurs when <see cref="ExternalEndPoint"/> or <see cref="IsLost"/> has changed: the router has restarted, is not reached any
    /// more, or the network of this machine is another one. It is raised on a thread of the pool, and delays the next renewal: a handler
    /// should not block. What it throws is logged (<see cref="UtpNodeOptions.LoggerFactory"/>).</summary>
    public event EventHandler? Changed;

    /// <summary>Gets the endpoint at which the router receives for the node; the last one if the mapping is lost.</summary>
    public IPEndPoint ExternalEndPoint => Addresses.ToIPEndPoint(_lease!.External);

    /// <summary>Gets the endpoint of the node that is mapped.</summary>
    public IPEndPoint InternalEndPoint => _task.Internal;

    /// <summary>Gets the protocol by which the router has mapped the port.</summary>
    public UtpPortMappingProtocol Protocol => (UtpPortMappingProtocol)_lease!.Protocol.Tag;

    /// <summary>Gets the lifetime that the router has granted, from the last renewal on.</summary>
    /// <value><see cref="Timeout.InfiniteTimeSpan"/> if the router has no limit; such mappings are deleted as well.</value>
    public TimeSpan Lifetime => Clock.ToTimeSpan(_lease!.Lifetime);

    /// <summary>Gets a value that indicates whether <see cref="ExternalEndPoint"/> is not a public address (RFC 1918, RFC 6598): the router is
    /// behind a further NAT, and only hosts between the two reach the mapping.</summary>
    public bool IsBehindFurtherNat => _lease!.IsPrivate;

    /// <summary>Gets a value that indicates whether the router has no mapping at present. The library goes on trying to map the port.</summary>
    public bool IsLost => _lossReason is not null;

    /// <summary>Gets why the mapping was lost, in words; <see langword="null"/> if it is not.</summary>
    public string? LossReason => _lossReason;

    /// <summary>Gets how often the mapping was renewed.</summary>
    public int Renewals => Volatile.Read(ref _renewals);

    /// <summary>Deletes the mapping. It waits until the router has confirmed that, for at most 250 ms, and does not throw.</summary>
    public async ValueTask DisposeAsync() => await _task.Close().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    /// <summary>The external endpoint, if the router has the mapping at present.</summary>
    internal Endpoint? Current => _lease is { } lease && !IsLost ? lease.External : null;

    internal void OnMapped(MapperLease lease)
    {
        var isFirst = _lease is null;
        _lease = lease;
        _lossReason = null;
        if (!isFirst)
        {
            Raise();
        }
    }

    internal void OnRenewed(MapperLease lease)
    {
        _lease = lease;
        Interlocked.Increment(ref _renewals);
    }

    internal void OnLost(string reason)
    {
        _lossReason = reason;
        Raise();
    }

    private void Raise()
    {
        try
        {
            Changed?.Invoke(this, EventArgs.Empty);
        }
        catch (Exception error)
        {
            // As documented: the handler is the user's, and the mapping must be renewed.
            _task.Telemetry.OnMappingHandlerFailed(error, ExternalEndPoint);
        }
    }
}
