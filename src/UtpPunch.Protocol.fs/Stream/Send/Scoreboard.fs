namespace UtpPunch.Protocol

open System

/// A packet that was retransmitted to provoke an acknowledgement: its number, when, and its place among all transmissions.
[<Sealed; AllowNullLiteral>]
type internal LossProbe(number: SeqNr, at: Instant, order: int64) =
    member _.Number = number
    member _.At = at
    member _.Order = order

/// The packets that were sent and are not acknowledged: in flight, selectively acknowledged, or lost (RFC 6675's scoreboard). Changed in
/// place; a step works on a `copy`.
[<NoComparison; NoEquality>]
type internal Scoreboard =
    internal
        {
            mutable Payload: int
            mutable Runs: Deque<Run>
            mutable Detection: LossDetection
            mutable Next: SeqNr
            mutable Oldest: SeqNr
            /// No packet before this one waits to be retransmitted.
            mutable LostFrom: SeqNr
            mutable Outstanding: int
            mutable Flight: int
            mutable LostPackets: int
            mutable SackedPackets: int
            /// Packets sent more than once that are in flight.
            mutable RetransmittedInFlight: int
            mutable Peak: int
            /// The place of the next packet among all transmissions.
            mutable NextOrder: int64
            /// Until `Oldest` gets here, further losses belong to the same congestion (RFC 6675: RecoveryPoint).
            mutable RecoveryEnd: SeqNr voption
            /// The last packet that was out when the last recovery began: until a later one is acknowledged, duplicate acknowledgements may
            /// answer retransmissions of that recovery (RFC 6582, 3.2 and 4.1: recover).
            mutable Recover: SeqNr voption
            /// How many retransmissions may be in flight: few after a time-out, and one more with each that arrives, as in slow start.
            mutable RetransmitLimit: int
            /// Whether a packet was sent against a closed window.
            mutable ProbesWindow: bool
            /// The last one that is not answered; null for none.
            mutable LossProbe: LossProbe
            mutable Retransmissions: int64
            /// When a packet was last retransmitted. A packet that was sent before and is acknowledged after may have waited for that, and
            /// gives a round trip only if it is an ordinary one.
            mutable LastRetransmitted: Instant
            mutable Trains: TrainLoss
            mutable Rate: DeliveryRate
        }

module internal Scoreboard =
    /// Earlier than anything was sent.
    let internal unmeasured: Instant = -0x7FFF_FFFF_FFFF_FFFFL<us>

    /// `payload` is what a full packet carries, `next` the number of the first packet.
    let create payload next =
        { Payload = payload
          Runs = Deque<Run>.Empty
          Detection = LossDetection.Initial
          Next = next
          Oldest = next
          LostFrom = next
          Outstanding = 0
          Flight = 0
          LostPackets = 0
          SackedPackets = 0
          RetransmittedInFlight = 0
          Peak = 0
          NextOrder = 0L
          RecoveryEnd = ValueNone
          Recover = ValueNone
          RetransmitLimit = 0
          ProbesWindow = false
          LossProbe = null
          Retransmissions = 0L
          LastRetransmitted = unmeasured
          Trains = TrainLoss.Initial
          Rate = DeliveryRate.Initial }

    let copy (board: Scoreboard) =
        { board with
            Runs = board.Runs.Copy()
            Trains = TrainLoss.copy board.Trains
            Rate = DeliveryRate.copy board.Rate }

    /// What a full packet carries. A change applies to new packets only.
    let payload (board: Scoreboard) = board.Payload
    let setPayload payload (board: Scoreboard) = board.Payload <- payload
    /// The next new sequence number (RFC 9293: SND.NXT).
    let next (board: Scoreboard) = board.Next
    /// The oldest number that is not acknowledged (RFC 9293: SND.UNA); `next` when everything is.
    let oldest (board: Scoreboard) = board.Oldest
    /// Packets sent and not cumulatively acknowledged.
    let packets (board: Scoreboard) = board.Next - board.Oldest
    /// The most packets that were ever outstanding at once: how far an acknowledgement in order may lag.
    let peakPackets (board: Scoreboard) = board.Peak
    /// Bytes sent and not cumulatively acknowledged.
    let outstanding (board: Scoreboard) = board.Outstanding
    /// Bytes in flight: sent, not acknowledged, not lost (RFC 6675: pipe).
    let flight (board: Scoreboard) = board.Flight
    /// Whether packets are lost and not retransmitted yet.
    let hasLost (board: Scoreboard) = board.LostPackets > 0
    let retransmissions (board: Scoreboard) = board.Retransmissions
    /// Whether the peer sends selective acknowledgements.
    let peerSacks (board: Scoreboard) = board.Detection.PeerSacks
    /// When a packet will be lost by its age, as far as others behind it have arrived; `Time.never` for none.
    let overdueAt (board: Scoreboard) = board.Detection.OverdueAt

    /// The payload bytes of the oldest packet; 0 without any, and for a FIN.
    let oldestSize (board: Scoreboard) =
        if board.Runs.Count > 0 then min board.Runs[0].Size board.Runs[0].Data.Length else 0

    /// The most payload bytes of a packet that is not known to have arrived; 0 without any.
    let longest (board: Scoreboard) =
        let mutable longest = 0

        for index in 0 .. board.Runs.Count - 1 do
            if board.Runs[index].Mark <> Mark.Sacked then
                longest <- max longest board.Runs[index].Size

        longest

    /// The first packet gets another number. Nothing may have been sent yet.
    let renumber first (board: Scoreboard) =
        if board.Next <> board.Oldest then
            invalidOp "Packets are outstanding, so their numbers cannot change."

        board.Next <- first
        board.Oldest <- first

    // ---- Losses ----

    let internal lose index (board: Scoreboard) =
        let run = board.Runs[index]
        board.Flight <- board.Flight - run.Data.Length

        if board.LostPackets = 0 || run.First - board.LostFrom < 0 then
            board.LostFrom <- run.First

        board.LostPackets <- board.LostPackets + run.Count
        DeliveryRate.lose run.Data.Length board.Rate

        if run.Departure.IsAlone then
            TrainLoss.loseAlone board.Trains
        else
            board.Trains <- TrainLoss.own board.Trains
            TrainLoss.lose (run.Order + int64 (run.Count - 1)) run.Count board.Trains

        if run.Transmissions > 1 then
            board.RetransmittedInFlight <- board.RetransmittedInFlight - run.Count

        board.Runs[index] <- run.Marked Mark.Lost

    let internal loseAll (board: Scoreboard) =
        board.Detection.Reset board.NextOrder

        for index in 0 .. board.Runs.Count - 1 do
            if board.Runs[index].Mark = Mark.InFlight then lose index board

    /// The losses found last are not congestion. A later loss may be, also within the same round trip.
    let tolerate (board: Scoreboard) = board.RecoveryEnd <- ValueNone

    /// The retransmission timer fired: everything in flight is lost. Gives the bytes that are not acknowledged.
    let timeOut (board: Scoreboard) =
        board.RecoveryEnd <- ValueSome board.Next
        board.Recover <- ValueSome(board.Next + -1)
        board.RetransmitLimit <- 0
        board.LossProbe <- null
        board.Detection.Duplicates <- 0
        board.Detection.OverdueAt <- Time.never
        loseAll board
        TrainLoss.timeOut board.Trains
        DeliveryRate.report board.Rate
        board.Outstanding

    // ---- Sending ----

    let private sent (run: Run) (board: Scoreboard) =
        board.NextOrder <- board.NextOrder + int64 run.Count
        board.Flight <- board.Flight + run.Data.Length
        run

    let private departure now length count (board: Scoreboard) =
        board.Rate <- DeliveryRate.own board.Rate
        DeliveryRate.depart now board.Flight length count board.Rate

    /// Records new packets as sent: `data` in `count` packets of `size` bytes, a FIN with a size of 0.
    let launch now (data: Owned) count size (board: Scoreboard) =
        let departure = departure now data.Length count board
        let run = Run(board.Next, count, size, data, now, board.NextOrder, 1, Mark.InFlight, departure)
        board.Runs.Add run
        board.Next <- board.Next + count
        board.Outstanding <- board.Outstanding + data.Length
        board.Peak <- max board.Peak (packets board)
        sent run board

    /// Retransmits the first `count` packets of a run.
    let private resend now index count (board: Scoreboard) =
        let run = board.Runs[index]
        let again = run.Slice(0, count)
        let departure = departure now again.Data.Length count board
        let part = again.Retransmitted(now, board.NextOrder, departure)
        board.Runs[index] <- part

        if count < run.Count then
            board.Runs.Insert(index + 1, run.Slice(count, run.Count - count))

        board.RetransmittedInFlight <- board.RetransmittedInFlight + count
        board.Retransmissions <- board.Retransmissions + int64 count
        board.LastRetransmitted <- now
        sent part board

    /// How many retransmissions after a time-out, and at the beginning, are sent one by one: where trains do not get through, those do.
    let private alone = 32

    /// The next packets to retransmit that fit the congestion window and `quantum` bytes, but at least one, marked as sent; null when
    /// there are none.
    let retransmit now window quantum (board: Scoreboard) : Run =
        if board.LostPackets = 0 then
            null
        else
            // A walk from the first run for each of many lost ones would be quadratic.
            let mutable index =
                if board.LostFrom - board.Oldest > 0 then Runs.find board.LostFrom &board.Runs else 0

            while board.Runs[index].Mark <> Mark.Lost do
                index <- index + 1

            board.LostFrom <- board.Runs[index].First

            let run = board.Runs[index]
            // RFC 5681, 3.2, step 4: a packet that has arrived makes room, whether the peer can name it or not.
            let flight = board.Flight - min board.Flight (board.Detection.Unnamed * run.Size)
            // The oldest lost packet goes out whatever the window is (RFC 5681, 3.2: fast retransmit).
            let least = if board.Flight = 0 || index = 0 then 1 else 0

            // Retransmissions are counted as packets too: a window of one packet does not admit five hundred of one byte.
            let places =
                max least (max board.RetransmitLimit (4 * max 1 (window / board.Payload)) - board.RetransmittedInFlight)

            let count =
                if run.IsFin then
                    1
                else
                    (if board.RetransmitLimit < alone then 1 else run.Count)
                    |> min (max least ((window - flight) / run.Size))
                    |> min (max 1 (quantum / (run.Size + Packet.HeaderLength)))
                    |> min places

            if count <= 0 then
                null
            else
                board.LostPackets <- board.LostPackets - count
                resend now index count board

    /// Retransmits the highest packet in flight, or the oldest, to provoke an acknowledgement (RFC 8985, 7.3). Null when there is none.
    let probeLoss now highest (board: Scoreboard) : Run =
        let index =
            if packets board = 0 || board.ProbesWindow then -1
            elif highest then Runs.splitHighest &board.Runs
            else Runs.splitOldest &board.Runs

        if index < 0 then
            null
        else
            let run = board.Runs[index]
            board.Flight <- board.Flight - run.Data.Length

            if run.Transmissions > 1 then
                board.RetransmittedInFlight <- board.RetransmittedInFlight - 1

            board.LossProbe <- LossProbe(run.First, now, board.NextOrder)
            resend now index 1 board

    /// The packets that follow go against a closed window: the peer drops them, and that is no loss.
    let beginWindowProbe (board: Scoreboard) = board.ProbesWindow <- true

    /// The peer's window has opened: what was sent against the closed one is lost.
    let endWindowProbe (board: Scoreboard) =
        if board.ProbesWindow then
            board.ProbesWindow <- false
            loseAll board
