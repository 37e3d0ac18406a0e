namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// A kind of event or effect: its word in a line, and its code in a recording. `Key` is a field, or a bare word, that no other kind of
/// the same word has; empty where the word is unique.
[<Sealed; NoComparison; NoEquality>]
type Kind internal (code: byte, word: string, key: string) =
    internal new(code, word) = Kind(code, word, "")
    member _.Code = code
    member _.Word = word
    member _.Key = key

/// What a number is, and its limits when it is read.
[<Sealed; NoComparison; NoEquality>]
type NumberKind internal (unit: string, least: int64, most: int64) =
    member _.Unit = unit
    member _.Least = least
    member _.Most = most

/// Visits the fields of an event or effect in their order. A visitor that writes takes each value and returns it; one that reads returns
/// what it has read. So one function, `Schema.event` or `Schema.effect`, is the table for all of them.
[<AbstractClass>]
type Fields() =
    /// A kind begins.
    abstract Begin: kind: Kind -> unit
    abstract Number: name: string * kind: NumberKind * value: int64 -> int64
    /// Microseconds of the node's clock.
    abstract Time: name: string * value: Instant -> Instant
    /// Microseconds, or never.
    abstract Duration: name: string * value: Duration -> Duration
    /// One of few values, by its index.
    abstract Name: name: string * texts: string[] * index: int -> int
    /// A bare word, which has no value.
    abstract Word: word: string -> unit
    abstract Endpoint: name: string * value: Endpoint -> Endpoint
    abstract Endpoints: name: string * value: Endpoint[] -> Endpoint[]
    abstract OptionalEndpoint: name: string * value: Endpoint voption -> Endpoint voption
    abstract Prediction: name: string * value: PortPrediction -> PortPrediction
    /// Bytes that every trace has.
    abstract Bytes: name: string * value: Owned -> Owned
    abstract Datagram: name: string * value: Borrowed -> Borrowed
    /// The contents of a stream (`len` and `pay`), which a trace has as `#pay` says.
    abstract Written: value: Owned -> Owned
    abstract Delivered: value: Payload -> Payload
    /// Datagrams that were received together, with a line of its own for each.
    abstract Received: from: Endpoint * datagrams: Datagrams -> struct (Endpoint * Datagrams)
    /// Packets that were sent together, with a line of its own for each.
    abstract Sent: remote: Endpoint * train: Train -> struct (Endpoint * Train)
