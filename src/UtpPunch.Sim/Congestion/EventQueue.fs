namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol

/// What happens at one instant.
[<Struct; NoComparison; NoEquality>]
type private Entry<'T> = { At: Instant; Order: int64; What: 'T }

/// What is going to happen, earliest first; of one instant in the order in which it was placed. A binary heap of structs: a lab places
/// several entries for each packet, and `PriorityQueue` with a comparer would cost more than the packets.
[<Sealed>]
type EventQueue<'T>() =
    let mutable entries: Entry<'T>[] = Array.zeroCreate 1024
    let mutable count = 0
    let mutable placed = 0L

    let isBefore (a: inref<Entry<'T>>) (b: inref<Entry<'T>>) = a.At < b.At || (a.At = b.At && a.Order < b.Order)

    member _.IsEmpty = count = 0
    /// The instant of the earliest entry.
    member _.Next = if count = 0 then Time.never else entries[0].At

    member _.Place(at: Instant, what: 'T) =
        if count = entries.Length then System.Array.Resize(&entries, 2 * count)

        placed <- placed + 1L
        let entry = { At = at; Order = placed; What = what }
        let mutable hole = count
        count <- count + 1

        while hole > 0 && isBefore &entry &entries[(hole - 1) / 2] do
            entries[hole] <- entries[(hole - 1) / 2]
            hole <- (hole - 1) / 2

        entries[hole] <- entry

    /// Removes the earliest entry.
    member _.Take() : 'T =
        let first = entries[0].What
        count <- count - 1
        let last = entries[count]
        // Nothing that has happened is kept alive.
        entries[count] <- Unchecked.defaultof<_>
        let mutable hole = 0
        let mutable isPlaced = count = 0

        while not isPlaced do
            let left = 2 * hole + 1

            let child = if left + 1 < count && isBefore &entries[left + 1] &entries[left] then left + 1 else left

            if left < count && isBefore &entries[child] &last then
                entries[hole] <- entries[child]
                hole <- child
            else
                entries[hole] <- last
                isPlaced <- true

        first
