namespace UtpPunch.Protocol

open System

/// What acknowledgements show about packets that they do not name: the evidence by which a packet counts as lost. A field of
/// the scoreboard, changed in place and copied with it.
[<Struct; NoComparison; NoEquality>]
type internal LossDetection =
    {
        /// The latest transmission that certainly arrived.
        mutable ArrivedOrder: int64
        /// The same among retransmissions, as far as the first transmission cannot have been answered instead. Kept apart: what a
        /// retransmission overtook was not late, but waited for it.
        mutable RetransmissionsArrived: int64
        /// Up to here the last acknowledgement could have named what the peer holds.
        mutable Named: SeqNr
        /// The peer has named more than libutp's 32 packets: it names everything that it holds.
        mutable NamesAll: bool
        /// How often the same cumulative acknowledgement was repeated (RFC 5681: duplicate acknowledgements).
        mutable Duplicates: int
        /// The path reorders: three packets that arrived behind a missing one prove nothing any more (RFC 8985: RACK.reordering_seen).
        mutable PathReorders: bool
        /// Transmissions before this one prove nothing about the path's order: all of them were marked lost at once, without evidence.
        mutable From: int64
        mutable PeerSacks: bool
        /// Up to here, packets that were sent once and are still in flight were overtaken by at least three others: the peer holds
        /// something that lies behind all that its selective acknowledgements can name.
        mutable OvertakenTo: SeqNr voption
        /// How many packets have arrived there that the peer cannot name: one more acknowledgement reported each of them.
        mutable Unnamed: int
        /// When the age of some packet alone will prove it lost.
        mutable OverdueAt: Instant
    }

    /// RFC 5681's three duplicates (RFC 8985: DupThresh).
    static member Threshold = 3

    static member Initial =
        { ArrivedOrder = -1L
          RetransmissionsArrived = -1L
          Named = SeqNr 0us
          NamesAll = false
          Duplicates = 0
          PathReorders = false
          From = 0L
          PeerSacks = false
          OvertakenTo = ValueNone
          Unnamed = 0
          OverdueAt = Time.never }

    /// Packets that were sent once are acknowledged for the first time.
    member this.Arrive(part: Run) =
        // Marked lost, or overtaken by three: it was late.
        if
            part.Order >= this.From
            && (part.Mark = Mark.Lost || this.ArrivedOrder - part.Order >= int64 LossDetection.Threshold)
        then
            this.PathReorders <- true

        this.Unnamed <- max 0 (this.Unnamed - part.Count)
        this.ArrivedOrder <- max this.ArrivedOrder (part.Order + int64 (part.Count - 1))

    /// Retransmissions are acknowledged. An answer within less than any round trip answers the first transmission
    /// (RFC 8985, 6.2, step 2).
    member this.RetransmissionArrived(part: Run, now: Instant, rtt: Rtt) =
        if Rtt.isKnown rtt && now - part.SentAt >= rtt.Least then
            this.RetransmissionsArrived <- max this.RetransmissionsArrived (part.Order + int64 (part.Count - 1))

    /// How far an acknowledgement reaches: a peer that names nothing though it could holds nothing.
    member this.Reach(ackNr: SeqNr, sack: Borrowed, isRanges: bool, next: SeqNr) =
        if not sack.IsEmpty then
            this.PeerSacks <- true
            // Ranges that are not among many have been named before, and several times (RFC 2018).
            this.NamesAll <- this.NamesAll || isRanges || sack.Length > 4

        this.Named <-
            if not this.PeerSacks then ackNr
            elif sack.IsEmpty || this.NamesAll then next + -1
            else ackNr + (1 + 8 * sack.Length)

    /// The cumulative acknowledgement has advanced to this number.
    member this.Advance(oldest: SeqNr) =
        match this.OvertakenTo with
        | ValueSome last when oldest - last > 0 ->
            this.OvertakenTo <- ValueNone
            this.Unnamed <- 0
        | _ -> ()

    /// libutp names 32 packets at most. Bits that are all zero mean that all of these are missing, and that one behind them is not:
    /// what lies three or more packets before that one was overtaken. Gives the last of them.
    member this.ReadZeroes(ackNr: SeqNr, sack: Borrowed, next: SeqNr, isRepeated: bool) =
        let bits = 8 * sack.Length
        let beyond = next - (ackNr + 2 + bits)

        if beyond > 0 && sack.Span.IndexOfAnyExcept 0uy < 0 then
            this.OvertakenTo <- ValueSome(ackNr + (bits + 2 - LossDetection.Threshold))

            if isRepeated then this.Unnamed <- min beyond (this.Unnamed + 1)

            this.OvertakenTo
        else
            ValueNone

    /// Whether the peer holds exactly one packet, and that lies behind all that it can name.
    member this.IsFirstUnnamed(ackNr: SeqNr, sack: Borrowed) =
        not sack.IsEmpty
        && this.Unnamed <= 1
        && this.OvertakenTo = ValueSome(ackNr + (8 * sack.Length + 2 - LossDetection.Threshold))

    member private this.IsOvertaken(run: Run) =
        match this.OvertakenTo with
        | ValueSome last -> run.Transmissions = 1 && last - run.First >= 0
        | ValueNone -> false

    /// Whether a packet is lost by its age, others behind it having arrived (RFC 8985). If not yet, `OverdueAt` notes when it will be.
    member this.IsOverdue(run: Run, now: Instant, rtt: Rtt) =
        let overdueAt = run.SentAt + Rtt.overdueAfter rtt
        let isOverdue = Rtt.isKnown rtt && now >= overdueAt

        if not isOverdue && Rtt.isKnown rtt then this.OverdueAt <- min this.OverdueAt overdueAt

        isOverdue

    /// Whether a run is lost, given how many packets behind it the peer holds: by count, as long as the path has kept the order
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

    /// Without selective acknowledgements each duplicate acknowledgement reports a packet behind the oldest: three of them
    /// (RFC 5681), a partial one in recovery (RFC 6582), or one and the oldest packet's age mean that it is lost.
    member this.IsHeadLost(head: Run, countsDuplicates: bool, isPartial: bool, now: Instant, rtt: Rtt) =
        let isRepeated = countsDuplicates && this.Duplicates >= LossDetection.Threshold && not this.PathReorders

        if head.Transmissions = 1 && (isRepeated || isPartial) then true
        elif this.Duplicates > 0 then this.IsOverdue(head, now, rtt)
        else false

    /// All transmissions before this one are marked lost, without evidence from the peer.
    member this.Reset(order: int64) =
        this.From <- order
        this.Unnamed <- 0
