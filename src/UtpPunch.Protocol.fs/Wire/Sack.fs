namespace UtpPunch.Protocol

open System.Buffers.Binary

/// The bits of a selective acknowledgement (BEP 29, extension 1). Bit 0 is `ack_nr + 2`; a byte's least significant bit is its first packet.
module Sack =
    let bits (sack: Borrowed) = 8 * sack.Length

    /// Whether it acknowledges the packet of a bit, which may lie outside of it.
    let names bit (sack: Borrowed) =
        bit >= 0
        && bit < bits sack
        && sack.Array[sack.Offset + (bit >>> 3)] &&& (1uy <<< (bit &&& 7)) <> 0uy

/// The ranges of a selective acknowledgement between nodes of this implementation (extension 86, docs/windows.md): for each, the distance of
/// its first packet from `ack_nr`, and how many packets it has, as two numbers of 16 bits.
module SackRanges =
    /// The most ranges of one acknowledgement: 252 bytes.
    [<Literal>]
    let Most = 63

    /// The largest distance of a packet from `ack_nr`.
    [<Literal>]
    let Furthest = 16384

    let count (ranges: Borrowed) = ranges.Length / 4

    /// The distance of the first packet of a range.
    let first index (ranges: Borrowed) = int (BinaryPrimitives.ReadUInt16BigEndian(ranges.Span.Slice(4 * index)))
    /// How many packets a range has.
    let length index (ranges: Borrowed) = int (BinaryPrimitives.ReadUInt16BigEndian(ranges.Span.Slice(4 * index + 2)))

    /// Whether bytes are ranges, in the order of their numbers and none upon another: those of an unknown peer may be anything.
    let isValid (ranges: Borrowed) =
        let mutable isValid = not ranges.IsEmpty && ranges.Length % 4 = 0 && count ranges <= Most
        // `ack_nr + 1` is missing.
        let mutable behind = 2

        for index in 0 .. count ranges - 1 do
            let first, length = first index ranges, length index ranges
            isValid <- isValid && first >= behind && length >= 1
            behind <- first + length

        isValid && behind - 1 <= Furthest

    /// Whether they name the packet at a distance from `ack_nr`.
    let names distance (ranges: Borrowed) =
        let mutable isNamed = false

        for index in 0 .. count ranges - 1 do
            let behind = distance - first index ranges
            isNamed <- isNamed || (behind >= 0 && behind < length index ranges)

        isNamed
