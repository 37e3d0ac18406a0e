namespace UtpPunch.Sim

open System
open UtpPunch.Protocol

/// A packet that is due.
[<Struct; NoComparison>]
type Outgoing = { SeqNr: SeqNr; Payload: byte[]; IsFin: bool }

/// Go-back-N: a fixed window of packets and a constant time-out, after which everything from the first unacknowledged packet on is
/// retransmitted. No congestion control, no fast retransmission, no selective acknowledgement.
[<Sealed>]
type OracleSender(first: SeqNr, window: int, packetSize: int, timeout: Duration) =
    // Every packet ever written; the FIN is the last one.
    let packets = ResizeArray<byte[]>()
    let mutable finAt = -1
    // How many of them were acknowledged, were sent since the last time-out, and were ever sent.
    let mutable acknowledged = 0
    let mutable sent = 0
    let mutable everSent = 0
    let mutable timer = Time.never

    /// How many packets an `ack_nr` acknowledges in all.
    let countOf (ackNr: SeqNr) = acknowledged + (ackNr - (first + (acknowledged - 1)))

    /// The number of a STATE: that of the next new packet.
    member _.Next = first + everSent
    member _.Deadline = timer
    member _.IsFinished = finAt >= 0 && acknowledged = packets.Count

    /// Bytes written and not acknowledged.
    member _.Outstanding = Seq.sumBy Array.length (Seq.skip acknowledged packets)

    member _.Write(bytes: Owned) =
        for piece in Seq.chunkBySize packetSize (bytes.Span.ToArray()) do
            packets.Add piece

    member _.Finish() =
        finAt <- packets.Count
        packets.Add(Array.empty)

    /// Whether the number acknowledges only what was sent.
    member _.Accepts(ackNr: SeqNr) = countOf ackNr <= everSent

    member _.Acknowledge(now: Instant, ackNr: SeqNr) =
        let count = countOf ackNr

        if count > acknowledged then
            acknowledged <- count
            sent <- max sent count
            timer <- if sent = acknowledged then Time.never else now + timeout

    /// The packets that are due now.
    member _.Send(now: Instant) : Outgoing list =
        if now >= timer then
            sent <- acknowledged
            timer <- Time.never

        let due =
            [ while sent < packets.Count && sent < acknowledged + window do
                  { SeqNr = first + sent; Payload = packets[sent]; IsFin = (sent = finAt) }
                  sent <- sent + 1 ]

        everSent <- max everSent sent

        if sent > acknowledged && timer = Time.never then timer <- now + timeout

        due
