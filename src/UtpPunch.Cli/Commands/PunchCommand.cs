using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp punch`, parsed: a room to meet in, or a peer to punch as the npm package does.</summary>
internal sealed record PunchOptions
{
    public MeetingPlace? Meeting { get; init; }

    public EndPoint? Peer { get; init; }

    public int Attempts { get; init; }

    public TimeSpan? Timeout { get; init; }

    public required NodeRequest Node { get; init; }

    public bool IsJson { get; init; }
}

/// <summary>The command line of `utp punch`; <see cref="Punch"/> carries it out.</summary>
internal static class PunchCommand
{
    private const int DefaultAttempts = 10;

    private static readonly Argument<string?> Host = PeerOptions.Host("With --legacy: name or address of the peer; HOST:PORT is accepted too.");

    private static readonly Argument<int?> Port = PeerOptions.Port();

    private static readonly MeetOptions Meeting = new();

    private static readonly Option<TimeSpan?> Timeout = new("--connect-timeout")
    {
        Description = "Time for a peer to come to the room (default 60).",
        HelpName = "SECONDS",
        CustomParser = Parsing.Seconds,
    };

    private static readonly Option<bool> Legacy = new("--legacy")
    {
        Description = "Punch as the npm package utp-punch does, without a rendezvous.",
    };

    private static readonly Option<int?> Attempts = new("--attempts")
    {
        Description = $"With --legacy: number of attempts, 0.5 s each (default {DefaultAttempts}).",
        HelpName = "N",
        CustomParser = Parsing.Attempts,
    };

    private static readonly NodeOptions Node = new();

    private static readonly Option<bool> Json = new("--json") { Description = "Print one JSON object a line." };

    public static Command Create()
    {
        var command = new Command(
            "punch",
            "Meet a peer at a rendezvous, punch through the NATs, and test the path with a stream.")
        {
            Host, Port, Timeout, Legacy, Attempts, Json,
        };
        Node.AddTo(command);
        Meeting.AddTo(command);
        command.SetAction(parsed => Punch.RunAsync(Read(parsed)));
        return command;
    }

    private static PunchOptions Read(ParseResult parsed)
    {
        var legacy = parsed.GetValue(Legacy);
        var host = parsed.GetValue(Host);
        var peer = host is null ? null : PeerOptions.Peer(host, parsed.GetValue(Port));
        var mistake = (legacy, host, peer) switch
        {
            (true, null, _) => "HOST and PORT are missing",
            (true, _, null) => $"PORT is missing after '{host}'",
            (true, _, _) when Meeting.IsIn(parsed) => "--legacy takes no --rendezvous and no options of a room",
            (true, _, _) when parsed.IsGiven(Timeout) => "--legacy takes no --connect-timeout (--attempts sets how long it tries)",
            (false, not null, _) => "HOST and PORT are for --legacy (--rendezvous HOST:PORT and --room NAME set where to meet)",
            (false, _, _) when parsed.IsGiven(Attempts) => "--attempts is for --legacy",
            _ => null,
        };
        return mistake is not null ? throw new ToolException(ExitCodes.Usage, mistake) : new PunchOptions
        {
            Meeting = legacy ? null : Meeting.Read(parsed),
            Peer = legacy ? peer : null,
            Attempts = parsed.GetValue(Attempts) ?? DefaultAttempts,
            Timeout = parsed.GetValue(Timeout),
            Node = Node.Read(parsed),
            IsJson = parsed.GetValue(Json),
        };
    }
}
