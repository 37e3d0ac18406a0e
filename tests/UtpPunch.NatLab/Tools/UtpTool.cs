using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// The tool `utp`, or any program with the same two commands: one rendezvous for all labs, and a process for each host. A late B is
/// started late; the rendezvous introduces the two when both have registered.
/// </summary>
internal sealed class UtpTool : ITool
{
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(30);

    private readonly string[] _command;
    private readonly bool _birthday;
    private readonly bool _mapped;
    private readonly TimeSpan _timeout;
    private readonly string? _log;
    private readonly bool _hasIPv6;
    private readonly int? _carrier;
    private readonly List<Peer> _servers = [];
    private readonly string[] _rendezvous;
    private readonly string? _nat64;

    private UtpTool(World world, Arguments arguments)
    {
        var program = arguments.Program;
        _command = program.EndsWith(".dll", StringComparison.Ordinal) ? ["dotnet", "exec", program] : [program];
        _birthday = arguments.Birthday;
        _mapped = arguments.Mapped;
        _timeout = TimeSpan.FromSeconds(arguments.TimeoutSeconds ?? (_birthday ? 60 : 15));
        _log = arguments.Log;
        _hasIPv6 = arguments.IPv6 is not null;
        _carrier = arguments.Carrier;
        _nat64 = arguments.Nat64;
        _rendezvous = arguments.IPv6 switch
        {
            "v6" => [$"{World.FirstIPv6}"],
            "both" => [$"{World.First}", $"{World.FirstIPv6}"],
            _ => [$"{World.First}"],
        };
        foreach (var server in _rendezvous)
        {
            string[] addresses = server == $"{World.First}"
                ? [server, $"{World.FirstOther}", $"{World.Second}"]
                : [server, $"{World.FirstIPv6Other}"];
            _servers.Add(Start(world.Servers, ["rendezvous", .. addresses.SelectMany(address => new[] { "--bind", address }), "--json"]));
        }
    }

    /// <summary>Starts the servers of the rendezvous and waits until they listen.</summary>
    public static async Task<UtpTool> StartAsync(World world, Arguments arguments)
    {
        var tool = new UtpTool(world, arguments);
        try
        {
            foreach (var server in tool._servers)
            {
                await server.SpeakAsync(s_startTimeout);
            }

            return tool;
        }
        catch
        {
            tool.Dispose();
            throw;
        }
    }

    public string Name => $"{Path.GetFileName(_command[^1])}{(_birthday ? " --birthday" : "")}{(_mapped ? " --map" : "")}{(_hasIPv6 ? " with IPv6" : "")}{(_carrier is null ? "" : $" behind carriers of type {_carrier}")}{(_nat64 is null ? "" : $" behind a NAT64, by {_nat64}")}";

    // Behind carriers with NATs of types 0 to 4 all mappings must be endpoint-independent.
    public bool Expects(int a, int b, TimeSpan late) =>
        _mapped || _hasIPv6 || (_carrier is { } carrier ? carrier < 5 && a < 5 && b < 5 : Oracle.Predicting(a, b));

    public async Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, string room, TimeSpan late, CancellationToken cancellationToken)
    {
        string[] serversOfA = _nat64 == "name" ? [$"{Nat64.ServerName}:{World.First.Port}"] : _rendezvous;
        using var a = Punch(lab.A, serversOfA, room, _mapped);
        await Task.Delay(late, cancellationToken);
        using var b = Punch(lab.B, _rendezvous, room, maps: false);
        var timeout = _timeout + s_startTimeout;
        var outcomes = await Task.WhenAll(a.EndAsync(timeout, cancellationToken), b.EndAsync(timeout, cancellationToken));
        Log($"{room}-A", a);
        Log($"{room}-B", b);
        return (outcomes[0], outcomes[1]);
    }

    public void Dispose()
    {
        foreach (var server in _servers)
        {
            Log("rendezvous", server);
            server.Dispose();
        }
    }

    private void Log(string name, Peer peer)
    {
        if (_log is not null)
        {
            File.WriteAllLines(Path.Combine(_log, $"{name}.txt"), peer.Transcript);
        }
    }

    private Peer Punch(Namespace host, string[] servers, string room, bool maps) =>
        Start(host, [
            "punch", .. servers.SelectMany(server => new[] { "--rendezvous", server }), "--room", room, "--secret", $"the secret of room {room}",
            .. _birthday ? ["--birthday"] : Array.Empty<string>(),
            .. maps ? ["--map"] : Array.Empty<string>(),
            "--connect-timeout", $"{_timeout.TotalSeconds:F0}", "--json"]);

    private Peer Start(Namespace place, string[] arguments) => new(place, _command[0], [.. _command[1..], .. arguments]);
}
