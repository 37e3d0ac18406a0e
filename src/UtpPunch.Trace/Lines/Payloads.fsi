namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// How payloads are written in a trace (`#pay`), and what is read back.
[<Sealed; NoComparison; NoEquality>]
type TracePayloads =
    /// Every byte, in hexadecimal digits.
    static member Full: TracePayloads
    /// A hash of each packet's payload and none of its bytes: what is read holds zeroes.
    static member Hash: TracePayloads
    /// A part of the stream of a key (`Keyed.byteAt`) is written as its place there, everything else in full.
    static member Synth: keys: KeyValuePair<string, uint64>[] -> TracePayloads
    /// Hashes that were taken when the bytes were known, in the order in which packets with payload are written.
    static member Hashed: next: Func<uint64> -> TracePayloads
    /// A hash of every byte, also of what is written and delivered: two texts are equal when the contents are.
    static member Digest: TracePayloads

    /// Nothing is written for contents that are unknown: what a replay of hashes prints.
    static member internal Unknown: TracePayloads

    /// The word behind `#pay`.
    member Name: string
    /// The named keys of the streams.
    member Keys: KeyValuePair<string, uint64>[]
    /// Whether contents are unknown.
    member IsHash: bool

    /// The value of `pay=` for a packet; null for none.
    member internal OfPacket: payload: ReadOnlySpan<byte> -> string
    /// The value of `pay=` for bytes written or delivered; null for none.
    member internal OfBytes: bytes: ReadOnlySpan<byte> -> string
    /// Throws `FormatException` unless `Read` would succeed.
    member internal Check: text: string * length: int -> unit
    /// The bytes that a `pay=` stands for. Throws `FormatException` when they are not `length` bytes, or the key is unknown. Unknown
    /// contents are zeroes, and share one array.
    member internal Read: text: string * length: int -> Owned
