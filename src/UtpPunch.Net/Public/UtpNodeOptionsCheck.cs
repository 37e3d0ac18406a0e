using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Checks the options of a node, and converts them to those of the core.</summary>
internal static class UtpNodeOptionsCheck
{
    public const int HeaderLength = PacketModule.HeaderLength;
    public const int LeastBuffer = 64 * 1024;
    public const int MostBuffer = 1 << 30;
    public const int PacketsPerBuffer = 4;
    public const int LeastPacket = 100;
    public const int MostPacket = ExtensionBits.Most;
    private const int MostConnections = 1 << 20;
    private const long LeastBudget = 1 << 20;
    private static readonly TimeSpan s_leastTimeout = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_mostTimeout = TimeSpan.FromDays(49);
    private static readonly TimeSpan s_leastTarget = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_mostTarget = TimeSpan.FromMilliseconds(100);

    /// <summary>The largest window of packets that is an option: what every peer of the dialect holds out of order.</summary>
    public static readonly int MostWindow = StreamOptionsModule.bep29.PacketWindow;

    /// <exception cref="ArgumentException">An option makes no sense; the parameter name is that of the option.</exception>
    public static Settings Freeze(UtpNodeOptions options)
    {
        var local = options.LocalEndPoint;
        if (local is null)
        {
            throw new ArgumentNullException(nameof(options.LocalEndPoint));
        }

        if (local.AddressFamily is not (AddressFamily.InterNetwork or AddressFamily.InterNetworkV6))
        {
            throw new ArgumentException("An address is an IPv4 or an IPv6 address.", nameof(options.LocalEndPoint));
        }

        CheckKinds(options);
        CheckLimits(options);
        CheckBuffers(options);
        Between(options.PacketWindow ?? 1, 1, MostWindow, nameof(options.PacketWindow));
        Between(options.SocketReceiveBufferSize, 1, MostBuffer, nameof(options.SocketReceiveBufferSize));
        Between(options.SocketSendBufferSize, 1, MostBuffer, nameof(options.SocketSendBufferSize));
        Between(options.Dscp, 0, 63, nameof(options.Dscp));
        Positive(options.ConnectTimeout, nameof(options.ConnectTimeout));
        Positive(options.IdleTimeout, nameof(options.IdleTimeout), mayBeInfinite: true);
        Positive(options.AcknowledgementTimeout, nameof(options.AcknowledgementTimeout), mayBeInfinite: true);
        Positive(options.LingerTimeout, nameof(options.LingerTimeout), mayBeInfinite: true, mayBeZero: true);
        Positive(options.ShutdownTimeout, nameof(options.ShutdownTimeout), mayBeInfinite: true, mayBeZero: true);
        Positive(options.KeepAliveInterval, nameof(options.KeepAliveInterval), mayBeInfinite: true);
        if (options.TargetDelay < s_leastTarget || options.TargetDelay > s_mostTarget)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options.TargetDelay), options.TargetDelay, "The target delay lies between 1 ms and 100 ms (RFC 6817, 2.4.2).");
        }

        Positive(options.InitialRetransmitTimeout, nameof(options.InitialRetransmitTimeout));
        Positive(options.MinRetransmitTimeout, nameof(options.MinRetransmitTimeout));

        var dialect = options.Dialect.ToCore();
        return new Settings(
            new NodeOptions(
                dialect,
                options.MaxConnections,
                options.MaxConnectionsPerAddress,
                options.MaxHalfOpen,
                options.MemoryBudget / 2,
                NodeOptionsModule.standard.HalfOpenTimeout,
                Streams(options, StreamOptionsModule.bep29, options.Dialect == UtpDialect.Bep29),
                Streams(options, StreamOptionsModule.utpPunch, options.Dialect == UtpDialect.Npm)),
            dialect,
            options.CongestionControl,
            options.ConnectTimeout,
            options.LingerTimeout,
            options.ShutdownTimeout,
            options.DiscoverNat64 && options.TransportFactory is null,
            Freeze(options.Nat64Prefix),
            Freeze(options.HostAddresses),
            Freeze(options.Trace),
            options.LoggerFactory,
            options.MeterFactory);
    }

    private static void CheckKinds(UtpNodeOptions options)
    {
        if (!Enum.IsDefined(options.Dialect))
        {
            throw new ArgumentOutOfRangeException(nameof(options.Dialect), options.Dialect, "There is no such dialect.");
        }

        if (!Enum.IsDefined(options.SocketMode))
        {
            throw new ArgumentOutOfRangeException(nameof(options.SocketMode), options.SocketMode, "There is no such mode.");
        }

        if (options.CongestionControl is null)
        {
            throw new ArgumentNullException(nameof(options.CongestionControl));
        }
    }

    private static void CheckLimits(UtpNodeOptions options)
    {
        Between(options.MaxConnections, 1, MostConnections, nameof(options.MaxConnections));
        Between(options.MaxConnectionsPerAddress, 1, MostConnections, nameof(options.MaxConnectionsPerAddress));
        Between(options.MaxHalfOpen, 1, MostConnections, nameof(options.MaxHalfOpen));
        Between(options.MemoryBudget, LeastBudget, long.MaxValue, nameof(options.MemoryBudget));
    }

    private static Nat64Prefix? Freeze(IPNetwork? prefix)
    {
        if (prefix is not { } given)
        {
            return null;
        }

        var address = Addresses.ToEndpoint(new IPEndPoint(given.BaseAddress, 0));
        var made = Nat64.tryCreate(address.High, address.Low, given.PrefixLength);
        return given.BaseAddress.AddressFamily == AddressFamily.InterNetworkV6 && made.IsSome
            ? made.Value
            : throw new ArgumentException(
                $"{given} is not the prefix of a NAT64: its length is 32, 40, 48, 56, 64 or 96, and its bits 64 to 71 are zero (RFC 6052).",
                nameof(UtpNodeOptions.Nat64Prefix));
    }

    private static IReadOnlyList<IPAddress>? Freeze(IReadOnlyList<IPAddress>? hosts)
    {
        if (hosts is null)
        {
            return null;
        }

        foreach (var host in hosts)
        {
            if (host?.AddressFamily is not (AddressFamily.InterNetwork or AddressFamily.InterNetworkV6))
            {
                throw new ArgumentException("An address is an IPv4 or an IPv6 address.", nameof(UtpNodeOptions.HostAddresses));
            }
        }

        return [.. hosts];
    }

    private static UtpTraceOptions? Freeze(UtpTraceOptions? trace)
    {
        if (trace is null)
        {
            return null;
        }

        if (!Enum.IsDefined(trace.Payload))
        {
            throw new ArgumentOutOfRangeException(nameof(trace.Payload), trace.Payload, "There is no such way to record payloads.");
        }

        Between(trace.Capacity, LeastBuffer, MostBuffer, nameof(trace.Capacity));
        return new UtpTraceOptions { Payload = trace.Payload, Capacity = trace.Capacity, Path = trace.Path };
    }

    /// <summary>Throws unless the timeout is positive, and one that the platform's timers take.</summary>
    public static void Positive(TimeSpan value, string name, bool mayBeInfinite = false, bool mayBeZero = false)
    {
        var isInRange = value == TimeSpan.Zero ? mayBeZero : value >= s_leastTimeout && value <= s_mostTimeout;
        if (value == Timeout.InfiniteTimeSpan ? !mayBeInfinite : !isInRange)
        {
            throw new ArgumentOutOfRangeException(
                name, value, "A time-out is a millisecond at least and 49 days at most" + (mayBeInfinite ? ", or infinite." : "."));
        }
    }

    /// <summary>Throws unless the value lies in its range.</summary>
    public static void Between(long value, long least, long most, string name)
    {
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(name, value, $"The option lies between {least} and {most}.");
        }
    }

    private static void CheckBuffers(UtpNodeOptions options)
    {
        Between(options.SendBufferSize, LeastBuffer, MostBuffer, nameof(options.SendBufferSize));
        Between(options.ReceiveBufferSize, LeastBuffer, MostBuffer, nameof(options.ReceiveBufferSize));
        Between(options.MaxSendBufferSize, LeastBuffer, MostBuffer, nameof(options.MaxSendBufferSize));
        Between(options.MaxReceiveBufferSize, LeastBuffer, MostBuffer, nameof(options.MaxReceiveBufferSize));
        Between(options.PacketSize ?? LeastPacket, LeastPacket, MostPacket, nameof(options.PacketSize));
        if (options.PacketSize > Math.Min(options.SendBufferSize, options.ReceiveBufferSize) / PacketsPerBuffer)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options.PacketSize), options.PacketSize, $"The buffers must hold {PacketsPerBuffer} packets at least.");
        }
    }

    // Who makes a buffer small means all of it.
    private static int Grown(int size, int standard, int most) => size < standard ? size : Math.Max(size, most);

    private static StreamOptions Streams(UtpNodeOptions options, StreamOptions standard, bool own) =>
        new(
            options.SendBufferSize,
            Grown(options.SendBufferSize, standard.SendBuffer, options.MaxSendBufferSize),
            options.ReceiveBufferSize,
            Grown(options.ReceiveBufferSize, standard.ReceiveBuffer, options.MaxReceiveBufferSize),
            own && options.PacketSize is { } size ? size : standard.PacketSize,
            own && options.PacketSize is { } largest ? largest : standard.LargestPacket,
            own && options.PacketWindow is { } window ? window : standard.PacketWindow,
            own && options.PacketWindow is { } longest ? longest : standard.MaxPacketWindow,
            standard.ReorderWindow,
            Clock.ToMicroseconds(options.AcknowledgementTimeout),
            Clock.ToMicroseconds(options.IdleTimeout),
            Clock.ToMicroseconds(options.KeepAliveInterval),
            options.AllowMigration,
            Clock.ToMicroseconds(options.InitialRetransmitTimeout),
            Clock.ToMicroseconds(options.MinRetransmitTimeout),
            Math.Max(standard.MaxRto, Clock.ToMicroseconds(options.MinRetransmitTimeout)),
            Clock.ToMicroseconds(options.TargetDelay),
            options.CongestionControl.Core,
            options.NoDelay);
}
