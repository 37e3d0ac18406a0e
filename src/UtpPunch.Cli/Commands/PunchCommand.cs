using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>What `utp punch` was told: a room to meet in, or a peer to punch in the npm package's way.</summary>
internal sealed record PunchOptions
{
    public MeetingPlace? Meeting { get; init; }

    public EndPoint? Peer { get; init; }

    public int Attempts { get; init; }

    public TimeSpan? Timeout { get; init; }

    public IPEndPoint? Bind { get; init; }

    public bool IsJson { get; init; }
}

/// <summary>The command line of `utp punch`; what it does stands in <see cref="Punch"/>.</summary>
internal static class PunchCommand
{
    private const int DefaultAttempts = 10;

    private static readonly Argument<string?> Host = PeerOptions.Host("With --legacy: the name or the address of the peer.");

    private static readonly Argument<int?> Port = PeerOptions.Port();

    private static readonly MeetOptions Meeting = new();

    private static readonly Option<TimeSpan?> Timeout = new("--timeout")
    {
        Description = "How long to wait until a peer comes. 60 by default.",
        HelpName = "SECONDS",
        CustomParser = Parsing.Seconds,
    };

    private static readonly Option<bool> Legacy = new("--legacy")
    {
        Description = "Punch as the npm package utp-punch does: no rendezvous, no secret; the peer does the same at the same time.",
    };

    private static readonly Option<int?> Attempts = new("--attempts")
    {
        Description = $"With --legacy: how often to try, half a second each. {DefaultAttempts} by default.",
        HelpName = "N",
        CustomParser = Parsing.Attempts,
    };

    private static readonly Option<IPEndPoint?> Bind = PeerOptions.Bind();

    private static readonly Option<bool> Json = new("--json") { Description = "Say it in lines of JSON." };

    public static Command Create()
    {
        var command = new Command(
            "punch",
            "Meet a peer at a rendezvous, punch through the NATs between, and exchange a greeting over a stream; say in words what is seen."
            + " Code 0 says on both sides that streams work, 3 that there was no meeting (nobody else came to the room, or the rendezvous is"
            + " silent or full), 4 that the peer was there, and no path or no stream came of it.")
        {
            Host, Port, Timeout, Legacy, Attempts, Bind, Json,
        };
        Meeting.AddTo(command);
        command.SetAction(parsed => Punch.RunAsync(Read(parsed)));
        return command;
    }

    private static PunchOptions Read(ParseResult parsed)
    {
        var legacy = parsed.GetValue(Legacy);
        var host = parsed.GetValue(Host);
        var port = parsed.GetValue(Port);
        var mistake = (legacy, host, port) switch
        {
            (true, null, _) => "HOST and PORT are missing",
            (true, _, null) => "HOST is there, but PORT is missing",
            (true, _, _) when Meeting.IsIn(parsed) => "--legacy meets nobody, so it takes no --rendezvous, and no room",
            (true, _, _) when parsed.GetResult(Timeout) is not null => "--legacy waits for nobody, so it takes no --timeout",
            (false, not null, _) => "a peer is met in a room; HOST and PORT are for --legacy",
            (false, _, _) when parsed.GetResult(Attempts) is not null => "--attempts is for --legacy",
            _ => null,
        };
        return mistake is not null ? throw new ToolException(ExitCodes.Usage, mistake) : new PunchOptions
        {
            Meeting = legacy ? null : Meeting.Read(parsed),
            Peer = legacy ? Parsing.PeerAt(host!, port!.Value) : null,
            Attempts = parsed.GetValue(Attempts) ?? DefaultAttempts,
            Timeout = parsed.GetValue(Timeout),
            Bind = parsed.GetValue(Bind),
            IsJson = parsed.GetValue(Json),
        };
    }
}
