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

    /// The next event that is due until then, and its time.
    member _.TryTake(limit: Instant) : struct (Instant * 'event) voption =
        match queue.TryPeek() with
        | true, event, struct (at, _) when at <= int64 limit ->
            queue.Dequeue() |> ignore
            ValueSome(struct (Time.microseconds at, event))
        | _ -> ValueNone
