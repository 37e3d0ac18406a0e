namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

/// The key of the punch that has found a path. The SYN and the SYN-ACK of a stream over that path, and the RESET of an application that refuses
/// it, carry an authentication code under it (docs/security.md), so only the peer of the meeting can open the stream, or refuse it.
[<Sealed; AllowNullLiteral>]
type internal MeetingKey(key: byte[], session: uint64) =
    /// For snapshots.
    member _.Key = key
    /// That of the link between the two peers.
    member _.Session = session

module internal MeetingKey =
    /// The code does not cover the time stamp: a SYN is repeated with a new one.
    let private mac (header: inref<Header>) (meeting: MeetingKey) =
        let said = Array.zeroCreate<byte> 6
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said), header.ConnectionId)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 2, 2), header.SeqNr.Value)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 4, 2), header.AckNr.Value)

        let label =
            match header.Type with
            | PacketType.Syn -> "UtpPunch SYN"
            | PacketType.Reset -> "UtpPunch RESET"
            | _ -> "UtpPunch SYN-ACK"

        Secrets.mac (Owned meeting.Key) label (Borrowed said)

    /// The code of a SYN, a SYN-ACK, or a RESET; empty for a stream that is not of a meeting.
    let sign (header: inref<Header>) (meeting: MeetingKey) = if isNull meeting then Owned.Empty else mac &header meeting

    /// Whether a datagram, with this header, carries the code that it must.
    let isAuthentic (header: inref<Header>) (datagram: Borrowed) (meeting: MeetingKey) =
        let code = Packet.authentication datagram
        code.Length = Secrets.MacLength && Secrets.isEqual code (mac &header meeting)
