namespace UtpPunch.Sim

open System.Collections.Generic
open UtpPunch.Protocol

/// What happens when: in the order of time, and at one time in the order in which it was planned.
[<Sealed>]
type internal Schedule<'event>() =
    let queue = PriorityQueue<'event, struct (int64 * int64)>()
    let mutable planned = 0L

    member _.Place(at: Instant, event: 'event) =
        planned <- planned + 1L
        queue.Enqueue(event, struct (int64 at, planned))

    /// Performs what is due until then, each event at its time, and what is planned meanwhile.
    member _.Run(limit: Instant, perform: Instant -> 'event -> unit) =
        let mutable event = Unchecked.defaultof<'event>
        let mutable key = struct (0L, 0L)

        let isDue () =
            queue.TryPeek(&event, &key)
            && (let struct (at, _) = key
                at <= int64 limit)

        while isDue () do
            queue.Dequeue() |> ignore
            let struct (at, _) = key
            perform (Time.microseconds at) event
