namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

/// The key of the punch that has found a path. The SYN and the SYN-ACK of a stream over that path carry an authentication code under it
/// (docs/security.md), so only the peer of the meeting can open the stream.
[<Sealed; AllowNullLiteral>]
type internal MeetingKey(key: byte[], session: uint64) =
    /// For snapshots.
    member _.Key = key
    /// That of the link between the two peers.
    member _.Session = session

/// What a stream of a link has in addition: what it knows of the path between the two nodes (`Link`). Immutable; an object of its own, since
/// other streams have none.
[<Sealed; AllowNullLiteral>]
type internal LinkedStream(session: uint64, key: MeetingKey, silentAt: Instant, silences: int, isSuspended: bool) =
    /// The number of the link.
    member _.Session = session
    /// Null if the stream is not of a meeting: its nodes have agreed on a key themselves.
    member _.Key = key
    /// When the peer, which was busy, counts as silent: the path may be gone.
    member _.SilentAt = silentAt
    /// How often it has been silent for so long in a row.
    member _.Silences = silences
    /// Whether the path is lost: nothing is sent until there is another one.
    member _.IsSuspended = isSuspended

module internal LinkedStream =
    let create (key: MeetingKey) : LinkedStream =
        if isNull key then null else LinkedStream(key.Session, key, Time.never, 0, false)

    let agreed session = LinkedStream(session, null, Time.never, 0, false)

    let suspend isSuspended (it: LinkedStream) = LinkedStream(it.Session, it.Key, it.SilentAt, it.Silences, isSuspended)

    let private coarseness = Time.milliseconds 100

    /// Data have arrived. `at` is when the peer counts as silent if nothing follows; a little earlier will do.
    let hear (at: Instant) (it: LinkedStream) =
        if it.Silences = 0 && it.SilentAt <> Time.never && at - it.SilentAt < coarseness then
            it
        else
            LinkedStream(it.Session, it.Key, at, 0, it.IsSuspended)

    /// The peer was silent until now; `next` is when that is looked at again.
    let miss next (it: LinkedStream) = LinkedStream(it.Session, it.Key, next, it.Silences + 1, it.IsSuspended)

module internal MeetingKey =
    /// The code does not cover the time stamp: a SYN is repeated with a new one.
    let private mac (header: inref<Header>) (meeting: MeetingKey) =
        let said = Array.zeroCreate<byte> 6
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said), header.ConnectionId)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 2, 2), header.SeqNr.Value)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 4, 2), header.AckNr.Value)
        let label = if header.Type = PacketType.Syn then "UtpPunch SYN" else "UtpPunch SYN-ACK"
        Secrets.mac (Owned meeting.Key) label (Borrowed said)

    /// The code of a SYN or a SYN-ACK; empty for a stream that is not of a meeting.
    let sign (header: inref<Header>) (meeting: MeetingKey) = if isNull meeting then Owned.Empty else mac &header meeting

    /// Whether a datagram, with this header, carries the code that it must.
    let isAuthentic (header: inref<Header>) (datagram: Borrowed) (meeting: MeetingKey) =
        let code = Packet.authentication datagram
        code.Length = Secrets.MacLength && Secrets.isEqual code (mac &header meeting)
