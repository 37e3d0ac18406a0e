using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>The arguments that name a peer, and the options `--bind` and `--congestion`, as all commands have them.</summary>
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
        Description = "UDP port of the peer.",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = Parsing.Port,
    };

    public static Option<IPEndPoint?> Bind() => new("--bind", "-b")
    {
        Description = "Local address and port (default: all addresses, a free port).",
        HelpName = "IP:PORT",
        CustomParser = Parsing.EndPoint,
    };

    public static Option<UtpCongestionControl?> Congestion() => Choice.Of(
        new Option<UtpCongestionControl?>("--congestion")
        {
            Description = $"Congestion control of what is sent (default {UtpCongestionControl.Bbr}).",
            HelpName = string.Join('|', UtpCongestionControl.All),
            CustomParser = Parsing.CongestionControl,
        },
        UtpCongestionControl.All.Select(control => $"{control}"));

    /// <summary>The peer that HOST and PORT, or HOST:PORT, name; null without a port.</summary>
    public static EndPoint? Peer(string host, int? port)
    {
        var (name, ownPort) = Parsing.SplitHost(host);
        if (ownPort is not null && port is not null)
        {
            throw new ToolException(ExitCodes.Usage, $"'{host}' has a port already: PORT {port} is not needed");
        }

        return (ownPort ?? port) is not { } number ? null
            : IPAddress.TryParse(name, out var address) ? new IPEndPoint(address, number)
            : new DnsEndPoint(name, number);
    }
}
