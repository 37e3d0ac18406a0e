namespace UtpPunch.Protocol

open System

/// What acknowledgements have told about the packets that they do not name: the ground on which a packet is held for lost.
/// Works in place; a step has a copy of its own.
[<Sealed>]
type internal LossDetection() =
    /// RFC 5681's three duplicates.
    static member Threshold = 3

    /// The latest transmission that certainly arrived.
    member val ArrivedOrder = -1L with get, set
    /// The same of what was sent again, as far as the first sending cannot have been answered instead. Kept apart: what it
    /// overtook was not late, it waited for it.
    member val RetransmissionsArrived = -1L with get, set
    /// Up to here the last acknowledgement could have named what the peer holds.
    member val Named = SeqNr 0us with get, set
    /// The peer has named more than libutp's 32 packets: it names all that it holds.
    member val NamesAll = false with get, set
    /// How often the same acknowledgement came again.
    member val Duplicates = 0 with get, set
    /// Packets have overtaken each other: three that arrived behind a missing one prove nothing any more.
    member val PathReorders = false with get, set
    /// What was sent before that proves nothing about the path's order: it was all held for lost at once, without a sign of it.
    member val From = 0L with get, set
    member val PeerSacks = false with get, set
    /// Up to here, whatever was sent once and is still in flight was overtaken by at least three packets: the peer holds something
    /// that lies behind all that its selective acknowledgements can name.
    member val OvertakenTo: SeqNr voption = ValueNone with get, set
    /// How many packets have arrived there that the peer cannot name: each told of itself by one more acknowledgement.
    member val Unnamed = 0 with get, set
    /// When the age of some packet alone will prove it lost.
    member val OverdueAt = Time.never with get, set

    member this.Copy() =
        LossDetection(
            ArrivedOrder = this.ArrivedOrder,
            RetransmissionsArrived = this.RetransmissionsArrived,
            Named = this.Named,
            NamesAll = this.NamesAll,
            Duplicates = this.Duplicates,
            PathReorders = this.PathReorders,
            From = this.From,
            PeerSacks = this.PeerSacks,
            OvertakenTo = this.OvertakenTo,
            Unnamed = this.Unnamed,
            OverdueAt = this.OverdueAt
        )

    /// Packets that were sent once are acknowledged for the first time.
    member this.Arrive(part: Run) =
        // Held for lost, or overtaken by three: it was late.
        if
            part.Order >= this.From
            && (part.Mark = Mark.Lost || this.ArrivedOrder - part.Order >= int64 LossDetection.Threshold)
        then
            this.PathReorders <- true

        this.Unnamed <- max 0 (this.Unnamed - part.Count)
        this.ArrivedOrder <- max this.ArrivedOrder (part.Order + int64 (part.Count - 1))

    /// Packets that were sent again are acknowledged. Sooner than any round trip it is the first sending that was answered
    /// (RFC 8985, 6.2, step 2).
    member this.RetransmissionArrived(part: Run, now: Instant, rtt: Rtt) =
        if Rtt.isKnown rtt && now - part.SentAt >= rtt.Least then
            this.RetransmissionsArrived <- max this.RetransmissionsArrived (part.Order + int64 (part.Count - 1))

    /// How far an acknowledgement reaches: a peer that has nothing to name holds nothing.
    member this.Reach(ackNr: SeqNr, sack: Borrowed, next: SeqNr) =
        if not sack.IsEmpty then
            this.PeerSacks <- true
            this.NamesAll <- this.NamesAll || sack.Length > 4

        this.Named <-
            if not this.PeerSacks then ackNr
            elif sack.IsEmpty || this.NamesAll then next + -1
            else ackNr + (1 + 8 * sack.Length)

    /// The oldest packet is a later one now.
    member this.Advance(oldest: SeqNr) =
        match this.OvertakenTo with
        | ValueSome last when oldest - last > 0 ->
            this.OvertakenTo <- ValueNone
            this.Unnamed <- 0
        | _ -> ()

    /// libutp names 32 packets at most. Bits that are all zero say that all of these are missing, and that one behind them is not:
    /// whatever lies three or more packets before it was overtaken. Gives the last of them.
    member this.SeeZeroes(ackNr: SeqNr, sack: Borrowed, next: SeqNr, isRepeated: bool) =
        let bits = 8 * sack.Length
        let beyond = next - (ackNr + 2 + bits)

        if beyond > 0 && sack.Span.IndexOfAnyExcept 0uy < 0 then
            this.OvertakenTo <- ValueSome(ackNr + (bits + 2 - LossDetection.Threshold))

            if isRepeated then this.Unnamed <- min beyond (this.Unnamed + 1)

            this.OvertakenTo
        else
            ValueNone

    /// Whether one packet behind all that it can name is all that the peer holds.
    member this.IsFirstUnnamed(ackNr: SeqNr, sack: Borrowed) =
        not sack.IsEmpty
        && this.Unnamed <= 1
        && this.OvertakenTo = ValueSome(ackNr + (8 * sack.Length + 2 - LossDetection.Threshold))

    member private this.IsOvertaken(run: Run) =
        match this.OvertakenTo with
        | ValueSome last -> run.Transmissions = 1 && last - run.First >= 0
        | ValueNone -> false

    /// By its age a packet is lost behind which others have arrived (RFC 8985).
    member this.IsOverdue(run: Run, now: Instant, rtt: Rtt) =
        let overdueAt = run.SentAt + Rtt.overdueAfter rtt
        let isOverdue = Rtt.isKnown rtt && now >= overdueAt

        if not isOverdue && Rtt.isKnown rtt then this.OverdueAt <- min this.OverdueAt overdueAt

        isOverdue

    /// Whether a run is lost, given how many packets behind it the peer holds: by number, as long as the path has kept the order
    /// (RFC 6675 for a first transmission, the order of sending for a later one), and in any case by age.
    member this.IsLost(run: Run, behind: int, now: Instant, rtt: Rtt) =
        let isOvertaken = this.IsOvertaken run
        let last = run.Count - 1

        let arrived =
            if run.Transmissions > 1 && this.Named - (run.First + last) >= 0 then
                max this.ArrivedOrder this.RetransmissionsArrived
            else
                this.ArrivedOrder

        let later = arrived - (run.Order + int64 last)

        let seen =
            if isOvertaken then int64 LossDetection.Threshold
            elif run.Transmissions = 1 then int64 behind
            else later

        if later <= 0L && not isOvertaken then false
        elif seen >= int64 LossDetection.Threshold && not this.PathReorders then true
        else this.IsOverdue(run, now, rtt)

    /// Without selective acknowledgements each repeated cumulative one tells of a packet behind the oldest: three of them
    /// (RFC 5681), a partial one in recovery (RFC 6582), or one and the oldest packet's age mean that it is lost.
    member this.IsHeadLost(head: Run, countsRepetitions: bool, isPartial: bool, now: Instant, rtt: Rtt) =
        let isRepeated =
            countsRepetitions && this.Duplicates >= LossDetection.Threshold && not this.PathReorders

        if head.Transmissions = 1 && (isRepeated || isPartial) then true
        elif this.Duplicates > 0 then this.IsOverdue(head, now, rtt)
        else false

    /// Everything counts as lost from now on, without a sign of it from the peer.
    member this.Reset(order: int64) =
        this.From <- order
        this.Unnamed <- 0
