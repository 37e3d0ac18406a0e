using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>What `utp cat` was told.</summary>
internal sealed record CatOptions
{
    /// <value>Where to meet the peer; null to dial it, or to listen.</value>
    public MeetingPlace? Meeting { get; init; }

    /// <value>Whom to dial; null to meet, or to listen.</value>
    public EndPoint? Peer { get; init; }

    public IPEndPoint? Bind { get; init; }

    public UtpDialect Dialect { get; init; }

    public TimeSpan? ConnectTimeout { get; init; }

    public TimeSpan? Timeout { get; init; }
}

/// <summary>The command line of `utp cat`; what it does stands in <see cref="Cat"/>.</summary>
internal static class CatCommand
{
    private static readonly Argument<string?> Host = PeerOptions.Host("The name or the address of the peer to dial.");

    private static readonly Argument<int?> Port = PeerOptions.Port();

    private static readonly Option<bool> Listen = new("--listen", "-l")
    {
        Description = "Wait for one peer to dial, and print the address on standard error.",
    };

    private static readonly MeetOptions Meeting = new();

    private static readonly Option<IPEndPoint?> Bind = PeerOptions.Bind();

    private static readonly Option<UtpDialect> Dialect = new("--dialect", "-d")
    {
        Description = "How the peer speaks: bep29 (the default), as every BitTorrent client does, or utp-punch, as the npm package does.",
        HelpName = "bep29|utp-punch",
        CustomParser = Parsing.Dialect,
    };

    private static readonly Option<TimeSpan?> ConnectTimeout = new("--connect-timeout")
    {
        Description = "How long the peer that is dialled may take to answer, 10 by default; or to come to the room, 60 by default.",
        HelpName = "SECONDS",
        CustomParser = Parsing.Seconds,
    };

    private static readonly Option<TimeSpan?> Timeout = new("--timeout")
    {
        Description = "How long the peer may acknowledge nothing of what it was sent, or keep silent altogether, until it counts as gone."
            + " 45 for the one and 180 for the other by default. Peers with nothing to say are silent for up to 29 seconds.",
        HelpName = "SECONDS",
        CustomParser = Parsing.Seconds,
    };

    public static Command Create()
    {
        var command = new Command(
            "cat",
            "Send standard input to a peer, which is dialled, dials, or is met at a rendezvous, and write what the peer sends to standard"
            + " output. The end of standard input ends one direction;"
            + " the other one goes on until the peer ends it. So does the first Ctrl-C; the second one ends all.")
        {
            Host, Port, Listen, Bind, Dialect, ConnectTimeout, Timeout,
        };
        Meeting.AddTo(command);
        command.SetAction(parsed => Cat.RunAsync(Read(parsed)));
        return command;
    }

    private static CatOptions Read(ParseResult parsed)
    {
        var host = parsed.GetValue(Host);
        var port = parsed.GetValue(Port);
        var meets = Meeting.IsIn(parsed);
        var mistake = (parsed.GetValue(Listen), host, port) switch
        {
            (true, _, _) when meets => "--listen waits to be dialled, and --rendezvous meets a peer: it can be one of them",
            (true, not null, _) => "--listen waits to be dialled, so it takes no HOST (--bind says where to listen)",
            (true, null, _) when parsed.GetResult(ConnectTimeout) is not null => "--listen dials nobody, so it takes no --connect-timeout",
            (_, not null, _) when meets => "--rendezvous meets a peer, so it takes no HOST",
            _ when meets && parsed.GetResult(Dialect) is { Implicit: false } => "peers that meet speak bep29: --rendezvous takes no --dialect",
            _ when meets => null,
            (false, null, _) => "HOST and PORT are missing, or --listen, or --rendezvous and --room",
            (false, _, null) => "HOST is there, but PORT is missing",
            _ => null,
        };
        return mistake is not null ? throw new ToolException(ExitCodes.Usage, mistake) : new CatOptions
        {
            Meeting = meets ? Meeting.Read(parsed) : null,
            Peer = host is not null ? Parsing.PeerAt(host, port!.Value) : null,
            Bind = parsed.GetValue(Bind),
            Dialect = parsed.GetValue(Dialect),
            ConnectTimeout = parsed.GetValue(ConnectTimeout),
            Timeout = parsed.GetValue(Timeout),
        };
    }
}
