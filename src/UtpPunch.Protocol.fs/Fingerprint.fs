namespace UtpPunch.Protocol

open System
open System.Buffers.Binary
open System.Numerics
open System.Runtime.InteropServices

/// A 64-bit hash for traces: the same in every process and on every machine, and fast enough to take in all that a socket carries. No
/// defence against those who aim for collisions.
module Fingerprint =
    [<Literal>]
    let private Prime = 0x9E3779B185EBCA87UL

    let inline private stir (lane: uint64) (word: uint64) =
        let word = if BitConverter.IsLittleEndian then word else BinaryPrimitives.ReverseEndianness word
        BitOperations.RotateLeft(lane ^^^ word, 29) * Prime

    /// Four lanes take the words of 8 bytes in turn, so that no multiplication waits for the one before it; the first lane takes the
    /// last up to three words, and then the last up to 7 bytes. The lanes and the length are mixed into one.
    [<CompiledName "Of">]
    let ofBytes (bytes: ReadOnlySpan<byte>) : uint64 =
        let words = MemoryMarshal.Cast<byte, uint64> bytes
        let mutable a = 1UL
        let mutable b = 2UL
        let mutable c = 3UL
        let mutable d = 4UL
        let mutable index = 0

        while index + 3 < words.Length do
            a <- stir a words[index]
            b <- stir b words[index + 1]
            c <- stir c words[index + 2]
            d <- stir d words[index + 3]
            index <- index + 4

        while index < words.Length do
            a <- stir a words[index]
            index <- index + 1

        if bytes.Length &&& 7 <> 0 then
            let mutable rest = 0UL

            for place in 8 * words.Length .. bytes.Length - 1 do
                rest <- (rest <<< 8) ||| uint64 bytes[place]

            a <- BitOperations.RotateLeft(a ^^^ rest, 29) * Prime

        Keyed.mix (Keyed.mix (Keyed.mix (Keyed.mix (uint64 bytes.Length ^^^ a) ^^^ b) ^^^ c) ^^^ d)

    /// The hash of a trace up to here, with one line more: its UTF-16 code units, the less significant byte first.
    [<CompiledName "AndLine">]
    let andLine (line: string) (before: uint64) : uint64 =
        Keyed.mix (before ^^^ ofBytes (MemoryMarshal.AsBytes(line.AsSpan())))
