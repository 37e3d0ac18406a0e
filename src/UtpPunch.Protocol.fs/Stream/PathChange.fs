namespace UtpPunch.Protocol

/// Notices that the path has become longer, so that its delay is not held for a queue: RFC 6817's base delay would be too low for ten
/// minutes.
///
/// A queue grows no faster than packets arrive in it: between two packets that were sent a moment apart, only the path itself can
/// become much longer than it takes to deliver them. If the round trips stay so for two rounds, the least delays rise by as much. After a
/// pause of the link (a radio that was asleep) they fall again at once, as the queue drains.
module internal PathChange =
    /// Delayed acknowledgements and timers make smaller steps.
    let private leastStep = Time.milliseconds 10

    /// How much the step exceeds the time between the packets, and the time that their delivery takes, at least.
    let private steepness = 4L

    let private leastSamples = 8

    /// Nothing was measured before.
    let private longAgo = Time.seconds 1_000_000

    /// Without a rate nothing is known. `bytes` have been acknowledged since the packet before.
    let private isStep (step: Duration) (gap: Duration) bytes rate (rtt: Rtt) =
        step >= max leastStep (rtt.Least / 4L)
        && step >= steepness * gap
        && int64 step * rate >= steepness * int64 bytes * 1_000_000L
        && rate > 0L

    /// What a delayed acknowledgement adds, or a process that is late, is in no one-way delay. Those of a longer path are longer.
    let private isExplained (step: Duration) (ours: int) (theirs: int) =
        int64 (max 0 ours) + int64 (max 0 theirs) >= int64 step * 3L / 4L

    /// The step from the last sample to this one, if it is one.
    let private stepTo (now: Instant) (roundTrip: Duration) bytes (there: uint32) from (connection: Connection) =
        let rtt = connection.Rtt
        let delays = &connection.Delays
        let step = roundTrip - rtt.Latest

        let gap =
            if delays.SampledAt = Time.never then
                longAgo
            else
                (now - roundTrip) - (delays.SampledAt - rtt.Latest)

        let isMeasured = there <> 0u && delays.Sample <> 0u
        let ours = if isMeasured then int (there - delays.Sample) else 0
        let theirs = int (delays.Difference - delays.BackSample)

        if
            Rtt.isKnown rtt
            && isStep step gap bytes connection.Board.Rate.Latest rtt
            && (not isMeasured || isExplained step ours theirs)
        then
            // The last round trip may have been longer than the path: its acknowledgement was delayed. The delays were not.
            let explained = Time.microseconds (int64 (max 0 ours) + int64 (max 0 theirs))
            PathStep(now, from, max step explained, ours, roundTrip, there, 1)
        else
            null

    /// Takes a round trip of a packet that was sent once, with the bytes that were acknowledged with it; `there` is the delay of our
    /// packets as the peer has measured it, 0 for none.
    let observe (now: Instant) (roundTrip: Duration) bytes (there: uint32) (connection: Connection) =
        let delays = &connection.Delays

        match delays.Step with
        | null -> delays.Step <- stepTo now roundTrip bytes there connection.Rtt.Least connection
        | known ->
            match stepTo now roundTrip bytes there known.From connection with
            | null ->
                let least = min known.LeastRoundTrip roundTrip

                if least < known.From + known.Size - known.Size / 8L then
                    // It was no longer path.
                    delays.Step <- null
                else
                    let leastThere =
                        if there <> 0u && int32 (there - known.LeastThere) < 0 then there else known.LeastThere

                    delays.Step <-
                        PathStep(known.At, known.From, known.Size, known.Ours, least, leastThere, known.Samples + 1)
            | further ->
                // The other direction has become longer as well: that shows a round trip later.
                let size = known.Size + further.Size
                delays.Step <- PathStep(now, known.From, size, known.Ours + further.Ours, roundTrip, there, 1)

        delays.SampledAt <- now
        delays.Sample <- there
        delays.BackSample <- delays.Difference

    /// Raises the least delays once the step has lasted for two round trips.
    let settle (now: Instant) (connection: Connection) =
        match connection.Delays.Step with
        | null -> ()
        | step when step.Samples >= leastSamples && now - step.At >= 2L * step.LeastRoundTrip ->
            let rise = min step.Size (step.LeastRoundTrip - step.From)
            connection.Rtt <- { connection.Rtt with Least = max connection.Rtt.Least (step.From + rise) }
            connection.Delays.Step <- null

            match connection.Delays.Ours with
            | ValueSome ours when int64 step.Ours >= int64 rise / 2L ->
                let excess = int64 (Delay.excess step.LeastThere ours)
                let shift = int (min (int64 step.Ours) (min excess (int64 rise)))
                connection.Delays.Ours <- ValueSome(Delay.shift shift ours)
            | _ -> ()
        | _ -> ()
