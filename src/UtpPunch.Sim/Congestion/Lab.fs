namespace UtpPunch.Sim.Congestion

open System
open System.Buffers.Binary
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Tracing

[<Struct; NoComparison; NoEquality; RequireQualifiedAccess>]
type private Job =
    /// A datagram reaches the bottleneck of a way.
    | Reach of way: int * reaching: Datagram
    /// A datagram arrives at an end.
    | Arrive of target: int * arriving: Datagram
    /// The datagram that a bottleneck was sending has left it.
    | Depart of carrier: int
    | Wake of timer: int

/// A receiver that wants more than its share: it repeats the smallest difference that it has measured, as if no packet had waited.
[<Sealed>]
type private DelayLie() =
    let mutable least = 0u

    member _.Tell(packet: byte[]) =
        // BEP 29: `timestamp_difference_microseconds`.
        let place = Span<byte>(packet, 8, 4)
        let measured = BinaryPrimitives.ReadUInt32BigEndian place

        if measured <> 0u then
            if least = 0u || int32 (measured - least) < 0 then least <- measured

            BinaryPrimitives.WriteUInt32BigEndian(place, least)

/// Several flows through one bottleneck each way, in virtual time. Only what congestion control needs: nothing is checked, recorded or
/// corrupted here, so that a run of a minute takes a second. End 2n sends flow n, and end 2n + 1 receives it.
[<Sealed>]
type Lab(bottleneck: Bottleneck, plans: FlowPlan list, duration: Duration, seed: uint64) as this =
    let events = EventQueue<Job>()
    let plans = Array.ofList plans
    let buckets = Measure.indexOf (duration + Measure.bucket - 1L<us>)
    let lies = [| for _ in plans -> DelayLie() |]
    let records = [| for plan in plans -> FlowRecord(plan, buckets) |]
    let departures = ResizeArray<Departure>()
    let timers = Array.create (2 * plans.Length) Time.never
    /// When the last datagram of each end has reached its bottleneck.
    let left = Array.create (2 * plans.Length) 0L<us>
    let mutable now = 0L<us>
    let mutable number = 0L
    let mutable burstAt = -1L<us>
    let mutable burst = 0
    let mutable burstOf = -1
    let seedOf way = Keyed.mix (seed + uint64 way + 11UL)
    let paths = [| bottleneck.Forward; bottleneck.Reverse |]

    let addresses =
        [| for index in 0 .. 2 * plans.Length - 1 -> Endpoint.ofIPv4 (0x0A000000u + uint32 index) 1us |]

    let indexOf () = min (buckets - 1) (Measure.indexOf now)
    /// The end that a datagram came from is in its address.
    let endOf (datagram: Datagram) = int (datagram.From.Low &&& 0xFFFFFFUL)

    let modelOf name index : IModel =
        match name with
        | "reno" -> RenoModel()
        | "cubic-model" -> CubicModel()
        | "bbr-model" -> BbrModel(Keyed.bits seed 101 (int64 index))
        | _ -> invalidArg (nameof name) $"'{name}' is no model: reno, cubic-model and bbr-model are."

    let endOfPlan (plan: FlowPlan) index line : ILabEnd =
        match plan.Sender with
        | Sender.Utp(sender, _) when index % 2 = 0 ->
            UtpEnd(plan, sender, plan.SenderHost, Keyed.bits seed 100 (int64 index), true, line)
        | Sender.Utp(_, receiver) ->
            UtpEnd(plan, receiver, plan.ReceiverHost, Keyed.bits seed 100 (int64 index), false, line)
        | Sender.Model name when index % 2 = 0 -> ModelSender(plan, modelOf name index, 1472, line)
        | Sender.Model _ -> ModelReceiver(line, true)
        | Sender.Uncontrolled size when index % 2 = 0 -> ModelSender(plan, UncontrolledModel(), size, line)
        | Sender.Uncontrolled _ -> ModelReceiver(line, false)

    let carriers =
        [| for way in 0..1 ->
               Carrier(
                   paths[way],
                   seedOf way,
                   Time.never,
                   { new ICarrierHost with
                       member _.Arrive(at, datagram, waited, _) = this.Leave(way, at, datagram, waited)
                       member _.Lost(datagram, cause) = this.Lose(datagram, cause)
                       member _.DepartAt at = events.Place(at, Job.Depart way) }
               ) |]

    let ends: ILabEnd[] =
        [| for index in 0 .. 2 * plans.Length - 1 ->
               let plan = plans[index / 2]

               let line =
                   { new ILabLine with
                       member _.Send(bytes, mayFragment) = this.Send(index, bytes, mayFragment)

                       member _.Delivered count =
                           let record = records[index / 2]
                           record.Delivered[indexOf ()] <- record.Delivered[indexOf ()] + int64 count

                       member _.Failed reason = records[index / 2].Failure <- reason }

               endOfPlan plan index line |]

    let count (counts: int64[]) (by: int64) =
        let index = indexOf ()
        counts[index] <- counts[index] + by

    let schedule index =
        let deadline = ends[index].Deadline

        if deadline < timers[index] then
            timers[index] <- deadline
            events.Place(max now deadline, Job.Wake index)

    member private _.Leave(way, at: Instant, datagram: Datagram, waited: Duration) =
        let index = endOf datagram

        if way = 0 && index % 2 = 0 then
            departures.Add { At = now; Waited = waited; Flow = index / 2 }

        events.Place(at + plans[index / 2].Access / 2L, Job.Arrive(index ^^^ 1, datagram))

    member private _.Lose(datagram: Datagram, cause: string) =
        let index = endOf datagram

        if index % 2 = 0 then
            let record = records[index / 2]

            count
                (if cause = "queue" || cause = "codel" || cause = "policer" then
                     record.Dropped
                 else
                     record.Lost)
                1L

    /// Counts a datagram that an end sends.
    member private _.Count(index: int, bytes: byte[]) =
        let record = records[index / 2]
        let size = int64 bytes.Length + 28L

        if index % 2 = 0 then
            count record.Offered 1L
            count record.OfferedBytes size
            burst <- if now = burstAt && burstOf = index then burst + 1 else 1
            burstAt <- now
            burstOf <- index
            record.Bursts[indexOf ()] <- max record.Bursts[indexOf ()] burst
        else
            count record.Acks 1L
            count record.AckBytes size

    member private this.Send(index: int, bytes: byte[], mayFragment: bool) : bool =
        let plan = plans[index / 2]
        let way = index % 2 ^^^ (if plan.IsBackward then 1 else 0)

        match Path.tooLong now bytes.Length mayFragment paths[way] with
        | Some narrow when narrow.Telling = Telling.System -> false
        | _ ->
            number <- number + 1L
            this.Count(index, bytes)

            if plan.Lies && index % 2 = 1 then lies[index / 2].Tell bytes

            let datagram =
                Datagram(number, addresses[index], addresses[index ^^^ 1], bytes, now, MayFragment = mayFragment)

            let late =
                if bottleneck.Jitter = 0L<us> then
                    0L
                else
                    int64 (Keyed.bits seed 102 number % uint64 (int64 bottleneck.Jitter + 1L))

            let at = max left[index] (now + plan.Access / 2L + Time.microseconds late)
            left[index] <- at

            if at = now then
                carriers[way].Offer(now, datagram)
            else
                events.Place(at, Job.Reach(way, datagram))

            true

    /// The state of all senders, at the end of a bucket.
    member private _.Note(bucket: int) =
        for index in 0 .. plans.Length - 1 do
            records[index].Beliefs[ bucket ] <- ends[2 * index].Belief

    member this.Run() : LabResult =
        for index in 0 .. ends.Length - 1 do
            schedule index

        let mutable bucket = 0

        while events.Next < duration do
            let at = events.Next

            while bucket < Measure.indexOf at do
                this.Note bucket
                bucket <- bucket + 1

            now <- at

            match events.Take() with
            | Job.Reach(way, datagram) -> carriers[way].Offer(now, datagram)
            | Job.Arrive(target, datagram) ->
                ends[target].Receive(now, datagram)
                schedule target
            | Job.Depart way -> carriers[way].Depart now
            | Job.Wake index ->
                // Otherwise an earlier wake-up has taken its place.
                if now >= timers[index] then
                    timers[index] <- Time.never

                    if ends[index].Deadline <= now then ends[index].Wake now

                    schedule index

        while bucket < buckets do
            this.Note bucket
            bucket <- bucket + 1

        let capacity = Link.capacity paths[0] (seedOf 0) Measure.bucket buckets
        LabResult(records, duration, departures.ToArray(), capacity, number)

module Lab =
    /// Runs flows over a bottleneck for a while.
    let run bottleneck flows duration seed = Lab(bottleneck, flows, duration, seed).Run()

    /// A bottleneck for packets of 1500 bytes at a rate in bits per second and with a queue in bytes, and an open path back.
    let bottleneck (delay: Duration) (rate: int64) (queue: int) : Bottleneck =
        let open' =
            { Path.perfect with Delay = delay; Mtu = [ { Path.narrow 1472 with Telling = Telling.System } ] }

        { Forward = { open' with Rate = Rate.Constant(int (rate / 8L)); Queue = Queue.Tail queue }
          Reverse = open'
          Jitter = Time.microseconds 50L }
