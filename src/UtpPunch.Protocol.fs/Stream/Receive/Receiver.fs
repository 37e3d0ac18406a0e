namespace UtpPunch.Protocol

[<Struct; RequireQualifiedAccess>]
type internal Arrival =
    | InOrder
    | OutOfOrder
    | Duplicate
    | Old
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
          Reach = ReorderWindow
          AckNr = ackNr
          Unread = 0
          RoundAt = 0u
          RoundBytes = 0
          RoundTrip = 0
          LeastTrip = System.Int32.MaxValue
          Held = null
          Fin = ValueNone
          Passed = null
          IsComplete = false
          Payloads = PayloadBuilder() }

    let copy receiver = { receiver with Held = (if isNull receiver.Held then null else receiver.Held.Copy()) }

    let ackNr receiver = receiver.AckNr
    let window receiver = max 0 (receiver.Limit - receiver.Unread)
    let unread receiver = receiver.Unread
    let setLimit limit receiver = receiver.Limit <- min receiver.Capacity limit
    let isLimited receiver = receiver.Limit < receiver.Capacity
    let setReach packets receiver = receiver.Reach <- packets

    /// A packet that is held costs more than its bytes: an object, and its place in a list. A range costs a list.
    let private packetOverhead = 64
    let private rangeOverhead = 128

    let hasGap receiver = not (isNull receiver.Held)

    let private heldBytes receiver = if hasGap receiver then receiver.Held.Bytes else 0

    let held receiver =
        if hasGap receiver then
            let held = receiver.Held
            receiver.Unread + held.Bytes + packetOverhead * held.Count + rangeOverhead * held.Ranges.Count
        else
            receiver.Unread

    let isComplete receiver = receiver.IsComplete

    /// What the sender may send until it knows: while it doubles its window, four times what has arrived in the last round trip; and twice that
    /// for what is repaired meanwhile.
    let private roundsHeld = 8L

    let isRoundOver (at: uint32) receiver = receiver.RoundTrip = 0 || int (at - receiver.RoundAt) >= receiver.RoundTrip

    let tune at roundTrip limit receiver =
        if receiver.RoundTrip > 0 then
            // A round that ends late, because packets arrive together, counts for as much as it is longer.
            let elapsed = int64 (at - receiver.RoundAt)
            let wanted = roundsHeld * int64 receiver.RoundBytes * int64 receiver.RoundTrip / elapsed
            let capacity = int (min wanted (int64 limit))

            if
                capacity > receiver.Capacity
                && receiver.Unread < receiver.Capacity / 4
                && int64 receiver.LeastTrip >= int64 Rtt.shortPath
            then
                if not (isLimited receiver) then receiver.Limit <- capacity

                receiver.Capacity <- capacity

        if roundTrip > 0 then
            receiver.RoundTrip <- roundTrip
            receiver.LeastTrip <- min receiver.LeastTrip roundTrip

        receiver.RoundAt <- at
        receiver.RoundBytes <- 0

    let count bytes receiver = receiver.RoundBytes <- receiver.RoundBytes + bytes

    let isInRange seqNr receiver =
        let ahead = seqNr - receiver.AckNr - 1
        ahead < receiver.Reach && ahead >= -receiver.Reach

    /// A packet that fills a gap makes room, and is taken even at the limit.
    let private hasRoom (payload: Borrowed) receiver =
        let limit = if hasGap receiver then receiver.Capacity else receiver.Limit
        receiver.Unread + heldBytes receiver + payload.Length <= limit

    /// What lies behind a gap cannot be read, so it gets half of a limit that the node's memory sets.
    let private hasRoomBehindGap (payload: Borrowed) receiver =
        if isLimited receiver then
            held receiver + payload.Length <= receiver.Limit / 2
        else
            receiver.Unread + heldBytes receiver + payload.Length <= receiver.Capacity

    /// No packet is under way for longer.
    let private underWay = Time.seconds 60

    let private markOf (number: SeqNr) = int number.Value >>> 12

    let pass (before: SeqNr) stamp (at: Instant) receiver =
        let last = markOf receiver.AckNr

        if receiver.Reach > ReorderWindow && markOf before <> last then
            let marks =
                if isNull receiver.Passed then
                    Array.create 16 { Stamp = 0u; At = -(Time.never / 2L) }
                else
                    Array.copy receiver.Passed

            let mutable mark = markOf before

            while mark <> last do
                mark <- (mark + 1) &&& 15
                marks[mark] <- { Stamp = stamp; At = at }

            receiver.Passed <- marks

    let isOld (seqNr: SeqNr) (stamp: uint32) (now: Instant) receiver =
        if isNull receiver.Passed || seqNr - receiver.AckNr <= 0 then
            false
        elif int32 (stamp - receiver.Passed[markOf receiver.AckNr].Stamp) >= 0 then
            // Later than the latest of them.
            false
        else
            let mark = receiver.Passed[markOf (seqNr + -receiver.Reach)]
            now - mark.At < underWay && int32 (stamp - mark.Stamp) < 0

    let private advance (data: Borrowed) isFin receiver =
        receiver.AckNr <- receiver.AckNr + 1

        if not data.IsEmpty then
            receiver.Unread <- receiver.Unread + data.Length
            receiver.Payloads.Append data

        if isFin then receiver.IsComplete <- true

    let isHeld seqNr receiver = hasGap receiver && receiver.Held.Contains seqNr

    let private hold seqNr (payload: Borrowed) isFin receiver =
        if isHeld seqNr receiver then
            Arrival.Duplicate
        elif not (hasRoomBehindGap payload receiver) then
            Arrival.Overrun
        else
            if isNull receiver.Held then receiver.Held <- HeldPackets()

            receiver.Held.Add(seqNr, Borrowed.keep payload)
            if isFin then receiver.Fin <- ValueSome seqNr

            Arrival.OutOfOrder

    /// Whether the packet lies behind the FIN, or is a FIN in another place or in front of a packet that is held.
    let private contradictsFin (seqNr: SeqNr) isFin receiver =
        match receiver.Fin with
        | ValueSome fin -> seqNr - fin > 0 || isFin <> (seqNr = fin)
        | ValueNone -> isFin && hasGap receiver && receiver.Held.Last - seqNr > 0

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

            while hasGap receiver && receiver.Held.First = receiver.AckNr + 1 do
                let range = receiver.Held.Pop()

                for index in 0 .. range.Count - 1 do
                    let isFin = receiver.Fin = ValueSome(receiver.AckNr + 1)
                    advance range.Packets[index].AsBorrowed isFin receiver

                if receiver.Held.Count = 0 then receiver.Held <- null

            Arrival.InOrder

    /// The first number behind a mark is left to `accept` and `pass`, and so is what might be an old copy.
    let tryAppend (seqNr: SeqNr) (stamp: uint32) (payload: Borrowed) receiver =
        if
            seqNr - receiver.AckNr = 1
            && not (hasGap receiver)
            && receiver.Fin.IsNone
            && receiver.Unread + payload.Length <= receiver.Limit
            && markOf seqNr = markOf receiver.AckNr
            && (isNull receiver.Passed || int32 (stamp - receiver.Passed[markOf seqNr].Stamp) >= 0)
        then
            advance payload false receiver
            true
        else
            false

    let seal receiver = receiver.Payloads.Seal()
    let drain deliver receiver = receiver.Payloads.Drain deliver

    let consume count receiver =
        if count < 0 || count > receiver.Unread then
            invalidArg (nameof count) "More was consumed than was delivered."

        receiver.Unread <- receiver.Unread - count

    let sack receiver = if hasGap receiver then receiver.Held.Bits receiver.AckNr else Owned.Empty
    let ranges receiver = if hasGap receiver then receiver.Held.Named receiver.AckNr else Owned.Empty
