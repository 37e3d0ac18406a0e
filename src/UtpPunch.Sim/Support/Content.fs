namespace UtpPunch.Sim

open System
open System.Buffers.Binary
open UtpPunch.Protocol
open UtpPunch.Tracing

/// The contents that applications send: byte `offset` of the endless stream of a key. It can be checked without being stored.
module Content =
    /// The key of what a side of a flow writes: 1 for the dialler, 2 for the acceptor.
    let keyOf (seed: uint64) (flow: int) (side: int) = Keyed.mix (seed ^^^ (uint64 flow <<< 8) ^^^ uint64 side)

    let private word key (offset: int64) = Keyed.mix (key ^^^ uint64 (offset >>> 3))

    /// The first place at which the bytes differ from the stream at `offset`; -1 for none.
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
