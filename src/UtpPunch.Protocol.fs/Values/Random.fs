namespace UtpPunch.Protocol

open System.Buffers.Binary
open System.Runtime.Intrinsics

/// Each draw takes a block of its own. Draws are rare (a few per stream), and the state is only a key and a counter.
[<Sealed>]
type Random(key: uint32[], counter: uint64) =
    member _.Key = key
    member _.Counter = counter

module Random =
    let create (seed: Owned) =
        if seed.Length <> 32 then invalidArg (nameof seed) "A seed is 32 bytes."

        Random(Array.init 8 (fun i -> BinaryPrimitives.ReadUInt32LittleEndian(seed.Slice(4 * i, 4).Span)), 0UL)

    let inline private rotate count (row: Vector128<uint32>) =
        Vector128.ShiftLeft(row, count) ||| Vector128.ShiftRightLogical(row, 32 - count)

    /// Four quarter rounds side by side: of the columns, if the rows of the state are aligned, otherwise of its diagonals.
    let inline private round (a: byref<_>) (b: byref<_>) (c: byref<_>) (d: byref<_>) =
        a <- a + b
        d <- rotate 16 (d ^^^ a)
        c <- c + d
        b <- rotate 12 (b ^^^ c)
        a <- a + b
        d <- rotate 8 (d ^^^ a)
        c <- c + d
        b <- rotate 7 (b ^^^ c)

    let inline private turnByOne (row: Vector128<uint32>) = Vector128.Shuffle(row, Vector128.Create(1u, 2u, 3u, 0u))
    let inline private turnByTwo (row: Vector128<uint32>) = Vector128.Shuffle(row, Vector128.Create(2u, 3u, 0u, 1u))
    let inline private turnByThree (row: Vector128<uint32>) = Vector128.Shuffle(row, Vector128.Create(3u, 0u, 1u, 2u))

    /// The first word of a ChaCha20 block (RFC 8439, 2.3), whose counter and nonce hold `counter`.
    let private firstWord (key: uint32[]) (counter: uint64) =
        let mutable a = Vector128.Create(0x61707865u, 0x3320646Eu, 0x79622D32u, 0x6B206574u)
        let mutable b = Vector128.Create(key, 0)
        let mutable c = Vector128.Create(key, 4)
        let mutable d = Vector128.Create(uint32 counter, uint32 (counter >>> 32), 0u, 0u)

        for _ in 1..10 do
            round &a &b &c &d
            b <- turnByOne b
            c <- turnByTwo c
            d <- turnByThree d
            round &a &b &c &d
            b <- turnByThree b
            c <- turnByTwo c
            d <- turnByOne d

        a.ToScalar() + 0x61707865u

    let next (random: Random) = struct (firstWord random.Key random.Counter, Random(random.Key, random.Counter + 1UL))

    let words count (random: Random) =
        let bytes = Array.zeroCreate<byte>(4 * count)

        for index in 0 .. count - 1 do
            let word = firstWord random.Key (random.Counter + uint64 index)
            BinaryPrimitives.WriteUInt32BigEndian(System.Span<byte>(bytes, 4 * index, 4), word)

        struct (Owned bytes, Random(random.Key, random.Counter + uint64 count))
