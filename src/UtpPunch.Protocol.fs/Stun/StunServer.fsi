namespace UtpPunch.Protocol

/// A STUN server without its sockets: what to answer, and from which socket. It answers each request with at most one datagram, to the
/// address that it came from. It has no rate limit; the caller must have one.
[<Sealed>]
type StunServer

/// A datagram, its destination, and the number of the socket that sends it.
[<Struct; NoComparison>]
type StunAnswer = { Socket: int; Remote: Endpoint; Datagram: Owned }

module StunServer =
    /// Bits of a socket's number: 0 is the primary one, 3 has the other address and the other port.
    [<Literal>]
    val OtherPort: int = 1

    [<Literal>]
    val OtherAddress: int = 2

    /// A server with up to four sockets, each by its number with the endpoint at which clients reach it; `ValueNone` for a socket that is
    /// missing. Only a server with all four supports NAT behavior discovery (RFC 5780). It pads its answers when asked to, but never with
    /// more than it was sent.
    [<CompiledName "Create">]
    val create: software: string voption -> sockets: Endpoint voption[] -> StunServer

    /// The answer to a datagram that the socket received; none when it is not a binding request.
    [<CompiledName "Answer">]
    val answer: socket: int -> from: Endpoint -> datagram: Borrowed -> server: StunServer -> StunAnswer voption
