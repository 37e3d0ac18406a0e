namespace UtpPunch.Protocol

open System

/// A queue's items without its type.
type internal IItems =
    abstract Items: Array

/// A queue that a step may change in place once it has a copy of its own. `Copy` shares the array; the first write after it
/// takes a new one, so whoever holds the original never sees a change. Popping writes nothing.
[<Sealed>]
type internal Deque<'T> private (items: 'T[], head: int, count: int) =
    let mutable items = items
    let mutable head = head
    let mutable count = count
    let mutable owned = false

    /// Makes the array ours, with `head` at its start and room for `room` more.
    let own room =
        if not owned || head + count + room > items.Length then
            let capacity = if owned then max 4 (2 * (count + room)) else count + room + (count + room) / 4

            let fresh = Array.zeroCreate capacity
            Array.Copy(items, head, fresh, 0, count)
            items <- fresh
            head <- 0
            owned <- true

    new() = Deque<'T>(Array.Empty<'T>(), 0, 0)
    new(items: 'T[]) = Deque<'T>(items, 0, items.Length)

    interface IItems with
        member _.Items = Array.sub items head count

    member _.Count = count
    member _.Copy() = Deque<'T>(items, head, count)

    member _.Item
        with get index = items[head + index]
        and set index value =
            own 0
            items[head + index] <- value

    member _.Add(value: 'T) =
        own 1
        items[head + count] <- value
        count <- count + 1

    member _.Insert(index: int, value: 'T) =
        own 1
        Array.Copy(items, head + index, items, head + index + 1, count - index)
        items[head + index] <- value
        count <- count + 1

    member _.Remove(index: int) =
        own 0
        count <- count - 1
        Array.Copy(items, head + index + 1, items, head + index, count - index)
        items[head + count] <- Unchecked.defaultof<'T>

    member _.Pop() =
        let value = items[head]
        head <- head + 1
        count <- count - 1

        if count = 0 then
            // Let go of what was popped: an idle stream must not hold its last window of data.
            items <- Array.Empty<'T>()
            head <- 0
            owned <- false

        value
