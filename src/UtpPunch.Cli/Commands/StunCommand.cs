using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>What `utp stun` was told.</summary>
internal sealed record StunRequest(EndPoint[] Servers, IPEndPoint? Bind, bool IsJson);

/// <summary>The command line of `utp stun`; what it does stands in <see cref="Stun"/>.</summary>
internal static class StunCommand
{
    /// <summary>RFC 8489, section 8.1.</summary>
    private const int DefaultPort = 3478;

    private static readonly Argument<EndPoint?> First = new("HOST[:PORT]")
    {
        Description = $"The STUN server to ask, such as `utp rendezvous --stun`. Its port is {DefaultPort} by default.",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result => Parsing.Server(result, DefaultPort),
    };

    private static readonly Argument<EndPoint?> Second = new("SECOND[:PORT]")
    {
        Description = "Another one, to compare with when the first has one address only, and to ask when the first is silent.",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result => Parsing.Server(result, DefaultPort),
    };

    private static readonly Option<IPEndPoint?> Bind = PeerOptions.Bind();

    private static readonly Option<bool> Json = new("--json") { Description = "Say it in a line of JSON." };

    public static Command Create()
    {
        var command = new Command(
            "stun",
            "Ask a STUN server how it sees a port of this machine, and say in words what the NAT does and what that means for punching."
            + " Who gets in can be told only by a server with two addresses. Code 0 says one answered, 1 that none did in five seconds.")
        {
            First, Second, Bind, Json,
        };
        command.SetAction(parsed => Stun.RunAsync(Read(parsed)));
        return command;
    }

    private static StunRequest Read(ParseResult parsed) => parsed.GetValue(First) is { } first
        ? new([first, .. parsed.GetValue(Second) is { } second ? [second] : Array.Empty<EndPoint>()], parsed.GetValue(Bind),
            parsed.GetValue(Json))
        : throw new ToolException(ExitCodes.Usage, "HOST[:PORT] of a STUN server is missing");
}
