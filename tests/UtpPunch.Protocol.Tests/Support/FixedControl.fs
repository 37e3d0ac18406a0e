/// A congestion control whose window and pacing rate a test sets, and which notes what it is told.
module UtpPunch.Protocol.Tests.FixedControl

open UtpPunch.Protocol

[<Sealed>]
type private FixedController(window: int, rate: int64, samples: ResizeArray<CongestionSample>) =
    interface ICongestionController with
        member _.Window = window
        member _.PacingRate = rate
        member _.Phase = "fixed"

        member this.Observe sample =
            samples.Add sample
            this

        member _.IsLossTolerated = false
        member this.TimedOut _ = this
        member this.Resized _ = this
        member this.Restarted(_, _) = this

/// Windows are in bytes, rates in bytes per second.
let fixedControl window rate (samples: ResizeArray<CongestionSample>) =
    CongestionControl("fixed", (fun _ -> FixedController(window, rate, samples)))
