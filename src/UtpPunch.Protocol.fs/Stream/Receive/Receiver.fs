namespace UtpPunch.Protocol

[<Struct; RequireQualifiedAccess>]
type internal Arrival =
    | InOrder
    | OutOfOrder
    | Duplicate
    | OutOfRange
    | Overrun
    | BeyondFin

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Receiver =
    [<Literal>]
    let ReorderWindow = 1024

    let create capacity (ackNr: SeqNr) =
        { Capacity = capacity
          Limit = capacity
          AckNr = ackNr
          Unread = 0
          Held = Deque<HeldPacket>.Empty
          HeldBytes = 0
          Fin = ValueNone
          IsComplete = false
          Payloads = PayloadBuilder() }

    let copy receiver = { receiver with Held = receiver.Held.Copy() }

    let ackNr receiver = receiver.AckNr
    let window receiver = max 0 (receiver.Limit - receiver.Unread)
    let unread receiver = receiver.Unread
    let setLimit limit receiver = receiver.Limit <- min receiver.Capacity limit
    let isLimited receiver = receiver.Limit < receiver.Capacity

    /// A packet that is held costs two objects besides its bytes.
    let private overhead = 64

    let held receiver = receiver.Unread + receiver.HeldBytes + overhead * receiver.Held.Count
    let hasGap receiver = receiver.Held.Count > 0
    let isComplete receiver = receiver.IsComplete

    let isInRange seqNr receiver =
        let ahead = seqNr - receiver.AckNr - 1
        ahead < ReorderWindow && ahead >= -ReorderWindow

    /// A packet that fills a gap makes room, and is taken even at the limit.
    let private hasRoom (payload: Borrowed) receiver =
        let limit = if hasGap receiver then receiver.Capacity else receiver.Limit
        receiver.Unread + receiver.HeldBytes + payload.Length <= limit

    /// What lies behind a gap cannot be read, so it gets half of a limit that the node's memory sets.
    let private hasRoomBehindGap (payload: Borrowed) receiver =
        if isLimited receiver then
            held receiver + payload.Length <= receiver.Limit / 2
        else
            receiver.Unread + receiver.HeldBytes + payload.Length <= receiver.Capacity

    let private advance (data: Borrowed) isFin receiver =
        receiver.AckNr <- receiver.AckNr + 1

        if not data.IsEmpty then
            receiver.Unread <- receiver.Unread + data.Length
            receiver.Payloads.Append data

        if isFin then receiver.IsComplete <- true

    /// Where in the queue this number is or belongs: nearly always at the end.
    let private placeOf (seqNr: SeqNr) receiver =
        let mutable place = receiver.Held.Count

        while place > 0 && receiver.Held[place - 1].SeqNr - seqNr >= 0 do
            place <- place - 1

        place

    let private hold seqNr (payload: Borrowed) isFin receiver =
        let place = placeOf seqNr receiver

        if place < receiver.Held.Count && receiver.Held[place].SeqNr = seqNr then
            Arrival.Duplicate
        elif not (hasRoomBehindGap payload receiver) then
            Arrival.Overrun
        else
            receiver.Held.Insert(place, HeldPacket(seqNr, Borrowed.keep payload, isFin))
            receiver.HeldBytes <- receiver.HeldBytes + payload.Length
            if isFin then receiver.Fin <- ValueSome seqNr

            Arrival.OutOfOrder

    /// Whether the packet lies behind the FIN, or is a FIN in another place or in front of a packet that is held.
    let private contradictsFin (seqNr: SeqNr) isFin receiver =
        match receiver.Fin with
        | ValueSome fin -> seqNr - fin > 0 || isFin <> (seqNr = fin)
        | ValueNone -> isFin && hasGap receiver && receiver.Held[receiver.Held.Count - 1].SeqNr - seqNr > 0

    let accept seqNr (payload: Borrowed) isFin receiver =
        let ahead = seqNr - receiver.AckNr - 1

        if not (isInRange seqNr receiver) then
            Arrival.OutOfRange
        elif ahead < 0 then
            Arrival.Duplicate
        elif contradictsFin seqNr isFin receiver then
            Arrival.BeyondFin
        elif ahead > 0 then
            hold seqNr payload isFin receiver
        elif not (hasRoom payload receiver) then
            Arrival.Overrun
        else
            if isFin then receiver.Fin <- ValueSome seqNr

            advance payload isFin receiver

            while hasGap receiver && receiver.Held[0].SeqNr = receiver.AckNr + 1 do
                let next = receiver.Held.Pop()
                receiver.HeldBytes <- receiver.HeldBytes - next.Data.Length
                advance next.Data.AsBorrowed next.IsFin receiver

            Arrival.InOrder

    let drain deliver receiver = receiver.Payloads.Drain deliver

    let consume count receiver =
        if count < 0 || count > receiver.Unread then
            invalidArg (nameof count) "More was consumed than was delivered."

        receiver.Unread <- receiver.Unread - count

    let sack receiver =
        if not (hasGap receiver) then
            Owned.Empty
        else
            let reach = receiver.Held[receiver.Held.Count - 1].SeqNr - receiver.AckNr - 2
            let bits = Array.zeroCreate<byte>(4 * (reach / 32 + 1))

            for index in 0 .. receiver.Held.Count - 1 do
                let bit = receiver.Held[index].SeqNr - receiver.AckNr - 2
                bits[bit >>> 3] <- bits[bit >>> 3] ||| (1uy <<< (bit &&& 7))

            Owned bits
