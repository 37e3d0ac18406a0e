using System.Diagnostics;
using System.Net.Sockets;
using Endpoint = UtpPunch.Protocol.Endpoint;

namespace UtpPunch;

/// <summary>
/// The activity source "UtpPunch.Net": spans of attempts to open a stream, of punches, and of meetings at a rendezvous server. They name no room, and no
/// address but that of the peer of an attempt. Without a listener there are none.
/// </summary>
internal static class Spans
{
    private const string PunchName = "utp.punch";

    private static readonly ActivitySource s_source = new(Meters.Name, Meters.Version);

    /// <summary>Begins the span `utp.connect`.</summary>
    public static Activity? Connect(Endpoint endpoint, UtpPathKind? kind)
    {
        if (Begin("utp.connect", ActivityKind.Client) is not { } span)
        {
            return null;
        }

        var remote = Addresses.ToIPEndPoint(endpoint);
        var isIPv4 = remote.AddressFamily == AddressFamily.InterNetwork || remote.Address.IsIPv4MappedToIPv6;
        span.SetTag("network.type", isIPv4 ? "ipv4" : "ipv6");
        span.SetTag("network.peer.address", remote.Address.ToString());
        span.SetTag("network.peer.port", remote.Port);
        if (kind is { } known)
        {
            span.SetTag(AttributeNames.PathKind, AttributeNames.NameOf(known));
        }

        return span;
    }

    /// <summary>Makes a punch the span `utp.punch`.</summary>
    public static ValueTask<UtpPunchResult> PunchAsync(Func<ValueTask<UtpPunchResult>> punch)
    {
        return s_source.HasListeners() ? TracedAsync(punch) : punch();

        static async ValueTask<UtpPunchResult> TracedAsync(Func<ValueTask<UtpPunchResult>> punch)
        {
            using var span = Begin(PunchName, ActivityKind.Internal);
            try
            {
                var result = await punch().ConfigureAwait(false);
                End(span, result);
                return result;
            }
            catch (Exception error)
            {
                Fail(span, error);
                throw;
            }
        }
    }

    /// <summary>Begins the span `utp.rendezvous.connect`, the parent of a punch and of the opening of its stream.</summary>
    public static Activity? Rendezvous() => Begin("utp.rendezvous.connect", ActivityKind.Client);

    /// <summary>Adds a span `utp.punch` for a punch that is over already: a node that stays in a room learns of its punches when they end.</summary>
    public static void AddPunch(UtpPunchResult result)
    {
        if (!s_source.HasListeners())
        {
            return;
        }

        var end = DateTimeOffset.UtcNow;
        using var span = s_source.StartActivity(ActivityKind.Internal, startTime: end - result.Elapsed, name: PunchName);
        if (span is not null)
        {
            Describe(span);
            End(span, result);
            span.SetEndTime(end.UtcDateTime);
        }
    }

    /// <summary>Tells that what the span stands for has failed. The description is left out where it may have addresses.</summary>
    public static void Fail(Activity? span, Exception error, bool isDescribed = false)
    {
        span?.SetTag(AttributeNames.ErrorType, AttributeNames.NameOf(error));
        span?.SetStatus(ActivityStatusCode.Error, isDescribed ? error.Message : null);
    }

    private static Activity? Begin(string name, ActivityKind kind)
    {
        if (!s_source.HasListeners() || s_source.StartActivity(name, kind) is not { } span)
        {
            return null;
        }

        Describe(span);
        return span;
    }

    private static void Describe(Activity span)
    {
        span.SetTag("network.protocol.name", "utp");
        span.SetTag("network.transport", "udp");
    }

    /// <summary>Tells how a punch has ended.</summary>
    private static void End(Activity? span, UtpPunchResult result)
    {
        if (span is null)
        {
            return;
        }

        span.SetTag(AttributeNames.Outcome, AttributeNames.OutcomeOf(result.Stage));
        span.SetTag(AttributeNames.OwnNat, AttributeNames.NameOf(result.PortAssignment));
        span.SetTag(AttributeNames.PeerNat, AttributeNames.NameOf(result.PeerPortAssignment));
        if (result.Path is { } path)
        {
            span.SetTag(AttributeNames.PathKind, AttributeNames.NameOf(path.Kind));
            return;
        }

        span.SetTag(AttributeNames.Stage, result.Stage.ToString());
        span.SetTag(AttributeNames.ErrorType, AttributeNames.ErrorOf(result.Stage));
        span.SetStatus(ActivityStatusCode.Error);
    }
}
