namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

/// An answer of a gateway at port 5351. Result 0 is success in all of them.
[<NoComparison; RequireQualifiedAccess>]
type internal GatewayAnswer =
    /// PCP's MAP (RFC 6887, 11.1). `epoch` is the gateway's Epoch Time, in seconds (8.5); `lifetime` is in seconds.
    | Pcp of result: int * epoch: uint32 * lifetime: uint32 * nonce: Owned * internalPort: uint16 * external: Endpoint
    /// NAT-PMP's external address (RFC 6886, 3.2).
    | NatPmpAddress of result: int * epoch: uint32 * address: Endpoint
    /// NAT-PMP's mapping (3.3); `lifetime` is in seconds.
    | NatPmpMapped of result: int * epoch: uint32 * internalPort: uint16 * externalPort: uint16 * lifetime: uint32
    /// The gateway has another version of the protocol than was asked for (RFC 6887, 9; RFC 6886, 3.5).
    | OtherVersion

/// The messages of PCP (RFC 6887) and of NAT-PMP (RFC 6886), as far as UDP ports are mapped. All numbers have their most significant byte
/// first. PCP writes addresses as this library does: IPv4 in its mapped form (RFC 6887, 5).
module internal GatewayWire =
    /// Where gateways listen (RFC 6887, 19.1; RFC 6886, 3).
    [<Literal>]
    let Port = 5351us

    [<Literal>]
    let NonceLength = 12

    [<Literal>]
    let private PcpLength = 60

    [<Literal>]
    let private PcpVersion = 2uy

    [<Literal>]
    let private PcpMap = 1uy

    [<Literal>]
    let private NatPmpMapUdp = 1uy

    /// The R bit: a response. NAT-PMP adds 128 to the opcode, which is the same.
    [<Literal>]
    let private Response = 0x80uy

    [<Literal>]
    let private Udp = 17uy

    /// RFC 6887, 7.4: UNSUPP_VERSION. NAT-PMP has the same number (3.5).
    [<Literal>]
    let private UnsupportedVersion = 1

    let private short (bytes: Borrowed) at = BinaryPrimitives.ReadUInt16BigEndian(bytes.Span.Slice at)
    let private word (bytes: Borrowed) at = BinaryPrimitives.ReadUInt32BigEndian(bytes.Span.Slice at)

    let private writeAddress (bytes: byte[]) (at: int) (endpoint: Endpoint) =
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan at, endpoint.High)
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(at + 8), endpoint.Low)

    let private readEndpoint (bytes: Borrowed) (at: int) port =
        let high = BinaryPrimitives.ReadUInt64BigEndian(bytes.Span.Slice at)
        Endpoint.ofIPv6 high (BinaryPrimitives.ReadUInt64BigEndian(bytes.Span.Slice(at + 8))) port

    // version 1 | opcode 1 | reserved 2 | lifetime 4 | client 16 || nonce 12 | protocol 1 | reserved 3 | internal port 2 | external 2 + 16
    /// Asks for a mapping of the client's UDP port; with lifetime 0, deletes it (RFC 6887, 15).
    let pcpMap (nonce: Owned) (client: Endpoint) (suggested: Endpoint) (lifetime: uint32) =
        let bytes: byte[] = Array.zeroCreate PcpLength
        bytes[0] <- PcpVersion
        bytes[1] <- PcpMap
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan 4, lifetime)
        writeAddress bytes 8 client
        nonce.Span.CopyTo(bytes.AsSpan 24)
        bytes[36] <- Udp
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan 40, client.Port)
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan 42, suggested.Port)
        writeAddress bytes 44 suggested
        Owned bytes

    let natPmpAddress = Owned [| 0uy; 0uy |]

    // version 1 | opcode 1 | reserved 2 | internal port 2 | suggested external port 2 | lifetime 4
    /// Asks for a mapping of a UDP port; with lifetime 0, deletes it (RFC 6886, 3.4).
    let natPmpMap (internalPort: uint16) (suggested: uint16) (lifetime: uint32) =
        let bytes: byte[] = Array.zeroCreate 12
        bytes[1] <- NatPmpMapUdp
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan 4, internalPort)
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan 6, suggested)
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan 8, lifetime)
        Owned bytes

    /// Whether a datagram begins as a response of these protocols does; uTP packets never do.
    let looksLike (datagram: Borrowed) =
        datagram.Length >= 8
        && (datagram.Span[0] = 0uy || datagram.Span[0] = PcpVersion)
        && datagram.Span[1] >= Response

    let private readPcp (bytes: Borrowed) =
        let result = int (bytes.Span[3])

        if result = UnsupportedVersion then
            ValueSome GatewayAnswer.OtherVersion
        elif bytes.Span[1] = (Response ||| PcpMap) && bytes.Length >= PcpLength && bytes.Span[36] = Udp then
            let external = readEndpoint bytes 44 (short bytes 42)
            let nonce = Borrowed.keep (bytes.Slice(24, NonceLength))
            ValueSome(GatewayAnswer.Pcp(result, word bytes 8, word bytes 4, nonce, short bytes 40, external))
        else
            ValueNone

    // version 1 | opcode 1 | result 2 | epoch 4 | then what the opcode has
    let private readNatPmp (bytes: Borrowed) =
        let result = int (short bytes 2)
        let epoch = word bytes 4
        let opcode = bytes.Span[1] - Response

        if result = UnsupportedVersion then
            ValueSome GatewayAnswer.OtherVersion
        elif opcode = 0uy && (bytes.Length >= 12 || result <> 0) then
            let address = if bytes.Length >= 12 then word bytes 8 else 0u
            ValueSome(GatewayAnswer.NatPmpAddress(result, epoch, Endpoint.ofIPv4 address 0us))
        elif opcode = NatPmpMapUdp && bytes.Length >= 16 then
            ValueSome(GatewayAnswer.NatPmpMapped(result, epoch, short bytes 8, short bytes 10, word bytes 12))
        else
            ValueNone

    /// Reads a datagram. Total: any bytes give an answer or none.
    let read (datagram: Borrowed) : GatewayAnswer voption =
        if not (looksLike datagram) then ValueNone
        elif datagram.Span[0] = PcpVersion then readPcp datagram
        else readNatPmp datagram

    /// What a result of PCP means (RFC 6887, 7.4).
    let pcpResult code =
        match code with
        | 2 -> "NOT_AUTHORIZED"
        | 3 -> "MALFORMED_REQUEST"
        | 4 -> "UNSUPP_OPCODE"
        | 5 -> "UNSUPP_OPTION"
        | 6 -> "MALFORMED_OPTION"
        | 7 -> "NETWORK_FAILURE"
        | 8 -> "NO_RESOURCES"
        | 9 -> "UNSUPP_PROTOCOL"
        | 10 -> "USER_EX_QUOTA"
        | 11 -> "CANNOT_PROVIDE_EXTERNAL"
        | 12 -> "ADDRESS_MISMATCH"
        | 13 -> "EXCESSIVE_REMOTE_PEERS"
        | _ -> "unknown"

    /// What a result of NAT-PMP means (RFC 6886, 3.5).
    let natPmpResult code =
        match code with
        | 2 -> "Not Authorized/Refused"
        | 3 -> "Network Failure"
        | 4 -> "Out of resources"
        | 5 -> "Unsupported opcode"
        | _ -> "unknown"
