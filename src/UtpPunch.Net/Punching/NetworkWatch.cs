using System.Net.NetworkInformation;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Notices that this machine has got other addresses: a cable, another Wi-Fi, a VPN, a new lease. Runs from a node's first meeting on, or
/// from the first stream that it opens to another machine.
/// </summary>
internal sealed class NetworkWatch : IDisposable
{
    // An interface that comes up gets its addresses one after the other.
    private static readonly TimeSpan SettleTime = TimeSpan.FromMilliseconds(200);

    // Where the system does not tell, and for the IPv6 addresses of Linux, of which .NET tells nothing.
    private static readonly TimeSpan Polling = TimeSpan.FromSeconds(5);

    private readonly Func<Endpoint[]> _read;
    private readonly Action<Endpoint[]> _changed;
    private readonly Timer _timer;
    private readonly Lock _lock = new();
    private Endpoint[] _known;
    private bool _disposed;

    /// <param name="read">Gives the addresses.</param>
    /// <param name="changed">Is told those that are there after a change, on the thread pool.</param>
    public NetworkWatch(Func<Endpoint[]> read, Action<Endpoint[]> changed)
    {
        _read = read;
        _changed = changed;
        _known = read();
        _timer = new Timer(static state => ((NetworkWatch)state!).Look(), this, Polling, Polling);
        try
        {
            NetworkChange.NetworkAddressChanged += OnChanged;
        }
        catch (Exception error) when (error is NetworkInformationException or PlatformNotSupportedException)
        {
            // A sandbox. The timer suffices.
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
        }

        NetworkChange.NetworkAddressChanged -= OnChanged;
        _timer.Dispose();
    }

    private void OnChanged(object? sender, EventArgs e)
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                _timer.Change(SettleTime, Polling);
            }
        }
    }

    private void Look()
    {
        lock (_lock)
        {
            var now = _read();
            if (_disposed || now.ToHashSet().SetEquals(_known))
            {
                return;
            }

            _known = now;
            _changed(now);
        }
    }
}
