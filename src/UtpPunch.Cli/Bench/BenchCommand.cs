using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>The command line of `utp bench`, and the hidden one of its worker processes.</summary>
internal static class BenchCommand
{
    private static readonly Argument<string?> Host = PeerOptions.Host("Machine that runs `utp bench --listen` (default: both ends run on this one).");

    private static readonly Argument<int?> Port = PeerOptions.Port();

    private static readonly Option<bool> Listen = new("--listen", "-l")
    {
        Description = "Serve `utp bench HOST PORT` until Ctrl-C; print the address on standard error.",
    };

    private static readonly Option<IPEndPoint?> Bind = PeerOptions.Bind();

    private static readonly Option<bool> Json = new("--json")
    {
        Description = "Print the result as one JSON object, with all samples.",
    };

    private static readonly BenchOptions Measured = new(LocalParts.All.Keys);

    private static readonly Argument<string[]> RoleWords = new("ROLE") { Arity = ArgumentArity.OneOrMore };

    public static Command Create()
    {
        var command = new Command(
            "bench",
            "Measure streams beside TCP and plain UDP on this machine, or streams to another machine.")
        {
            Host, Port, Listen, Bind, Json,
        };
        Measured.AddTo(command);
        command.SetAction(parsed => RunAsync(parsed));
        return command;
    }

    /// <summary>A worker process with one of these roles; it ends when its standard input does.</summary>
    public static Command CreatePeer(IReadOnlyDictionary<string, Role> roles)
    {
        var command = new Command(Worker.Command, "A worker process of `utp bench`.") { RoleWords };
        command.Hidden = true;
        command.SetAction(parsed => parsed.GetValue(RoleWords) is [var name, .. var words] && roles.ContainsKey(name)
            ? Roles.RunAsync(roles, name, words)
            : throw new ToolException(ExitCodes.Usage, "there is no such role"));
        return command;
    }

    private static Task<int> RunAsync(ParseResult parsed)
    {
        var host = parsed.GetValue(Host);
        var peer = host is null ? null : PeerOptions.Peer(host, parsed.GetValue(Port));
        var bind = parsed.GetValue(Bind);
        var settings = Measured.Read(parsed);
        var parts = Measured.PartsOf(parsed);
        var isJson = parsed.GetValue(Json);
        return (parsed.GetValue(Listen), host, peer) switch
        {
            (true, not null, _) => throw Mistake("--listen takes no HOST (--bind IP:PORT sets the address to listen on)"),
            (true, null, _) => BenchServer.RunAsync(bind),
            (false, not null, null) => throw Mistake($"PORT is missing after '{host}'"),
            (false, not null, _) when parts.Length > 0 => throw Mistake("--part takes no HOST: parts are measured on one machine"),
            (false, not null, { } server) => BenchClient.RunAsync(server, bind, settings, isJson),
            _ when bind is not null => throw Mistake("--bind needs HOST and PORT, or --listen"),
            _ => LocalBench.RunAsync(settings, parts, isJson),
        };
    }

    private static ToolException Mistake(string what) => new(ExitCodes.Usage, what);
}
