using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// Beside each socket that is bound to all addresses, sockets with its port that are bound to one address each: the system delivers to them
/// what arrives at their addresses, and what they send leaves from there. When the machine gets other addresses, so do the sockets.
/// </summary>
internal sealed class AddressSockets : IDisposable
{
    // A machine with more addresses of one family than that chooses the source of answers from the others.
    private const int MaxPerSocket = 8;

    private readonly IReadOnlyList<UdpChannel> _wildcards;
    private readonly LocalAddresses _locals;
    private readonly Action _wake;
    private readonly Dictionary<(ushort Via, ushort Local), UdpChannel> _open = [];
    private readonly ClosedChannels _closed = new();
    private volatile bool _isStale;

    /// <param name="sockets">Those of the transport.</param>
    /// <param name="locals">Where addresses get their numbers.</param>
    /// <param name="wake">Ends the wait for datagrams.</param>
    public AddressSockets(IReadOnlyList<UdpChannel> sockets, LocalAddresses locals, Action wake)
    {
        _wildcards = [.. sockets.Where(socket => socket.IsWildcard)];
        _locals = locals;
        _wake = wake;
        if (_wildcards.Count > 0)
        {
            Refresh();
            Try(() => NetworkChange.NetworkAddressChanged += OnChanged);
        }
    }

    /// <summary>The socket of an address; <see langword="null"/> if there is none.</summary>
    public UdpChannel? Find(ushort via, ushort local) => _open.GetValueOrDefault((via, local));

    /// <summary>Adds the sockets to those that the next wait is for. No thread waits on the closed ones any more.</summary>
    public void AddTo(List<UdpChannel> channels)
    {
        _closed.DisposeAll();
        if (_isStale)
        {
            _isStale = false;
            Refresh();
        }

        channels.AddRange(_open.Values);
    }

    public void Dispose()
    {
        NetworkChange.NetworkAddressChanged -= OnChanged;
        foreach (var channel in _open.Values)
        {
            _closed.Add(channel);
        }

        _open.Clear();
        _closed.DisposeAll();
    }

    private void OnChanged(object? sender, EventArgs e)
    {
        _isStale = true;
        _wake();
    }

    private void Refresh()
    {
        IPAddress[] addresses = [];
        Try(() => addresses = [.. OwnAddresses.All()]);
        foreach (var wildcard in _wildcards)
        {
            // One address of a family is what the system chooses anyway.
            var wanted = addresses
                .Where(address => address.AddressFamily == wildcard.Socket.AddressFamily || address.AddressFamily == AddressFamily.InterNetwork)
                .GroupBy(address => address.AddressFamily)
                .Where(group => group.Skip(1).Any())
                .SelectMany(group => group.Take(MaxPerSocket))
                .Select(address => (Address: address, Local: _locals.NumberOf(LocalAddress.Of(address))))
                .Where(it => it.Local != 0)
                .DistinctBy(it => it.Local)
                .ToDictionary(it => it.Local, it => it.Address);
            foreach (var (key, channel) in _open.Where(it => it.Key.Via == wildcard.Via && !wanted.ContainsKey(it.Key.Local)).ToArray())
            {
                _open.Remove(key);
                _closed.Add(channel);
            }

            foreach (var (local, address) in wanted.Where(it => !_open.ContainsKey((wildcard.Via, it.Key))))
            {
                Open(wildcard, local, address);
            }
        }
    }

    // If it cannot be opened, what arrives at the address goes to the other socket, as before.
    private void Open(UdpChannel wildcard, ushort local, IPAddress address) => Try(() =>
    {
        var socket = SocketFactory.BindBeside(wildcard.Socket, new IPEndPoint(address, wildcard.LocalEndPoint.Port));
        _open.Add((wildcard.Via, local), new UdpChannel(socket, wildcard.Via, local));
    });

    // A sandbox may hide the addresses.
    private static void Try(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (error is SocketException or NetworkInformationException or IOException or UnauthorizedAccessException)
        {
        }
    }
}
