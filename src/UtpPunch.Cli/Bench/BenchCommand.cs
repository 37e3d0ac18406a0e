using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>The command line of `utp bench`, and the hidden one with which it starts the processes that play in it.</summary>
internal static class BenchCommand
{
    private static readonly Argument<string?> Host = PeerOptions.Host("The machine on which `utp bench --listen` runs. Without it, both ends run on this one.");

    private static readonly Argument<int?> Port = PeerOptions.Port();

    private static readonly Option<bool> Listen = new("--listen", "-l")
    {
        Description = "Be the other end for whoever comes, until Ctrl-C, and print the address on standard error.",
    };

    private static readonly Option<IPEndPoint?> Bind = PeerOptions.Bind();

    private static readonly Option<bool> Json = new("--json")
    {
        Description = "Write the result as one JSON object, with all samples.",
    };

    private static readonly BenchOptions Measured = new(LocalParts.All.Keys);

    private static readonly Argument<string[]> Played = new("ROLE") { Arity = ArgumentArity.OneOrMore };

    public static Command Create()
    {
        var command = new Command(
            "bench",
            "Measure how fast streams are: on this machine between two processes, next to TCP and plain UDP; or from this machine to"
            + " another one, on which `utp bench --listen` runs.")
        {
            Host, Port, Listen, Bind, Json,
        };
        Measured.AddTo(command);
        command.SetAction(parsed => RunAsync(parsed));
        return command;
    }

    /// <summary>A process that plays a role, of those that the caller knows; it ends with its standard input.</summary>
    public static Command CreatePeer(IReadOnlyDictionary<string, Role> roles)
    {
        var command = new Command(Player.Command, "A process of `utp bench`.") { Played };
        command.Hidden = true;
        command.SetAction(parsed => parsed.GetValue(Played) is [var name, .. var words] && roles.ContainsKey(name)
            ? Roles.PlayAsync(roles, name, words)
            : throw new ToolException(ExitCodes.Usage, "there is no such role"));
        return command;
    }

    private static Task<int> RunAsync(ParseResult parsed)
    {
        var host = parsed.GetValue(Host);
        var port = parsed.GetValue(Port);
        var bind = parsed.GetValue(Bind);
        var settings = Measured.Read(parsed);
        var parts = Measured.PartsOf(parsed);
        var isJson = parsed.GetValue(Json);
        return (parsed.GetValue(Listen), host, port) switch
        {
            (true, not null, _) => throw Mistake("--listen waits to be dialled, so it takes no HOST (--bind says where to listen)"),
            (true, null, _) => BenchServer.RunAsync(bind),
            (false, not null, null) => throw Mistake("HOST is there, but PORT is missing"),
            (false, not null, _) when parts.Length > 0 => throw Mistake("--part is for what is measured on one machine, so it takes no HOST"),
            (false, not null, { } number) => BenchClient.RunAsync(Parsing.PeerAt(host, number), bind, settings, isJson),
            _ when bind is not null => throw Mistake("--bind is for one of two machines: HOST and PORT are missing, or --listen"),
            _ => LocalBench.RunAsync(settings, parts, isJson),
        };
    }

    private static ToolException Mistake(string what) => new(ExitCodes.Usage, what);
}
