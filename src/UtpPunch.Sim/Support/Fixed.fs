namespace UtpPunch.Sim

/// Integer arithmetic in place of a maths library, whose last digits differ between machines.
module Fixed =
    /// -log2(x / 2^32) in units of 2^-16, for x from 1 to 2^32.
    let minusLog2 (x: uint64) : int64 =
        // Normalised to [2^31, 2^32), then one binary digit for each squaring.
        let shift = System.Numerics.BitOperations.LeadingZeroCount x - 32
        let mutable mantissa = if shift >= 0 then x <<< shift else x >>> 1
        let mutable digits = 0L

        for _ in 1..16 do
            mantissa <- (mantissa * mantissa) >>> 31
            digits <- digits <<< 1

            if mantissa >= (1UL <<< 32) then
                mantissa <- mantissa >>> 1
                digits <- digits ||| 1L

        (int64 (shift + 1) <<< 16) - digits

    /// An exponentially distributed number with that mean, from 64 random bits.
    let exponential (mean: int64) (bits: uint64) : int64 =
        // ln 2 = 45426 / 65536.
        let natural = minusLog2 ((bits >>> 32) + 1UL) * 45426L >>> 16
        mean * natural >>> 16

    /// The whole part of a square root.
    let sqrt (value: int64) : int64 =
        let mutable root = 0L
        let mutable bit = 1L <<< 31

        while bit > 0L do
            let trial = root + bit

            if trial <= 3037000499L && trial * trial <= value then root <- trial

            bit <- bit >>> 1

        root
