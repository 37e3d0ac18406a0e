namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

/// Consecutive packets that were received ahead of a missing one.
[<NoComparison; NoEquality>]
type internal HeldRange =
    {
        First: SeqNr
        /// What they carry; a FIN nothing.
        Packets: AppendList<Owned>
        /// The place of the last change among all changes: the range that has changed last has the highest.
        Changed: int
    }

    member this.Count = this.Packets.Count
    /// The number behind the last packet.
    member this.Next = this.First + this.Packets.Count

/// What was received ahead of a missing packet, in the order of the numbers: ranges, not packets, so that a copy and an acknowledgement
/// cost what the gaps cost. Neighbours may touch, if joining them would cost too much. Changed in place; a step works on a `Copy`.
[<Sealed; AllowNullLiteral>]
type internal HeldPackets(ranges: Deque<HeldRange>, bytes: int, count: int, changes: int) =
    let mutable ranges = ranges
    let mutable bytes = bytes
    let mutable count = count
    let mutable changes = changes

    /// A range that another one has reached is joined with it if it has so few packets: each is moved a few times at most.
    let joinedAtMost = 16

    new() = HeldPackets(Deque<HeldRange>.Empty, 0, 0, 0)

    member _.Ranges = ranges
    /// Payload bytes of all packets.
    member _.Bytes = bytes
    /// How many packets there are.
    member _.Count = count
    member _.Changes = changes
    member _.Copy() = HeldPackets(ranges.Copy(), bytes, count, changes)

    member _.First = ranges[0].First
    member _.Last = ranges[ranges.Count - 1].Next + -1

    /// The index of the last range that does not begin behind this number, or -1: nearly always the last of all.
    member private _.Find(seqNr: SeqNr) : int =
        let mutable low = -1
        let mutable high = ranges.Count

        if high > 0 && ranges[high - 1].First - seqNr <= 0 then low <- high - 1

        while high - low > 1 do
            let middle = (low + high) / 2

            if ranges[middle].First - seqNr <= 0 then low <- middle else high <- middle

        low

    member this.Contains(seqNr: SeqNr) =
        let place = this.Find seqNr
        place >= 0 && ranges[place].Next - seqNr > 0

    /// Holds a packet that is not held yet.
    member this.Add(seqNr: SeqNr, data: Owned) =
        let before = this.Find seqNr
        let isNext = before >= 0 && ranges[before].Next = seqNr
        let place = if isNext then before else before + 1
        changes <- changes + 1
        count <- count + 1
        bytes <- bytes + data.Length

        if isNext then
            ranges[place] <- { ranges[place] with Packets = ranges[place].Packets.Add data; Changed = changes }
        else
            ranges.Insert(place, { First = seqNr; Packets = AppendList [| data |]; Changed = changes })

        if place + 1 < ranges.Count then
            let next = ranges[place + 1]

            if ranges[place].Next = next.First && next.Count <= joinedAtMost then
                let mutable joined = ranges[place].Packets

                for index in 0 .. next.Count - 1 do
                    joined <- joined.Add next.Packets[index]

                ranges[place] <- { ranges[place] with Packets = joined }
                ranges.Remove(place + 1)

    /// Removes the first range and returns it.
    member _.Pop() : HeldRange =
        let range = ranges.Pop()
        count <- count - range.Count

        for index in 0 .. range.Count - 1 do
            bytes <- bytes - range.Packets[index].Length

        range

    /// The bits of BEP 29's selective acknowledgement: bit 0 is `ack_nr + 2`.
    member this.Bits(ackNr: SeqNr) : Owned =
        let reach = this.Last - ackNr - 2
        let bits = Array.zeroCreate<byte>(4 * (reach / 32 + 1))

        for index in 0 .. ranges.Count - 1 do
            let first = ranges[index].First - ackNr - 2

            for bit in first .. first + ranges[index].Count - 1 do
                bits[bit >>> 3] <- bits[bit >>> 3] ||| (1uy <<< (bit &&& 7))

        Owned bits

    /// The index of the first of the ranges that touch the one at an index.
    member private _.Start(last: int) : int =
        let mutable start = last

        while start > 0 && ranges[start - 1].Next = ranges[start].First do
            start <- start - 1

        start

    member private _.LastChange(start: int, last: int) : int =
        let mutable changed = ranges[start].Changed

        for index in start + 1 .. last do
            changed <- max changed ranges[index].Changed

        changed

    /// The place of the oldest change of the `SackRanges.Most` ranges that have changed last; 0 if there are no more.
    member private this.Threshold() : int =
        // A heap, with the least at its top. The last ranges are usually those that have changed last, and come first.
        let latest = Array.zeroCreate<int> SackRanges.Most
        let mutable last = ranges.Count - 1

        while last >= 0 do
            let start = this.Start last
            let changed = this.LastChange(start, last)

            if changed > latest[0] then
                let mutable place = 0
                let mutable child = 1

                while child < latest.Length do
                    if child + 1 < latest.Length && latest[child + 1] < latest[child] then child <- child + 1

                    if latest[child] < changed then
                        latest[place] <- latest[child]
                        place <- child
                        child <- 2 * place + 1
                    else
                        child <- latest.Length

                latest[place] <- changed

            last <- start - 1

        latest[0]

    /// The `SackRanges` of an acknowledgement, in the order of their numbers.
    member this.Named(ackNr: SeqNr) : Owned =
        let threshold = if ranges.Count > SackRanges.Most then this.Threshold() else 0
        let bytes = Array.zeroCreate<byte>(4 * min ranges.Count SackRanges.Most)
        let mutable from = bytes.Length
        let mutable last = ranges.Count - 1

        while last >= 0 do
            let start = this.Start last

            if this.LastChange(start, last) >= threshold then
                let first = ranges[start].First
                from <- from - 4
                let target = Span<byte>(bytes, from, 4)
                BinaryPrimitives.WriteUInt16BigEndian(target, uint16 (first - ackNr))
                BinaryPrimitives.WriteUInt16BigEndian(target.Slice 2, uint16 (ranges[last].Next - first))

            last <- start - 1

        Owned(bytes, from, bytes.Length - from)
