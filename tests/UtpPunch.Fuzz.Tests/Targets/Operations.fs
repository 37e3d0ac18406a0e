namespace UtpPunch.Fuzz

open System
open System.Buffers.Binary
open UtpPunch.Protocol

module Plans =
    /// A meeting at a rendezvous.
    let meeting server room hosts : MeetPlan =
        { Servers = [| server |]
          Room = room
          Hosts = hosts
          Stays = false
          Timeout = Time.seconds 60
          PunchTimeout = Time.seconds 10
          Birthday = true
          PrimingHops = 3
          PrivateAddresses = PrivateAddressPolicy.Shared
          PathTimeout = Time.seconds 180
          Reports = true }

/// Reads an operation from a chunk. Total: there are zeroes behind the end, so that any bytes are an operation.
[<Sealed>]
type Operation(chunk: byte[]) =
    let mutable at = 0

    member _.Byte() : byte =
        at <- at + 1
        if at <= chunk.Length then chunk[at - 1] else 0uy

    member this.Below(limit: int) : int = int (this.Byte()) % limit
    member this.Of(items: 'T[]) : 'T = items[this.Below items.Length]
    member this.Flag() : bool = this.Byte() &&& 1uy = 1uy
    member this.Signed() : int = int (sbyte (this.Byte()))

    member this.Short() : int =
        let high = this.Byte()
        int high * 256 + int (this.Byte())

    member this.Word() : uint32 =
        let high = this.Short()
        (uint32 high <<< 16) ||| uint32 (this.Short())

    member this.Bytes(length: int) : byte[] = Array.init length (fun _ -> this.Byte())

    /// What was not read yet.
    member _.Rest() : byte[] = if at >= chunk.Length then [||] else chunk[at..]

module Wire =
    let be16 (value: int) = [| byte (value >>> 8); byte value |]

    let be64 (value: uint64) =
        let bytes = Array.zeroCreate<byte> 8
        BinaryPrimitives.WriteUInt64BigEndian(Span bytes, value)
        bytes

    /// A datagram with a packet. The selective acknowledgement is cut to a valid length.
    let packet (header: Header) (sack: byte[]) (bits: uint64) (payload: byte[]) : byte[] =
        let sack = Owned(Array.truncate (min 252 (sack.Length / 4 * 4)) sack)
        let datagram = Array.zeroCreate<byte>(Packet.lengthOf sack.Length bits payload.Length)
        Packet.encode &header sack bits (Owned payload) (Span datagram) |> ignore
        datagram

    /// Points of P-256 as SEC 1 has them: the base point, and its negative; and two that are none.
    let private points =
        [| for y in
               [ "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"
                 "B01CBD1C01E58065711814B583F061E9D431CCA994CEA1313449BF97C840AE0A"
                 "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F6"
                 "" ] -> Convert.FromHexString("046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296" + y) |]

    /// A STATE with a share of a key.
    let share (header: Header) (point: int) : byte[] =
        let header = { header with Type = PacketType.State }
        let datagram = Array.zeroCreate<byte>(Packet.lengthOf 0 1UL 0 + 2 + points[point].Length)

        Packet.encodeWith &header Owned.Empty false ExtensionBits.keyShare (Owned points[point]) (Span datagram)
        |> ignore

        datagram

    let packetTypes =
        [| PacketType.Data; PacketType.Fin; PacketType.State; PacketType.Reset; PacketType.Syn |]

    let randomPacket (draws: Draws) : byte[] =
        packet
            { Type = draws.Of packetTypes
              ConnectionId = uint16 (draws.Next())
              Timestamp = uint32 (draws.Next())
              TimestampDifference = uint32 (draws.Next())
              Window = uint32 (draws.Next())
              SeqNr = SeqNr(uint16 (draws.Next()))
              AckNr = SeqNr(uint16 (draws.Next())) }
            (draws.Bytes(4 * draws.Below 4))
            (if draws.OneIn 2 then 0UL else draws.Next())
            (draws.Bytes(draws.Below 40))
