namespace UtpPunch.Protocol

open System

[<Struct; RequireQualifiedAccess>]
type internal Arrival =
    | InOrder
    | OutOfOrder
    | Duplicate
    | OutOfRange
    | Overrun
    | BeyondFin

module private Reorder =
    [<Literal>]
    let Window = 1024

/// A packet ahead of its turn.
[<Sealed; AllowNullLiteral>]
type private Held(seqNr: SeqNr, data: Bytes, isFin: bool) =
    member _.SeqNr = seqNr
    member _.Data = data
    member _.IsFin = isFin

[<Sealed>]
type internal Receiver private (capacity: int, start: SeqNr, held: Deque<Held>) =
    let mutable held = held
    // The payload that grows while in-order packets of one buffer come in, and those finished before it.
    let mutable buffer: byte[] = null
    let mutable offset = 0
    let mutable stride = 0
    let mutable size = 0
    let mutable pieces = 0
    let mutable lastOffset = 0
    let mutable lastLength = 0
    let mutable ready: ResizeArray<Payload> = null

    new(capacity, ackNr) = Receiver(capacity, ackNr, Deque<Held>.Empty)

    member val private AckNr = start with get, set
    member val private Unread = 0 with get, set
    member val private HeldBytes = 0 with get, set
    member val private Fin: SeqNr voption = ValueNone with get, set
    member val private Complete = false with get, set

    member internal this.Copy() =
        Receiver(
            capacity,
            this.AckNr,
            held.Copy(),
            Unread = this.Unread,
            HeldBytes = this.HeldBytes,
            Fin = this.Fin,
            Complete = this.Complete
        )

    member internal this.LastInOrder = this.AckNr
    member internal this.Window = capacity - this.Unread
    member internal _.HasGap = held.Count > 0
    member internal this.IsComplete = this.Complete

    /// Appends to the current payload when the packet lies one stride behind the last one, as in a buffer full of equal packets.
    member private this.Append(data: Bytes) =
        this.Unread <- this.Unread + data.Length
        let gap = data.Offset - lastOffset

        if
            Object.ReferenceEquals(buffer, data.Array)
            && data.Length <= size
            && lastLength = size
            && (if pieces = 1 then gap >= size else gap = stride)
        then
            stride <- gap
            pieces <- pieces + 1
        else
            this.Close()
            buffer <- data.Array
            offset <- data.Offset
            stride <- data.Length
            size <- data.Length
            pieces <- 1

        lastOffset <- data.Offset
        lastLength <- data.Length

    member private _.Current: Payload =
        { Buffer = buffer
          Offset = offset
          Stride = stride
          Size = size
          Length = (pieces - 1) * size + lastLength }

    member private this.Close() =
        if pieces > 0 then
            if isNull ready then ready <- ResizeArray()

            ready.Add this.Current
            pieces <- 0
            buffer <- null

    member internal this.Drain(deliver: Payload -> unit) =
        if isNull ready then
            if pieces > 0 then
                deliver this.Current
                pieces <- 0
                buffer <- null
        else
            this.Close()

            for payload in ready do
                deliver payload

            ready <- null

    member private this.Advance(data: Bytes, isFin: bool) =
        this.AckNr <- this.AckNr + 1

        if not data.IsEmpty then this.Append data

        if isFin then this.Complete <- true

    /// The place in the queue at or behind which this number belongs. Nearly always the end.
    member private _.PlaceOf(seqNr: SeqNr) =
        let mutable place = held.Count

        while place > 0 && held[place - 1].SeqNr - seqNr >= 0 do
            place <- place - 1

        place

    member private this.Hold(seqNr: SeqNr, payload: Bytes, isFin: bool) =
        let place = this.PlaceOf seqNr

        if place < held.Count && held[place].SeqNr = seqNr then
            Arrival.Duplicate
        elif this.Unread + this.HeldBytes + payload.Length > capacity then
            Arrival.Overrun
        else
            // Copied: a packet that waits must not hold the whole buffer that it came in.
            held.Insert(place, Held(seqNr, Bytes(payload.Span.ToArray()), isFin))
            this.HeldBytes <- this.HeldBytes + payload.Length
            Arrival.OutOfOrder

    member internal this.IsInRange(seqNr: SeqNr) =
        let ahead = seqNr - this.AckNr - 1
        ahead < Reorder.Window && ahead >= -Reorder.Window

    member internal this.Accept(seqNr: SeqNr, payload: Bytes, isFin: bool) =
        let ahead = seqNr - this.AckNr - 1

        if not (this.IsInRange seqNr) then
            Arrival.OutOfRange
        elif ahead < 0 then
            Arrival.Duplicate
        else
            let contradicts =
                match this.Fin with
                | ValueSome fin -> seqNr - fin > 0 || isFin <> (seqNr = fin)
                // A FIN below what is already held contradicts that.
                | ValueNone -> isFin && held.Count > 0 && held[held.Count - 1].SeqNr - seqNr > 0

            if contradicts then
                Arrival.BeyondFin
            elif ahead > 0 then
                let arrival = this.Hold(seqNr, payload, isFin)

                if isFin && arrival = Arrival.OutOfOrder then this.Fin <- ValueSome seqNr

                arrival
            elif this.Unread + this.HeldBytes + payload.Length > capacity then
                Arrival.Overrun
            else
                if isFin then this.Fin <- ValueSome seqNr

                this.Advance(payload, isFin)

                while held.Count > 0 && held[0].SeqNr = this.AckNr + 1 do
                    let next = held.Pop()
                    this.HeldBytes <- this.HeldBytes - next.Data.Length
                    this.Advance(next.Data, next.IsFin)

                Arrival.InOrder

    member internal this.Consume(count: int) =
        if count < 0 || count > this.Unread then
            invalidArg (nameof count) "More was consumed than was delivered."

        this.Unread <- this.Unread - count

    member internal this.Sack() =
        if held.Count = 0 then
            Bytes.Empty
        else
            let reach = held[held.Count - 1].SeqNr - this.AckNr - 2
            let bits = Array.zeroCreate<byte>(4 * (reach / 32 + 1))

            for index in 0 .. held.Count - 1 do
                let bit = held[index].SeqNr - this.AckNr - 2
                bits[bit >>> 3] <- bits[bit >>> 3] ||| (1uy <<< (bit &&& 7))

            Bytes bits

module internal Receiver =
    [<Literal>]
    let ReorderWindow = Reorder.Window

    let create capacity (ackNr: SeqNr) = Receiver(capacity, ackNr)
    let copy (receiver: Receiver) = receiver.Copy()
    let ackNr (receiver: Receiver) = receiver.LastInOrder
    let window (receiver: Receiver) = receiver.Window
    let hasGap (receiver: Receiver) = receiver.HasGap
    let isComplete (receiver: Receiver) = receiver.IsComplete
    let isInRange seqNr (receiver: Receiver) = receiver.IsInRange seqNr
    let accept seqNr payload isFin (receiver: Receiver) = receiver.Accept(seqNr, payload, isFin)
    let drain deliver (receiver: Receiver) = receiver.Drain deliver
    let consume count (receiver: Receiver) = receiver.Consume count
    let sack (receiver: Receiver) = receiver.Sack()
