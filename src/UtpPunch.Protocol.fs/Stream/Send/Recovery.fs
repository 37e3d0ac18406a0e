namespace UtpPunch.Protocol

/// What one acknowledgement shows about packets that it acknowledges for the first time.
[<Struct; NoComparison; NoEquality>]
type internal Arrived =
    {
        Bytes: int
        Packets: int
        /// Whether some of them were sent only once.
        Fresh: bool
        /// When the youngest of those was sent, `Scoreboard.unmeasured` if that is no round trip.
        SentAt: Instant
        /// When the youngest retransmitted packet that was freed was last sent; `Scoreboard.unmeasured` without one.
        RetransmittedAt: Instant
    }

    static member None =
        { Bytes = 0
          Packets = 0
          Fresh = false
          SentAt = Scoreboard.unmeasured
          RetransmittedAt = Scoreboard.unmeasured }

/// Applies acknowledgements to the scoreboard: what has arrived, and what is lost by their contents or by its age.
module internal Recovery =
    open Scoreboard

    // ---- Packets that have arrived ----

    /// Accounts for packets that are acknowledged for the first time.
    let private arrive (sentBy: Instant) (part: Run) (arrivals: Arrived) (board: Scoreboard) =
        match part.Mark with
        | Mark.InFlight ->
            board.Flight <- board.Flight - part.Data.Length

            if part.Transmissions > 1 then
                board.RetransmittedInFlight <- board.RetransmittedInFlight - part.Count
        | Mark.Lost ->
            board.LostPackets <- board.LostPackets - part.Count

            if part.Transmissions = 1 then
                board.Rate.Spurious <- board.Rate.Spurious + int64 part.Count
        | Mark.Sacked -> ()

        let isFresh = part.Transmissions = 1

        // An earlier transmission is answered: the last one was not needed.
        if not isFresh && part.Mark = Mark.InFlight && part.SentAt > sentBy then
            board.Rate.Spurious <- board.Rate.Spurious + int64 part.Count

        // What answers another transmission than the last one says nothing about the rate, but it is delivered.
        let isLast = part.Mark = Mark.InFlight && (isFresh || part.SentAt <= sentBy)
        let departure = if isLast then part.Departure else null

        if not (isNull departure) && not departure.IsAlone then
            TrainLoss.arrive (part.Order + int64 (part.Count - 1)) board.Trains

        DeliveryRate.arrive departure part.SentAt (part.Order + int64 (part.Count - 1)) part.Data.Length board.Rate

        if isFresh then
            board.Detection.Arrive part
        else
            board.Detection.RetransmissionArrived(part, sentBy)

        { arrivals with
            Bytes = arrivals.Bytes + part.Data.Length
            Packets = arrivals.Packets + part.Count
            Fresh = arrivals.Fresh || isFresh
            SentAt = if isFresh then max arrivals.SentAt part.SentAt else arrivals.SentAt }

    /// Takes the cumulative acknowledgement.
    let private free (sentBy: Instant) (ackNr: SeqNr) (board: Scoreboard) =
        let mutable remaining = ackNr - board.Oldest + 1
        let mutable arrivals = Arrived.None
        let mutable retransmittedAt = Scoreboard.unmeasured

        while remaining > 0 do
            let run = board.Runs[0]
            let part = run.Slice(0, min remaining run.Count)

            if part.Transmissions > 1 then
                retransmittedAt <- max retransmittedAt part.SentAt
                board.RetransmitLimit <- min 1_024 (board.RetransmitLimit + part.Count)

            if part.Mark = Mark.Sacked then
                board.SackedPackets <- board.SackedPackets - part.Count
            else
                arrivals <- arrive sentBy part arrivals board

            board.Outstanding <- board.Outstanding - part.Data.Length
            remaining <- remaining - part.Count

            if part.Count = run.Count then
                board.Runs.Pop() |> ignore
            else
                board.Runs[0] <- run.Slice(part.Count, run.Count - part.Count)

        board.Oldest <- ackNr + 1

        if board.Oldest = board.Next then board.ProbesWindow <- false

        // Packets behind a retransmitted one have waited for it: their age is no round trip.
        if retransmittedAt > Scoreboard.unmeasured then
            { arrivals with SentAt = Scoreboard.unmeasured; RetransmittedAt = retransmittedAt }
        else
            arrivals

    /// Accounts for packets that are acknowledged ahead of a missing one.
    let private arriveAhead (sentBy: Instant) (part: Run) (arrivals: Arrived) (board: Scoreboard) =
        board.SackedPackets <- board.SackedPackets + part.Count
        arrive sentBy part arrivals board

    /// Takes the selective acknowledgement.
    let private select (sentBy: Instant) (ackNr: SeqNr) (sack: Borrowed) (arrivals: Arrived) (board: Scoreboard) =
        let bits = Sack.bits sack
        let mutable arrivals = arrivals
        let mutable index = 0

        while index < board.Runs.Count && board.Runs[index].First - ackNr - 2 < bits do
            let run = board.Runs[index]
            let start = run.First - ackNr - 2

            if run.Mark = Mark.Sacked || start + run.Count <= 0 then
                index <- index + 1
            else
                let covered = Sack.names start sack
                let mutable count = 1

                while count < run.Count && Sack.names (start + count) sack = covered do
                    count <- count + 1

                Runs.split index count &board.Runs

                if covered then
                    arrivals <- arriveAhead sentBy board.Runs[index] arrivals board
                    index <- Runs.sack index &board.Runs
                else
                    index <- index + 1

        arrivals

    /// Takes a selective acknowledgement of ranges.
    let private selectRanges
        (sentBy: Instant)
        (ackNr: SeqNr)
        (ranges: Borrowed)
        (arrivals: Arrived)
        (board: Scoreboard)
        =
        let mutable arrivals = arrivals

        for range in 0 .. SackRanges.count ranges - 1 do
            let first = SackRanges.first range ranges
            // A peer may name what was never sent.
            let until = min (first + SackRanges.length range ranges) (board.Next - ackNr)

            if first < until then
                let mutable index = Runs.find (ackNr + first) &board.Runs
                let before = ackNr + first - board.Runs[index].First

                if before > 0 && board.Runs[index].Mark <> Mark.Sacked then
                    Runs.split index before &board.Runs
                    index <- index + 1

                while index < board.Runs.Count && board.Runs[index].First - ackNr < until do
                    let run = board.Runs[index]

                    if run.Mark = Mark.Sacked then
                        index <- index + 1
                    else
                        Runs.split index (until - (run.First - ackNr)) &board.Runs
                        arrivals <- arriveAhead sentBy board.Runs[index] arrivals board
                        index <- Runs.sack index &board.Runs

        arrivals

    // ---- Losses ----

    let private findLost (now: Instant) rtt (board: Scoreboard) =
        let mutable behind = 0

        for index = board.Runs.Count - 1 downto 0 do
            let run = board.Runs[index]

            match run.Mark with
            | Mark.Sacked -> behind <- behind + run.Count
            | Mark.InFlight when board.Detection.IsLost(run, behind, now, rtt) -> lose index board
            | Mark.InFlight
            | Mark.Lost -> ()

    let private findHeadLost (now: Instant) rtt freed (board: Scoreboard) =
        let head = board.Runs[0]
        let isPartial = freed > 0 && board.RecoveryEnd.IsSome

        if
            head.Mark = Mark.InFlight
            && board.Detection.IsHeadLost(head, board.Recover.IsNone, isPartial, now, rtt)
        then
            Runs.split 0 1 &board.Runs
            lose 0 board

    let private find (now: Instant) rtt freed (board: Scoreboard) =
        board.Detection.OverdueAt <- Time.never

        // What is sent against a closed window is dropped there and acknowledged with the old number: no loss.
        if packets board > 0 && not board.ProbesWindow then
            if not board.Detection.PeerSacks then findHeadLost now rtt freed board

            if board.SackedPackets > 0 || board.RetransmittedInFlight > 0 || board.Detection.OvertakenTo.IsSome then
                findLost now rtt board

    /// A loss probe was answered: what was sent before it and is older than a round trip is lost, unless the peer has named it.
    let private loseBefore (now: Instant) rtt order (board: Scoreboard) =
        for index in 0 .. board.Runs.Count - 1 do
            let run = board.Runs[index]

            if run.Mark = Mark.InFlight && run.Order < order && board.Detection.IsOverdue(run, now, rtt) then
                lose index board

    /// Marks as lost what an answer to the loss probe proves lost. Gives how many losses the probe has repaired that nothing else has
    /// shown: none, or one.
    let private findProbed
        (now: Instant)
        (rtt: Rtt)
        freed
        (ackNr: SeqNr)
        (sack: Borrowed)
        isRanges
        isBare
        (board: Scoreboard)
        =
        match board.LossProbe with
        | null -> 0
        | probe ->
            let probed = probe.Number
            let bit = probed - ackNr - 2
            // An answer within less than a round trip answers the first transmission.
            let repaired = now - probe.At >= rtt.Least / 2L

            if board.Oldest - probed > 0 then
                board.LossProbe <- null

                // A peer that acknowledges the probe and nothing behind it does not hold what follows.
                if repaired && packets board > 0 && board.Oldest = probed + 1 && sack.IsEmpty then
                    loseBefore now rtt probe.Order board

                // The probe has repaired a loss (RFC 8985, 7.4).
                if repaired then 1 else 0
            elif bit >= 0 && (isRanges || bit < Sack.bits sack) then
                if (if isRanges then SackRanges.names (bit + 2) sack else Sack.names bit sack) then
                    board.LossProbe <- null

                    if repaired then loseBefore now rtt probe.Order board

                0
            elif bit >= 0 && isBare && freed = 0 && repaired && board.Detection.IsFirstUnnamed(ackNr, sack) then
                // It lies behind all that libutp can name, and nothing else does.
                board.LossProbe <- null
                loseBefore now rtt probe.Order board
                0
            else
                0

    /// Whether this is the first loss within a round trip: several losses within one are one congestion.
    let private congest lost (board: Scoreboard) =
        if lost > 0 then board.LossProbe <- null

        let congested = lost > 0 && board.RecoveryEnd.IsNone

        if congested then
            board.RecoveryEnd <- ValueSome board.Next
            board.Recover <- ValueSome(board.Next + -1)

        congested

    /// Marks as lost what is overdue. How many packets that are, and whether this is the first loss since the last congestion response.
    let findOverdue now rtt (board: Scoreboard) =
        let before = board.LostPackets
        find now rtt 0 board
        let lost = board.LostPackets - before
        struct (lost, congest lost board)

    // ---- Acknowledgements ----

    /// The cumulative acknowledgement has advanced: what a recovery waited for may be reached.
    let private advance (board: Scoreboard) =
        match board.RecoveryEnd with
        | ValueSome until when board.Oldest - until >= 0 -> board.RecoveryEnd <- ValueNone
        | _ -> ()

        board.Detection.Advance board.Oldest

        match board.Recover with
        | ValueSome last when board.Oldest + -1 - last > 0 -> board.Recover <- ValueNone
        | _ -> ()

    let private roundTrip (now: Instant) rtt (arrivals: Arrived) (board: Scoreboard) =
        let sentAt = arrivals.SentAt

        if sentAt = Scoreboard.unmeasured then
            ValueNone
        elif sentAt >= board.LastRetransmitted || (Rtt.isKnown rtt && now - sentAt <= Rtt.overdueAfter rtt) then
            ValueSome(now - sentAt)
        else
            ValueNone

    /// Takes an acknowledgement that is neither older than `oldest - 1` nor covers what was never sent. `isRanges` if its selective
    /// acknowledgement is `SackRanges`, `isBare` for a packet without payload, which may count as a duplicate acknowledgement.
    let acknowledge
        (now: Instant)
        (sentBy: Instant)
        (rtt: Rtt)
        (ackNr: SeqNr)
        (sack: Borrowed)
        isRanges
        isBare
        (board: Scoreboard)
        : Acknowledged =
        let freed = ackNr - board.Oldest + 1
        let mutable arrivals = Arrived.None
        board.Detection.Reach(ackNr, sack, isRanges, board.Next)

        if freed > 0 then
            arrivals <- free sentBy ackNr board
            advance board

        if isRanges && packets board > 1 then
            arrivals <- selectRanges sentBy ackNr sack arrivals board
        elif not sack.IsEmpty && packets board > 1 then
            arrivals <- select sentBy ackNr sack arrivals board
            let isRepeated = isBare && freed = 0 && arrivals.Bytes = 0

            match board.Detection.ReadZeroes(ackNr, sack, board.Next, isRepeated) with
            | ValueSome last -> Runs.splitBehind last &board.Runs
            | ValueNone -> ()

        if freed > 0 then
            board.Detection.Duplicates <- 0
        elif isBare && packets board > 0 then
            board.Detection.Duplicates <- board.Detection.Duplicates + 1

        let before = board.LostPackets
        find now rtt freed board
        let repaired = findProbed now rtt freed ackNr sack isRanges isBare board
        let lost = board.LostPackets - before + repaired

        if arrivals.Packets > 0 then
            TrainLoss.compare (DeliveryRate.newestAlone board.Rate) board.Trains

        { Freed = freed
          Bytes = arrivals.Bytes
          Packets = arrivals.Packets
          Fresh = arrivals.Fresh
          RetransmitAge =
            if arrivals.RetransmittedAt > Scoreboard.unmeasured then
                now - arrivals.RetransmittedAt
            else
                Time.never
          RoundTrip = roundTrip now rtt arrivals board
          Lost = lost
          Congested = congest lost board }
