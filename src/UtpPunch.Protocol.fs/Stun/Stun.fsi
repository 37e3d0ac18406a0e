namespace UtpPunch.Protocol

/// The 96 bits that pair a response with its request (RFC 8489, 5). Nobody may be able to guess them.
[<Struct; NoComparison>]
type internal StunId = { First: uint32; Middle: uint32; Last: uint32 }

/// The class of a message, two bits of its type.
type internal StunClass =
    | Request = 0uy
    | Indication = 1uy
    | Success = 2uy
    | Error = 3uy

/// What a message carries, less what protects it: MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.
[<NoComparison; RequireQualifiedAccess>]
type internal StunAttribute =
    | MappedAddress of endpoint: Endpoint
    | XorMappedAddress of endpoint: Endpoint
    /// From 300 to 699.
    | ErrorCode of code: int * reason: string
    | UnknownAttributes of kinds: uint16[]
    | Software of name: string
    /// RFC 5780, 7.2: answer from your other address, your other port.
    | ChangeRequest of address: bool * port: bool
    /// RFC 5780, 7.3: where the answer was sent from.
    | ResponseOrigin of endpoint: Endpoint
    /// RFC 5780, 7.4: the server's other address and other port.
    | OtherAddress of endpoint: Endpoint
    /// RFC 5780, 7.5: answer to this port of mine.
    | ResponsePort of port: uint16
    /// RFC 5780, 7.6: so many bytes, to see what becomes of long datagrams.
    | Padding of length: int
    /// Any other; whoever gets it must understand it when its kind is below 0x8000.
    | Other of kind: uint16 * value: Borrowed

[<NoComparison>]
type internal StunMessage =
    {
        Class: StunClass
        /// Twelve bits.
        Method: uint16
        Id: StunId
        Attributes: StunAttribute[]
    }

/// Why a datagram is not a message.
type internal StunMalformed =
    | None = 0
    /// Something else than STUN.
    | Foreign = 1
    /// An attribute runs over the end.
    | Attribute = 2
    /// The content of an attribute is not of its kind.
    | Value = 3
    /// The FINGERPRINT is not that of the message, or not its end.
    | Fingerprint = 4

/// What a message proves of its sender.
[<Struct; RequireQualifiedAccess>]
type internal StunIntegrity =
    /// The sender does not claim to know a key.
    | Absent
    /// The sender knows the key, and nobody changed what he sent.
    | Proven
    | Forged

/// STUN messages (RFC 8489) and the attributes of NAT behaviour discovery (RFC 5780).
/// Endpoints travel without scope and socket, and an IPv4-mapped address travels as IPv4.
module internal Stun =
    [<Literal>]
    val HeaderLength: int = 20

    /// The one method that everybody speaks.
    [<Literal>]
    val Binding: uint16 = 1us

    /// Tells STUN from what else may arrive on a socket: the first two bits are 0, the cookie stands in its place, the length is that
    /// of the datagram. A uTP packet could look so with that very connection id and a time stamp that equals the cookie: once in 2^48.
    val looksLike: datagram: Borrowed -> bool

    /// Reads the datagram. Total: any bytes give a message or the reason why not. A FINGERPRINT is checked; what stands behind
    /// a MESSAGE-INTEGRITY is ignored, as the RFC demands (14.5).
    val decode: datagram: Borrowed -> message: outref<StunMessage> -> StunMalformed

    /// The id of a datagram that looks like STUN.
    val idOf: datagram: Borrowed -> StunId

    val encode: message: StunMessage -> Owned

    /// The message with a MESSAGE-INTEGRITY (HMAC-SHA1). The key of short-term credentials is the password (9.1.1).
    val withIntegrity: key: Owned -> message: Owned -> Owned

    /// The message with a MESSAGE-INTEGRITY-SHA256, which stands behind a MESSAGE-INTEGRITY if there is one.
    val withIntegritySha256: key: Owned -> message: Owned -> Owned

    /// The message with a FINGERPRINT, behind which nothing may follow.
    val withFingerprint: message: Owned -> Owned

    /// Does a message that `decode` took end with a FINGERPRINT?
    val isFingerprinted: message: Borrowed -> bool

    val checkIntegrity: key: Owned -> message: Borrowed -> StunIntegrity
    val checkIntegritySha256: key: Owned -> message: Borrowed -> StunIntegrity

    /// The attributes that one must understand to answer, and that nobody here does: reason for a 420.
    val unknownRequired: message: StunMessage -> uint16[]

    /// XOR-MAPPED-ADDRESS, or else MAPPED-ADDRESS, which some servers still send.
    val mapped: message: StunMessage -> Endpoint voption

    /// Draws a fresh id.
    val draw: random: Random -> struct (StunId * Random)
