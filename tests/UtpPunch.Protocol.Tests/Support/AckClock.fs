/// Acknowledgements of a path without losses, for tests of congestion controllers.
module UtpPunch.Protocol.Tests.AckClock

open UtpPunch.Protocol

let packet = 1_000

let nothing = { Unchecked.defaultof<CongestionSample> with HasSack = true }

/// A controller, and what the path behind it has seen.
[<NoComparison>]
type Flow =
    {
        Controller: ICongestionController
        Now: Instant
        RoundTrip: Duration
        Delivered: int64
        /// What had been delivered when the last round trip began, and the one before it.
        Begun: int64
        BegunBefore: int64
    }

    member this.Window = this.Controller.Window
    /// The window in packets.
    member this.Packets = float this.Controller.Window / float packet

let flow (control: CongestionControl) (roundTrip: Duration) =
    let start = { Packet = packet; TargetDelay = Time.milliseconds 60; Window = 0; RoundTrip = 0L<us> }

    { Controller = control.Start start
      Now = Time.seconds 100
      RoundTrip = roundTrip
      Delivered = 0L
      Begun = 0L
      BegunBefore = 0L }

let observed (sample: CongestionSample) (flow: Flow) =
    let sample = { sample with Now = flow.Now; Delivered = flow.Delivered }
    { flow with Controller = flow.Controller.Observe &sample }

/// Packets are acknowledged that were sent when so much was delivered, with that many bytes in flight.
let private ackedSince prior flight packets (change: CongestionSample -> CongestionSample) (flow: Flow) =
    let flow = { flow with Delivered = flow.Delivered + int64 (packets * packet) }

    observed
        (change
            { nothing with
                Bytes = packets * packet
                Packets = packets
                FlightBefore = flight
                Flight = flight - packets * packet
                PriorDelivered = prior
                RoundTrip = flow.RoundTrip
                Smoothed = flow.RoundTrip
                Least = flow.RoundTrip })
        flow

/// Packets are acknowledged with that many bytes in flight.
let ackedOf flight packets change (flow: Flow) =
    ackedSince (max 0L (flow.Delivered - int64 flight)) flight packets change flow

/// A round trip's worth of acknowledgements, two packets each; the window is in use.
let roundWith change (flow: Flow) =
    let steps = max 1 (flow.Window / packet / 2)
    let mutable it = { flow with BegunBefore = flow.Begun; Begun = flow.Delivered }

    for step in 1..steps do
        it <- { it with Now = flow.Now + flow.RoundTrip * int64 step / int64 steps }
        // It was sent as late in the last round trip as its acknowledgement comes in this one.
        let prior = it.BegunBefore + (it.Begun - it.BegunBefore) * int64 (step - 1) / int64 steps
        it <- ackedSince prior it.Window 2 change it

    it

let round flow = roundWith id flow

let rounds count flow =
    let mutable it = flow

    for _ in 1..count do
        it <- round it

    it

/// Packets are found lost, the first of a congestion event, or not.
let lost packets isFirst (flow: Flow) =
    observed
        { nothing with
            LostPackets = packets
            LostBytes = packets * packet
            LostRanges = 1
            FlightBefore = flow.Window
            Flight = flow.Window - packets * packet
            IsFirstLoss = isFirst }
        flow

/// A byte is acknowledged, and it shows that packets which counted as lost have arrived.
let spurious packets (flow: Flow) = observed { nothing with SpuriousPackets = packets; Bytes = 1; Packets = 1 } flow

/// With a queueing delay, as the peer has measured it.
let queueing (delay: Duration) (sample: CongestionSample) = { sample with HasQueueing = true; Queueing = delay }
