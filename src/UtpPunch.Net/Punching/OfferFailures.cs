namespace UtpPunch;

/// <summary>Why the offer of a peer is of no use.</summary>
internal static class OfferFailures
{
    public static UtpException Invalid(string why) =>
        new Failure(UtpError.InvalidOffer, $"The offer of the peer is not one. {why}").ToException();

    public static UtpException OtherVersion(int theirs, int ours) => new Failure(
        UtpError.OfferVersionNotSupported,
        $"The offer of the peer has version {theirs}, and this library reads version {ours}. Both sides need versions of it that fit.").ToException();

    public static UtpException OwnOffer() =>
        new Failure(UtpError.InvalidOffer, "The offer of the peer is this node's own, or a copy of it. The peer has to make one.").ToException();

    public static UtpException NotAuthentic(string why) => new Failure(UtpError.OfferNotAuthentic, $"The offer of the peer is not authentic. {why}").ToException();
}
