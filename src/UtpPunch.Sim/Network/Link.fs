namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// One direction of a path. Shares are in thousandths.
[<NoComparison>]
type Link =
    {
        Delay: Duration
        /// Each datagram is late by up to that much more, which also reorders.
        Jitter: Duration
        Loss: int
        Duplication: int
        /// Datagrams with a flipped byte: the receiver's UDP did not notice.
        Corruption: int
        /// Bytes a second, 0 for no limit; what waits longer than `Queue` is dropped at the tail.
        Rate: int
        Queue: Duration
        /// Faults end here: chaos, then calm.
        CalmAt: Instant
    }

module Link =
    let perfect =
        { Delay = Time.milliseconds 10
          Jitter = 0L<us>
          Loss = 0
          Duplication = 0
          Corruption = 0
          Rate = 0
          Queue = Time.seconds 1
          CalmAt = Time.never }

    /// What each draw is for.
    [<RequireQualifiedAccess>]
    module private Purpose =
        let loss = 1
        let duplication = 2
        let jitter = 3
        let copyJitter = 4
        let corruption = 5
        let corruptedByte = 6

    /// What became of a datagram: when its copies arrive, and whether they arrive changed.
    [<NoComparison>]
    type Fate = { Arrivals: Instant list; Corrupted: bool }

    let private lost = { Arrivals = []; Corrupted = false }

    /// The fate of the `ordinal`-th datagram, and until when the link is busy with it.
    let carry (seed: uint64) (ordinal: int64) (now: Instant) (busyUntil: Instant) (length: int) (link: Link) =
        let calm = now >= link.CalmAt
        let hits share purpose = not calm && Keyed.below 1000 seed purpose ordinal < share
        let start = max now busyUntil

        if hits link.Loss Purpose.loss || (link.Rate > 0 && start - now > link.Queue) then
            struct (lost, busyUntil)
        else
            let sent =
                if link.Rate = 0 then
                    now
                else
                    start + Time.microseconds (int64 length * 1_000_000L / int64 link.Rate)

            let late purpose =
                if calm then
                    0L<us>
                else
                    Time.microseconds (int64 (Keyed.below (int link.Jitter + 1) seed purpose ordinal))

            let first = sent + link.Delay + late Purpose.jitter

            let arrivals =
                if hits link.Duplication Purpose.duplication then
                    [ first; first + Time.milliseconds 1 + late Purpose.copyJitter ]
                else
                    [ first ]

            struct ({ Arrivals = arrivals; Corrupted = hits link.Corruption Purpose.corruption },
                    (if link.Rate = 0 then busyUntil else sent))

    /// Flips one byte of a datagram.
    let corrupt (seed: uint64) (ordinal: int64) (datagram: byte[]) =
        if datagram.Length > 0 then
            let place = Keyed.below datagram.Length seed Purpose.corruptedByte ordinal
            datagram[place] <- datagram[place] ^^^ byte (1 + Keyed.below 255 seed Purpose.corruptedByte (ordinal + 1L))
