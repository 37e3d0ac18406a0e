using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using UtpPunch.Protocol;

namespace UtpPunch;

// Asking the router to map the port of the node.
public sealed partial class UtpNode
{
    /// <summary>More than that at the same time are a mistake: one for each address family is enough.</summary>
    private const int MaxMappings = 8;

    private static readonly TimeSpan s_deletion = TimeSpan.FromMilliseconds(250);

    // How long a meeting waits for a router. By UPnP it takes somewhat more than a second.
    private static readonly TimeSpan s_beforeMeeting = TimeSpan.FromSeconds(2);

    // Replaced as a whole, so that the thread that serves the socket reads it without a lock.
    private volatile PortMapperTask[] _mappings = [];
    private Task<UtpPortMapping>? _mappingOfMeetings;

    /// <summary>
    /// Asks the router of this network to map the port of the node, so that peers outside reach it at
    /// <see cref="UtpPortMapping.ExternalEndPoint"/>, whatever its NAT does otherwise. The router is asked by PCP (RFC 6887), by NAT-PMP
    /// (RFC 6886) if it does not know PCP, and by UPnP (IGD:1, IGD:2) if it has not answered within a second. It takes a round trip, and at
    /// most 5 s. The mapping is renewed until it is disposed or the node is closed; both delete it.
    /// </summary>
    /// <param name="options">The options, which are copied; <see langword="null"/> for the defaults.</param>
    /// <param name="cancellationToken">Ends the wait, and deletes what was mapped.</param>
    /// <returns>The mapping, which the caller disposes, unless it is to last as long as the node.</returns>
    /// <exception cref="ArgumentException">An option is not valid, or the node cannot send to the address family.
    /// <see cref="ArgumentException.ParamName"/> is the name of the option.</exception>
    /// <exception cref="InvalidOperationException">The node has eight mappings.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.GatewayNotFound"/>, <see cref="UtpError.GatewaySilent"/>,
    /// <see cref="UtpError.PortMappingRefused"/> with the result code in its message, or <see cref="UtpError.DoubleNat"/>; or the node has
    /// failed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    /// <example>
    /// <code>
    /// await using var mapping = await node.MapPortAsync();
    /// Console.WriteLine($"Peers outside reach this node at {mapping.ExternalEndPoint}.");
    /// </code>
    /// </example>
    public async ValueTask<UtpPortMapping> MapPortAsync(
        UtpPortMappingOptions? options = null, CancellationToken cancellationToken = default)
    {
        var find = FinderOf(options ?? new UtpPortMappingOptions());
        ThrowIfUnusable();
        cancellationToken.ThrowIfCancellationRequested();

        // Reading the interfaces may take a while.
        var found = await Task.Run(find, cancellationToken).ConfigureAwait(false);
        return await MapAsync(found ?? throw MappingText.NoGateway().ToException(), find, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Maps the port at a given gateway.</summary>
    internal async ValueTask<UtpPortMapping> MapAsync(
        MapperOptions options, Func<MapperOptions?> find, CancellationToken cancellationToken)
    {
        var task = new PortMapperTask(_engine, options, find, Remove);
        lock (_gate)
        {
            ThrowIfUnusable();
            if (_mappings.Length >= MaxMappings)
            {
                throw new InvalidOperationException($"A node has at most {MaxMappings} port mappings.");
            }

            _mappings = [.. _mappings, task];
        }

        task.Start(RandomNumberGenerator.GetBytes(SeedLength));
        try
        {
            return await task.Started.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _ = task.Close();
            throw;
        }
    }

    /// <summary>The endpoints that routers have mapped to this node, for a meeting. Without any, the router is asked to map the port; a failure
    /// counts as none.</summary>
    internal async Task<Endpoint[]> MappedAsync(CancellationToken cancellationToken)
    {
        if (Mapped() is { Length: > 0 } present)
        {
            return present;
        }

        try
        {
            await MapForMeetings().WaitAsync(s_beforeMeeting, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is UtpException or TimeoutException or ArgumentException or InvalidOperationException)
        {
            // The punch does without.
        }

        return Mapped();
    }

    /// <summary>One mapping for all meetings. If it has failed, it is tried again.</summary>
    private Task<UtpPortMapping> MapForMeetings()
    {
        lock (_gate)
        {
            if (_mappingOfMeetings is null or { IsFaulted: true } or { IsCanceled: true })
            {
                _mappingOfMeetings = MapPortAsync().AsTask();
                _ = _mappingOfMeetings.ContinueWith(
                    failed => _ = failed.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            }

            return _mappingOfMeetings;
        }
    }

    private Endpoint[] Mapped() => [.. _mappings.Select(it => it.Mapping.Current).OfType<Endpoint>()];

    private Func<MapperOptions?> FinderOf(UtpPortMappingOptions options)
    {
        var (lifetime, externalPort, family, only) = (options.Lifetime, options.ExternalPort, options.AddressFamily, options.Protocol);
        if (lifetime < TimeSpan.FromSeconds(1) || lifetime > TimeSpan.FromDays(1))
        {
            throw new ArgumentOutOfRangeException(nameof(options.Lifetime), lifetime, "The lifetime is from 1 s to 24 h.");
        }

        if (externalPort is < 0 or > IPEndPoint.MaxPort)
        {
            throw new ArgumentOutOfRangeException(nameof(options.ExternalPort), externalPort, "A port is from 0 to 65535.");
        }

        if (only is { } protocol && !Enum.IsDefined(protocol))
        {
            throw new ArgumentOutOfRangeException(nameof(options.Protocol), protocol, "There is no such protocol.");
        }

        var any = family switch
        {
            AddressFamily.InterNetwork => IPAddress.Any,
            AddressFamily.InterNetworkV6 => IPAddress.IPv6Any,
            _ => throw new ArgumentException("The address family is IPv4 or IPv6.", nameof(options.AddressFamily)),
        };
        if (!_transport.Speaks(Addresses.ToEndpoint(new IPEndPoint(any, 1))))
        {
            throw new ArgumentException($"The node is bound to {LocalEndPoint}, and does not use this family.", nameof(options.AddressFamily));
        }

        return () => Gateway.Find(family, LocalEndPoint.Address) is not { } gateway
            ? null
            : OptionsOf(gateway, LocalEndPoint.Port, lifetime, externalPort, only);
    }

    private static MapperOptions OptionsOf(Gateway gateway, int port, TimeSpan lifetime, int externalPort, UtpPortMappingProtocol? only)
    {
        var standard = PortMapperModule.Standard(
            Addresses.ToEndpoint(new IPEndPoint(gateway.Own, port)),
            gateway.PrefixLength,
            Addresses.ToEndpoint(new IPEndPoint(gateway.Address, 0)));
        return new MapperOptions(
            standard.Client,
            standard.PrefixLength,
            standard.Gateway,
            standard.Searches,
            (ushort)externalPort,
            Clock.ToMicroseconds(lifetime),
            standard.Timeout,
            MappingText.Of(only));
    }

    /// <summary>Deletes all mappings, within 250 ms.</summary>
    private Task DeleteMappings() =>
        _mappings is { Length: > 0 } mappings ? Task.WhenAll(mappings.Select(mapping => mapping.Close())) : Task.CompletedTask;

    private void Remove(PortMapperTask task)
    {
        lock (_gate)
        {
            _mappings = [.. _mappings.Where(it => it != task)];
        }
    }

    /// <summary>Whether a datagram that is not uTP is a router's answer. Under the loop lock.</summary>
    private bool IsForMapping(Endpoint from, Borrowed datagram)
    {
        var isTaken = false;
        foreach (var mapping in _mappings)
        {
            isTaken |= mapping.TryTake(from, datagram);
        }

        return isTaken;
    }
}
