using System.Globalization;

namespace UtpPunch;

/// <summary>Describes what a punch has observed, and what may help.</summary>
internal static class PunchText
{
    public static string Explain(PunchResult result) => result.Stage switch
    {
        PunchStage.Open => Opened(result),
        PunchStage.ServerSilent =>
            "The rendezvous server did not answer. Check its address and port, and whether a firewall lets UDP out.",
        PunchStage.ServerFull =>
            "The rendezvous server has no room for one more. Try again later, or use another server.",
        PunchStage.RoomFull =>
            "The room has as many peers as the rendezvous server lets it have. Try again later, or use another room.",
        PunchStage.NoPeer =>
            "No peer entered the room. Both sides need the same server, room and secret, at the same time.",
        PunchStage.NothingHeard when result.ObservedEndPoint is null =>
            $"No packet of {result.PeerObservedEndPoint?.ToString() ?? "the peer"} arrived in {Failure.InWords(result.Elapsed)}. It has to punch at the same time, and know"
            + " the address under which this side is seen from there.",
        PunchStage.NothingHeard =>
            $"No packet of the peer ({result.PeerObservedEndPoint?.ToString() ?? "whose address is not known"}) arrived in {Failure.InWords(result.Elapsed)}."
            + $" {Behind(result)} {Advice(result)}",
        PunchStage.NotHeard when result.ObservedEndPoint is null => "Packets of the peer arrive, but it does not answer: ours may not arrive.",
        PunchStage.NotHeard =>
            $"Packets of the peer arrive, but ours do not reach it. {Behind(result)} {Advice(result)}",
        PunchStage.NotAgreed when result.ObservedEndPoint is null => "The peer answers, but does not punch.",
        PunchStage.NotAgreed =>
            $"A path was found, but failed before both sides had agreed on it. {Behind(result)} Try again.",
        PunchStage.PeerGaveUp => "The peer had given up before this side found a path. Try again.",
        PunchStage.Cancelled => "The punch was cancelled.",
        PunchStage.Rejected =>
            "A peer entered the room, but its offer could not be read: it does not know the secret, or has another version of this library.",
        _ => throw new InvalidOperationException($"Unknown stage {result.Stage}."),
    };

    private static string Opened(PunchResult result)
    {
        var way = result.Path switch
        {
            PunchPath.Host => "its local address: there is no NAT in between",
            PunchPath.Observed => "its public address",
            PunchPath.Predicted => "a port that was predicted for its NAT",
            PunchPath.Reflexive => "the source address of its packets",
            PunchPath.Birthday => "a port that birthday probing has found",
            PunchPath.Mapped => "a port that its router has mapped",
            _ => throw new InvalidOperationException($"Unknown path {result.Path}."),
        };
        var trip = result.RoundTrip is { } time ? string.Create(CultureInfo.InvariantCulture, $", round trip {time.TotalMilliseconds:F1} ms") : "";
        return $"Open to {result.RemoteEndPoint}, {way}; after {Failure.InWords(result.Elapsed)}{trip}.";
    }

    private static string Behind(PunchResult result) =>
        $"Our NAT {Does(result.Mapping)}, the peer's {Does(result.PeerMapping)}.";

    private static string Does(NatPortAssignment mapping) => mapping switch
    {
        NatPortAssignment.Unknown => "is unknown",
        NatPortAssignment.EndpointIndependent => "uses one port for all destinations",
        NatPortAssignment.Sequential => "uses the next port for each destination",
        NatPortAssignment.Random => "uses a random port for each destination",
        _ => throw new InvalidOperationException($"Unknown mapping {mapping}."),
    };

    private static string Advice(PunchResult result)
    {
        var ours = result.Mapping == NatPortAssignment.Random;
        var theirs = result.PeerMapping == NatPortAssignment.Random;
        return (ours, theirs) switch
        {
            (true, true) => "Two such NATs cannot be punched: one side needs another network, a forwarded port, or a relay.",
            (false, false) => "A firewall may drop UDP on one side. A forwarded UDP port on either side would help.",
            _ => "Birthday probing, if both sides allow it, finds a path in most cases; a forwarded UDP port on the other side always does.",
        };
    }
}
