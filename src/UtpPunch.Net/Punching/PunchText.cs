using System.Globalization;

namespace UtpPunch;

/// <summary>Describes what a punch has observed, and what may help.</summary>
internal static class PunchText
{
    public static string Explain(UtpPunchResult result) => result.Stage switch
    {
        UtpPunchStage.Open => Opened(result),
        UtpPunchStage.ServerSilent =>
            "The rendezvous server did not answer. Check its address and port, and whether a firewall lets UDP out.",
        UtpPunchStage.ServerFull =>
            "The rendezvous server has no room for one more. Try again later, or use another server.",
        UtpPunchStage.RoomFull =>
            "The room has as many peers as the rendezvous server lets it have. Try again later, or use another room.",
        UtpPunchStage.NoPeer =>
            "No peer entered the room. Both sides need the same server, room and secret, at the same time.",
        UtpPunchStage.NothingHeard when result.ObservedEndPoint is null =>
            $"No packet of {result.PeerObservedEndPoint?.ToString() ?? "the peer"} arrived in {Failure.InWords(result.Elapsed)}. It has to punch at the same time, and know"
            + " the address under which this side is seen from there.",
        UtpPunchStage.NothingHeard =>
            $"No packet of the peer ({result.PeerObservedEndPoint?.ToString() ?? "whose address is not known"}) arrived in {Failure.InWords(result.Elapsed)}."
            + $" {Behind(result)} {Advice(result)}",
        UtpPunchStage.NotHeard when result.ObservedEndPoint is null => "Packets of the peer arrive, but it does not answer: ours may not arrive.",
        UtpPunchStage.NotHeard =>
            $"Packets of the peer arrive, but ours do not reach it. {Behind(result)} {Advice(result)}",
        UtpPunchStage.NotAgreed when result.ObservedEndPoint is null => "The peer answers, but does not punch.",
        UtpPunchStage.NotAgreed =>
            $"A path was found, but failed before both sides had agreed on it. {Behind(result)} Try again.",
        UtpPunchStage.PeerGaveUp => "The peer had given up before this side found a path. Try again.",
        UtpPunchStage.Cancelled => "The punch was cancelled.",
        UtpPunchStage.TooManyPunches => "This node takes part in as many meetings (1024) or punches (4096) as it may at the same time. Try again later.",
        UtpPunchStage.Rejected =>
            "A peer entered the room, but its offer could not be read: it does not know the secret, or has another version of this library.",
        _ => throw new InvalidOperationException($"Unknown stage {result.Stage}."),
    };

    private static string Opened(UtpPunchResult result)
    {
        var way = result.Path!.Kind switch
        {
            UtpPathKind.Host => "its local address: there is no NAT in between",
            UtpPathKind.Observed => "its public address",
            UtpPathKind.Predicted => "a port that was predicted for its NAT",
            UtpPathKind.Reflexive => "the source address of its packets",
            UtpPathKind.Birthday => "a port that birthday probing has found",
            UtpPathKind.Mapped => "a port that its router has mapped",
            _ => throw new InvalidOperationException($"Unknown path {result.Path.Kind}."),
        };
        var trip = result.Path.RoundTripTime is { } time ? string.Create(CultureInfo.InvariantCulture, $", round trip {time.TotalMilliseconds:F1} ms") : "";
        return $"Open to {result.Path.RemoteEndPoint}, {way}; after {Failure.InWords(result.Elapsed)}{trip}.";
    }

    private static string Behind(UtpPunchResult result) =>
        $"Our NAT {Does(result.PortAssignment)}, the peer's {Does(result.PeerPortAssignment)}.";

    private static string Does(UtpNatPortAssignment mapping) => mapping switch
    {
        UtpNatPortAssignment.Unknown => "is unknown",
        UtpNatPortAssignment.EndpointIndependent => "uses one port for all destinations",
        UtpNatPortAssignment.Sequential => "uses the next port for each destination",
        UtpNatPortAssignment.Random => "uses a random port for each destination",
        _ => throw new InvalidOperationException($"Unknown mapping {mapping}."),
    };

    private static string Advice(UtpPunchResult result)
    {
        var ours = result.PortAssignment == UtpNatPortAssignment.Random;
        var theirs = result.PeerPortAssignment == UtpNatPortAssignment.Random;
        return (ours, theirs) switch
        {
            (true, true) => "Two such NATs cannot be punched: one side needs another network, a forwarded port, or a relay.",
            (false, false) => "A firewall may drop UDP on one side. A forwarded UDP port on either side would help.",
            _ => "Birthday probing, if both sides allow it, finds a path in most cases; a forwarded UDP port on the other side always does.",
        };
    }
}
