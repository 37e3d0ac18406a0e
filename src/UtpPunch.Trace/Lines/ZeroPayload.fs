namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// Contents that a trace does not have. They are never written to, so all of them lie in one array, which grows as needed.
module internal ZeroPayload =
    /// What one line may stand for, in bytes.
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
