namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// Contents that a trace does not have. They are never written to, so that all of them share one array, which grows as needed.
module internal ZeroPayload =
    /// The most bytes that one line may represent.
    [<Literal>]
    let Most = 16777216

    let mutable private shared = Array.zeroCreate<byte> 65536

    let bytes (length: int) : Owned =
        let known = shared

        if length = 0 then
            Owned.Empty
        elif length <= known.Length then
            Owned(known, 0, length)
        else
            let grown = Array.zeroCreate<byte>(max length (2 * known.Length))
            shared <- grown
            Owned(grown, 0, length)
