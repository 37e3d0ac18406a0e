namespace UtpPunch.Protocol

/// Instants and who is due at them: a persistent priority queue. Equal instants come out in the order of their keys.
[<Sealed>]
type TimerQueue

module TimerQueue =
    val empty: TimerQueue
    val count: agenda: TimerQueue -> int
    /// The earliest instant, or `Time.never`.
    val first: agenda: TimerQueue -> Instant
    val add: at: Instant -> key: int -> agenda: TimerQueue -> TimerQueue
    /// The earliest entry and what is left. The agenda must not be empty.
    val pop: agenda: TimerQueue -> struct (Instant * int * TimerQueue)
