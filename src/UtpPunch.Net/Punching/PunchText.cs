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
        PunchStage.NoPeer =>
            "Nobody else came to the room. Both sides need the same server, room and secret, at the same time.",
        PunchStage.NothingHeard when result.ObservedEndPoint is null =>
            $"Nothing of {result.PeerObservedEndPoint} arrived in {Failure.InWords(result.Elapsed)}. It has to punch at the same time, and know"
            + " the address under which this side is seen from there.",
        PunchStage.NothingHeard =>
            $"The peer was introduced ({result.PeerObservedEndPoint}), and nothing of it arrived in {Failure.InWords(result.Elapsed)}. {Behind(result)} {Advice(result)}",
        PunchStage.NotHeard when result.ObservedEndPoint is null => "The peer is heard, and does not answer: it may not hear us.",
        PunchStage.NotHeard =>
            $"The peer is heard, and does not hear us. {Behind(result)} {Advice(result)}",
        PunchStage.NotAgreed when result.ObservedEndPoint is null => "The peer answers, and does not punch itself.",
        PunchStage.NotAgreed =>
            $"There was a path to the peer, and it fell silent before both had agreed on it. {Behind(result)} Try again.",
        PunchStage.PeerGaveUp => "The peer had given up before this side found a path. Try again.",
        PunchStage.Cancelled => "The punch was called off.",
        PunchStage.Rejected => "What the peer said could not be read: it was damaged on its way, or the peer has another version of this library.",
        _ => throw new InvalidOperationException($"Unknown stage {result.Stage}."),
    };

    private static string Opened(PunchResult result)
    {
        var way = result.Path switch
        {
            PunchPath.Host => "its own address: no NAT lies between",
            PunchPath.Observed => "the address that the rendezvous server sees",
            PunchPath.Predicted => "a port that its NAT was expected to take",
            PunchPath.Reflexive => "the address that its packets came from",
            PunchPath.Birthday => "one of many ports that were tried",
            _ => throw new InvalidOperationException($"Unknown path {result.Path}."),
        };
        var trip = result.RoundTrip is { } time ? string.Create(CultureInfo.InvariantCulture, $", round trip {time.TotalMilliseconds:F1} ms") : "";
        return $"Open to {result.RemoteEndPoint}, {way}; after {Failure.InWords(result.Elapsed)}{trip}.";
    }

    private static string Behind(PunchResult result) =>
        $"Our NAT {Does(result.Mapping)}, the peer's {Does(result.PeerMapping)}.";

    private static string Does(NatPortAssignment mapping) => mapping switch
    {
        NatPortAssignment.Unknown => "could not be looked at",
        NatPortAssignment.EndpointIndependent => "keeps one port for all",
        NatPortAssignment.Sequential => "takes the next port for each destination",
        NatPortAssignment.Random => "takes any port for each destination",
        _ => throw new InvalidOperationException($"Unknown mapping {mapping}."),
    };

    private static string Advice(PunchResult result)
    {
        var ours = result.Mapping == NatPortAssignment.Random;
        var theirs = result.PeerMapping == NatPortAssignment.Random;
        return (ours, theirs) switch
        {
            (true, true) => "Two such NATs cannot be punched; one side needs another network, a forwarded port, or a relay.",
            (false, false) => "A firewall may drop UDP on one side; a forwarded UDP port on either side would help.",
            _ => "Birthday probing on both sides finds a way in most cases; a forwarded UDP port on the other side always does.",
        };
    }
}
