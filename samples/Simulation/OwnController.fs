/// A congestion controller, and what it does on a path of the lab.
module Samples.OwnController

open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion

/// Additive increase, multiplicative decrease (RFC 5681 without its slow start): one packet more each round trip, half of it after a loss.
type Aimd(window: int, packet: int) =
    let least = 2 * packet

    interface ICongestionController with
        member _.Window = max least window
        member _.PacingRate = System.Int64.MaxValue
        member _.Phase = "avoidance"
        member _.IsLossTolerated = false

        member _.Observe sample =
            if sample.IsFirstLoss then
                Aimd(max least (window / 2), packet)
            elif sample.Bytes > 0 && sample.IsWindowLimited then
                Aimd(window + max 1 (packet * sample.Bytes / window), packet)
            else
                Aimd(window, packet)

        member _.TimedOut _ = Aimd(least, packet)
        member _.Resized size = Aimd(max window (2 * size), size)
        member this.Restarted(_, _) = this

let control = CongestionControl("aimd", fun from -> Aimd(max from.Window (10 * from.Packet), from.Packet))

/// The share of a bottleneck of 8 Mbit/s and 40 ms that one stream uses between the tenth and the thirtieth second.
let utilisation (control: CongestionControl) =
    let options =
        { NodeOptions.standard with Bep29 = { NodeOptions.standard.Bep29 with Congestion = control } }

    let flow = FlowPlan.from "stream" (Sender.Utp(options, options))
    let bottleneck = Lab.bottleneck (Time.milliseconds 20) 8_000_000L 40_000
    let result = Lab.run bottleneck [ flow ] (Time.seconds 30) 1UL
    Measure.utilisation result (Time.seconds 10) (Time.seconds 30)
