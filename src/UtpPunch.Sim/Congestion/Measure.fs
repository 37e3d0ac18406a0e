namespace UtpPunch.Sim.Congestion

open System
open UtpPunch.Protocol

/// The state of a sender at one instant, as it believes it to be.
[<Struct>]
type Belief =
    {
        /// Bytes.
        Window: int64
        Flight: int64
        RoundTrip: Duration
        Queueing: Duration
        /// Bytes per second; 0 if the sender is not paced.
        PacingRate: int64
        Phase: string
        Retransmissions: int64
        Timeouts: int64
    }

/// A packet that left the bottleneck's queue.
[<Struct>]
type Departure = { At: Instant; Waited: Duration; Flow: int }

/// What the network saw of one flow; counts are per 100 ms of virtual time.
[<Sealed>]
type FlowRecord(plan: FlowPlan, buckets: int) =
    member _.Plan = plan
    /// Payload bytes that reached the receiving application.
    member val Delivered: int64[] = Array.zeroCreate buckets
    /// Datagrams that the sender gave to the network, and their bytes with IPv4 and UDP headers.
    member val Offered: int64[] = Array.zeroCreate buckets
    member val OfferedBytes: int64[] = Array.zeroCreate buckets
    /// Those that the queue dropped, and those that were lost otherwise.
    member val Dropped: int64[] = Array.zeroCreate buckets
    member val Lost: int64[] = Array.zeroCreate buckets
    /// The same of the receiver's datagrams, which are acknowledgements.
    member val AckBytes: int64[] = Array.zeroCreate buckets
    member val Acks: int64[] = Array.zeroCreate buckets
    /// The sender's belief at the end of each bucket, while it runs.
    member val Beliefs: Belief voption[] = Array.create buckets ValueNone
    /// The most datagrams that the sender sent at one instant.
    member val Bursts: int[] = Array.zeroCreate buckets
    /// Why the flow ended before its time; null if it did not.
    member val Failure: string = null with get, set

/// The result of a run.
[<Sealed>]
type LabResult(flows: FlowRecord[], duration: Duration, departures: Departure[], capacity: int64[], datagrams: int64) =
    member _.Flows = flows
    member _.Duration = duration
    /// Of the forward bottleneck, in their order.
    member _.Departures = departures
    /// The bytes that the forward bottleneck could have sent in each bucket, headers included; 0 if its rate has no limit.
    member _.Capacity = capacity
    /// All datagrams of the run, both ways.
    member _.Datagrams = datagrams

module Measure =
    let bucket = Time.milliseconds 100

    let indexOf (at: Instant) = int (at / bucket)

    let private sum (counts: int64[]) (from: Instant) (until: Instant) =
        let mutable total = 0L

        for index in indexOf from .. min counts.Length (indexOf until) - 1 do
            total <- total + counts[index]

        total

    let bytes (flow: FlowRecord) from until = sum flow.Delivered from until

    /// Bits per second.
    let goodput (flow: FlowRecord) (from: Instant) (until: Instant) =
        float (bytes flow from until) * 8e6 / float (max 1L (int64 (until - from)))

    let total (result: LabResult) from until = result.Flows |> Array.sumBy (fun flow -> goodput flow from until)

    /// A flow's part of what all flows delivered.
    let share (result: LabResult) (flow: int) from until =
        let all = total result from until
        if all = 0.0 then 0.0 else goodput result.Flows[flow] from until / all

    /// The part of a bottleneck that payload can use: full packets have 1452 bytes of it, of 1500 with all headers.
    let efficiency = 1452.0 / 1500.0

    /// Payload that was delivered, as a part of what full packets could have carried.
    let utilisation (result: LabResult) from until =
        total result from until * float (until - from)
        / 8e6
        / (efficiency * float (max 1L (sum result.Capacity from until)))

    /// Jain's index of the bytes that flows delivered.
    let jain (result: LabResult) (flows: int seq) from until =
        let rates = [| for flow in flows -> goodput result.Flows[flow] from until |]
        let squares = rates |> Array.sumBy (fun rate -> rate * rate)
        if squares = 0.0 then 0.0 else Array.sum rates ** 2.0 / (float rates.Length * squares)

    /// Datagrams of a flow that the queue dropped, as a part of those offered.
    let dropped (flow: FlowRecord) from until =
        float (sum flow.Dropped from until) / float (max 1L (sum flow.Offered from until))

    /// The same for all reasons.
    let lost (flow: FlowRecord) from until =
        float (sum flow.Dropped from until + sum flow.Lost from until)
        / float (max 1L (sum flow.Offered from until))

    let burst (flow: FlowRecord) (from: Instant) (until: Instant) =
        flow.Bursts[indexOf from .. min flow.Bursts.Length (indexOf until) - 1] |> Array.fold max 0

    let drops (flow: FlowRecord) from until = sum flow.Dropped from until

    /// Bytes of acknowledgements for each byte of the other direction.
    let ackShare (flow: FlowRecord) from until =
        float (sum flow.AckBytes from until) / float (max 1L (sum flow.OfferedBytes from until))

    /// The delays in the bottleneck's queue of the packets of some flows that left it, in ascending order.
    let waits (result: LabResult) (ofFlow: int -> bool) (from: Instant) (until: Instant) =
        let waits =
            [| for departure in result.Departures do
                   if departure.At >= from && departure.At < until && ofFlow departure.Flow then
                       departure.Waited |]

        Array.sortInPlace waits
        waits

    /// A percentile of values in ascending order; 0 if there are none.
    let percentile (percent: int) (sorted: Duration[]) =
        if sorted.Length = 0 then
            0L<us>
        else
            sorted[min (sorted.Length - 1) (sorted.Length * percent / 100)]

    /// A percentile of the queueing delay, of all flows.
    let queueing (result: LabResult) percent from until = waits result (fun _ -> true) from until |> percentile percent

    /// The first instant from which on flows together deliver at least that part of the capacity over `span`; never if they do not.
    let reaches (result: LabResult) (part: float) (span: Duration) (from: Instant) =
        let steps = max 1 (int (span / bucket))
        let first = indexOf from
        let last = indexOf result.Duration - steps

        seq { first..last }
        |> Seq.tryFind (fun index ->
            let at = int64 index * bucket
            utilisation result at (at + span) >= part)
        |> function
            | Some index -> int64 index * bucket
            | None -> Time.never

    /// Times that the sender's retransmission timer fired.
    let timeouts (flow: FlowRecord) =
        flow.Beliefs |> Array.tryFindBack _.IsSome |> Option.map _.Value.Timeouts |> Option.defaultValue 0L

    let retransmissions (flow: FlowRecord) =
        flow.Beliefs
        |> Array.tryFindBack _.IsSome
        |> Option.map _.Value.Retransmissions
        |> Option.defaultValue 0L

    let median (values: float[]) =
        if values.Length = 0 then
            nan
        else
            let sorted = Array.sort values
            let middle = sorted.Length / 2

            if sorted.Length % 2 = 1 then
                sorted[middle]
            else
                (sorted[middle - 1] + sorted[middle]) / 2.0
