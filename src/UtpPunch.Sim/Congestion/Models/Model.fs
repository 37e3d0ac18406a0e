namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol

/// Acknowledgements of packets, as a model of TCP's congestion control sees them. Counts are packets.
[<Struct>]
type ModelSample =
    {
        Now: Instant
        /// Newly acknowledged.
        Packets: int
        /// In flight before them, and after them.
        Before: int
        Flight: int
        /// Of the newest packet that they acknowledge.
        RoundTrip: Duration
        /// All that was ever acknowledged, and the same when that packet was sent.
        Delivered: int64
        PriorDelivered: int64
        /// The delivery rate since then, in packets per second.
        Rate: float
        /// Whether the application had too little to send when that packet was sent.
        IsAppLimited: bool
    }

/// The congestion control of another stack, as far as it matters to flows that share a queue with it. Windows are in packets. Only sums, products
/// and quotients of floats are used, which are the same on every machine.
type IModel =
    abstract Window: float
    /// Packets per second; infinite if it does not pace.
    abstract PacingRate: float
    abstract Acknowledged: ModelSample -> unit
    /// Packets were lost; at most once for all packets that were in flight together.
    abstract Lost: now: Instant * flight: int -> unit
    abstract TimedOut: now: Instant -> unit

/// RFC 5681 with a first window of ten packets (RFC 6928).
[<Sealed>]
type RenoModel() =
    let mutable window = 10.0
    let mutable threshold = infinity

    interface IModel with
        member _.Window = window
        member _.PacingRate = infinity

        member _.Acknowledged sample =
            // RFC 7661: a window that is not in use does not grow.
            if float sample.Before >= window - 2.0 then
                if window < threshold then
                    window <- window + float sample.Packets
                else
                    window <- window + float sample.Packets / window

        member _.Lost(_, _) =
            threshold <- max 2.0 (window / 2.0)
            window <- threshold

        member _.TimedOut _ =
            threshold <- max 2.0 (window / 2.0)
            window <- 1.0

/// A fixed rate without congestion control, as of a call.
[<Sealed>]
type UncontrolledModel() =
    interface IModel with
        member _.Window = infinity
        member _.PacingRate = infinity
        member _.Acknowledged _ = ()
        member _.Lost(_, _) = ()
        member _.TimedOut _ = ()
