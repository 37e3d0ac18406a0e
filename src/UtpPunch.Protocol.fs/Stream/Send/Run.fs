namespace UtpPunch.Protocol

open System

/// What is known of packets that were sent.
[<Struct; RequireQualifiedAccess>]
type internal Mark =
    | InFlight
    /// Selectively acknowledged: never retransmitted, and freed when the cumulative acknowledgement passes it.
    | Sacked
    /// Lost, and to be retransmitted.
    | Lost

/// Consecutive packets of equal size (the last may be shorter) that were sent together and are in the same state: the scoreboard holds
/// runs, not packets. Immutable, and so are its bytes: a retransmission under the same number is unchanged.
[<Sealed; AllowNullLiteral>]
type internal Run
    (
        first: SeqNr,
        count: int,
        size: int,
        data: Owned,
        sentAt: Instant,
        order: int64,
        transmissions: int,
        mark: Mark,
        departure: Departure
    ) =
    member _.First = first
    member _.Count = count
    /// Payload bytes a packet; 0 for a FIN.
    member _.Size = size
    member _.Data = data
    member _.IsFin = size = 0
    member _.SentAt = sentAt
    /// The place of the first packet among all transmissions of the stream.
    member _.Order = order
    member _.Transmissions = transmissions
    member _.Mark = mark
    /// Of its last transmission; null once it has arrived.
    member _.Departure = departure

    /// The `length` packets from index `start` on.
    member this.Slice(start: int, length: int) =
        if start = 0 && length = count then
            this
        else
            let from = start * size
            let bytes = data.Slice(from, min (length * size) (data.Length - from))
            Run(first + start, length, size, bytes, sentAt, order + int64 start, transmissions, mark, departure)

    member _.Marked(mark: Mark) =
        let departure = if mark = Mark.Sacked then null else departure
        Run(first, count, size, data, sentAt, order, transmissions, mark, departure)

    /// Whether the other packets follow these directly, in number and in memory.
    member _.IsFollowedBy(other: Run) =
        other.First = first + count
        && other.Size = size
        && data.Length = count * size
        && Object.ReferenceEquals(other.Data.Array, data.Array)
        && other.Data.Offset = data.Offset + data.Length

    /// These packets and those that follow them, as one run.
    member this.Joined(other: Run) =
        let bytes = Owned(data.Array, data.Offset, data.Length + other.Data.Length)
        Run(first, count + other.Count, size, bytes, max sentAt other.SentAt, order, transmissions, mark, null)

    /// The same packets, retransmitted.
    member _.Retransmitted(now: Instant, order: int64, departure: Departure) =
        Run(first, count, size, data, now, order, transmissions + 1, Mark.InFlight, departure)
