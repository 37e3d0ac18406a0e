namespace UtpPunch.Cli.Bench;

/// <summary>What a worker process does.</summary>
internal delegate Task Role(PeerLink link, RoleArguments words);

/// <summary>The roles that need this library and the platform only, by name.</summary>
internal static class Roles
{
    public static IReadOnlyDictionary<string, Role> All { get; } = new Dictionary<string, Role>(StringComparer.Ordinal)
    {
        ["read"] = BulkRoles.ReadAsync,
        ["write"] = BulkRoles.WriteAsync,
        ["pipe-read"] = PipeRoles.ReadAsync,
        ["pipe-write"] = PipeRoles.WriteAsync,
        ["udp-read"] = DatagramRoles.ReadAsync,
        ["udp-write"] = DatagramRoles.WriteAsync,
        ["gso-read"] = SegmentedRoles.ReadAsync,
        ["gso-write"] = SegmentedRoles.WriteAsync,
        ["echo"] = EchoRoles.EchoAsync,
        ["ping"] = EchoRoles.PingAsync,
        ["udp-echo"] = DatagramRoles.EchoAsync,
        ["udp-ping"] = DatagramRoles.PingAsync,
        ["greet"] = ConnectRoles.GreetAsync,
        ["call"] = ConnectRoles.CallAsync,
        ["hold"] = IdleRoles.HoldAsync,
        ["open"] = IdleRoles.OpenAsync,
    };

    /// <summary>Runs a role in this process to its end.</summary>
    public static async Task<int> RunAsync(IReadOnlyDictionary<string, Role> roles, string name, string[] words)
    {
        var link = new PeerLink();
        try
        {
            await roles[name](link, new RoleArguments(words));
            return ExitCodes.Success;
        }
        catch (Exception error)
        {
            link.Tell("failed", json => json.WriteString("message", $"{name}: {error.Message}"));
            return ExitCodes.Failure;
        }
    }
}
