namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// How payloads stand in a trace, and what comes back of them.
[<Sealed; NoComparison; NoEquality>]
type TracePayloads =
    /// Every byte, in hexadecimal digits.
    static member Full: TracePayloads
    /// A hash of each packet's payload and nothing of its bytes: what is parsed holds zeroes.
    static member Hash: TracePayloads
    /// What is part of the stream of a key (`Keyed.byteAt`) stands as its place there, all else in full.
    static member Synth: keys: KeyValuePair<string, uint64>[] -> TracePayloads
    /// Hashes that were taken when the bytes were still there, in the order in which packets with payload are printed.
    static member Hashed: next: Func<uint64> -> TracePayloads

    /// Nothing stands for contents that nobody knows: what a replay of hashes prints.
    static member internal Unknown: TracePayloads

    /// The word behind `#pay`.
    member Name: string
    /// The named keys of the streams.
    member Keys: KeyValuePair<string, uint64>[]
    /// Whether contents are unknown.
    member IsHash: bool

    /// What stands behind `pay=` for a packet; null when nothing does.
    member internal OfPacket: payload: System.ReadOnlySpan<byte> -> string
    /// What stands behind `pay=` for bytes written or delivered; null when nothing does.
    member internal OfBytes: bytes: System.ReadOnlySpan<byte> -> string
    /// Puts the bytes there that a `pay=` stands for. Throws `FormatException` when they are not as many, or the key is unknown.
    member internal Fill: text: string * target: Span<byte> -> unit
