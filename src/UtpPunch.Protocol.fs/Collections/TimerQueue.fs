namespace UtpPunch.Protocol

/// When a key is due.
[<Struct; NoComparison; NoEquality>]
type private Due = { At: Instant; Key: int }

module private Due =
    let isInOrder (a: Due) (b: Due) = a.At < b.At || (a.At = b.At && a.Key <= b.Key)

/// Entries in order, at places that count up, in blocks of 32. Its versions share the last block, of which each knows a part; to add to a
/// version that is not the longest copies that block.
[<Sealed>]
type private TimerRun(blocks: Radix<AppendStore<Due>>, start: int, count: int, first: Due, last: Due) =
    static let blockOf place = place >>> 5
    static let indexOf place = place &&& 31

    static member One(entry: Due) = TimerRun(Radix.empty, 0, 0, entry, entry).Add entry

    member _.Count = count
    member _.First = first
    member _.Last = last

    /// With an entry that does not come before the last one.
    member _.Add(entry: Due) : TimerRun =
        let next = start + count
        let index = indexOf next
        let known = if index = 0 then ValueNone else Radix.tryFind (blockOf next) blocks

        let block =
            match known with
            | ValueSome shared when shared.Used = index -> shared
            | ValueSome longer ->
                let items = Array.zeroCreate 32
                System.Array.Copy(longer.Items, items, index)
                AppendStore items
            | ValueNone -> AppendStore(Array.zeroCreate 32)

        block.Items[index] <- entry
        block.Used <- index + 1
        let isShared = known.IsSome && obj.ReferenceEquals(known.Value, block)
        let blocks = if isShared then blocks else Radix.add (blockOf next) block blocks
        TimerRun(blocks, start, count + 1, first, entry)

    /// Without the first of at least two.
    member _.Rest: TimerRun =
        let next = start + 1
        let left = if indexOf next = 0 then Radix.remove (blockOf start) blocks else blocks
        let block = (Radix.tryFind (blockOf next) left).Value
        TimerRun(left, next, count - 1, block.Items[indexOf next], last)

/// A pairing heap, for entries that are not in order.
[<Sealed; AllowNullLiteral>]
type private Heap(first: Due, child: Heap, sibling: Heap) =
    member _.First = first
    member _.Child = child
    member _.Sibling = sibling

    static member Merge(a: Heap, b: Heap) =
        if isNull a then
            b
        elif isNull b then
            a
        elif Due.isInOrder a.First b.First then
            Heap(a.First, Heap(b.First, b.Child, a.Child), null)
        else
            Heap(b.First, Heap(a.First, a.Child, b.Child), null)

    /// Null if nothing is left.
    member _.Rest: Heap =
        // Pair the children from the left, then merge the pairs from the right; a loop, since there may be many.
        let pairs = System.Collections.Generic.Stack<Heap>()
        let mutable next = child

        while not (isNull next) do
            let second = next.Sibling

            if isNull second then
                pairs.Push next
                next <- null
            else
                pairs.Push(Heap.Merge(next, second))
                next <- second.Sibling

        let mutable rest: Heap = null

        while pairs.Count > 0 do
            rest <- Heap.Merge(pairs.Pop(), rest)

        rest

/// Nearly all timers are of a few lengths, and those of one length are due in the order in which they are added: each joins a run, which
/// costs the same however many there are. Stale entries stay until they are popped.
[<Sealed>]
type internal TimerQueue private (runs: TimerRun[], others: Heap, count: int) =
    /// What fits into none of that number of runs goes into the heap.
    static let mostRuns = 8

    /// The run that has the earliest entry; their number if the heap has it.
    let earliest =
        let mutable place = runs.Length

        for index in 0 .. runs.Length - 1 do
            let first =
                if place < runs.Length then ValueSome runs[place].First
                elif isNull others then ValueNone
                else ValueSome others.First

            match first with
            | ValueSome known when Due.isInOrder known runs[index].First -> ()
            | _ -> place <- index

        place

    static member val internal Empty = TimerQueue([||], null, 0)
    member internal _.Count = count

    member private _.Entry = if earliest < runs.Length then runs[earliest].First else others.First
    member internal this.First = if count = 0 then Time.never else this.Entry.At

    static member private With(place: int, run: TimerRun, runs: TimerRun[]) =
        let changed = Array.copy runs
        changed[place] <- run
        changed

    /// The run that an entry may join, and that has the least gap before it; -1 for none.
    static member private PlaceOf(entry: Due, runs: TimerRun[]) =
        let mutable place = -1

        for index in 0 .. runs.Length - 1 do
            let last = runs[index].Last

            if Due.isInOrder last entry && (place < 0 || Due.isInOrder runs[place].Last last) then
                place <- index

        place

    member internal _.Add(at, key) =
        let entry = { At = at; Key = key }
        let place = TimerQueue.PlaceOf(entry, runs)

        if place >= 0 then
            TimerQueue(TimerQueue.With(place, runs[place].Add entry, runs), others, count + 1)
        elif runs.Length < mostRuns then
            TimerQueue(Array.append runs [| TimerRun.One entry |], others, count + 1)
        else
            TimerQueue(runs, Heap.Merge(Heap(entry, null, null), others), count + 1)

    member internal this.Pop() =
        if count = 0 then invalidOp "The queue is empty."

        let entry = this.Entry

        let rest =
            if earliest = runs.Length then
                TimerQueue(runs, others.Rest, count - 1)
            elif runs[earliest].Count = 1 then
                TimerQueue(Array.removeAt earliest runs, others, count - 1)
            else
                TimerQueue(TimerQueue.With(earliest, runs[earliest].Rest, runs), others, count - 1)

        struct (entry.At, entry.Key, rest)

module internal TimerQueue =
    let empty = TimerQueue.Empty
    let count (queue: TimerQueue) = queue.Count
    let first (queue: TimerQueue) = queue.First
    let add at key (queue: TimerQueue) = queue.Add(at, key)
    let pop (queue: TimerQueue) = queue.Pop()

    let compact most (isCurrent: Instant -> int -> bool) (queue: TimerQueue) =
        if queue.Count <= most then
            queue
        else
            let mutable rest = queue
            let mutable kept = empty

            while rest.Count > 0 do
                let struct (at, key, others) = rest.Pop()
                rest <- others
                if isCurrent at key then kept <- kept.Add(at, key)

            kept
