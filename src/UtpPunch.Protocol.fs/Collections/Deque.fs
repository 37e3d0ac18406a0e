namespace UtpPunch.Protocol

open System

/// A queue that may be changed in place. `Copy` shares the array, and the copy's first write moves it to an array of its own, so that the
/// original never changes; popping writes nothing. A struct for a mutable field of its holder, whose copy must replace it by a `Copy`:
/// two holders of the same value would write to the same array.
[<Struct; NoComparison; NoEquality>]
type internal Deque<'T> =
    val mutable private items: 'T[]
    val mutable private head: int
    val mutable private count: int
    val mutable private owned: bool

    private new(items: 'T[], head: int, count: int) = { items = items; head = head; count = count; owned = false }
    new(items: 'T[]) = Deque<'T>(items, 0, items.Length)

    static member Empty = Deque<'T>(Array.Empty<'T>(), 0, 0)

    /// Moves the items to an array of this copy's own unless they are in one with room for `room` more.
    member private this.Own(room: int) =
        if not this.owned || this.head + this.count + room > this.items.Length then
            let needed = this.count + room
            let capacity = if this.owned then max 4 (2 * needed) else needed + needed / 4
            let fresh = Array.zeroCreate capacity
            Array.Copy(this.items, this.head, fresh, 0, this.count)
            this.items <- fresh
            this.head <- 0
            this.owned <- true

    member this.Count = this.count
    member this.Copy() = Deque<'T>(this.items, this.head, this.count)

    member this.Item
        with get index = this.items[this.head + index]
        and set index value =
            this.Own 0
            this.items[this.head + index] <- value

    member this.Add(value: 'T) =
        this.Own 1
        this.items[this.head + this.count] <- value
        this.count <- this.count + 1

    member this.Insert(index: int, value: 'T) =
        this.Own 1
        let at = this.head + index
        Array.Copy(this.items, at, this.items, at + 1, this.count - index)
        this.items[at] <- value
        this.count <- this.count + 1

    member this.Remove(index: int) =
        this.Own 0
        this.count <- this.count - 1
        let at = this.head + index
        Array.Copy(this.items, at + 1, this.items, at, this.count - index)
        this.items[this.head + this.count] <- Unchecked.defaultof<'T>

    member this.Pop() =
        let value = this.items[this.head]
        this.head <- this.head + 1
        this.count <- this.count - 1

        if this.count = 0 then
            // The array still holds what was popped: an idle stream must not keep its last window of data alive.
            this.items <- Array.Empty<'T>()
            this.head <- 0
            this.owned <- false

        value
