namespace UtpPunch.Sim

open System
open System.Buffers.Binary
open System.Runtime.InteropServices
open UtpPunch.Protocol

/// What applications send: byte `offset` of the endless stream that a key names. Nothing needs to be kept to be checked.
module Content =
    /// The key of what a side of a flow writes: 1 is who dials, 2 who accepts.
    let keyOf (seed: uint64) (flow: int) (side: int) = Keyed.mix (seed ^^^ (uint64 flow <<< 8) ^^^ uint64 side)

    let private word key (offset: int64) = Keyed.mix (key ^^^ uint64 (offset >>> 3))

    let fill (key: uint64) (offset: int64) (target: Span<byte>) =
        let mutable at = 0

        while at < target.Length do
            let here = offset + int64 at

            if here &&& 7L = 0L && target.Length - at >= 8 then
                BinaryPrimitives.WriteUInt64LittleEndian(target.Slice at, word key here)
                at <- at + 8
            else
                target[at] <- Keyed.byteAt key here
                at <- at + 1

    /// The first place where the bytes are not the stream's from `offset` on; -1 when there is none.
    let firstWrong (key: uint64) (offset: int64) (bytes: ReadOnlySpan<byte>) =
        let mutable at = 0
        let mutable wrong = -1

        while wrong < 0 && at < bytes.Length do
            let here = offset + int64 at

            if
                here &&& 7L = 0L
                && bytes.Length - at >= 8
                && BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice at) = word key here
            then
                at <- at + 8
            elif bytes[at] = Keyed.byteAt key here then
                at <- at + 1
            else
                wrong <- at

        wrong

    /// A 64-bit hash of bytes, eight at a time; the same in every process.
    let hash (bytes: ReadOnlySpan<byte>) : uint64 =
        let words = MemoryMarshal.Cast<byte, uint64> bytes
        let mutable hash = 0xCBF29CE484222325UL ^^^ uint64 bytes.Length

        for word in words do
            hash <- (hash ^^^ word) * 0x9E3779B97F4A7C15UL
            hash <- hash ^^^ (hash >>> 29)

        for at in words.Length * 8 .. bytes.Length - 1 do
            hash <- (hash ^^^ uint64 bytes[at]) * 0x100000001B3UL

        hash ^^^ (hash >>> 32)
