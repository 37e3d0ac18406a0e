namespace UtpPunch.Protocol

/// A persistent priority queue of instants, each with a key. Equal instants are popped in the order of their keys.
[<Sealed>]
type internal TimerQueue

module internal TimerQueue =
    val empty: TimerQueue
    val count: queue: TimerQueue -> int
    /// The earliest instant, or `Time.never`.
    val first: queue: TimerQueue -> Instant
    val add: at: Instant -> key: int -> queue: TimerQueue -> TimerQueue
    /// The earliest entry and what is left. The queue must not be empty.
    val pop: queue: TimerQueue -> struct (Instant * int * TimerQueue)

    /// Without the entries that do not count, if there are more than `most`.
    val compact: most: int -> isCurrent: (Instant -> int -> bool) -> queue: TimerQueue -> TimerQueue
