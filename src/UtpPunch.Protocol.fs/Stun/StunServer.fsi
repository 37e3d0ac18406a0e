namespace UtpPunch.Protocol

/// A STUN server without its sockets: what to answer, and from where. It answers each request with at most one datagram
/// to the address that it came from; how often one source may ask is for whoever holds the sockets.
[<Sealed>]
type internal StunServer

/// Which socket sends what to whom.
[<Struct; NoComparison>]
type internal StunAnswer = { Socket: int; Remote: Endpoint; Datagram: Owned }

module internal StunServer =
    /// Bits of a socket's number: 0 is the primary one, 3 has the other address and the other port.
    [<Literal>]
    val OtherPort: int = 1

    [<Literal>]
    val OtherAddress: int = 2

    /// A server with up to four sockets, each under its number with the endpoint at which clients reach it; those beyond the array
    /// and `ValueNone` are not there. Only one with all four helps to find out what a NAT does (RFC 5780); it pads
    /// its answers when asked to, but never with more than it was sent.
    [<CompiledName "Create">]
    val create: software: string voption -> sockets: Endpoint voption[] -> StunServer

    /// The answer to a datagram which that socket got; none when the datagram is no binding request.
    [<CompiledName "Answer">]
    val answer: socket: int -> from: Endpoint -> datagram: Borrowed -> server: StunServer -> StunAnswer voption
