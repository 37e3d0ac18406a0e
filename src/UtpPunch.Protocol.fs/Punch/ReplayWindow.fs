namespace UtpPunch.Protocol

/// Which numbers of packets have arrived: the highest, and a bitmap of the 64 numbers up to it (RFC 4303, 3.4.3).
[<Struct; NoComparison>]
type internal ReplayWindow = { Highest: uint32; Bits: uint64 }

module internal ReplayWindow =
    let empty = { Highest = 0u; Bits = 0UL }

    /// Whether a number is new, and the window with it. Numbers begin with 1.
    let accept (number: uint32) (window: ReplayWindow) : struct (bool * ReplayWindow) =
        if number > window.Highest then
            let shift = number - window.Highest
            let bits = if shift >= 64u then 1UL else (window.Bits <<< int shift) ||| 1UL
            struct (true, { Highest = number; Bits = bits })
        else
            let age = window.Highest - number

            if age >= 64u || (window.Bits >>> int age) &&& 1UL = 1UL then
                struct (false, window)
            else
                struct (true, { window with Bits = window.Bits ||| (1UL <<< int age) })
