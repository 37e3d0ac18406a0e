namespace UtpPunch.Protocol

/// The controller of a stream in TIME-WAIT, which sends no data any more: what statistics show of the one before. A busy node has many such
/// streams, and each holds no more than that.
[<Sealed>]
type internal Ended internal (window: int, pacingRate: int64, phase: string) =
    /// For snapshots, as the two below.
    member internal _.Window = window
    member internal _.PacingRate = pacingRate
    member internal _.Phase = phase

    static member Of(last: ICongestionController) : ICongestionController =
        Ended(last.Window, last.PacingRate, last.Phase)

    interface ICongestionController with
        member _.Window = window
        member _.PacingRate = pacingRate
        member _.Phase = phase
        member this.Observe _ = this
        member _.IsLossTolerated = false
        member this.TimedOut _ = this
        member this.Resized _ = this
        member this.Restarted(_, _) = this
