namespace UtpPunch.Protocol

/// Randomness that is looked up, not drawn in turn: the same key gives the same bits, so taking one fault out of a scenario
/// leaves all the others where they were.
module Keyed =
    /// SplitMix64's finaliser.
    let mix (value: uint64) : uint64 =
        let mutable z = value + 0x9E3779B97F4A7C15UL
        z <- (z ^^^ (z >>> 30)) * 0xBF58476D1CE4E5B9UL
        z <- (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
        z ^^^ (z >>> 31)

    /// The bits for a purpose and an ordinal under a seed.
    let bits (seed: uint64) (purpose: int) (ordinal: int64) : uint64 =
        mix (mix (seed ^^^ mix (uint64 purpose)) ^^^ uint64 ordinal)

    /// A number from 0 to `limit - 1`.
    let below (limit: int) seed purpose ordinal : int =
        if limit <= 1 then 0 else int (bits seed purpose ordinal % uint64 limit)

    /// Byte `offset` of an endless stream that a key names: what a test sends needs not be kept to be checked.
    let byteAt (key: uint64) (offset: int64) : byte =
        byte (mix (key ^^^ uint64 (offset >>> 3)) >>> (8 * int (offset &&& 7L)))
