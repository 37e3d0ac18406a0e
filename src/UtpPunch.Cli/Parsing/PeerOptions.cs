using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>The words that say which machine, which port and from where, as every command has them.</summary>
internal static class PeerOptions
{
    public static Argument<string?> Host(string description) => new("HOST")
    {
        Description = description,
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = Parsing.Host,
    };

    public static Argument<int?> Port() => new("PORT")
    {
        Description = "Its UDP port.",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = Parsing.Port,
    };

    public static Option<IPEndPoint?> Bind() => new("--bind", "-b")
    {
        Description = "The address and the port of this side. By default all addresses, and a port that the system chooses.",
        HelpName = "IP:PORT",
        CustomParser = Parsing.EndPoint,
    };
}
