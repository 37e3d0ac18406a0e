namespace UtpPunch.Protocol

open System

module private Limits =
    /// Earlier than anything was sent.
    [<Literal>]
    let unmeasured: Instant = -0x7FFF_FFFF_FFFF_FFFFL<us>

open Limits

/// A packet that was sent again to provoke an acknowledgement: its number, when, and its place among all transmissions.
[<Sealed; AllowNullLiteral>]
type internal LossProbe(number: SeqNr, at: Instant, order: int64) =
    member _.Number = number
    member _.At = at
    member _.Order = order

/// What became of the packets that were sent: in flight, selectively acknowledged, or held for lost, and what the difference is
/// known by. Works in place; a step has a copy of its own.
[<Sealed>]
type internal Scoreboard private (payload: int, runs: Deque<Run>, evidence: LossDetection, next: SeqNr, oldest: SeqNr) =
    let mutable runs = runs
    /// What a full packet carries.
    let mutable payload = payload
    let mutable next = next
    let mutable oldest = oldest
    /// Packets that the acknowledgement at hand acknowledges for the first time.
    let mutable arrived = 0

    new(payload, next) = Scoreboard(payload, Deque<Run>.Empty, LossDetection(), next, next)

    member val Outstanding = 0 with get, set
    member val Flight = 0 with get, set
    member val LostPackets = 0 with get, set
    member val SackedPackets = 0 with get, set
    /// Packets sent more than once that are in flight.
    member val RetransmittedInFlight = 0 with get, set
    member val Peak = 0 with get, set
    member val NextOrder = 0L with get, set
    /// Until `oldest` gets here, further losses belong to the same congestion.
    member val RecoveryEnd: SeqNr voption = ValueNone with get, set
    /// The last packet that was out when the last recovery began: until a later one is acknowledged, repeated acknowledgements may
    /// be answers to what that recovery sent twice (RFC 6582, 3.2, 4.1).
    member val Recover: SeqNr voption = ValueNone with get, set
    /// How many packets may be out again: few after a time-out, and with each that arrives one more, as in slow start.
    member val RetransmitLimit = 0 with get, set
    /// Whether a packet was sent against a closed window.
    member val Probing = false with get, set
    /// The last one that is not answered; null for none.
    member val LossProbe: LossProbe = null with get, set
    member val Retransmissions = 0L with get, set
    /// When something last went out again: what was sent before and is acknowledged after may have waited for the answer to that, and
    /// tells of the round trip only if it is an ordinary one.
    member val LastRetransmitted = unmeasured with get, set

    member _.PeerSacks = evidence.PeerSacks
    member _.OverdueAt = evidence.OverdueAt
    member _.Next = next
    member _.Oldest = oldest
    member _.Packets = next - oldest

    member _.Payload
        with get () = payload
        and set value = payload <- value

    /// The payload bytes of the oldest packet; 0 without any.
    member _.OldestSize = if runs.Count > 0 then min runs[0].Size runs[0].Data.Length else 0

    /// The most payload bytes of a packet that is neither acknowledged nor known to have arrived; 0 without any.
    member _.Longest =
        let mutable longest = 0

        for index in 0 .. runs.Count - 1 do
            if runs[index].Mark <> Mark.Sacked then longest <- max longest runs[index].Size

        longest

    member _.Renumber(first: SeqNr) =
        if next <> oldest then invalidOp "Packets are under way; their numbers stand."

        next <- first
        oldest <- first

    member this.Copy() =
        Scoreboard(
            payload,
            runs.Copy(),
            evidence.Copy(),
            next,
            oldest,
            Outstanding = this.Outstanding,
            Flight = this.Flight,
            LostPackets = this.LostPackets,
            SackedPackets = this.SackedPackets,
            RetransmittedInFlight = this.RetransmittedInFlight,
            Peak = this.Peak,
            NextOrder = this.NextOrder,
            RecoveryEnd = this.RecoveryEnd,
            Recover = this.Recover,
            RetransmitLimit = this.RetransmitLimit,
            Probing = this.Probing,
            LossProbe = this.LossProbe,
            Retransmissions = this.Retransmissions,
            LastRetransmitted = this.LastRetransmitted
        )

    /// Bookkeeping for packets that are acknowledged for the first time.
    member private this.Arrive(part: Run, now: Instant, rtt: Rtt, youngest: byref<Instant>) =
        arrived <- arrived + part.Count

        match part.Mark with
        | Mark.InFlight ->
            this.Flight <- this.Flight - part.Data.Length

            if part.Transmissions > 1 then
                this.RetransmittedInFlight <- this.RetransmittedInFlight - part.Count
        | Mark.Lost -> this.LostPackets <- this.LostPackets - part.Count
        | Mark.Sacked -> ()

        if part.Transmissions = 1 then
            evidence.Arrive part
            youngest <- max youngest part.SentAt
        else
            evidence.RetransmissionArrived(part, now, rtt)

        part.Data.Length

    member private this.Free
        (ackNr: SeqNr, now: Instant, rtt: Rtt, youngest: byref<Instant>, resent: byref<Instant>, fresh: byref<bool>)
        =
        let mutable remaining = ackNr - oldest + 1
        let mutable bytes = 0
        let mutable again = unmeasured

        while remaining > 0 do
            let run = runs[0]
            let part = run.Slice(0, min remaining run.Count)

            if part.Transmissions > 1 then
                again <- max again part.SentAt
                this.RetransmitLimit <- min 1_024 (this.RetransmitLimit + part.Count)

            if part.Mark = Mark.Sacked then
                this.SackedPackets <- this.SackedPackets - part.Count
            else
                bytes <- bytes + this.Arrive(part, now, rtt, &youngest)

            this.Outstanding <- this.Outstanding - part.Data.Length
            remaining <- remaining - part.Count

            if part.Count = run.Count then
                runs.Pop() |> ignore
            else
                runs[0] <- run.Slice(part.Count, run.Count - part.Count)

        oldest <- ackNr + 1

        if oldest = next then this.Probing <- false

        fresh <- youngest > unmeasured

        // Behind a packet that was sent again the others have waited for it: their age is no round trip.
        if again > unmeasured then
            youngest <- unmeasured
            resent <- again

        bytes

    /// Marks what the bits cover.
    member private this.Select(ackNr: SeqNr, sack: Borrowed, now: Instant, rtt: Rtt, youngest: byref<Instant>) =
        let bits = Sack.bits sack
        let mutable bytes = 0
        let mutable index = 0

        while index < runs.Count && runs[index].First - ackNr - 2 < bits do
            let run = runs[index]
            let start = run.First - ackNr - 2

            if run.Mark = Mark.Sacked || start + run.Count <= 0 then
                index <- index + 1
            else
                let covered = Sack.names start sack
                let mutable count = 1

                while count < run.Count && Sack.names (start + count) sack = covered do
                    count <- count + 1

                Runs.split index count &runs

                if covered then
                    let part = runs[index]
                    bytes <- bytes + this.Arrive(part, now, rtt, &youngest)
                    this.SackedPackets <- this.SackedPackets + part.Count
                    index <- Runs.sack index &runs
                else
                    index <- index + 1

        bytes

    member private this.Lose(index: int) =
        let run = runs[index]
        this.Flight <- this.Flight - run.Data.Length
        this.LostPackets <- this.LostPackets + run.Count

        if run.Transmissions > 1 then
            this.RetransmittedInFlight <- this.RetransmittedInFlight - run.Count

        runs[index] <- run.Marked Mark.Lost

    member private this.FindLost(now: Instant, rtt: Rtt) =
        let mutable behind = 0

        for index = runs.Count - 1 downto 0 do
            let run = runs[index]

            match run.Mark with
            | Mark.Sacked -> behind <- behind + run.Count
            | Mark.InFlight when evidence.IsLost(run, behind, now, rtt) -> this.Lose index
            | Mark.InFlight
            | Mark.Lost -> ()

    member private this.FindHeadLost(freed: int, now: Instant, rtt: Rtt) =
        let head = runs[0]
        let isPartial = freed > 0 && this.RecoveryEnd.IsSome

        if head.Mark = Mark.InFlight && evidence.IsHeadLost(head, this.Recover.IsNone, isPartial, now, rtt) then
            Runs.split 0 1 &runs
            this.Lose 0

    member private this.Find(freed: int, now: Instant, rtt: Rtt) =
        evidence.OverdueAt <- Time.never

        // What is sent against a closed window is dropped there and acknowledged with the old number: no loss.
        if this.Packets > 0 && not this.Probing then
            if not evidence.PeerSacks then this.FindHeadLost(freed, now, rtt)

            if this.SackedPackets > 0 || this.RetransmittedInFlight > 0 || evidence.OvertakenTo.IsSome then
                this.FindLost(now, rtt)

    /// A probe was answered: what went out before it, and is older than a round trip, is lost, unless the peer said that it holds it.
    member private this.LoseBefore(order: int64, now: Instant, rtt: Rtt) =
        for index in 0 .. runs.Count - 1 do
            let run = runs[index]

            if run.Mark = Mark.InFlight && run.Order < order && evidence.IsOverdue(run, now, rtt) then
                this.Lose index

    /// Holds for lost what an answer to the probe proves lost. Gives what it has repaired, and nothing else has shown: no packet, or one.
    member private this.FindProbed(freed: int, ackNr: SeqNr, sack: Borrowed, isBare: bool, now: Instant, rtt: Rtt) =
        match this.LossProbe with
        | null -> 0
        | probe ->
            let probed = probe.Number
            let bit = probed - ackNr - 2
            // What is answered sooner than a round trip allows is the first sending.
            let repaired = now - probe.At >= rtt.Least / 2L

            if oldest - probed > 0 then
                this.LossProbe <- null

                // A peer that goes on from the probe to what follows, and no further, does not hold that.
                if repaired && this.Packets > 0 && oldest = probed + 1 && sack.IsEmpty then
                    this.LoseBefore(probe.Order, now, rtt)

                // The probe has repaired a loss (RFC 8985, 7.4).
                if repaired then 1 else 0
            elif bit >= 0 && bit < Sack.bits sack then
                if Sack.names bit sack then
                    this.LossProbe <- null

                    if repaired then this.LoseBefore(probe.Order, now, rtt)

                0
            elif bit >= 0 && isBare && freed = 0 && repaired && evidence.IsFirstUnnamed(ackNr, sack) then
                // It lies behind all that libutp can name, and nothing else does.
                this.LossProbe <- null
                this.LoseBefore(probe.Order, now, rtt)
                0
            else
                0

    /// Whether packets were found lost, and were not in the round trip before: several losses within one are one congestion.
    member private this.Congest(lost: int) =
        if lost > 0 then this.LossProbe <- null

        let congested = lost > 0 && this.RecoveryEnd.IsNone

        if congested then
            this.RecoveryEnd <- ValueSome next
            this.Recover <- ValueSome(next + -1)

        congested

    /// What was lost last was no congestion: the next loss may be one, also within this round trip.
    member this.Tolerate() = this.RecoveryEnd <- ValueNone

    /// Holds for lost what is overdue, and gives how many packets that are, and whether no answer to earlier ones is under way.
    member this.FindOverdue(now: Instant, rtt: Rtt) =
        let before = this.LostPackets
        this.Find(0, now, rtt)
        let lost = this.LostPackets - before
        struct (lost, this.Congest lost)

    member this.Acknowledge(now: Instant, rtt: Rtt, ackNr: SeqNr, sack: Borrowed, isBare: bool) =
        let freed = ackNr - oldest + 1
        let mutable youngest = unmeasured
        let mutable resent = unmeasured
        let mutable fresh = false
        let mutable bytes = 0
        arrived <- 0
        evidence.Reach(ackNr, sack, next)

        if freed > 0 then
            bytes <- this.Free(ackNr, now, rtt, &youngest, &resent, &fresh)

            match this.RecoveryEnd with
            | ValueSome until when oldest - until >= 0 -> this.RecoveryEnd <- ValueNone
            | _ -> ()

            evidence.Advance oldest

            match this.Recover with
            | ValueSome last when oldest + -1 - last > 0 -> this.Recover <- ValueNone
            | _ -> ()

        if not sack.IsEmpty && this.Packets > 1 then
            bytes <- bytes + this.Select(ackNr, sack, now, rtt, &youngest)
            fresh <- fresh || youngest > unmeasured

            match evidence.SeeZeroes(ackNr, sack, next, isBare && freed = 0 && bytes = 0) with
            | ValueSome last -> Runs.splitBehind last &runs
            | ValueNone -> ()

        if freed > 0 then evidence.Duplicates <- 0
        elif isBare && this.Packets > 0 then evidence.Duplicates <- evidence.Duplicates + 1

        let before = this.LostPackets
        this.Find(freed, now, rtt)
        let repaired = this.FindProbed(freed, ackNr, sack, isBare, now, rtt)
        let lost = this.LostPackets - before + repaired

        { Freed = freed
          Bytes = bytes
          Packets = arrived
          Fresh = fresh
          Again = if resent > unmeasured then now - resent else Time.never
          RoundTrip =
            if youngest = unmeasured then
                ValueNone
            elif youngest >= this.LastRetransmitted || (Rtt.isKnown rtt && now - youngest <= Rtt.overdueAfter rtt) then
                ValueSome(now - youngest)
            else
                ValueNone
          Lost = lost
          Congested = this.Congest lost }

    /// Everything in flight counts as lost.
    member this.LoseAll() =
        evidence.Reset this.NextOrder

        for index in 0 .. runs.Count - 1 do
            if runs[index].Mark = Mark.InFlight then this.Lose index

    member private this.Sent(run: Run) =
        this.NextOrder <- this.NextOrder + int64 run.Count
        this.Flight <- this.Flight + run.Data.Length
        run

    member private this.Again(index: int, count: int, now: Instant) =
        let run = runs[index]
        let part = run.Slice(0, count).Retransmitted(now, this.NextOrder)
        runs[index] <- part

        if count < run.Count then runs.Insert(index + 1, run.Slice(count, run.Count - count))

        this.RetransmittedInFlight <- this.RetransmittedInFlight + count
        this.Retransmissions <- this.Retransmissions + int64 count
        this.LastRetransmitted <- now
        this.Sent part

    member this.Launch(data: Owned, count: int, size: int, now: Instant) =
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
            // RFC 5681, 3.2, step 4: a packet that has arrived makes room, whether the peer can name it or not.
            let flight = this.Flight - min this.Flight (evidence.Unnamed * run.Size)
            // What everything else waits for goes out whatever the window says (RFC 5681, 3.2: fast retransmit).
            let least = if this.Flight = 0 || index = 0 then 1 else 0

            // What goes again is counted as packets too: a window of one packet is no licence for five hundred of one byte.
            let places =
                max least (max this.RetransmitLimit (4 * max 1 (window / payload)) - this.RetransmittedInFlight)

            let count =
                if run.IsFin then
                    1
                else
                    run.Count
                    |> min (max least ((window - flight) / run.Size))
                    |> min (max 1 (Train.Limit / (run.Size + Packet.HeaderLength)))
                    |> min places

            if count <= 0 then
                null
            else
                this.LostPackets <- this.LostPackets - count
                this.Again(index, count, now)

    member this.ProbeLoss(now: Instant, highest: bool) : Run =
        let index =
            if this.Packets = 0 || this.Probing then -1
            elif highest then Runs.splitHighest &runs
            else Runs.splitOldest &runs

        if index < 0 then
            null
        else
            let run = runs[index]
            this.Flight <- this.Flight - run.Data.Length

            if run.Transmissions > 1 then this.RetransmittedInFlight <- this.RetransmittedInFlight - 1

            this.LossProbe <- LossProbe(run.First, now, this.NextOrder)
            this.Again(index, 1, now)

    /// Everything in flight counts as lost. Gives the bytes that were not acknowledged.
    member this.TimeOut() =
        this.RecoveryEnd <- ValueSome next
        this.Recover <- ValueSome(next + -1)
        this.RetransmitLimit <- 0
        this.LossProbe <- null
        evidence.Duplicates <- 0
        evidence.OverdueAt <- Time.never
        this.LoseAll()
        this.Outstanding
