namespace UtpPunch.Protocol

open System

/// What an acknowledgement changed.
[<Struct; NoComparison>]
type Acknowledged =
    {
        /// Packets that the cumulative acknowledgement freed.
        Freed: int
        /// Bytes acknowledged for the first time, cumulatively or selectively.
        Bytes: int
        /// The age of the youngest packet among them that was sent only once (Karn's rule).
        RoundTrip: Duration voption
        /// Packets were found lost that call for a smaller window; at most once a round trip.
        Congested: bool
    }

module private Limits =
    /// RFC 5681's three duplicates.
    [<Literal>]
    let threshold = 3

    /// Earlier than anything was sent.
    [<Literal>]
    let unmeasured: Instant = -0x7FFF_FFFF_FFFF_FFFFL<us>

open Limits

/// What became of the packets that were sent: in flight, selectively acknowledged, or held for lost, and what the difference is
/// known by. Works in place; a step has a copy of its own.
[<Sealed>]
type internal Scoreboard private (packetSize: int, runs: Deque<Run>, next: SeqNr, oldest: SeqNr) =
    let mutable runs = runs
    let mutable next = next
    let mutable oldest = oldest

    new(packetSize, next) = Scoreboard(packetSize, Deque<Run>(), next, next)

    member val Outstanding = 0 with get, set
    member val Flight = 0 with get, set
    member val LostPackets = 0 with get, set
    member val SackedPackets = 0 with get, set
    /// Packets sent more than once that are in flight.
    member val AgainInFlight = 0 with get, set
    member val Peak = 0 with get, set
    member val NextOrder = 0L with get, set
    /// The latest transmission that certainly arrived.
    member val ArrivedOrder = -1L with get, set
    member val Duplicates = 0 with get, set
    /// Packets have overtaken each other: three that arrived behind a missing one prove nothing any more.
    member val PathReorders = false with get, set
    member val OverdueAt = Time.never with get, set
    member val PeerSacks = false with get, set
    /// Until `oldest` gets here, further losses belong to the same congestion.
    member val RecoveryEnd: SeqNr voption = ValueNone with get, set
    /// Whether a packet was sent against a closed window.
    member val Probing = false with get, set
    member val LossProbe: struct (SeqNr * Instant) voption = ValueNone with get, set
    member val Retransmissions = 0L with get, set

    member _.Next = next
    member _.Oldest = oldest
    member _.Packets = next - oldest

    member _.Renumber(first: SeqNr) =
        if next <> oldest then invalidOp "Packets are under way; their numbers stand."

        next <- first
        oldest <- first

    member this.Copy() =
        Scoreboard(
            packetSize,
            runs.Copy(),
            next,
            oldest,
            Outstanding = this.Outstanding,
            Flight = this.Flight,
            LostPackets = this.LostPackets,
            SackedPackets = this.SackedPackets,
            AgainInFlight = this.AgainInFlight,
            Peak = this.Peak,
            NextOrder = this.NextOrder,
            ArrivedOrder = this.ArrivedOrder,
            Duplicates = this.Duplicates,
            PathReorders = this.PathReorders,
            OverdueAt = this.OverdueAt,
            PeerSacks = this.PeerSacks,
            RecoveryEnd = this.RecoveryEnd,
            Probing = this.Probing,
            LossProbe = this.LossProbe,
            Retransmissions = this.Retransmissions
        )

    /// Bookkeeping for packets that are acknowledged for the first time.
    member private this.Arrive(part: Run, youngest: byref<Instant>) =
        match part.Mark with
        | Mark.InFlight ->
            this.Flight <- this.Flight - part.Data.Length

            if part.Transmissions > 1 then this.AgainInFlight <- this.AgainInFlight - part.Count
        | Mark.Lost -> this.LostPackets <- this.LostPackets - part.Count
        | Mark.Sacked -> ()

        if part.Transmissions = 1 then
            // Sent once, so it was late, not lost.
            if part.Mark = Mark.Lost || this.ArrivedOrder - part.Order >= int64 threshold then
                this.PathReorders <- true

            youngest <- max youngest part.SentAt
            this.ArrivedOrder <- max this.ArrivedOrder (part.Order + int64 (part.Count - 1))

        part.Data.Length

    member private this.Free(ackNr: SeqNr, youngest: byref<Instant>) =
        let mutable remaining = ackNr - oldest + 1
        let mutable bytes = 0
        let mutable ambiguous = false

        while remaining > 0 do
            let run = runs[0]
            let part = run.Slice(0, min remaining run.Count)
            ambiguous <- ambiguous || part.Transmissions > 1

            if part.Mark = Mark.Sacked then
                this.SackedPackets <- this.SackedPackets - part.Count
            else
                bytes <- bytes + this.Arrive(part, &youngest)

            this.Outstanding <- this.Outstanding - part.Data.Length
            remaining <- remaining - part.Count

            if part.Count = run.Count then
                runs.Pop() |> ignore
            else
                runs[0] <- run.Slice(part.Count, run.Count - part.Count)

        oldest <- ackNr + 1

        if oldest = next then this.Probing <- false

        // Behind a packet that was sent again the others have waited for it: their age is no round trip.
        if ambiguous then youngest <- unmeasured

        bytes

    /// Marks what the bits cover. Bit 0 is `ackNr + 2`.
    member private this.Select(ackNr: SeqNr, sack: Bytes, youngest: byref<Instant>) =
        let bits = 8 * sack.Length

        let isSet bit = bit >= 0 && bit < bits && sack.Array[sack.Offset + (bit >>> 3)] &&& (1uy <<< (bit &&& 7)) <> 0uy

        let fresh = Deque<Run>()
        let mutable bytes = 0

        for index in 0 .. runs.Count - 1 do
            let run = runs[index]
            let start = run.First - ackNr - 2

            if run.Mark = Mark.Sacked || start + run.Count <= 0 || start >= bits then
                fresh.Add run
            else
                let mutable from = 0

                while from < run.Count do
                    let covered = isSet (start + from)
                    let mutable until = from + 1

                    while until < run.Count && isSet (start + until) = covered do
                        until <- until + 1

                    let part = run.Slice(from, until - from)

                    if covered then
                        bytes <- bytes + this.Arrive(part, &youngest)
                        this.SackedPackets <- this.SackedPackets + part.Count
                        fresh.Add(part.Marked Mark.Sacked)
                    else
                        fresh.Add part

                    from <- until

        runs <- fresh
        bytes

    member private this.Lose(index: int) =
        let run = runs[index]
        this.Flight <- this.Flight - run.Data.Length
        this.LostPackets <- this.LostPackets + run.Count

        if run.Transmissions > 1 then this.AgainInFlight <- this.AgainInFlight - run.Count

        runs[index] <- run.Marked Mark.Lost

    /// Splits the oldest run so that its first packet stands alone.
    member private _.SplitHead() =
        let head = runs[0]

        if head.Count > 1 then
            runs[0] <- head.Slice(0, 1)
            runs.Insert(1, head.Slice(1, head.Count - 1))

    /// Whether a run is lost, given that something sent behind it has arrived: by number, as long as the path has kept the order
    /// (RFC 6675 for a first transmission, the order of sending for a later one), and in any case by age (RFC 8985).
    member private this.IsLost(run: Run, behind: int, now: Instant, rtt: Rtt) =
        let later = this.ArrivedOrder - (run.Order + int64 (run.Count - 1))
        let seen = if run.Transmissions = 1 then int64 behind else later

        if later <= 0L then
            false
        elif seen >= int64 threshold && not this.PathReorders then
            true
        else
            let overdueAt = run.SentAt + Rtt.overdueAfter rtt
            let isOverdue = Rtt.isKnown rtt && now >= overdueAt

            if not isOverdue && Rtt.isKnown rtt then this.OverdueAt <- min this.OverdueAt overdueAt

            isOverdue

    member private this.FindLost(now: Instant, rtt: Rtt) =
        let mutable found = false
        let mutable behind = 0

        for index = runs.Count - 1 downto 0 do
            let run = runs[index]

            match run.Mark with
            | Mark.Sacked -> behind <- behind + run.Count
            | Mark.InFlight when this.IsLost(run, behind, now, rtt) ->
                this.Lose index
                found <- true
            | Mark.InFlight
            | Mark.Lost -> ()

        found

    /// Without selective acknowledgements each repeated cumulative one tells of a packet behind the oldest: three of them
    /// (RFC 5681), a partial one in recovery (RFC 6582), or one and the oldest packet's age mean that it is lost.
    member private this.FindHeadLost(freed: int, now: Instant, rtt: Rtt) =
        let head = runs[0]
        let overdueAt = head.SentAt + Rtt.overdueAfter rtt
        let isOverdue = this.Duplicates > 0 && Rtt.isKnown rtt && now >= overdueAt
        let isRepeated = this.Duplicates >= threshold && not this.PathReorders
        let isPartial = freed > 0 && this.RecoveryEnd.IsSome

        if head.Mark <> Mark.InFlight then
            false
        elif isOverdue || (head.Transmissions = 1 && (isRepeated || isPartial)) then
            this.SplitHead()
            this.Lose 0
            true
        else
            if this.Duplicates > 0 && Rtt.isKnown rtt then
                this.OverdueAt <- min this.OverdueAt overdueAt

            false

    member private this.Find(freed: int, now: Instant, rtt: Rtt) =
        this.OverdueAt <- Time.never

        // What is sent against a closed window is dropped there and acknowledged with the old number: no loss.
        if this.Packets = 0 || this.Probing then
            false
        else
            let head = not this.PeerSacks && this.FindHeadLost(freed, now, rtt)

            if this.SackedPackets > 0 || this.AgainInFlight > 0 then
                this.FindLost(now, rtt) || head
            else
                head

    /// Several losses within one round trip are one congestion.
    member private this.Congest(lost: bool) =
        let congested = lost && this.RecoveryEnd.IsNone

        if congested then this.RecoveryEnd <- ValueSome next

        congested

    member this.FindOverdue(now: Instant, rtt: Rtt) = this.Congest(this.Find(0, now, rtt))

    member this.Acknowledge(now: Instant, rtt: Rtt, ackNr: SeqNr, sack: Bytes, isBare: bool) =
        let freed = ackNr - oldest + 1
        let mutable youngest = unmeasured
        let mutable bytes = 0

        if freed > 0 then
            bytes <- this.Free(ackNr, &youngest)

            match this.RecoveryEnd with
            | ValueSome until when oldest - until >= 0 -> this.RecoveryEnd <- ValueNone
            | _ -> ()

        if not sack.IsEmpty then
            this.PeerSacks <- true

            if this.Packets > 1 then bytes <- bytes + this.Select(ackNr, sack, &youngest)

        if freed > 0 then this.Duplicates <- 0
        elif isBare && this.Packets > 0 then this.Duplicates <- this.Duplicates + 1

        let mutable lost = this.Find(freed, now, rtt)

        // A loss probe that was answered no sooner than its own round trip allows has repaired a loss (RFC 8985, 7.4).
        match this.LossProbe with
        | ValueSome(struct (probed, at)) when oldest - probed > 0 ->
            this.LossProbe <- ValueNone
            lost <- lost || now - at >= rtt.Least / 2L
        | _ -> ()

        { Freed = freed
          Bytes = bytes
          RoundTrip = if youngest > unmeasured then ValueSome(now - youngest) else ValueNone
          Congested = this.Congest lost }

    /// Everything in flight counts as lost; the bytes that were.
    member this.LoseAll() =
        let flight = this.Flight

        for index in 0 .. runs.Count - 1 do
            if runs[index].Mark = Mark.InFlight then this.Lose index

        flight

    member private this.Sent(run: Run) =
        this.NextOrder <- this.NextOrder + int64 run.Count
        this.Flight <- this.Flight + run.Data.Length
        run

    member private this.Again(index: int, count: int, now: Instant) =
        let run = runs[index]
        let part = run.Slice(0, count).SentAgain(now, this.NextOrder)
        runs[index] <- part

        if count < run.Count then runs.Insert(index + 1, run.Slice(count, run.Count - count))

        this.AgainInFlight <- this.AgainInFlight + count
        this.Retransmissions <- this.Retransmissions + int64 count
        this.Sent part

    member this.Launch(data: Bytes, count: int, size: int, now: Instant) =
        let run = Run(next, count, size, data, now, this.NextOrder, 1, Mark.InFlight)
        runs.Add run
        next <- next + count
        this.Outstanding <- this.Outstanding + data.Length
        this.Peak <- max this.Peak this.Packets
        this.Sent run

    member this.SendAgain(now: Instant, window: int) : Run =
        if this.LostPackets = 0 then
            null
        else
            let mutable index = 0

            while runs[index].Mark <> Mark.Lost do
                index <- index + 1

            let run = runs[index]
            // What everything else waits for goes out whatever the window says (RFC 5681, 3.2: fast retransmit).
            let least = if this.Flight = 0 || index = 0 then 1 else 0

            let count =
                if run.IsFin then
                    1
                else
                    run.Count
                    |> min (max least ((window - this.Flight) / run.Size))
                    |> min (max 1 (Train.Limit / packetSize))

            if count <= 0 then
                null
            else
                this.LostPackets <- this.LostPackets - count
                this.Again(index, count, now)

    member this.ProbeLoss(now: Instant) : Run =
        if this.Packets = 0 || this.Probing || runs[0].Mark <> Mark.InFlight then
            null
        else
            this.SplitHead()
            let head = runs[0]
            this.Flight <- this.Flight - head.Data.Length

            if head.Transmissions > 1 then this.AgainInFlight <- this.AgainInFlight - 1

            this.LossProbe <- ValueSome(struct (head.First, now))
            this.Again(0, 1, now)

    member this.TimeOut() =
        this.RecoveryEnd <- ValueSome next
        this.LossProbe <- ValueNone
        this.Duplicates <- 0
        this.OverdueAt <- Time.never
        this.LoseAll()
