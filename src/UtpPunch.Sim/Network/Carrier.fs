namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A datagram in transit.
[<Sealed; AllowNullLiteral>]
type Datagram(number: int64, from: Endpoint, target: Endpoint, bytes: byte[], sentAt: Instant) =
    /// Its number in traces.
    member _.Number = number
    member _.From = from
    member _.To = target
    member _.Bytes = bytes
    member _.SentAt = sentAt
    /// Whether it is sent without DF.
    member val MayFragment = false with get, set
    /// The number of routers that it may still pass.
    member val Ttl = 64 with get, set
    /// When it entered the queue.
    member val QueuedAt = 0L<us> with get, set

    /// Whether its bytes differ from those that were sent.
    member val IsCorrupt = false with get, set

    member this.With(changed: byte[]) =
        Datagram(number, from, target, changed, sentAt, Ttl = this.Ttl, IsCorrupt = true)

/// Receives the fates of a carrier's datagrams, and schedules its departures.
type ICarrierHost =
    /// A copy arrives at that instant; `copy` counts from 0.
    abstract Arrive: at: Instant * datagram: Datagram * waited: Duration * copy: int -> unit
    abstract Lost: datagram: Datagram * cause: string -> unit
    /// Calls `Depart` at that instant.
    abstract DepartAt: at: Instant -> unit

/// One direction of a path: its queue, and the state of its faults.
[<Sealed>]
type Carrier(initial: Path, seed: uint64, healAt: Instant, world: ICarrierHost) =
    let mutable path = initial
    let mutable link = Link(initial, seed)
    let waiting = Queue<Datagram>()
    let typed = Array.zeroCreate<int> 16
    let mutable ordinal = 0L
    let mutable waitingBytes = 0
    let mutable busy = false
    let mutable gilbertSlot = -1L
    let mutable gilbertBad = false
    /// RED's average of the queue, in 1/512 bytes.
    let mutable average = 0L
    let mutable idleSince = 0L<us>
    /// What is held back to be thinned out.
    let held = ResizeArray<struct (Datagram * Duration)>()
    let mutable heldUntil = Time.never
    // CoDel, RFC 8289, 5: names as there.
    let mutable firstAbove = Time.never
    let mutable dropNext = 0L<us>
    let mutable count = 0L
    let mutable dropping = false
    let pie = PieControl()

    let draw purpose key = Keyed.bits seed purpose key
    let hits share purpose = share > 0 && int (draw purpose ordinal % 1000UL) < share

    /// The state of the slot that contains an instant: the change of each slot is drawn separately.
    let inBadState enter leave (now: Instant) =
        let slot = int64 now / 10_000L

        while gilbertSlot < slot do
            gilbertSlot <- gilbertSlot + 1L
            let chance = if gilbertBad then leave else enter

            if int (draw 1 gilbertSlot % 1000UL) < chance then gilbertBad <- not gilbertBad

        gilbertBad

    let isLost now =
        match path.Loss with
        | Loss.Never -> false
        | Loss.Each share -> hits share 2
        | Loss.Gilbert(enter, leave, inBad, inGood) -> hits (if inBadState enter leave now then inBad else inGood) 2
        | Loss.Every count -> ordinal % int64 (max 1 count) = int64 (max 1 count) - 1L
        | Loss.Burst(length, period) -> ordinal % int64 (max 1 period) < int64 length

    let isDropped (bytes: byte[]) packetType =
        not path.Drops.IsEmpty
        && path.Drops
           |> List.exists (fun drop ->
               match drop with
               | Drop.Nth place -> int64 place = ordinal
               | Drop.Typed(wanted, place) -> wanted = packetType && typed[packetType] = place
               | Drop.LongerThan length -> bytes.Length > length
               // Before they get here.
               | Drop.Trains -> false)

    /// Corrupts a datagram; null when UDP's checksum detects it.
    let harm (datagram: Datagram) =
        let bits = draw 3 ordinal
        let bytes = datagram.Bytes

        let flip limit =
            let changed = Array.copy bytes
            let place = int (bits % uint64 (max 1 (min limit bytes.Length)))
            changed[place] <- changed[place] ^^^ byte (1UL <<< int (bits >>> 32 &&& 7UL))
            datagram.With changed

        match path.Harm with
        | _ when bytes.Length = 0 -> datagram
        | Harm.Noticed -> null
        | Harm.Anywhere -> flip bytes.Length
        | Harm.Header -> flip 20
        | Harm.Truncation -> datagram.With(Array.truncate (int (bits % uint64 bytes.Length)) bytes)
        | Harm.Extension ->
            let garbage = Array.init (1 + int (bits >>> 40 &&& 15UL)) (fun i -> byte (Keyed.mix (bits + uint64 i)))
            let changed = Array.concat [ Array.truncate 20 bytes; garbage; Array.skip (min 20 bytes.Length) bytes ]

            if changed.Length > 1 then changed[1] <- byte (1UL + (bits >>> 50 &&& 3UL))

            datagram.With changed
        | Harm.Extended when bytes.Length >= 20 && bytes.Length < 60_000 ->
            let length = int (bits >>> 40 &&& 15UL)
            let known = Array.init length (fun i -> byte (Keyed.mix (bits + uint64 i)))

            let changed =
                Array.concat [ Array.truncate 20 bytes; [| bytes[1]; byte length |]; known; Array.skip 20 bytes ]

            changed[1] <- byte (100UL + (bits >>> 50 &&& 127UL))
            datagram.With changed
        | Harm.Extended -> datagram

    let lateness calm (now: Instant) number =
        if calm then
            0L<us>
        else
            let plain =
                match path.Lateness with
                | Lateness.Never -> 0L<us>
                | Lateness.Uniform most -> Time.microseconds (int64 (draw 4 number % uint64 (int64 most + 1L)))
                | Lateness.Exponential mean ->
                    Time.microseconds (min (20L * int64 mean) (Fixed.exponential (int64 mean) (draw 4 number)))
                | Lateness.Release period -> (period - now % period) % period
                | Lateness.Medium _ -> link.FreeAt now - now
                | Lateness.Thinned _ -> 0L<us>
                | Lateness.Steps steps -> Path.stepAt now 0L<us> steps

            if path.Reorder > 0 && int (draw 5 number % 1000UL) < path.Reorder then
                plain + Time.microseconds (int64 (draw 6 number % uint64 (int64 path.ReorderBy + 1L)))
            else
                plain

    let pass (now: Instant) (datagram: Datagram) waited =
        let calm = now >= healAt
        let number = datagram.Number
        let first = now + path.Delay + lateness calm now number
        world.Arrive(first, datagram, waited, 0)

        if not calm && path.Duplication > 0 && int (draw 7 number % 1000UL) < path.Duplication then
            for copy in 1 .. max 1 path.Copies do
                let late = draw 8 (number * 16L + int64 copy) % uint64 (int64 path.CopiesLate + 1L)
                world.Arrive(first + Time.microseconds (int64 late), datagram, waited, copy)

    let deliver (now: Instant) (datagram: Datagram) waited =
        match path.Lateness with
        | Lateness.Thinned(period, _) when now < healAt ->
            if held.Count = 0 then
                heldUntil <- (now / period + 1L) * period
                world.DepartAt heldUntil

            held.Add(struct (datagram, waited))
        | _ -> pass now datagram waited

    /// What was held back passes, or some of it.
    let release (now: Instant) =
        let all = held.ToArray()
        held.Clear()

        let count =
            match path.Lateness with
            | Lateness.Thinned(_, count) -> max 1 count
            | _ -> 1

        for index in 0 .. all.Length - 1 do
            let struct (datagram, waited) = all[index]

            if (all.Length - 1 - index) % count = 0 then
                pass now datagram waited
            else
                world.Lost(datagram, "thinned")

    /// The first datagram of the queue is being sent; `idle` if the link was not in use before.
    let serve (now: Instant) idle =
        busy <- true
        world.DepartAt(link.Serve(now, waiting.Peek().Bytes.Length + 28, idle))

    let take () =
        let datagram = waiting.Dequeue()
        waitingBytes <- waitingBytes - datagram.Bytes.Length
        datagram

    let codelTarget = Time.milliseconds 5
    let codelInterval = Time.milliseconds 100

    let control (at: Instant) =
        at + Time.microseconds (int64 codelInterval * 1024L / max 1L (Fixed.sqrt (count * 1_048_576L)))

    /// Whether the queue was too long for CoDel, for too long, when this datagram departs.
    let isStanding (now: Instant) (datagram: Datagram) =
        if now - datagram.QueuedAt < codelTarget || waitingBytes <= 1500 then
            firstAbove <- Time.never
            false
        elif firstAbove = Time.never then
            firstAbove <- now + codelInterval
            false
        else
            now >= firstAbove

    let codelDrops (now: Instant) (datagram: Datagram) =
        let standing = isStanding now datagram

        if dropping then
            if not standing then
                dropping <- false
                false
            elif now >= dropNext then
                count <- count + 1L
                dropNext <- control dropNext
                true
            else
                false
        elif standing then
            dropping <- true
            count <- (if now - dropNext < codelInterval * 16L && count > 2L then count - 2L else 1L)
            dropNext <- control now
            true
        else
            false

    /// While the queue is empty, the average decreases as if full packets had departed (Floyd and Jacobson 1993). Otherwise a queue that
    /// was full once would drop datagrams that arrive at an empty queue.
    let redDrops least most (now: Instant) =
        if waiting.Count = 0 then
            let idle = int64 (min (now - idleSince) (Time.seconds 3_600))
            let left = idle * int64 (Path.rateAt now path) / 1_500_000_000L

            for _ in 1L .. min 1_000L left do
                average <- average - average / 64L

        average <- average + (int64 waitingBytes * 512L - average) / 512L * 8L
        let mean = average / 512L

        if mean < int64 least then
            false
        elif mean >= int64 most then
            true
        else
            int64 (draw 9 ordinal % 1000UL) < (mean - int64 least) * 1000L / int64 (max 1 (most - least))

    let enqueue (now: Instant) (datagram: Datagram) =
        let size = datagram.Bytes.Length

        let fits =
            match path.Queue with
            | Queue.Tail limit
            | Queue.CoDel limit -> waitingBytes + size <= max limit size
            | Queue.Pie limit ->
                let rate = int64 (max 1 (Path.rateAt now path))
                let delay = Time.microseconds (int64 waitingBytes * 1_000_000L / rate)
                // RFC 8033, 5.1: never with two packets or fewer in the queue.
                let drops = pie.Drops(now, delay, draw 11 ordinal) && waitingBytes > 3_000
                not drops && waitingBytes + size <= max limit size
            | Queue.TailPackets limit -> waiting.Count < max 1 limit
            | Queue.Red(least, most) -> not (redDrops least most now) && waitingBytes + size <= max (2 * most) size
            | Queue.Head limit ->
                // The datagram that is being sent stays.
                while waiting.Count > 1 && waitingBytes + size > limit do
                    let sending = waiting.Dequeue()
                    world.Lost(take (), "queue")
                    let others = waiting.ToArray()
                    waiting.Clear()
                    waiting.Enqueue sending

                    for other in others do
                        waiting.Enqueue other

                waiting.Count <= 1 || waitingBytes + size <= limit

        if not fits then
            world.Lost(datagram, "queue")
        else
            datagram.QueuedAt <- now
            waiting.Enqueue datagram
            waitingBytes <- waitingBytes + size

            if not busy then serve now true

    /// The path, which may be replaced at any time.
    member _.Path
        with get () = path
        and set value =
            path <- value
            link <- Link(value, seed)

    /// A datagram enters the path.
    member _.Offer(now: Instant, datagram: Datagram) =
        let calm = now >= healAt
        let bytes = datagram.Bytes
        let packetType = if bytes.Length > 0 then int bytes[0] >>> 4 else 15

        let cause =
            if Path.isCut now path then "cut"
            elif isDropped bytes packetType then "drop"
            elif (Path.tooLong now bytes.Length datagram.MayFragment path).IsSome then "mtu"
            elif not calm && isLost now then "loss"
            else null

        let harmed = if isNull cause && not calm && hits path.Corruption 10 then harm datagram else datagram

        ordinal <- ordinal + 1L
        typed[packetType] <- typed[packetType] + 1

        if not (isNull cause) then world.Lost(datagram, cause)
        elif isNull harmed then world.Lost(datagram, "checksum")
        elif not (link.Admits(now, bytes.Length + 28)) then world.Lost(datagram, "policer")
        elif not link.HasQueue then deliver now harmed 0L<us>
        else enqueue now harmed

    /// The instant of a departure, or of a release, has come.
    member _.Depart(now: Instant) =
        if held.Count > 0 && now >= heldUntil then
            release now
        else
            let datagram = take ()
            busy <- false

            let isCoDel =
                match path.Queue with
                | Queue.CoDel _ -> true
                | _ -> false

            if isCoDel && waiting.Count > 0 && codelDrops now datagram then
                world.Lost(datagram, "codel")
            else
                deliver now datagram (now - datagram.QueuedAt)

            if waiting.Count > 0 then serve now false else idleSince <- now
