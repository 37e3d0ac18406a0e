/// Random paths for controllers: a bottleneck with a queue, random loss, reordering, outages, and an application that sometimes has
/// little to send. The sender obeys the controller, and tells it what a stream would. Much simpler than the simulator's worlds, and a
/// thousand times faster: the histories must have every phase, not every detail.
module UtpPunch.Protocol.Tests.RandomPath

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// What is drawn for a history.
[<NoComparison>]
type Life =
    {
        Seed: int
        Packet: int
        /// Whether the peer measures delays.
        IsMeasured: bool
        /// Full packets a second.
        Rate: float
        /// In seconds.
        Delay: float
        /// The queue, in seconds at that rate.
        Queue: float
        /// Shares of packets that are lost, and overtaken.
        Loss: float
        Late: float
        /// Acknowledgements come at multiples of that, in seconds.
        Grain: float
        /// How the application sends, and how often anything else changes: seconds, on average.
        IsBulk: bool
        ChangeEvery: float
        /// The window of a controller before.
        Window: int
        /// Whether the peer names what has arrived ahead of order.
        HasSack: bool
    }

let draw seed =
    let random = System.Random(seed: int)
    let among (values: 'T list) = values[random.Next values.Length]
    let between least most = least * Math.Pow(most / least, random.NextDouble())

    { Seed = seed
      Packet = among [ 528; 1_180; 1_380; 1_452; 1_452; 8_952 ]
      IsMeasured = random.Next 4 > 0
      Rate = between 60.0 4_000.0
      Delay = between 0.004 0.4
      Queue = between 0.005 0.5
      Loss = among [ 0.0; 0.0; 0.001; 0.01; 0.03 ]
      Late = among [ 0.0; 0.0; 0.001; 0.01 ]
      Grain = among [ 0.0; 0.0; 0.002; 0.02 ]
      IsBulk = random.Next 2 = 0
      ChangeEvery = between 1.0 30.0
      Window = if random.Next 8 = 0 then 50_000 else 0
      HasSack = random.Next 8 > 0 }

let private micro (time: float) : Instant = Time.microseconds (int64 (1e6 * time))

/// A packet: what had been delivered when it was sent (draft-ietf-ccwg-bbr, 4.1), and when its acknowledgement comes.
[<Sealed; AllowNullLiteral>]
type private Packet(number: int64, size: int, sentAt: float, queued: float) =
    member _.Number = number
    member _.Size = size
    member _.SentAt = sentAt
    /// Its time in the queue.
    member _.Queued = queued
    member val Delivered = 0L with get, set
    member val DeliveredAt = 0.0 with get, set
    member val FirstSentAt = 0.0 with get, set
    member val Lost = 0L with get, set
    member val Flight = 0 with get, set
    member val IsAppLimited = false with get, set
    member val IsFound = false with get, set
    member val IsAcked = false with get, set

[<Sealed>]
type private Sender(life: Life, controller: ICongestionController) =
    let random = System.Random life.Seed
    let chance share = random.NextDouble() < share
    let mutable controller = controller
    let mutable now = 100.0
    let mutable packet = life.Packet

    // The path.
    let mutable rate = life.Rate * float life.Packet
    let mutable delay = life.Delay
    let mutable foreign = 0.0
    let mutable freeAt = 0.0
    let mutable outageUntil = 0.0
    let acks = PriorityQueue<Packet, float>()

    // The application: bytes that may be in flight, and the same for the peer.
    let mutable supply = Int32.MaxValue
    let mutable peer = Int32.MaxValue

    // The sender.
    let mutable next = 0L
    let sent = Queue<Packet>()
    let mutable flight = 0
    let mutable delivered = 0L
    let mutable deliveredAt = 0.0
    let mutable firstSentAt = 0.0
    let mutable lost = 0L
    let mutable limitedUntil = 0L
    let mutable recoverUntil = -1L
    let mutable sendAt = 0.0
    let mutable progressAt = 0.0
    let mutable isWindowLimited = false
    let mutable smoothed = 0.0
    let mutable least = infinity
    let mutable leastFor = 0
    let queued = Array.create 4 0.0

    let roundTripOf (packet: Packet) = now - packet.SentAt

    let transmit () =
        if flight = 0 then
            firstSentAt <- now
            deliveredAt <- now
            progressAt <- now
            controller <- controller.Restarted(micro now, micro smoothed)

        let wait = max 0.0 (freeAt - now)
        let isLost = wait > life.Queue || now < outageUntil || chance life.Loss
        if not isLost then freeAt <- max now freeAt + float packet / rate
        flight <- flight + packet
        let it = Packet(next, packet, now, wait + foreign)
        it.Delivered <- delivered
        it.DeliveredAt <- deliveredAt
        it.FirstSentAt <- firstSentAt
        it.Lost <- lost
        it.Flight <- flight
        it.IsAppLimited <- limitedUntil > delivered
        next <- next + 1L
        sent.Enqueue it

        if not isLost then
            let at = freeAt + delay + foreign + (if chance life.Late then 0.3 * delay else 0.0)
            let at = if life.Grain > 0.0 then life.Grain * ceil (at / life.Grain) else at
            acks.Enqueue(it, at)

        let pace = controller.PacingRate

        if pace < Int64.MaxValue then
            sendAt <- max sendAt (now - 0.002) + float packet / float pace

    let base' isLost (sample: CongestionSample) =
        let queue = Array.min queued
        let newest = if least = infinity then 0.0 else least

        { sample with
            Now = micro now
            Flight = flight
            Delivered = delivered
            PriorDelivered = (if isLost then delivered else sample.PriorDelivered)
            Smoothed = micro smoothed
            Least = micro newest
            HasQueueing = life.IsMeasured
            Queueing = if life.IsMeasured then micro queue else 0L<us>
            IsQueueEmpty = life.IsMeasured && queue <= min 0.004 (newest / 16.0)
            IsWindowLimited = isWindowLimited
            IsPeerLimited = peer < controller.Window
            IsRttInflated = life.IsMeasured && peer < Int32.MaxValue
            HasSack = life.HasSack
            Salt = uint32 life.Seed * 2654435761u }

    let observe (sample: CongestionSample) =
        controller <- controller.Observe &sample
        isWindowLimited <- false
        if sample.IsFirstLoss && controller.IsLossTolerated then recoverUntil <- -1L

    /// Packets that three others have overtaken are lost.
    let findLost highest (sample: CongestionSample) =
        let mutable sample = sample
        let mutable previous = -2L

        for it in sent do
            if not it.IsFound && not it.IsAcked && it.Number <= highest - 3L then
                it.IsFound <- true
                flight <- flight - it.Size
                lost <- lost + int64 it.Size
                let ranges = if it.Number = previous + 1L then 0 else 1
                previous <- it.Number

                sample <-
                    { sample with
                        LostBytes = sample.LostBytes + it.Size
                        LostPackets = sample.LostPackets + 1
                        LostRanges = sample.LostRanges + ranges }

        if sample.LostPackets > 0 && recoverUntil < 0L then
            recoverUntil <- next
            sample <- { sample with IsFirstLoss = true }

        sample

    let observeRoundTrip (newest: Packet) =
        let rtt = roundTripOf newest
        smoothed <- if smoothed = 0.0 then rtt else 0.875 * smoothed + 0.125 * rtt
        // A longer path shows when nothing shorter was seen for a while.
        leastFor <- if rtt <= 1.5 * least then 0 else leastFor + 1
        least <- if leastFor > 200 then rtt else min least rtt
        if leastFor > 200 then leastFor <- 0

    let rateOf (newest: Packet) =
        let interval = max (newest.SentAt - newest.FirstSentAt) (deliveredAt - newest.DeliveredAt)

        if interval <= 0.0 || interval < least then
            0L
        else
            int64 (ceil (float (delivered - newest.Delivered) / interval))

    let acknowledge () =
        let before = flight
        let mutable sample = { Unchecked.defaultof<CongestionSample> with FlightBefore = before }
        let mutable newest: Packet = null
        let mutable it: Packet = null
        let mutable at = 0.0

        while acks.TryPeek(&it, &at) && at <= now do
            acks.Dequeue() |> ignore
            it.IsAcked <- true
            delivered <- delivered + int64 it.Size

            if it.IsFound then
                sample <- { sample with SpuriousPackets = sample.SpuriousPackets + 1 }
            else
                flight <- flight - it.Size
                if isNull newest || it.Number > newest.Number then newest <- it

            queued[int (it.Number % 4L)] <- it.Queued + 0.0002 * random.NextDouble()
            sample <- { sample with Bytes = sample.Bytes + it.Size; Packets = sample.Packets + 1 }

        deliveredAt <- now
        progressAt <- now

        if not (isNull newest) then
            observeRoundTrip newest
            let rate = rateOf newest
            firstSentAt <- max firstSentAt newest.SentAt
            if recoverUntil >= 0L && newest.Number >= recoverUntil then recoverUntil <- -1L

            sample <-
                { sample with
                    PriorDelivered = newest.Delivered
                    DeliveryRate = rate
                    IsAppLimited = newest.IsAppLimited
                    SentFlight = newest.Flight
                    RoundTrip = if chance 0.05 then 0L<us> else micro (roundTripOf newest) }
        else
            sample <- { sample with PriorDelivered = delivered }

        let highest = if isNull newest then -1L else newest.Number
        let isSeparate = chance 0.25

        // A timer may find losses in a step of its own.
        if isSeparate then observe (base' false sample)

        let found =
            findLost
                highest
                (if isSeparate then
                     { Unchecked.defaultof<CongestionSample> with FlightBefore = flight }
                 else
                     sample)

        if not isSeparate || found.LostPackets > 0 then
            let since = if isNull newest || isSeparate then 0 else int (lost - newest.Lost)
            observe (base' isSeparate { found with LostSince = since })

        while sent.Count > 0 && (sent.Peek().IsAcked || sent.Peek().IsFound) do
            sent.Dequeue() |> ignore

    let timeOut () =
        let before = flight

        for it in sent do
            if not it.IsFound && not it.IsAcked then
                it.IsFound <- true
                flight <- flight - it.Size

        controller <- controller.TimedOut before
        recoverUntil <- next
        progressAt <- now
        sent.Clear()

    let change () =
        let among (values: 'T list) = values[random.Next values.Length]

        match random.Next 10 with
        | 0 -> outageUntil <- now + 2.5 * random.NextDouble()
        | 1 -> rate <- life.Rate * float life.Packet * among [ 0.3; 0.7; 1.0; 2.0 ]
        | 2 -> delay <- life.Delay * among [ 0.6; 1.0; 1.0; 1.8 ]
        | 3 ->
            packet <- among [ 528; 1_180; life.Packet; life.Packet; 1_452; 8_952 ]
            controller <- controller.Resized packet
        | 4
        | 5 -> foreign <- among [ 0.0; 0.002; 0.01; 0.06 ]
        | 6 -> peer <- among [ Int32.MaxValue; Int32.MaxValue; 30 * packet ]
        | _ ->
            if not life.IsBulk then
                supply <- among [ 0; packet; 4 * packet; 20 * packet; Int32.MaxValue; Int32.MaxValue ]

    member _.Run(time: float, samples: int) =
        let until = now + time
        let mutable changeAt = now
        let mutable count = 0

        while now < until && count < samples do
            let room = min (min supply peer) controller.Window - flight
            let isOpen = room >= packet || flight = 0 && supply > 0

            if not isOpen && flight > 0 && controller.Window - flight < packet then
                isWindowLimited <- true

            if not isOpen && supply < controller.Window then limitedUntil <- delivered + int64 flight

            let mutable ackAt = infinity
            let mutable it: Packet = null
            if not (acks.TryPeek(&it, &ackAt)) then ackAt <- infinity
            let outAt = if flight > 0 then progressAt + max 0.5 (3.0 * smoothed) else infinity
            let sendNext = if isOpen then max now sendAt else infinity
            let first = min (min ackAt sendNext) (min outAt changeAt)
            now <- max now first

            if first = changeAt then
                change ()
                changeAt <- now - life.ChangeEvery * log (1.0 - random.NextDouble())
            elif first = ackAt then
                acknowledge ()
                count <- count + 1
            elif first = sendNext then
                transmit ()
            else
                timeOut ()

/// Lets a controller send over a path, until a number of seconds or samples is reached.
let run (life: Life) (time: float) samples (controller: ICongestionController) =
    Sender(life, controller).Run(time, samples)
