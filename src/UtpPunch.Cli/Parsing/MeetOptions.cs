using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>Where two peers meet, and what they have to know for it.</summary>
internal sealed record MeetingPlace(EndPoint Server, string Room, string? Secret, bool Birthday)
{
    public UtpMeetOptions ToOptions(TimeSpan? timeout)
    {
        var options = new UtpMeetOptions { Secret = Secret, Birthday = Birthday };
        options.Timeout = timeout ?? options.Timeout;
        return options;
    }
}

/// <summary>The options of a command whose two sides meet at a rendezvous.</summary>
internal sealed class MeetOptions
{
    /// <summary>Where the secret may stand, too: what stands on a command line can be read by everyone on the machine.</summary>
    private const string Variable = "UTP_SECRET";

    private readonly Option<EndPoint?> _server = new("--rendezvous")
    {
        Description = $"The server of `utp rendezvous` at which both sides meet. Its port is {RendezvousCommand.DefaultPort} by default.",
        HelpName = "HOST:PORT",
        CustomParser = result => Parsing.Server(result, RendezvousCommand.DefaultPort),
    };

    private readonly Option<string?> _room = new("--room")
    {
        Description = "The name of the room, the same on both sides. Without a secret, whoever knows it can come.",
        HelpName = "NAME",
    };

    private readonly Option<string?> _secret = new("--secret")
    {
        Description = "What only the two sides know. The server never sees it; others on this machine can see it here, so better take"
            + $" --secret-file, or the environment variable {Variable}.",
        HelpName = "TEXT",
    };

    private readonly Option<FileInfo?> _secretFile = new("--secret-file")
    {
        Description = "A file whose first line is the secret.",
        HelpName = "FILE",
    };

    private readonly Option<bool> _birthday = new("--birthday")
    {
        Description = "Allow, on both sides, to open 256 sockets when one NAT takes unforeseeable ports and nothing else can work. Some routers"
            + " have little room for it.",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_server);
        command.Options.Add(_room);
        command.Options.Add(_secret);
        command.Options.Add(_secretFile);
        command.Options.Add(_birthday);
    }

    /// <summary>Whether any of them is there.</summary>
    public bool IsIn(ParseResult parsed) =>
        new Option[] { _server, _room, _secret, _secretFile, _birthday }.Any(option => parsed.GetResult(option) is { Implicit: false });

    public MeetingPlace Read(ParseResult parsed)
    {
        var server = parsed.GetValue(_server);
        var room = parsed.GetValue(_room);
        var mistake = (server, room, parsed.GetValue(_secret), parsed.GetValue(_secretFile)) switch
        {
            (null, _, _, _) => "--rendezvous HOST:PORT is missing",
            (_, null or "", _, _) => "--room NAME is missing",
            (_, _, "", _) => "--secret is empty: leave it out, and whoever knows the room can come",
            (_, _, not null, not null) => "--secret and --secret-file are two secrets, and there can be one",
            _ => null,
        };
        return mistake is not null
            ? throw new ToolException(ExitCodes.Usage, mistake)
            : new MeetingPlace(server!, room!, SecretOf(parsed), parsed.GetValue(_birthday));
    }

    private string? SecretOf(ParseResult parsed)
    {
        var secret = parsed.GetValue(_secret)
            ?? (parsed.GetValue(_secretFile) is { } file ? FirstLineOf(file) : Environment.GetEnvironmentVariable(Variable));
        return string.IsNullOrEmpty(secret) ? null : secret;
    }

    private static string FirstLineOf(FileInfo file)
    {
        try
        {
            // No secret instead of an empty one, and nobody would notice.
            return File.ReadLines(file.FullName).FirstOrDefault() is { Length: > 0 } line
                ? line
                : throw new ToolException(ExitCodes.Failure, $"{file.FullName} has no secret in its first line");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ToolException(ExitCodes.Failure, $"{file.FullName} cannot be read: {error.Message}", error);
        }
    }
}
