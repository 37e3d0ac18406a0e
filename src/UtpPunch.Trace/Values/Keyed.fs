namespace UtpPunch.Tracing

open System
open System.Buffers.Binary
open UtpPunch.Protocol

/// Randomness by key instead of in sequence: equal keys give equal bits, so that removing one fault from a scenario leaves
/// all others unchanged.
module Keyed =
    /// SplitMix64's finaliser.
    let mix (value: uint64) : uint64 =
        let mutable z = value + 0x9E3779B97F4A7C15UL
        z <- (z ^^^ (z >>> 30)) * 0xBF58476D1CE4E5B9UL
        z <- (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
        z ^^^ (z >>> 31)

    /// The inverse of `mix`.
    let unmix (value: uint64) : uint64 =
        let mutable z = value ^^^ (value >>> 31) ^^^ (value >>> 62)
        z <- z * 0x319642B2D24D8EC3UL
        z <- z ^^^ (z >>> 27) ^^^ (z >>> 54)
        z <- z * 0x96DE1B173F119089UL
        (z ^^^ (z >>> 30) ^^^ (z >>> 60)) - 0x9E3779B97F4A7C15UL

    /// The bits for a purpose and an ordinal under a seed.
    let bits (seed: uint64) (purpose: int) (ordinal: int64) : uint64 =
        mix (mix (seed ^^^ mix (uint64 purpose)) ^^^ uint64 ordinal)

    /// A number from 0 to `limit - 1`.
    let below (limit: int) seed purpose ordinal : int =
        if limit <= 1 then 0 else int (bits seed purpose ordinal % uint64 limit)

    /// Byte `offset` of the endless stream of a key: the contents of a test can be checked without being stored.
    let byteAt (key: uint64) (offset: int64) : byte =
        byte (mix (key ^^^ uint64 (offset >>> 3)) >>> (8 * int (offset &&& 7L)))

    /// Writes the stream's bytes from `offset` on.
    let fill (key: uint64) (offset: int64) (target: Span<byte>) : unit =
        let mutable index = 0

        while index < target.Length do
            let at = offset + int64 index

            if at &&& 7L = 0L && index + 8 <= target.Length then
                BinaryPrimitives.WriteUInt64LittleEndian(target.Slice index, mix (key ^^^ uint64 (at >>> 3)))
                index <- index + 8
            else
                target[index] <- byteAt key at
                index <- index + 1

    /// The fewest bytes for `find`: one whole word of the stream, and as many again to confirm it.
    [<Literal>]
    let FindLength = 16

    let private isAt (key: uint64) (offset: int64) (bytes: ReadOnlySpan<byte>) =
        let mutable index = 0
        let mutable same = true

        while same && index < bytes.Length do
            let at = offset + int64 index

            if at &&& 7L = 0L && index + 8 <= bytes.Length then
                let word = BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice index)
                same <- word = mix (key ^^^ uint64 (at >>> 3))
                index <- index + 8
            else
                same <- bytes[index] = byteAt key at
                index <- index + 1

        same

    /// The offset of these bytes in the stream, or -1. It is not searched for: `mix` can be inverted, so a word gives its own offset.
    let find (key: uint64) (bytes: ReadOnlySpan<byte>) : int64 =
        let mutable found = -1L

        if bytes.Length >= FindLength then
            for start in 0..7 do
                if found < 0L then
                    let word = unmix (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice start)) ^^^ key
                    let offset = int64 (word <<< 3) - int64 start

                    if word <= 0x0FFF_FFFF_FFFF_FFFFUL && offset >= 0L && isAt key offset bytes then
                        found <- offset

        found
