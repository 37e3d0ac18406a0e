namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol
open UtpPunch.Tracing

[<Struct; RequireQualifiedAccess>]
type private BbrState =
    | Startup
    | Drain
    | ProbeBandwidth
    | ProbeRoundTrip

/// BBR version 1 (draft-cardwell-iccrg-bbr-00), without the detection of policers: it ignores losses.
[<Sealed>]
type BbrModel(seed: uint64) =
    let startupGain = 2.885
    let cycle = [| 1.25; 0.75; 1.0; 1.0; 1.0; 1.0; 1.0; 1.0 |]
    let mutable state = BbrState.Startup
    let mutable round = 0L
    let mutable roundEnds = 0L
    /// The maximum of each of the last ten rounds.
    let rates: float[] = Array.zeroCreate 10
    let mutable least = Time.never
    let mutable leastAt = 0L<us>
    let mutable full = 0.0
    let mutable fullRounds = 0
    let mutable phase = 0
    let mutable phaseAt = 0L<us>
    let mutable probeEnds = Time.never
    let mutable recovers = false
    let mutable recoveryEnds = 0L
    let mutable kept = 0.0

    let bandwidth () = Array.max rates

    /// In packets.
    let product () = if least = Time.never then 10.0 else bandwidth () * float least / 1e6

    /// What may be in flight at a gain: with three quanta in addition, which let a flow at the smallest window grow again.
    let inFlight gain =
        let quantum = if bandwidth () < 100.0 then 1.0 else 2.0
        gain * product () + 3.0 * quantum

    let gain () =
        match state with
        | BbrState.Startup -> startupGain
        | BbrState.Drain -> 1.0 / startupGain
        | BbrState.ProbeBandwidth -> cycle[phase]
        | BbrState.ProbeRoundTrip -> 1.0

    let enterProbeBandwidth now =
        state <- BbrState.ProbeBandwidth
        // Any phase but that of 0.75.
        let drawn = Keyed.below 7 seed 40 (int64 now)
        phase <- if drawn = 1 then 7 else drawn
        phaseAt <- now

    let checkFull isNewRound isAppLimited =
        if state = BbrState.Startup && isNewRound && not isAppLimited then
            if bandwidth () >= full * 1.25 then
                full <- bandwidth ()
                fullRounds <- 0
            else
                fullRounds <- fullRounds + 1

            if fullRounds >= 3 then state <- BbrState.Drain

    let advance (sample: ModelSample) hasLost =
        match state with
        | BbrState.Drain when float sample.Flight <= product () -> enterProbeBandwidth sample.Now
        | BbrState.ProbeBandwidth ->
            let isOver = sample.Now - phaseAt > least

            let moves =
                if cycle[phase] > 1.0 then isOver && (hasLost || float sample.Before >= 1.25 * product ())
                elif cycle[phase] < 1.0 then isOver || float sample.Flight <= product ()
                else isOver

            if moves then
                phase <- (phase + 1) % cycle.Length
                phaseAt <- sample.Now
        | BbrState.Startup
        | BbrState.Drain
        | BbrState.ProbeRoundTrip -> ()

    let probeRoundTrip (sample: ModelSample) =
        let expired = sample.Now - leastAt > Time.seconds 10

        if sample.RoundTrip <= least || expired then
            least <- sample.RoundTrip
            leastAt <- sample.Now

        if expired && state <> BbrState.ProbeRoundTrip then
            state <- BbrState.ProbeRoundTrip
            probeEnds <- Time.never
        elif state = BbrState.ProbeRoundTrip then
            if probeEnds = Time.never && sample.Flight <= 4 then
                probeEnds <- sample.Now + max (Time.milliseconds 200) least
            elif sample.Now >= probeEnds then
                leastAt <- sample.Now

                if fullRounds >= 3 then enterProbeBandwidth sample.Now else state <- BbrState.Startup

    interface IModel with
        member _.Window =
            match state with
            | BbrState.ProbeRoundTrip -> 4.0
            | BbrState.Startup
            | BbrState.Drain
            | BbrState.ProbeBandwidth when least = Time.never -> 10.0
            | BbrState.Startup
            | BbrState.Drain -> max 10.0 (inFlight startupGain)
            | BbrState.ProbeBandwidth ->
                let window = max 4.0 (inFlight 2.0)
                if recovers then max 4.0 (min window kept) else window

        member _.PacingRate = if least = Time.never then infinity else max 1.0 (gain () * bandwidth ())

        member _.Acknowledged sample =
            let isNewRound = sample.PriorDelivered >= roundEnds

            if isNewRound then
                round <- round + 1L
                roundEnds <- sample.Delivered
                rates[int (round % 10L)] <- 0.0

                if recovers && sample.PriorDelivered >= recoveryEnds then recovers <- false

            let place = int (round % 10L)

            if not sample.IsAppLimited || sample.Rate > bandwidth () then
                rates[place] <- max rates[place] sample.Rate

            if recovers then kept <- max kept (float (sample.Flight + sample.Packets))

            let hadLost = recovers
            checkFull isNewRound sample.IsAppLimited
            advance sample hadLost
            probeRoundTrip sample

        member _.Lost(_, flight) =
            // Packet conservation for the first round of a recovery.
            recovers <- true
            recoveryEnds <- roundEnds
            kept <- float flight

        member _.TimedOut _ =
            recovers <- true
            recoveryEnds <- roundEnds
            kept <- 4.0
