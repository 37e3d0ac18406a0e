namespace UtpPunch.Fuzz

open System

/// Random numbers from a seed (SplitMix64): the same in every process and on every version of .NET.
[<Sealed>]
type Draws(seed: uint64) =
    let mutable state = seed

    member _.Next() : uint64 =
        state <- state + 0x9E3779B97F4A7C15UL
        let mutable mixed = state
        mixed <- (mixed ^^^ (mixed >>> 30)) * 0xBF58476D1CE4E5B9UL
        mixed <- (mixed ^^^ (mixed >>> 27)) * 0x94D049BB133111EBUL
        mixed ^^^ (mixed >>> 31)

    /// From 0 to `limit - 1`.
    member this.Below(limit: int) : int = int (this.Next() % uint64 limit)

    /// True once in `count` times.
    member this.OneIn(count: int) : bool = this.Below count = 0

    member this.Of(items: 'T[]) : 'T = items[this.Below items.Length]

    member this.Byte() : byte = byte (this.Next())

    member this.Bytes(length: int) : byte[] = Array.init length (fun _ -> this.Byte())

/// FNV-1a, since .NET's hashes of strings differ in every process.
module Hashing =
    let ofBytes (bytes: ReadOnlySpan<byte>) : uint64 =
        let mutable hash = 14695981039346656037UL

        for value in bytes do
            hash <- (hash ^^^ uint64 value) * 1099511628211UL

        hash

    let ofText (text: string) : uint64 = ofBytes (ReadOnlySpan(Text.Encoding.UTF8.GetBytes text))
