namespace UtpPunch.Protocol

/// The controller of a stream that has sent nothing: most idle streams hold no more than what it would start from.
[<AbstractClass>]
type internal Unstarted internal (from: CongestionStart) =
    member internal _.From = from
    abstract Begin: unit -> ICongestionController

    interface ICongestionController with
        // RFC 6928: a first window of ten packets.
        member _.Window = if from.Window = 0 then 10 * from.Packet else max from.Packet from.Window
        member this.PacingRate = this.Begin().PacingRate
        member this.Phase = this.Begin().Phase
        member this.Observe sample = this.Begin().Observe &sample
        member _.IsLossTolerated = false
        member this.TimedOut flight = this.Begin().TimedOut flight
        member this.Resized packet = this.Begin().Resized packet
        member this.Restarted(now, roundTrip) = this.Begin().Restarted(now, roundTrip)
