namespace UtpPunch.Protocol

/// A pairing heap: adding is one allocation. Stale entries stay until they are popped.
[<Sealed; AllowNullLiteral>]
type private Heap(at: Instant, key: int, child: Heap, sibling: Heap) =
    member _.At = at
    member _.Key = key
    member _.Child = child
    member _.Sibling = sibling

[<Sealed>]
type internal TimerQueue private (top: Heap, count: int) =
    static member val internal Empty = TimerQueue(null, 0)
    member internal _.Count = count
    member internal _.First = if isNull top then Time.never else top.At

    static member private Merge(a: Heap, b: Heap) =
        if isNull a then
            b
        elif isNull b then
            a
        elif a.At < b.At || (a.At = b.At && a.Key <= b.Key) then
            Heap(a.At, a.Key, Heap(b.At, b.Key, b.Child, a.Child), null)
        else
            Heap(b.At, b.Key, Heap(a.At, a.Key, a.Child, b.Child), null)

    member internal _.Add(at, key) = TimerQueue(TimerQueue.Merge(Heap(at, key, null, null), top), count + 1)

    member internal _.Pop() =
        if isNull top then invalidOp "The queue is empty."

        // Pair the children from the left, then merge the pairs from the right; a loop, since there may be many.
        let pairs = System.Collections.Generic.Stack<Heap>()
        let mutable next = top.Child

        while not (isNull next) do
            let second = next.Sibling

            if isNull second then
                pairs.Push next
                next <- null
            else
                pairs.Push(TimerQueue.Merge(next, second))
                next <- second.Sibling

        let mutable rest: Heap = null

        while pairs.Count > 0 do
            rest <- TimerQueue.Merge(pairs.Pop(), rest)

        struct (top.At, top.Key, TimerQueue(rest, count - 1))

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
