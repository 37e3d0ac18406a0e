using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>An address of this machine.</summary>
/// <param name="High">The first half, as in <see cref="Endpoint"/>.</param>
/// <param name="Low">The second half.</param>
/// <param name="Scope">The interface of a link-local address; 0 for any other one, which leaves the interface to the routes.</param>
internal readonly record struct LocalAddress(ulong High, ulong Low, uint Scope)
{
    public static LocalAddress Of(IPAddress address)
    {
        var endpoint = Addresses.ToEndpoint(new IPEndPoint(address, 0));
        return new LocalAddress(endpoint.High, endpoint.Low, endpoint.Scope);
    }

    public IPEndPoint WithPort(int port) => Addresses.ToIPEndPoint(new Endpoint(High, Low, Scope, (ushort)port, 0, 0));
}

/// <summary>
/// Numbers the own addresses at which datagrams arrive, for <see cref="Endpoint.Local"/>. An address that is lost, and not used as a source
/// any more, is in use again as soon as a datagram arrives at it. Under the loop lock.
/// </summary>
internal sealed class LocalAddresses
{
    /// <summary>More addresses than that have no number: the system chooses the source of what answers them.</summary>
    public const int Limit = 1024;

    private readonly Dictionary<LocalAddress, ushort> _numbers = [];
    private readonly List<(LocalAddress Address, bool IsLost)> _addresses = [];
    private LocalAddress _last;
    private ushort _lastNumber;

    /// <summary>The number of an address at which a datagram has arrived; 0 for one that cannot be a source.</summary>
    public ushort NumberOf(LocalAddress address)
    {
        if (_lastNumber == 0 || address != _last)
        {
            (_last, _lastNumber) = (address, IsUnicast(address) ? Add(address) : (ushort)0);
        }

        return _lastNumber;
    }

    /// <summary>Finds the address to send from; <see langword="false"/> if the system is to choose.</summary>
    public bool TryFind(ushort number, out LocalAddress address)
    {
        var isKnown = number > 0 && number <= _addresses.Count;
        (address, var isLost) = isKnown ? _addresses[number - 1] : default;
        return isKnown && !isLost;
    }

    /// <summary>Tells that an address is not one of this machine any more.</summary>
    public void Lose(ushort number)
    {
        _addresses[number - 1] = (_addresses[number - 1].Address, true);
        _lastNumber = 0;
    }

    private ushort Add(LocalAddress address)
    {
        if (_numbers.TryGetValue(address, out var number))
        {
            _addresses[number - 1] = (address, false);
        }
        else if (_addresses.Count < Limit)
        {
            _addresses.Add((address, false));
            number = (ushort)_addresses.Count;
            _numbers.Add(address, number);
        }

        return number;
    }

    // Multicast, broadcast, and the unspecified address.
    private static bool IsUnicast(LocalAddress address)
    {
        var endpoint = new Endpoint(address.High, address.Low, 0, 0, 0, 0);
        return EndpointModule.isIPv4(endpoint) ? (uint)address.Low is not 0 and < 0xE000_0000 : address.High >> 56 != 0xFF && (address.High | address.Low) != 0;
    }
}
