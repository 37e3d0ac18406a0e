namespace UtpPunch.Sim.Congestion

open System
open System.Buffers.Binary
open UtpPunch.Protocol
open UtpPunch.Sim

/// A packet that was sent and not yet acknowledged or found lost.
[<Struct; NoComparison; NoEquality>]
type private Sent =
    { At: Instant
      FirstSentAt: Instant
      DeliveredAt: Instant
      Delivered: int64
      IsAppLimited: bool
      mutable IsOutstanding: bool }

/// The packets of models: a number, which each transmission gets anew. What is lost is not retransmitted, since the contents of a bulk flow do not
/// matter: recovery is ideal, and only the window and the rate are those of the modelled stack.
module private ModelPacket =
    /// As many bytes as our largest packet, so that flows differ by their congestion control only.
    let size = 1472
    let payload = 1452

    let data (number: int64) (size: int) =
        let bytes = Array.zeroCreate<byte> size
        BinaryPrimitives.WriteInt64LittleEndian(Span<byte>(bytes, 8, 8), number)
        bytes

    let numberOf (bytes: byte[]) = BinaryPrimitives.ReadInt64LittleEndian(ReadOnlySpan<byte>(bytes, 8, 8))

    /// The newest ranges of numbers that have arrived, newest first. Eight, so that their bytes stay comparable to those of TCP.
    let acknowledgement (ranges: ResizeArray<struct (int64 * int64)>) =
        let count = min 8 ranges.Count
        let bytes = Array.zeroCreate<byte>(16 + 8 * count)
        // A STATE of BEP 29, for paths that treat acknowledgements in their own way.
        bytes[0] <- 0x21uy
        BinaryPrimitives.WriteInt64LittleEndian(Span<byte>(bytes, 8, 8), int64 count)

        for index in 0 .. count - 1 do
            let struct (first, last) = ranges[ranges.Count - 1 - index]
            BinaryPrimitives.WriteInt32LittleEndian(Span<byte>(bytes, 16 + 8 * index, 4), int first)
            BinaryPrimitives.WriteInt32LittleEndian(Span<byte>(bytes, 20 + 8 * index, 4), int last)

        bytes

    let rangesOf (bytes: byte[]) =
        let number at = BinaryPrimitives.ReadInt32LittleEndian(ReadOnlySpan<byte>(bytes, at, 4))
        [| for index in 0 .. int (numberOf bytes) - 1 -> struct (number (16 + 8 * index), number (20 + 8 * index)) |]

/// Acknowledges every second packet, a gap at once, and a single packet after 25 ms.
[<Sealed>]
type ModelReceiver(line: ILabLine, acknowledges: bool) =
    /// In ascending order.
    let ranges = ResizeArray<struct (int64 * int64)>()
    let mutable unacknowledged = 0
    let mutable acknowledgeAt = Time.never

    let add (number: int64) =
        let mutable index = ranges.Count

        while index > 0 && (let struct (first, _) = ranges[index - 1] in first > number) do
            index <- index - 1

        if index > 0 && (let struct (_, last) = ranges[index - 1] in last >= number) then
            false
        else
            ranges.Insert(index, struct (number, number))

            let joins a b =
                (let struct (_, last) = ranges[a] in
                 let struct (first, _) = ranges[b] in
                 last + 1L = first)

            let join a b =
                let struct (first, _) = ranges[a]
                let struct (_, last) = ranges[b]
                ranges[a] <- struct (first, last)
                ranges.RemoveAt b

            if index + 1 < ranges.Count && joins index (index + 1) then join index (index + 1)
            if index > 0 && joins (index - 1) index then join (index - 1) index
            // What is older will never be reported again.
            if ranges.Count > 256 then ranges.RemoveAt 0
            true

    let acknowledge () =
        unacknowledged <- 0
        acknowledgeAt <- Time.never
        line.Send(ModelPacket.acknowledgement ranges, false) |> ignore

    interface ILabEnd with
        member _.Receive(now, datagram) =
            let before = ranges.Count

            if add (ModelPacket.numberOf datagram.Bytes) then
                line.Delivered(max 1 (datagram.Bytes.Length - (ModelPacket.size - ModelPacket.payload)))

            if acknowledges then
                unacknowledged <- unacknowledged + 1

                if unacknowledged >= 2 || ranges.Count <> before then acknowledge ()
                elif acknowledgeAt = Time.never then acknowledgeAt <- now + Time.milliseconds 25

        member _.Wake now = if now >= acknowledgeAt then acknowledge ()
        member _.Deadline = acknowledgeAt
        member _.Belief = ValueNone

/// Sends packets of `size` bytes as a model permits.
[<Sealed>]
type ModelSender(plan: FlowPlan, model: IModel, size: int, line: ILabLine) =
    let sent = ResizeArray<Sent>()
    let payload = max 1 (size - (ModelPacket.size - ModelPacket.payload))
    /// Every number below was acknowledged or found lost.
    let mutable settled = 0
    let mutable largest = -1
    let mutable flight = 0
    let mutable recoveryEnds = 0
    let mutable delivered = 0L
    let mutable deliveredAt = 0L<us>
    let mutable firstSentAt = 0L<us>
    let mutable smoothed = 0L<us>
    let mutable variance = 0L<us>
    let mutable backOff = 0
    let mutable progressAt = 0L<us>
    let mutable nextSendAt = 0L<us>
    let mutable suppliedAt = plan.From
    /// Millionths of a byte.
    let mutable ready = 0L
    let mutable isBulk = false
    let mutable wakeAt = plan.From
    let mutable lost = 0L
    let mutable timeouts = 0L

    let timeout () =
        let plain =
            if smoothed = 0L<us> then
                Time.seconds 1
            else
                max (Time.milliseconds 200) (smoothed + 4L * variance)

        min (Time.seconds 60) (plain * (1L <<< min 6 backOff))

    let measure (roundTrip: Duration) =
        if smoothed = 0L<us> then
            smoothed <- roundTrip
            variance <- roundTrip / 2L
        else
            variance <- (3L * variance + abs (smoothed - roundTrip)) / 4L
            smoothed <- (7L * smoothed + roundTrip) / 8L

    let packetTokens = int64 payload * 1_000_000L

    /// Takes in what the application has produced, and returns its rate and when that changes.
    let supply (now: Instant) =
        let struct (rate, next) = FlowPlan.supplyAt now plan
        isBulk <- rate = Int64.MaxValue
        ready <- if isBulk then 0L else ready + rate * int64 (now - suppliedAt)
        suppliedAt <- now
        struct (rate, next)

    let send (now: Instant) =
        if flight = 0 then
            firstSentAt <- now
            deliveredAt <- now
            progressAt <- now

        line.Send(ModelPacket.data (int64 sent.Count) size, false) |> ignore

        sent.Add
            { At = now
              FirstSentAt = firstSentAt
              DeliveredAt = deliveredAt
              Delivered = delivered
              IsAppLimited = not isBulk
              IsOutstanding = true }

        flight <- flight + 1
        if not isBulk then ready <- ready - packetTokens

    /// Sends what may be sent, and sets when to continue.
    let transmit (now: Instant) =
        if now >= plan.From && now < plan.Until then
            let struct (rate, changesAt) = supply now
            let hasData () = isBulk || ready >= packetTokens
            let fits () = float (flight + 1) <= max 1.0 model.Window

            while hasData () && fits () && nextSendAt <= now do
                send now

                if not (Double.IsInfinity model.PacingRate) then
                    let gap = Time.microseconds (int64 (1e6 / model.PacingRate))
                    nextSendAt <- max nextSendAt (now - Time.milliseconds 1) + gap

            let next =
                if hasData () then (if fits () then nextSendAt else Time.never)
                elif rate = 0L then Time.never
                else now + Time.microseconds ((packetTokens - ready + rate - 1L) / rate)

            wakeAt <- min (min changesAt next) (if flight > 0 then progressAt + timeout () else Time.never)
            if plan.Until <> Time.never then wakeAt <- min wakeAt plan.Until
        else
            wakeAt <- if now < plan.From then plan.From else Time.never

    let settle number =
        sent[number] <- { sent[number] with IsOutstanding = false }
        flight <- flight - 1

    /// Everything three packets behind the newest acknowledged one is lost (RFC 9002, 6.1.1).
    let findLost (now: Instant) =
        let mutable newest = -1

        for number in settled .. largest - 3 do
            if sent[number].IsOutstanding then
                settle number
                lost <- lost + 1L
                newest <- number

        if newest >= recoveryEnds then
            recoveryEnds <- sent.Count
            model.Lost(now, flight)

        while settled < sent.Count && not sent[settled].IsOutstanding do
            settled <- settled + 1

    let receive (now: Instant) (bytes: byte[]) =
        let before = flight
        let mutable newest = -1
        let mutable count = 0

        for struct (first, last) in ModelPacket.rangesOf bytes do
            for number in max settled first .. last do
                if sent[number].IsOutstanding then
                    settle number
                    count <- count + 1
                    newest <- max newest number

        if count > 0 then
            largest <- max largest newest
            delivered <- delivered + int64 count
            deliveredAt <- now
            progressAt <- now
            backOff <- 0
            let packet = sent[newest]
            firstSentAt <- packet.At
            measure (now - packet.At)
            findLost now
            let interval = max (packet.At - packet.FirstSentAt) (now - packet.DeliveredAt)

            model.Acknowledged
                { Now = now
                  Packets = count
                  Before = before
                  Flight = flight
                  RoundTrip = now - packet.At
                  Delivered = delivered
                  PriorDelivered = packet.Delivered
                  Rate = float (delivered - packet.Delivered) * 1e6 / float (max 1L (int64 interval))
                  IsAppLimited = packet.IsAppLimited }

    let expire (now: Instant) =
        if flight > 0 && now >= progressAt + timeout () then
            for number in settled .. sent.Count - 1 do
                if sent[number].IsOutstanding then
                    settle number
                    lost <- lost + 1L

            settled <- sent.Count
            recoveryEnds <- sent.Count
            backOff <- backOff + 1
            timeouts <- timeouts + 1L
            progressAt <- now
            model.TimedOut now

    interface ILabEnd with
        member _.Receive(now, datagram) =
            receive now datagram.Bytes
            transmit now

        member _.Wake now =
            expire now
            transmit now

        member _.Deadline = wakeAt

        member _.Belief =
            ValueSome
                { Window = int64 (min 1e12 model.Window) * int64 size
                  Flight = int64 flight * int64 size
                  RoundTrip = smoothed
                  Queueing = 0L<us>
                  PacingRate = (if Double.IsInfinity model.PacingRate then 0L else int64 model.PacingRate * int64 size)
                  Phase = ""
                  Retransmissions = lost
                  Timeouts = timeouts }
