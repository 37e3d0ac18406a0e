using System.Diagnostics;
using System.Net.Sockets;
using Endpoint = UtpPunch.Protocol.Endpoint;

namespace UtpPunch;

/// <summary>The activity source "UtpPunch.Net": a span for each attempt to open a stream.</summary>
internal static class Spans
{
    private static readonly ActivitySource Source = new("UtpPunch.Net");

    /// <summary>Begins the span `utp.connect`; null without a listener.</summary>
    public static Activity? Connect(Endpoint endpoint)
    {
        if (!Source.HasListeners() || Source.StartActivity("utp.connect", ActivityKind.Client) is not { } span)
        {
            return null;
        }

        var remote = Addresses.ToIPEndPoint(endpoint);
        span.SetTag("network.protocol.name", "utp");
        span.SetTag("network.transport", "udp");
        var isIPv4 = remote.AddressFamily == AddressFamily.InterNetwork || remote.Address.IsIPv4MappedToIPv6;
        span.SetTag("network.type", isIPv4 ? "ipv4" : "ipv6");
        span.SetTag("network.peer.address", remote.Address.ToString());
        span.SetTag("network.peer.port", remote.Port);
        return span;
    }

    public static void Fail(Activity? span, string error, string? description)
    {
        span?.SetTag("error.type", error);
        span?.SetStatus(ActivityStatusCode.Error, description);
    }
}
