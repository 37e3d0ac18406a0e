using System.Globalization;
using System.Net;
using Microsoft.Extensions.Configuration;

namespace UtpPunch.AspNetCore;

/// <summary>Reads the options of a node from configuration. An error names the key and its value; an unknown key is an error.</summary>
internal static class NodeConfiguration
{
    /// <summary>The section below <c>AddUtpPunch</c>'s that has the named nodes.</summary>
    public const string Nodes = "Nodes";

    private static readonly Dictionary<string, Action<UtpNodeOptions, string>> Setters = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(UtpNodeOptions.LocalEndPoint)] = (options, text) => options.LocalEndPoint = EndPointOf(text),
        [nameof(UtpNodeOptions.Dialect)] = (options, text) => options.Dialect = EnumOf<UtpDialect>(text),
        [nameof(UtpNodeOptions.MaxConnections)] = (options, text) => options.MaxConnections = Of<int>(text),
        [nameof(UtpNodeOptions.MaxConnectionsPerAddress)] = (options, text) => options.MaxConnectionsPerAddress = Of<int>(text),
        [nameof(UtpNodeOptions.MemoryBudget)] = (options, text) => options.MemoryBudget = Of<long>(text),
        [nameof(UtpNodeOptions.MaxHalfOpen)] = (options, text) => options.MaxHalfOpen = Of<int>(text),
        [nameof(UtpNodeOptions.SendBufferSize)] = (options, text) => options.SendBufferSize = Of<int>(text),
        [nameof(UtpNodeOptions.MaxSendBufferSize)] = (options, text) => options.MaxSendBufferSize = Of<int>(text),
        [nameof(UtpNodeOptions.ReceiveBufferSize)] = (options, text) => options.ReceiveBufferSize = Of<int>(text),
        [nameof(UtpNodeOptions.MaxReceiveBufferSize)] = (options, text) => options.MaxReceiveBufferSize = Of<int>(text),
        [nameof(UtpNodeOptions.PacketSize)] = (options, text) => options.PacketSize = Of<int>(text),
        [nameof(UtpNodeOptions.PacketWindow)] = (options, text) => options.PacketWindow = Of<int>(text),
        [nameof(UtpNodeOptions.ConnectTimeout)] = (options, text) => options.ConnectTimeout = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.IdleTimeout)] = (options, text) => options.IdleTimeout = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.AcknowledgementTimeout)] = (options, text) => options.AcknowledgementTimeout = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.LingerTimeout)] = (options, text) => options.LingerTimeout = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.ShutdownTimeout)] = (options, text) => options.ShutdownTimeout = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.KeepAliveInterval)] = (options, text) => options.KeepAliveInterval = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.InitialRetransmitTimeout)] = (options, text) => options.InitialRetransmitTimeout = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.MinRetransmitTimeout)] = (options, text) => options.MinRetransmitTimeout = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.AllowMigration)] = (options, text) => options.AllowMigration = bool.Parse(text),
        [nameof(UtpNodeOptions.DiscoverNat64)] = (options, text) => options.DiscoverNat64 = bool.Parse(text),
        [nameof(UtpNodeOptions.Nat64Prefix)] = (options, text) => options.Nat64Prefix = Of<IPNetwork>(text),
        [nameof(UtpNodeOptions.HostAddresses)] = (options, text) =>
            options.HostAddresses = [.. text.Split(',', StringSplitOptions.TrimEntries).Select(IPAddress.Parse)],
        [nameof(UtpNodeOptions.NoDelay)] = (options, text) => options.NoDelay = bool.Parse(text),
        [nameof(UtpNodeOptions.CongestionControl)] = (options, text) => options.CongestionControl = ControlOf(text),
        [nameof(UtpNodeOptions.TargetDelay)] = (options, text) => options.TargetDelay = Of<TimeSpan>(text),
        [nameof(UtpNodeOptions.SocketMode)] = (options, text) => options.SocketMode = EnumOf<UtpSocketMode>(text),
        [nameof(UtpNodeOptions.SocketReceiveBufferSize)] = (options, text) => options.SocketReceiveBufferSize = Of<int>(text),
        [nameof(UtpNodeOptions.Dscp)] = (options, text) => options.Dscp = Of<int>(text),
        [nameof(UtpNodeOptions.SocketSendBufferSize)] = (options, text) => options.SocketSendBufferSize = Of<int>(text),
    };

    /// <summary>The keys that there are.</summary>
    public static IReadOnlyCollection<string> Keys => Setters.Keys;

    /// <exception cref="InvalidOperationException">A key or a value is not valid.</exception>
    public static void Apply(IConfiguration section, UtpNodeOptions options)
    {
        foreach (var entry in section.GetChildren())
        {
            if (string.Equals(entry.Key, Nodes, StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            if (!Setters.TryGetValue(entry.Key, out var set))
            {
                throw new InvalidOperationException(
                    $"{entry.Path}: there is no such option of a uTP node. The options are {string.Join(", ", Keys)}.");
            }

            try
            {
                set(options, entry.Value ?? "");
            }
            catch (Exception error) when (error is FormatException or OverflowException or ArgumentException)
            {
                throw new InvalidOperationException($"{entry.Path}: \"{entry.Value}\" is not valid: {error.Message}", error);
            }
        }
    }

    private static T Of<T>(string text)
        where T : IParsable<T> => T.Parse(text, CultureInfo.InvariantCulture);

    private static T EnumOf<T>(string text)
        where T : struct, Enum =>
        Enum.TryParse<T>(text, ignoreCase: true, out var value) && Enum.IsDefined(value)
            ? value
            : throw new FormatException($"It must be one of {string.Join(", ", Enum.GetNames<T>())}.");

    private static IPEndPoint EndPointOf(string text) =>
        IPEndPoint.TryParse(text, out var value)
            ? value
            : throw new FormatException("It must be an address and a port, such as 0.0.0.0:9000 or [::]:9000.");

    private static UtpCongestionControl ControlOf(string text) =>
        UtpCongestionControl.TryGet(text, out var kind)
            ? kind
            : throw new FormatException($"It must be one of {string.Join(", ", UtpCongestionControl.All)}.");
}
