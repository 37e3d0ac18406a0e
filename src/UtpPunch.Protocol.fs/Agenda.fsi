namespace UtpPunch.Protocol

/// Instants and who is due at them: a persistent priority queue. Equal instants come out in the order of their keys.
[<Sealed>]
type Agenda

module Agenda =
    val empty: Agenda
    val count: agenda: Agenda -> int
    /// The earliest instant, or `Time.never`.
    val first: agenda: Agenda -> Instant
    val add: at: Instant -> key: int -> agenda: Agenda -> Agenda
    /// The earliest entry and what is left. The agenda must not be empty.
    val pop: agenda: Agenda -> struct (Instant * int * Agenda)
