namespace UtpPunch.Protocol

open System.Buffers.Binary
open System.Numerics

/// Each draw takes a block of its own. Draws are rare (a few per stream), and the state is only a key and a counter.
[<Sealed>]
type Random(key: uint32[], counter: uint64) =
    member _.Key = key
    member _.Counter = counter

module Random =
    let create (seed: Owned) =
        if seed.Length <> 32 then invalidArg (nameof seed) "A seed is 32 bytes."

        Random(Array.init 8 (fun i -> BinaryPrimitives.ReadUInt32LittleEndian(seed.Slice(4 * i, 4).Span)), 0UL)

    let private quarter (x: uint32[]) a b c d =
        x[a] <- x[a] + x[b]
        x[d] <- BitOperations.RotateLeft(x[d] ^^^ x[a], 16)
        x[c] <- x[c] + x[d]
        x[b] <- BitOperations.RotateLeft(x[b] ^^^ x[c], 12)
        x[a] <- x[a] + x[b]
        x[d] <- BitOperations.RotateLeft(x[d] ^^^ x[a], 8)
        x[c] <- x[c] + x[d]
        x[b] <- BitOperations.RotateLeft(x[b] ^^^ x[c], 7)

    /// The first word of a ChaCha20 block (RFC 8439, 2.3), whose counter and nonce hold `counter`.
    let private firstWord (key: uint32[]) (counter: uint64) =
        let x = Array.zeroCreate 16
        x[0] <- 0x61707865u
        x[1] <- 0x3320646Eu
        x[2] <- 0x79622D32u
        x[3] <- 0x6B206574u
        Array.blit key 0 x 4 8
        x[12] <- uint32 counter
        x[13] <- uint32 (counter >>> 32)

        for _ in 1..10 do
            quarter x 0 4 8 12
            quarter x 1 5 9 13
            quarter x 2 6 10 14
            quarter x 3 7 11 15
            quarter x 0 5 10 15
            quarter x 1 6 11 12
            quarter x 2 7 8 13
            quarter x 3 4 9 14

        x[0] + 0x61707865u

    let next (random: Random) = struct (firstWord random.Key random.Counter, Random(random.Key, random.Counter + 1UL))

    let words count random =
        let bytes = Array.zeroCreate<byte>(4 * count)
        let mutable random = random

        for index in 0 .. count - 1 do
            let struct (word, rest) = next random
            random <- rest
            BinaryPrimitives.WriteUInt32BigEndian(System.Span<byte>(bytes, 4 * index, 4), word)

        struct (Owned bytes, random)
