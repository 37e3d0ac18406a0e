namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol
open UtpPunch.Sim

/// What the application of a sender has from an instant on, until the next such instant.
[<Struct>]
type Supply =
    {
        /// Since the start of the flow.
        From: Duration
        /// Bytes per second that become ready to be sent; `Int64.MaxValue` for as many as there is room for.
        Rate: int64
    }

/// A host of the lab, beside its node.
type LabHost =
    {
        /// Its clock, and the lateness of its timers.
        Clock: Clock
        /// The time from the arrival of a datagram until the host receives it, with others that arrived meanwhile.
        Wake: Duration
    }

/// What sends a flow.
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type Sender =
    /// Our node, towards another one with its own options.
    | Utp of sender: NodeOptions * receiver: NodeOptions
    /// A model of another stack, by name: `reno`, `cubic-model` or `bbr-model`.
    | Model of name: string
    /// Packets of that many bytes of UDP payload, without congestion control: the supplies give the rate, in bytes of payload.
    | Uncontrolled of size: int

/// One flow through the bottleneck.
[<NoComparison; NoEquality>]
type FlowPlan =
    {
        Name: string
        Sender: Sender
        /// When it connects.
        From: Instant
        /// When it is aborted; `Time.never` for not at all.
        Until: Instant
        /// What the application has to send. Before the first supply that is nothing.
        Supplies: Supply list
        /// What the flow's own links add to the delay each way: half of it before the bottleneck, and half of it after.
        Access: Duration
        /// Whether its data takes the reverse path, and its acknowledgements the forward one.
        IsBackward: bool
        /// Whether the receiver claims that no packet was ever delayed.
        Lies: bool
        SenderHost: LabHost
        ReceiverHost: LabHost
    }

/// The network between all senders and all receivers: one bottleneck each way.
type Bottleneck =
    {
        Forward: Path
        Reverse: Path
        /// Hosts need up to that much time to send a datagram, in order. Without it flows stay in phase with a full queue, and one of them gets all
        /// losses (Floyd and Jacobson 1991), and runs with different seeds are the same run.
        Jitter: Duration
    }

module FlowPlan =
    let host = { Clock = Scenario.clock; Wake = 0L<us> }

    let bulk = [ { From = 0L<us>; Rate = System.Int64.MaxValue } ]

    /// A flow that sends as much as it can, all the time.
    let from name sender =
        { Name = name
          Sender = sender
          From = 0L<us>
          Until = Time.never
          Supplies = bulk
          Access = 0L<us>
          IsBackward = false
          Lies = false
          SenderHost = host
          ReceiverHost = host }

    /// The supply in force, and when the next one begins.
    let supplyAt (now: Instant) (plan: FlowPlan) =
        let mutable rate = 0L
        let mutable next = Time.never

        for supply in plan.Supplies do
            let at = plan.From + supply.From

            if at <= now then rate <- supply.Rate else next <- min next at

        struct (rate, next)
