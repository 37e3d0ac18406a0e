namespace UtpPunch.Protocol

open System
open System.Security.Cryptography

/// Two nodes that have a stream, but not from a meeting, agree on the key of a link: each sends a share, the public key of a key pair that it
/// drew (ECDH with P-256, NIST SP 800-56A, 5.7.1.2). Who only listens does not learn the key. Who adds packets makes a second share, and there
/// is no link. Who also takes packets away can take a peer's place, as in any stream without TLS.
[<NoComparison>]
type internal KeyAgreement =
    {
        /// The private key and the share, once they are drawn.
        Scalar: Owned
        Share: Owned
        /// The peer's share, once it has come.
        Peer: Owned
        /// Whether there were two.
        IsContested: bool
        /// How often the share was sent by the node that has opened the stream.
        Attempts: int
        /// When it is sent once more, or when the time for it is over.
        NextAt: Instant
        Until: Instant
    }

module internal KeyAgreement =
    /// A point as SEC 1, 2.3.3 has it, not compressed.
    let private shareLength = 65

    let private order =
        Convert.FromHexString "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"

    /// A private key (FIPS 186-5, A.2.2). `random` gives that many fresh words of 32 bits.
    let rec scalar (random: int -> Owned) : Owned =
        let drawn = random 8
        let isZero = drawn.Span.IndexOfAnyExcept 0uy < 0

        if isZero || drawn.Span.SequenceCompareTo(ReadOnlySpan order) >= 0 then
            scalar random
        else
            drawn

    let share (scalar: Owned) : Owned =
        use pair =
            ECDiffieHellman.Create(ECParameters(Curve = ECCurve.NamedCurves.nistP256, D = scalar.Span.ToArray()))

        let point = pair.ExportParameters(false).Q
        Owned(Array.concat [| [| 4uy |]; point.X; point.Y |])

    let private pointOf (share: byte[]) = ECPoint(X = share[1..32], Y = share[33..64])

    /// The key; none if the peer's share is no point of the curve. `share` is that of `scalar`, `opener` that of the node that has opened the
    /// stream, and `named` what names the stream.
    let key (scalar: Owned) (share: Owned) (peer: Owned) (opener: Owned) (named: Owned) : Owned voption =
        let bytes = peer.Span.ToArray()

        if bytes.Length <> shareLength || bytes[0] <> 4uy then
            ValueNone
        else
            try
                let curve = ECCurve.NamedCurves.nistP256
                // With its point, which would be multiplied once more.
                let pair = ECParameters(Curve = curve, D = scalar.Span.ToArray(), Q = pointOf (share.Span.ToArray()))
                use own = ECDiffieHellman.Create pair
                use other = ECDiffieHellman.Create(ECParameters(Curve = curve, Q = pointOf bytes))

                let secret = own.DeriveRawSecretAgreement other.PublicKey
                ValueSome(Secrets.agreed (Owned secret) opener.AsBorrowed named.AsBorrowed)
            with :? CryptographicException ->
                ValueNone
