namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// One action of an adversary.
[<RequireQualifiedAccess; NoComparison>]
type Move =
    /// A datagram; its source may be forged.
    | Send of from: Endpoint * target: Endpoint * bytes: byte[]
    /// A forged ICMP report to `target`, as if about a datagram of its own to `remote`: fragmentation needed.
    | TooLong of target: Endpoint * remote: Endpoint * size: int * limit: int
    /// The same: destination unreachable.
    | Unreachable of target: Endpoint * remote: Endpoint
    /// The same: port unreachable.
    | PortUnreachable of target: Endpoint * remote: Endpoint * quoted: byte[]

/// The secrets of a stream that an adversary off the path is given, so that the defences behind them are tested at visible rates.
[<RequireQualifiedAccess; NoComparison>]
type Given =
    | Nothing
    /// The id under which the victim receives.
    | Id of id: uint16

/// What an adversary off the path knows: the endpoints and the protocol. It sees nothing that the two hosts send each other.
[<NoComparison>]
type OffPathKnowledge =
    {
        Victim: Endpoint
        /// The host that the victim has a stream with.
        Peer: Endpoint
        /// The adversary's address: it receives what is sent to it.
        Own: Endpoint
        Given: Given
    }

/// What an adversary on the path knows: the endpoints, and each datagram between them (`IAdversary.See`). It cannot drop any.
[<NoComparison>]
type OnPathKnowledge = { A: Endpoint; B: Endpoint; Own: Endpoint }

/// What the operator of a rendezvous knows of a meeting: the endpoints, and each message between the peers and the server, with the room's
/// tag, the handles and the sealed offers. It does not know the room's key.
[<NoComparison>]
type OperatorKnowledge =
    {
        Server: Endpoint
        Peers: Endpoint[]
        /// Whether it is on the path between the peers, too.
        SeesPath: bool
    }

/// An adversary: it draws its moves from the seed, and knows what its constructor was given and what these members report.
type IAdversary =
    /// A datagram that was sent to its own address.
    abstract Receive: now: Instant * from: Endpoint * bytes: byte[] -> unit
    /// A datagram between two other hosts. Only an adversary on their path sees it.
    abstract See: now: Instant * from: Endpoint * target: Endpoint * bytes: byte[] -> unit
    abstract Move: now: Instant -> Move list

/// The result of one run of an adversary.
[<NoComparison; NoEquality>]
type Play =
    {
        /// The adversary's packets and forged reports.
        Moves: int
        /// Of all packets: equal for equal seeds.
        Hash: uint64
        /// The rules that fired at the victims.
        Rules: Rule seq
    }

/// Packets of BEP 29, field by field.
module Craft =
    let withCode (header: Header) (code: byte[]) =
        let bytes =
            Array.zeroCreate<byte>(Packet.HeaderLength + (if code.Length = 0 then 0 else 2 + code.Length))

        Packet.encodeWith &header Owned.Empty false 0UL (Owned code) (Span<byte> bytes) |> ignore

        bytes

    let packetWith (bits: uint64) (header: Header) (payload: byte[]) =
        let bytes = Array.zeroCreate<byte>(Packet.lengthOf 0 bits payload.Length)
        Packet.encode &header Owned.Empty bits (Owned payload) (Span<byte> bytes) |> ignore
        bytes

    let packet header payload = packetWith 0UL header payload

    let header kind id seqNr ackNr timestamp difference : Header =
        { Type = kind
          ConnectionId = id
          Timestamp = timestamp
          TimestampDifference = difference
          Window = 1_000_000u
          SeqNr = seqNr
          AckNr = ackNr }

    /// A SYN, which has no echo.
    let syn id seqNr timestamp = packet (header PacketType.Syn id seqNr (SeqNr 0us) timestamp 0u) [||]

    let tryRead (bytes: byte[]) : Header voption =
        let mutable packet = Unchecked.defaultof<Packet>

        if Packet.decode (Borrowed bytes) &packet = Malformed.None then
            ValueSome packet.Header
        else
            ValueNone

/// Draws in order, from a seed.
[<Sealed>]
type Draws(seed: uint64) =
    let mutable count = 0L

    member _.Bits() =
        count <- count + 1L
        Keyed.bits seed 90 count

    member this.Below(limit: int) = int (this.Bits() % uint64 (max 1 limit))
    member this.Word() = uint32 (this.Bits() >>> 32)
    member this.Short() = uint16 (this.Bits() >>> 48)
    member this.Bytes(length: int) = Array.init length (fun _ -> byte (this.Bits() >>> 56))
