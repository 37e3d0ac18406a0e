namespace UtpPunch.Sim

open UtpPunch.Protocol

/// Checks how the congestion window and the retransmission time-out of a stream change from step to step: P1, P3 and L1 of
/// docs/simulation.md.
[<Sealed>]
type Pace(name: string, connId: ConnId, options: StreamOptions, marks: Marks) =
    let mutable before: StreamStatistics voption = ValueNone
    /// Losses of packets sent before this belong to a congestion event that was already answered.
    let mutable answered: SeqNr voption = ValueNone
    let mutable timeoutsInARow = 0
    /// BBR's window follows its model of the path, which losses correct once in each of its own round trips: P3 and P4 are no laws of it.
    let answersLosses = options.Congestion.Name <> "bbr"
    /// Whether nothing but path MTU probes was ever lost.
    let mutable isIntact = false

    let fail property why = Check.fail property $"{name}, stream {connId}: {why}"

    let checkTimeout (was: StreamStatistics) (is: StreamStatistics) =
        // RFC 6298, 2.2 and 2.3; the core has a granularity of 50 ms, for delayed acknowledgements, and a limit.
        let granularity = Time.milliseconds 50

        let basis =
            is.RoundTrip + max granularity (4L * is.RoundTripVariance)
            |> min (max options.MaxRto (is.RoundTrip + granularity))
            |> max options.MinRto

        if is.BytesAcknowledged <> was.BytesAcknowledged then timeoutsInARow <- 0

        if is.Timeouts > was.Timeouts then
            timeoutsInARow <- timeoutsInARow + 1

            if timeoutsInARow = 3 then marks.Hit "three time-outs in a row"

            let doubled = min options.MaxRto (2L * was.RetransmitTimeout)

            if is.PacketsReceived = was.PacketsReceived && is.RetransmitTimeout < doubled then
                fail "L1" $"a time-out of {was.RetransmitTimeout} us is followed by one of {is.RetransmitTimeout} us"
        elif
            (is.RoundTrip <> was.RoundTrip || is.RoundTripVariance <> was.RoundTripVariance)
            && is.PeerWindow > 0L
            && is.RetransmitTimeout > basis
        then
            fail "L1" $"after a clean sample the time-out is {is.RetransmitTimeout} us, not {basis} us"

    /// Whether a loss was answered. CUBIC's window falls in the course of its recovery: then its beginning is the answer. LEDBAT++ slows
    /// down from time to time without a loss.
    let isCut (was: StreamStatistics) (is: StreamStatistics) =
        was.Phase <> "recovery"
        && is.Phase <> "slowdown"
        && (is.Phase = "recovery" || is.CongestionWindow < was.CongestionWindow / 4 * 3)

    /// LEDBAT++ leaves slow start at three quarters of the target, with as much as the path holds.
    let yieldsToDelay (was: StreamStatistics) (is: StreamStatistics) =
        let limit = if was.Phase = "slow-start" then is.TargetDelay * 3L / 4L else is.TargetDelay

        is.QueueingDelay > limit

    let checkWindow (was: StreamStatistics) (is: StreamStatistics) oldest nextBefore =
        let window = is.CongestionWindow

        // After a loss two packets remain, also where a time-out had left one.
        if
            window > was.CongestionWindow
            && is.BytesAcknowledged = was.BytesAcknowledged
            && window > 2 * is.MaxPayload
        then
            fail "P1" $"cwnd grows from {was.CongestionWindow} to {window}, though nothing was acknowledged"

        match answered with
        | ValueSome until when oldest - until >= 0 -> answered <- ValueNone
        | _ -> ()

        if is.Timeouts > was.Timeouts then
            answered <- ValueSome nextBefore
        elif window < was.CongestionWindow && yieldsToDelay was is then
            marks.Hit "cwnd yields to delay"
        elif is.MaxPayload < was.MaxPayload then
            // The part of the window that was granted for larger packets is taken back with them: that is no answer to a loss.
            ()
        elif isCut was is then
            marks.Hit "cwnd yields to loss"

            if not answersLosses then
                ()
            elif isIntact then
                fail "P4" $"cwnd falls from {was.CongestionWindow} to {window}, though nothing but probes was lost"
            elif answered.IsSome then
                fail "P3" $"cwnd falls from {was.CongestionWindow} to {window}, a second time within one round trip"

            answered <- ValueSome nextBefore

    member _.IsIntact
        with get () = isIntact
        and set value = isIntact <- value

    /// The state of the stream is not certain: starts over.
    member _.Forget() =
        before <- ValueNone
        answered <- ValueNone
        timeoutsInARow <- 0

    /// The number of the oldest outstanding packet, and of the next new one when the step began.
    member _.Step(is: StreamStatistics, oldest: SeqNr, nextBefore: SeqNr) =
        match before with
        | ValueSome was ->
            checkTimeout was is
            checkWindow was is oldest nextBefore
        | ValueNone -> ()

        before <- ValueSome is
