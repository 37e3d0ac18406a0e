namespace UtpPunch.Protocol

/// What nodes of this implementation send in BEP 29's extension bits (extension 2, which other implementations skip), see docs/mtu.md:
/// 'U' 'P' | kind 1 | id 1 | size 2 | reach 2, which is zero except in a hello; or 'U' 'P' | kind 1 | 0 | time stamp or error code 4.
module ExtensionBits =
    [<RequireQualifiedAccess>]
    type Kind =
        /// Not of this implementation.
        | None = 0
        /// In a SYN, and in the SYN-ACK that answers one: the sender supports path MTU probes, accepts datagrams of `size` bytes, and holds up
        /// to `reach` packets ahead of a missing one; see docs/windows.md.
        | Hello = 1
        /// This datagram has `size` bytes, to probe the path.
        | Probe = 2
        /// The probe of that id and size was received.
        | Answer = 3
        /// Both directions have ended here, and the sender waits for a `Farewell` before it exits. It asks again after `size` milliseconds.
        | Enquiry = 4
        /// Both directions have ended here, and the sender knows that they have there.
        | Farewell = 5
        /// The sender doubts a packet of the receiver's: a `Response` with the time stamp of this packet shows that it was genuine.
        | Challenge = 6
        /// Answers the challenge that has this time stamp.
        | Response = 7
        /// Extension 85 has the sender's share of a key (`KeyAgreement`).
        | KeyShare = 8
        /// In a RESET: the error code with which the sender's application has aborted the stream.
        | ErrorCode = 9

    /// Every IPv4 host accepts packets of 576 bytes (RFC 791): these, less the headers of IPv4 and UDP.
    [<Literal>]
    let Least = 548

    /// The largest UDP payload over IPv4, and the largest datagram that is accepted.
    [<Literal>]
    let Most = 65507

    let private tag = 0x5550UL

    let private write kind (id: byte) (size: int) =
        (tag <<< 48) ||| (kind <<< 40) ||| (uint64 id <<< 32) ||| (uint64 (uint16 size) <<< 16)

    /// `reach` is 0 if the sender says nothing of it.
    let hello (reach: int) = write 1UL 0uy Most ||| uint64 (uint16 reach)
    let probe id size = write 2UL id size
    let answer id size = write 3UL id size
    let enquiry milliseconds = write 4UL 0uy milliseconds
    let farewell = write 5UL 0uy 0
    let challenge = write 6UL 0uy 0
    let keyShare = write 8UL 0uy 0
    let response (stamp: uint32) = write 7UL 0uy 0 ||| uint64 stamp

    let errorCode (code: uint32) = write 9UL 0uy 0 ||| uint64 code

    let idOf (bits: uint64) = byte (bits >>> 32)
    let sizeOf (bits: uint64) = int (uint16 (bits >>> 16))
    let reachOf (bits: uint64) = int (uint16 bits)
    let stampOf (bits: uint64) = uint32 bits
    let errorCodeOf (bits: uint64) = uint32 bits

    /// Bits of any other form are `None`.
    let kindOf (bits: uint64) =
        if bits >>> 48 <> tag then
            Kind.None
        else
            match bits >>> 40 &&& 0xFFUL with
            | 1UL when idOf bits = 0uy && sizeOf bits >= Least -> Kind.Hello
            | 7UL when idOf bits = 0uy -> Kind.Response
            | 9UL when idOf bits = 0uy -> Kind.ErrorCode
            | _ when reachOf bits <> 0 -> Kind.None
            | 2UL when sizeOf bits >= Least -> Kind.Probe
            | 3UL when sizeOf bits >= Least -> Kind.Answer
            | 4UL when idOf bits = 0uy -> Kind.Enquiry
            | 5UL when idOf bits = 0uy && sizeOf bits = 0 -> Kind.Farewell
            | 6UL when idOf bits = 0uy && sizeOf bits = 0 -> Kind.Challenge
            | 8UL when idOf bits = 0uy && sizeOf bits = 0 -> Kind.KeyShare
            | _ -> Kind.None
