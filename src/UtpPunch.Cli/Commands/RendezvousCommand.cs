using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp rendezvous`; <see cref="Rendezvous"/> carries it out.</summary>
internal static class RendezvousCommand
{
    /// <summary>The port of the npm package's example tracker. The second socket has the next one.</summary>
    public const int DefaultPort = 42000;

    private static readonly Option<IPEndPoint[]> Bind = new("--bind", "-b")
    {
        Description = "Address and port to listen on, one to four times; clients use the first.",
        HelpName = "IP:PORT",
        CustomParser = Parsing.EndPoints,
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = false,
        DefaultValueFactory = _ => [new(IPAddress.IPv6Any, DefaultPort), new(IPAddress.IPv6Any, DefaultPort + 1)],
    };

    private static readonly Option<bool> Legacy = new("--legacy")
    {
        Description = "Serve clients of the npm package's example tracker too.",
    };

    private static readonly Option<bool> Stun = new("--stun")
    {
        Description = "Answer STUN on the same sockets.",
    };

    private static readonly Option<bool> Json = new("--json") { Description = "Print one JSON object a line." };

    public static Command Create()
    {
        var command = new Command(
            "rendezvous",
            "Run a rendezvous server, which introduces peers that ask for the same room.")
        {
            Bind, Legacy, Stun, Json,
        };
        command.SetAction(parsed => Rendezvous.RunAsync(
            new UtpRendezvousServerOptions
            {
                LocalEndPoints = parsed.GetValue(Bind)!,
                EnableNpm = parsed.GetValue(Legacy),
                EnableStun = parsed.GetValue(Stun),
            },
            parsed.GetValue(Json)));
        return command;
    }
}
