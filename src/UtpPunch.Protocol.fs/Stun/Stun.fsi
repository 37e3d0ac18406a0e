namespace UtpPunch.Protocol

/// The 96 bits that pair a response with its request (RFC 8489, 5). They must not be predictable.
[<Struct; NoComparison>]
type StunId = { First: uint32; Middle: uint32; Last: uint32 }

/// The class of a message, two bits of its type.
type StunClass =
    | Request = 0uy
    | Indication = 1uy
    | Success = 2uy
    | Error = 3uy

/// The attributes of a message, except MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.
[<NoComparison; RequireQualifiedAccess>]
type StunAttribute =
    | MappedAddress of endpoint: Endpoint
    | XorMappedAddress of endpoint: Endpoint
    /// From 300 to 699.
    | ErrorCode of code: int * reason: string
    | UnknownAttributes of kinds: uint16[]
    | Software of name: string
    /// RFC 5780, 7.2: answer from the other address, the other port.
    | ChangeRequest of address: bool * port: bool
    /// RFC 5780, 7.3: the endpoint that the answer was sent from.
    | ResponseOrigin of endpoint: Endpoint
    /// RFC 5780, 7.4: the server's other address and other port.
    | OtherAddress of endpoint: Endpoint
    /// RFC 5780, 7.5: the port to which to answer.
    | ResponsePort of port: uint16
    /// RFC 5780, 7.6: bytes without meaning, to test long datagrams.
    | Padding of length: int
    /// Any other; comprehension is required below 0x8000.
    | Other of kind: uint16 * value: Borrowed

[<NoComparison>]
type StunMessage =
    {
        Class: StunClass
        /// Twelve bits.
        Method: uint16
        Id: StunId
        Attributes: StunAttribute[]
    }

/// Why a datagram is not a message.
type StunMalformed =
    | None = 0
    /// Not STUN.
    | Foreign = 1
    /// An attribute runs over the end.
    | Attribute = 2
    /// The value of an attribute is malformed.
    | Value = 3
    /// The FINGERPRINT is not that of the message, or not its end.
    | Fingerprint = 4

/// The result of an integrity check.
[<Struct; RequireQualifiedAccess>]
type StunIntegrity =
    /// The message has no such attribute.
    | Absent
    /// The message is authentic.
    | Proven
    | Forged

/// STUN messages (RFC 8489) and the attributes of NAT behaviour discovery (RFC 5780).
/// Endpoints are encoded without scope and socket, and IPv4-mapped addresses as IPv4.
module Stun =
    [<Literal>]
    val HeaderLength: int = 20

    /// The binding method.
    [<Literal>]
    val Binding: uint16 = 1us

    /// Distinguishes STUN from other protocols on the socket (RFC 8489, 5): the first two bits are 0, the magic cookie is present, the length
    /// is that of the datagram. A uTP packet meets this only if its connection id and timestamp match: once in 2^48.
    val looksLike: datagram: Borrowed -> bool

    /// Reads the datagram. Total: any bytes give a message or the reason why not. A FINGERPRINT is checked; what stands behind
    /// a MESSAGE-INTEGRITY is ignored (14.5).
    val decode: datagram: Borrowed -> message: outref<StunMessage> -> StunMalformed

    /// The id of a datagram that looks like STUN.
    val idOf: datagram: Borrowed -> StunId

    val encode: message: StunMessage -> Owned

    /// The message with a MESSAGE-INTEGRITY (HMAC-SHA1). The key of short-term credentials is the password (9.1.1).
    val withIntegrity: key: Owned -> message: Owned -> Owned

    /// The message with a MESSAGE-INTEGRITY-SHA256, which follows a MESSAGE-INTEGRITY if there is one.
    val withIntegritySha256: key: Owned -> message: Owned -> Owned

    /// The message with a FINGERPRINT, which must be the last attribute.
    val withFingerprint: message: Owned -> Owned

    /// Whether a message that `decode` accepted ends with a FINGERPRINT.
    val isFingerprinted: message: Borrowed -> bool

    val checkIntegrity: key: Owned -> message: Borrowed -> StunIntegrity
    val checkIntegritySha256: key: Owned -> message: Borrowed -> StunIntegrity

    /// The comprehension-required attributes that are unknown here: a reason for a 420.
    val unknownRequired: message: StunMessage -> uint16[]

    /// XOR-MAPPED-ADDRESS, or else MAPPED-ADDRESS, which older servers send.
    val mapped: message: StunMessage -> Endpoint voption

    /// Draws a fresh id.
    val draw: random: Random -> struct (StunId * Random)
