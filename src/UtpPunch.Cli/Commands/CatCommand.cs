using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp cat`, parsed.</summary>
internal sealed record CatOptions
{
    /// <value>The rendezvous and the room; null to dial or to listen.</value>
    public MeetingPlace? Meeting { get; init; }

    /// <value>The peer to dial; null to listen or to meet at a rendezvous.</value>
    public EndPoint? Peer { get; init; }

    public required NodeRequest Node { get; init; }

    public UtpDialect Dialect { get; init; }

    /// <value>Null for the library's default.</value>
    public UtpCongestionControl? CongestionControl { get; init; }

    public TimeSpan? ConnectTimeout { get; init; }

    public TimeSpan? Timeout { get; init; }

    public bool ShowsStatistics { get; init; }

    public bool IsJson { get; init; }
}

/// <summary>The command line of `utp cat`; <see cref="Cat"/> carries it out.</summary>
internal static class CatCommand
{
    private static readonly Argument<string?> Host = PeerOptions.Host("Name or address of the peer to dial; HOST:PORT is accepted too.");

    private static readonly Argument<int?> Port = PeerOptions.Port();

    private static readonly Option<bool> Listen = new("--listen", "-l")
    {
        Description = "Wait for one peer to dial; print the address on standard error.",
    };

    private static readonly MeetOptions Meeting = new();

    private static readonly NodeOptions Node = new();

    private static readonly Option<UtpDialect> Dialect = Choice.Of(
        new Option<UtpDialect>("--dialect", "-d")
        {
            Description = "Protocol of the peer: bep29 (default), or utp-punch for the npm package.",
            HelpName = "bep29|utp-punch",
            CustomParser = Parsing.Dialect,
        },
        ["bep29", "utp-punch"]);

    private static readonly Option<UtpCongestionControl?> Congestion = PeerOptions.Congestion();

    private static readonly Option<TimeSpan?> ConnectTimeout = new("--connect-timeout")
    {
        Description = "Time for the peer to answer (default 10), or to come to the room (default 60).",
        HelpName = "SECONDS",
        CustomParser = Parsing.Seconds,
    };

    private static readonly Option<TimeSpan?> Timeout = new("--timeout")
    {
        Description = "Give up after this long without an acknowledgement (default 45) or without any packet (default 180).",
        HelpName = "SECONDS",
        CustomParser = Parsing.Seconds,
    };

    private static readonly Option<bool> Statistics = new("--stats")
    {
        Description = "Print the statistics of the stream on standard error when it has ended.",
    };

    private static readonly Option<bool> Json = new("--json")
    {
        Description = "The same as one JSON object.",
    };

    public static Command Create()
    {
        var command = new Command(
            "cat",
            "Copy standard input to a peer, and what the peer sends to standard output.")
        {
            Host, Port, Listen, Dialect, Congestion, ConnectTimeout, Timeout, Statistics, Json,
        };
        Node.AddTo(command);
        Meeting.AddTo(command);
        command.SetAction(parsed => Cat.RunAsync(Read(parsed)));
        return command;
    }

    private static CatOptions Read(ParseResult parsed)
    {
        var host = parsed.GetValue(Host);
        var port = parsed.GetValue(Port);
        var meets = Meeting.IsIn(parsed);
        var peer = host is null ? null : PeerOptions.Peer(host, port);
        var mistake = (parsed.GetValue(Listen), host, peer) switch
        {
            (true, _, _) when meets => "--listen and --rendezvous exclude each other",
            (true, not null, _) => "--listen takes no HOST (--bind IP:PORT sets the address to listen on)",
            (true, null, _) when parsed.IsGiven(ConnectTimeout) => "--listen takes no --connect-timeout",
            (_, not null, _) when meets => "--rendezvous takes no HOST",
            _ when meets && parsed.IsGiven(Dialect) => "--rendezvous takes no --dialect: it always uses bep29",
            _ when meets => null,
            (false, null, _) => "HOST and PORT are missing (or --listen, or --rendezvous and --room)",
            (false, _, null) => $"PORT is missing after '{host}'",
            _ => null,
        };
        return mistake is not null ? throw new ToolException(ExitCodes.Usage, mistake) : new CatOptions
        {
            Meeting = meets ? Meeting.Read(parsed) : null,
            Peer = peer,
            Node = Node.Read(parsed),
            Dialect = meets ? UtpDialect.Bep29 : parsed.GetValue(Dialect),
            CongestionControl = parsed.GetValue(Congestion),
            ConnectTimeout = parsed.GetValue(ConnectTimeout),
            Timeout = parsed.GetValue(Timeout),
            ShowsStatistics = parsed.GetValue(Statistics) || parsed.GetValue(Json),
            IsJson = parsed.GetValue(Json),
        };
    }
}
