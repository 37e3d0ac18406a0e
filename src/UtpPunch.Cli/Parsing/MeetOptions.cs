using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>Where two peers meet, and the secret that they share.</summary>
internal sealed record MeetingPlace(IReadOnlyList<EndPoint> Servers, string Room, string? Secret, bool Birthday, bool MapPort, bool Reports)
{
    public UtpPunchOptions ToOptions(TimeSpan? timeout, IProgress<UtpPunchProgress>? progress)
    {
        var options = new UtpPunchOptions
        {
            Secret = Secret,
            AllowBirthdayProbing = Birthday,
            UsePortMapping = MapPort,
            ReportOutcome = Reports,
            Progress = progress,
        };
        options.Timeout = timeout ?? options.Timeout;
        return options;
    }
}

/// <summary>The options of a command whose peers meet at a rendezvous.</summary>
internal sealed class MeetOptions
{
    /// <summary>The environment variable of the secret: a command line can be read by every user of the machine.</summary>
    public const string Variable = "UTP_SECRET";

    /// <summary>Shorter secrets are guessed offline from the tag of the room.</summary>
    private const int LeastLength = 16;

    private readonly Option<EndPoint[]?> _servers = new("--rendezvous")
    {
        Description = $"Rendezvous server (default port {RendezvousCommand.DefaultPort}); up to {UtpRendezvousClient.MaxServers}, by repeating it.",
        HelpName = "HOST:PORT",
        CustomParser = result => Parsing.Servers(result, RendezvousCommand.DefaultPort, UtpRendezvousClient.MaxServers),
    };

    private readonly Option<string?> _room = new("--room")
    {
        Description = "Name of the room, the same on both sides.",
        HelpName = "NAME",
    };

    private readonly Option<string?> _secret = new("--secret")
    {
        Description = $"Secret of the peers: authenticates them, does not encrypt. Other users can see it here: prefer {Variable}.",
        HelpName = "TEXT",
    };

    private readonly Option<FileInfo?> _secretFile = new("--secret-file")
    {
        Description = "File whose first line is the secret.",
        HelpName = "FILE",
    };

    private readonly Option<bool> _birthday = new("--birthday")
    {
        Description = "Open 256 sockets if nothing else gets through one unpredictable NAT. Both sides must allow it.",
    };

    private readonly Option<bool> _map = new("--map")
    {
        Description = "Ask the router to map the port (PCP, NAT-PMP, UPnP): one side is enough, whatever the NATs do.",
    };

    private readonly Option<bool> _report = new("--report")
    {
        Description = "Tell the rendezvous server how the punch ended, and what the NATs do.",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_servers);
        command.Options.Add(_room);
        command.Options.Add(_secret);
        command.Options.Add(_secretFile);
        command.Options.Add(_birthday);
        command.Options.Add(_map);
        command.Options.Add(_report);
    }

    /// <summary>Whether any of them was given.</summary>
    public bool IsIn(ParseResult parsed) =>
        new Option[] { _servers, _room, _secret, _secretFile, _birthday, _map, _report }.Any(parsed.IsGiven);

    public MeetingPlace Read(ParseResult parsed)
    {
        var servers = parsed.GetValue(_servers);
        var room = parsed.GetValue(_room);
        var mistake = (servers, room, parsed.GetValue(_secret), parsed.IsGiven(_secretFile)) switch
        {
            (null or [], _, _, _) => "--rendezvous HOST:PORT is missing",
            (_, null or "", _, _) => "--room NAME is missing",
            (_, _, not null, true) => "--secret and --secret-file exclude each other",
            (_, _, { } secret, _) when string.IsNullOrWhiteSpace(secret) => "--secret is empty (leave it out to meet without a secret)",
            _ => null,
        };
        return mistake is not null
            ? throw new ToolException(ExitCodes.Usage, mistake)
            : new MeetingPlace(servers!, room!, SecretOf(parsed), parsed.GetValue(_birthday), parsed.GetValue(_map), parsed.GetValue(_report));
    }

    private string? SecretOf(ParseResult parsed)
    {
        var secret = GivenSecret(parsed);
        if (secret is { Length: < LeastLength })
        {
            ErrorOutput.Write(
                $"warning: the secret has fewer than {LeastLength} characters. The server and the network can guess it, unless it is random");
        }

        return secret;
    }

    // A file that the configuration names comes last.
    private string? GivenSecret(ParseResult parsed) => parsed.GetValue(_secret)
        ?? (parsed.IsGiven(_secretFile) ? null : OfEnvironment())
        ?? (parsed.GetValue(_secretFile) is { } file ? SecretFile.Read(file.ToString()) : null);

    // An empty variable is refused: it would silently mean no secret, as when a command that was to print the secret failed.
    private static string? OfEnvironment() => Environment.GetEnvironmentVariable(Variable) is not { } secret ? null
        : string.IsNullOrWhiteSpace(secret) ? throw new ToolException(
            ExitCodes.Failure, $"{Variable} is set, but empty (unset it to meet without a secret)")
        : secret;
}
