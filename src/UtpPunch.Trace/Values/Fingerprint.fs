namespace UtpPunch.Tracing

open System
open System.Buffers.Binary
open System.Numerics
open System.Runtime.InteropServices
open UtpPunch.Protocol

/// 64-bit hashes for traces: fast, and the same in every process and on every machine. They do not resist deliberate collisions.
module Fingerprint =
    [<Literal>]
    let private Prime = 0x9E3779B185EBCA87UL

    let inline private joined (lane: uint64) (word: uint64) = BitOperations.RotateLeft(lane ^^^ word, 29) * Prime

    let inline private stir (lane: uint64) (word: uint64) =
        joined lane (if BitConverter.IsLittleEndian then word else BinaryPrimitives.ReverseEndianness word)

    /// Eight lanes take the words of 8 bytes in turn, so that no multiplication waits for the one before it; the first lane takes the
    /// last up to seven words, and then the last up to 7 bytes. The lanes and the length are mixed into one.
    let ofBytes (bytes: ReadOnlySpan<byte>) : uint64 =
        let mutable words = MemoryMarshal.Cast<byte, uint64> bytes
        let mutable a = 1UL
        let mutable b = 2UL
        let mutable c = 3UL
        let mutable d = 4UL
        let mutable e = 5UL
        let mutable f = 6UL
        let mutable g = 7UL
        let mutable h = 8UL

        // Slices, since the compiler then sees that every index lies within.
        while words.Length >= 8 do
            a <- stir a words[0]
            b <- stir b words[1]
            c <- stir c words[2]
            d <- stir d words[3]
            e <- stir e words[4]
            f <- stir f words[5]
            g <- stir g words[6]
            h <- stir h words[7]
            words <- words.Slice 8

        for word in words do
            a <- stir a word

        if bytes.Length &&& 7 <> 0 then
            let mutable rest = 0UL

            for place in bytes.Length &&& ~~~7 .. bytes.Length - 1 do
                rest <- (rest <<< 8) ||| uint64 bytes[place]

            a <- joined a rest

        let left = joined (joined (joined a b) c) d
        let right = joined (joined (joined e f) g) h
        Keyed.mix (joined left right ^^^ uint64 bytes.Length)

    [<Literal>]
    let private Sample = 32

    /// The hash of a payload with `#pay hash`: enough to tell packets apart, and cheap enough to record for months. Of more than
    /// 96 bytes it covers the length, and the first, middle and last 32 bytes; changes in between are not detected.
    [<CompiledName "OfPayload">]
    let ofPayload (payload: ReadOnlySpan<byte>) : uint64 =
        if payload.Length <= 3 * Sample then
            ofBytes payload
        else
            let mutable a = 1UL
            let mutable b = 2UL
            let mutable c = 3UL
            let mutable d = 4UL

            for part in 0..2 do
                let words =
                    MemoryMarshal.Cast<byte, uint64>(payload.Slice((payload.Length - Sample) * part / 2, Sample))

                a <- stir a words[0]
                b <- stir b words[1]
                c <- stir c words[2]
                d <- stir d words[3]

            Keyed.mix (joined (joined a b) (joined c d) ^^^ uint64 payload.Length)

    /// The hash of a trace up to here, with one line more: its UTF-16 code units, the less significant byte first.
    [<CompiledName "AndLine">]
    let andLine (line: string) (before: uint64) : uint64 =
        Keyed.mix (before ^^^ ofBytes (MemoryMarshal.AsBytes(line.AsSpan())))
