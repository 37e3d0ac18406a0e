namespace UtpPunch.Protocol

/// BBR, version 3.
[<Sealed>]
type internal Bbr internal (state: BbrState) =
    member internal _.State = state

    interface ICongestionController with
        member _.Window = state.Window
        member _.PacingRate = BbrModel.pacingRate state

        member _.Phase =
            match state.Phase with
            | BbrPhase.Startup -> "startup"
            | BbrPhase.Drain -> "drain"
            | BbrPhase.Down -> "probe-down"
            | BbrPhase.Cruise -> "probe-cruise"
            | BbrPhase.Refill -> "probe-refill"
            | BbrPhase.Up -> "probe-up"
            | BbrPhase.ProbeRtt -> "probe-rtt"

        member _.Observe sample =
            let next = { state with Window = state.Window }
            BbrPhases.observe &sample next
            Bbr next

        member _.IsLossTolerated = false

        /// What is in flight is lost: one packet goes out at once, and the window grows again by what arrives. What is known of the path stays.
        member _.TimedOut _ = Bbr { state with Window = state.Packet }

        member _.Resized packet = Bbr { state with Packet = packet; Window = max state.Window (2 * packet) }

        member this.Restarted(now, roundTrip) =
            if state.LeastRtt = 0L<us> && roundTrip > 0L<us> then
                Bbr { state with LeastRtt = roundTrip; LeastRttAt = now }
            else
                this

module internal BbrStart =
    let create (from: CongestionStart) : ICongestionController =
        let state = BbrModel.start from.Packet
        if from.Window > 0 then state.Window <- max from.Window (2 * from.Packet)
        Bbr state
