using System.CommandLine;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp map`, parsed.</summary>
internal sealed record MapRequest(UtpPortMappingOptions Options, NodeRequest Node, bool IsOnce, bool IsJson);

/// <summary>The command line of `utp map`; <see cref="Map"/> carries it out.</summary>
internal static class MapCommand
{
    private const int MostSeconds = 86_400;

    private static readonly Option<int?> Lifetime = new("--lifetime")
    {
        Description = "Lifetime to ask for; the mapping is renewed in time (default 3600).",
        HelpName = "SECONDS",
        CustomParser = result => Parsing.Whole(result, 1, MostSeconds, "a number of seconds") is var seconds and > 0 ? seconds : null,
    };

    private static readonly Option<int?> ExternalPort = new("--external-port")
    {
        Description = "External port to suggest (default: the port of --bind).",
        HelpName = "PORT",
        CustomParser = Parsing.Port,
    };

    private static readonly Option<bool> IPv6 = new("--ipv6") { Description = "Open a pinhole in the IPv6 firewall instead of mapping an IPv4 port." };

    private static readonly Option<UtpPortMappingProtocol?> Protocol = Choice.Of(
        new Option<UtpPortMappingProtocol?>("--protocol")
        {
            Description = "Use only this protocol (default: all).",
            HelpName = "pcp|nat-pmp|upnp",
            CustomParser = Parsing.MappingProtocol,
        },
        ["pcp", "nat-pmp", "upnp"]);

    private static readonly Option<bool> Once = new("--once") { Description = "Print the external endpoint, delete the mapping, and end." };

    private static readonly NodeOptions Node = new();

    private static readonly Option<bool> Json = new("--json") { Description = "Print one JSON object a line." };

    public static Command Create()
    {
        var command = new Command(
            "map",
            "Ask the router to map a UDP port (PCP, NAT-PMP, UPnP), and renew the mapping until Ctrl-C.")
        {
            ExternalPort, Lifetime, IPv6, Protocol, Once, Json,
        };
        Node.AddTo(command);
        command.SetAction(parsed => Map.RunAsync(Read(parsed)));
        return command;
    }

    private static MapRequest Read(ParseResult parsed)
    {
        var options = new UtpPortMappingOptions
        {
            ExternalPort = parsed.GetValue(ExternalPort) ?? 0,
            Protocol = parsed.GetValue(Protocol),
            AddressFamily = parsed.GetValue(IPv6) ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork,
        };
        options.Lifetime = parsed.GetValue(Lifetime) is { } seconds ? TimeSpan.FromSeconds(seconds) : options.Lifetime;
        return new MapRequest(options, Node.Read(parsed), parsed.GetValue(Once), parsed.GetValue(Json));
    }
}
