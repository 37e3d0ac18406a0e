using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp stun`, parsed.</summary>
internal sealed record StunRequest(EndPoint[] Servers, NodeRequest Node, bool IsJson);

/// <summary>The command line of `utp stun`; <see cref="Stun"/> carries it out.</summary>
internal static class StunCommand
{
    /// <summary>RFC 8489, section 8.1.</summary>
    private const int DefaultPort = 3478;

    private static readonly Argument<EndPoint?> First = new("HOST[:PORT]")
    {
        Description = $"STUN server (default port {DefaultPort}).",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result => Parsing.Server(result, DefaultPort),
    };

    private static readonly Argument<EndPoint?> Second = new("SECOND[:PORT]")
    {
        Description = "Second server: asked if the first does not answer, and to compare mappings if the first has one address.",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result => Parsing.Server(result, DefaultPort),
    };

    private static readonly NodeOptions Node = new();

    private static readonly Option<bool> Json = new("--json") { Description = "Print the result as one JSON object." };

    public static Command Create()
    {
        var command = new Command(
            "stun",
            "Ask a STUN server for this machine's public address and for the behaviour of its NAT.")
        {
            First, Second, Json,
        };
        Node.AddTo(command);
        command.SetAction(parsed => Stun.RunAsync(Read(parsed)));
        return command;
    }

    private static StunRequest Read(ParseResult parsed) => parsed.GetValue(First) is { } first
        ? new([first, .. parsed.GetValue(Second) is { } second ? [second] : Array.Empty<EndPoint>()], Node.Read(parsed),
            parsed.GetValue(Json))
        : throw new ToolException(ExitCodes.Usage, "HOST[:PORT] of a STUN server is missing");
}
