using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp rendezvous`; what it does stands in <see cref="Rendezvous"/>.</summary>
internal static class RendezvousCommand
{
    /// <summary>Where clients look for a server: the port of the npm package's example tracker. The second socket has the next one.</summary>
    public const int DefaultPort = 42000;

    private static readonly Option<IPEndPoint[]> Bind = new("--bind", "-b")
    {
        Description = "Where to listen, once to four times. Clients are told the first; from how the others see them they learn what their NATs"
            + " do, so two ports are better than one, and a second address better still. [::]:42000 and [::]:42001 by default.",
        HelpName = "IP:PORT",
        CustomParser = Parsing.EndPoints,
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = false,
        DefaultValueFactory = _ => [new(IPAddress.IPv6Any, DefaultPort), new(IPAddress.IPv6Any, DefaultPort + 1)],
    };

    private static readonly Option<bool> Legacy = new("--legacy")
    {
        Description = "Introduce the example clients of the npm package utp-punch as well. Their protocol proves no address.",
    };

    private static readonly Option<bool> Stun = new("--stun")
    {
        Description = "Answer STUN on the same sockets as well. With four of them, two ports of one address and then the same two of another,"
            + " clients learn all about their NATs. Off by default, since its answers are a little larger than its questions.",
    };

    private static readonly Option<bool> Json = new("--json") { Description = "Say it in lines of JSON." };

    public static Command Create()
    {
        var command = new Command(
            "rendezvous",
            "Introduce peers who ask for the same room, so that they can punch through their NATs. Nothing is relayed, and the rooms' secrets"
            + " never come here. Runs until Ctrl-C or SIGTERM, and says then how much there was to do.")
        {
            Bind, Legacy, Stun, Json,
        };
        command.SetAction(parsed => Rendezvous.RunAsync(
            new RendezvousServerOptions
            {
                LocalEndPoints = parsed.GetValue(Bind)!,
                Legacy = parsed.GetValue(Legacy),
                Stun = parsed.GetValue(Stun),
            },
            parsed.GetValue(Json)));
        return command;
    }
}
