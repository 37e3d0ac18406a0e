namespace UtpPunch.Protocol

/// One direction's one-way delay, out of `timestamp_difference_microseconds` (RFC 6817, 3.4.2): the clocks of the two ends are
/// not synchronised, so only the distance to the least delay of the last ten minutes means anything.
/// Samples wrap at 32 bits; they are kept as signed distances to the first one.
[<NoComparison>]
type Delay =
    internal
        {
            Reference: uint32
            /// The least of this minute, and of each of the nine before it, the latest first.
            Minute: int
            MinuteEnds: Instant
            History: int[]
            Base: int
            /// The last four samples: their minimum is the current delay, which hides a single hiccup.
            R0: int
            R1: int
            R2: int
            R3: int
        }

module Delay =
    let private minute = Time.seconds 60
    let private minutes = 10

    let private start (sample: uint32) (now: Instant) =
        { Reference = sample
          Minute = 0
          MinuteEnds = now + minute
          History = [||]
          Base = 0
          R0 = 0
          R1 = 0
          R2 = 0
          R3 = 0 }

    /// Takes the difference that a packet carried at `now`.
    let observe (now: Instant) (sample: uint32) (delay: Delay voption) =
        match delay with
        | ValueNone -> start sample now
        | ValueSome delay ->
            let relative = int (sample - delay.Reference)

            if now >= delay.MinuteEnds then
                let history = Array.truncate (minutes - 1) (Array.append [| delay.Minute |] delay.History)

                { delay with
                    Minute = relative
                    MinuteEnds = now + minute
                    History = history
                    Base = min relative (Array.min history)
                    R0 = relative
                    R1 = delay.R0
                    R2 = delay.R1
                    R3 = delay.R2 }
            else
                { delay with
                    Minute = min relative delay.Minute
                    Base = min relative delay.Base
                    R0 = relative
                    R1 = delay.R0
                    R2 = delay.R1
                    R3 = delay.R2 }

    /// The current delay above the base delay.
    let queueing (delay: Delay) : Duration =
        let current = min (min delay.R0 delay.R1) (min delay.R2 delay.R3)
        Time.microseconds (int64 current - int64 delay.Base)

    /// The delay of this sample above the base delay.
    let excess (sample: uint32) (delay: Delay) : Duration =
        Time.microseconds (max 0L (int64 (int (sample - delay.Reference)) - int64 delay.Base))

    /// The base delay, on its own scale: only its changes mean anything.
    let least (delay: Delay) = delay.Base

    /// Raises the base by `drift`: the other direction's base fell by that much, so the clocks are drifting apart.
    let shift (drift: int) (delay: Delay) =
        { delay with
            Minute = delay.Minute + drift
            History = Array.map (fun least -> least + drift) delay.History
            Base = delay.Base + drift }
