namespace UtpPunch.Fuzz

open System
open System.Buffers.Binary

/// Changes of inputs: of bits, of numbers and lengths, of parts, and of whole operations.
module Mutations =
    let private bytes =
        [| 0uy; 1uy; 2uy; 3uy; 4uy; 7uy; 8uy; 16uy; 32uy; 64uy; 100uy; 127uy; 128uy; 252uy; 254uy; 255uy |]

    let private shorts =
        [| 0us
           1us
           20us
           255us
           256us
           700us
           1000us
           1001us
           32767us
           32768us
           65507us
           65534us
           65535us |]

    let private words =
        [| 0u; 1u; 0x7FFFFFFFu; 0x80000000u; 0xFFFFFFFEu; 0xFFFFFFFFu; 0x2112A442u; 0x55504E31u |]

    /// No chunk grows beyond the longest datagram.
    [<Literal>]
    let private LongestChunk = 65_000

    [<Literal>]
    let private MostChunks = 150

    let private replaceAt (at: int) (part: byte[]) (chunk: byte[]) =
        let copy = Array.copy chunk
        Array.blit part 0 copy at (min part.Length (copy.Length - at))
        copy

    let private short (value: uint16) =
        let part = Array.zeroCreate<byte> 2
        BinaryPrimitives.WriteUInt16BigEndian(Span part, value)
        part

    let private word (value: uint32) =
        let part = Array.zeroCreate<byte> 4
        BinaryPrimitives.WriteUInt32BigEndian(Span part, value)
        part

    let private remove (draws: Draws) (chunk: byte[]) =
        let at = draws.Below chunk.Length
        let count = min (chunk.Length - at) (1 + draws.Below(if draws.OneIn 4 then chunk.Length else 8))
        Array.append chunk[.. at - 1] chunk[at + count ..]

    let private insert (draws: Draws) (part: byte[]) (chunk: byte[]) =
        let at = draws.Below(chunk.Length + 1)
        Array.concat [ chunk[.. at - 1]; part; chunk[at..] ]

    /// A part of another chunk of any length.
    let private partOf (draws: Draws) (other: byte[]) =
        if other.Length = 0 then
            [||]
        else
            let at = draws.Below other.Length
            other[at .. at + draws.Below(other.Length - at)]

    /// Another number in decimal digits, for targets that read text.
    let private decimal' (draws: Draws) (chunk: byte[]) =
        let isDigit value = value >= 48uy && value <= 57uy

        match Array.tryFindIndex isDigit chunk[draws.Below chunk.Length ..] with
        | None -> chunk
        | Some _ ->
            let from = Array.findIndex isDigit chunk

            let places =
                [| for at in from .. chunk.Length - 1 do
                       if isDigit chunk[at] then at |]

            let start = draws.Of places
            let until = Array.FindIndex(chunk, start, fun value -> not (isDigit value))

            let number =
                draws.Of [| "0"; "1"; "-1"; "65536"; "2147483647"; "-2147483648"; "4294967296"; "9223372036854775807" |]

            Array.concat
                [ chunk[.. start - 1]
                  Text.Encoding.ASCII.GetBytes number
                  (if until < 0 then [||] else chunk[until..]) ]

    let private changeChunk (draws: Draws) (other: byte[]) (chunk: byte[]) : byte[] =
        if chunk.Length = 0 then
            draws.Bytes(1 + draws.Below 8)
        else
            let at = draws.Below chunk.Length

            match draws.Below 12 with
            | 0
            | 1 -> replaceAt at [| chunk[at] ^^^ (1uy <<< draws.Below 8) |] chunk
            | 2 -> replaceAt at [| draws.Of bytes |] chunk
            | 3 -> replaceAt at [| draws.Byte() |] chunk
            | 4 -> replaceAt at (short (draws.Of shorts)) chunk
            | 5 -> replaceAt at (word (draws.Of words)) chunk
            | 6 -> replaceAt at [| chunk[at] + byte (draws.Below 9 - 4) |] chunk
            | 7 -> remove draws chunk
            | 8 -> insert draws (draws.Bytes(1 + draws.Below 8)) chunk
            | 9 -> insert draws (partOf draws chunk) chunk
            | 10 -> insert draws (partOf draws other) chunk
            | _ -> decimal' draws chunk
            |> Array.truncate LongestChunk

    let private changeList (draws: Draws) (fresh: unit -> byte[]) (other: Input) (input: Input) : Input =
        let at = draws.Below input.Length

        match draws.Below 7 with
        | 0 -> Array.removeAt at input
        | 1 -> Array.insertAt at input[draws.Below input.Length] input
        | 2 -> Array.insertAt (draws.Below(input.Length + 1)) (fresh ()) input
        | 3 -> Array.updateAt at (fresh ()) input
        | 4 when other.Length > 0 -> Array.append input[..at] other[draws.Below other.Length ..]
        | 5 when other.Length > 0 -> Array.insertAt at (draws.Of other) input
        | _ ->
            // Two operations change places.
            let second = draws.Below input.Length
            input |> Array.updateAt at input[second] |> Array.updateAt second input[at]

    let private once (draws: Draws) (fresh: unit -> byte[]) (other: Input) (input: Input) : Input =
        if input.Length = 0 then
            [| fresh () |]
        elif draws.OneIn 3 then
            changeList draws fresh other input
        else
            let at = draws.Below input.Length
            let part = if other.Length = 0 then [||] else draws.Of other
            Array.updateAt at (changeChunk draws part input[at]) input

    /// One to eight changes. `fresh` makes an operation, `other` is another input that parts are taken from.
    let apply (draws: Draws) (fresh: unit -> byte[]) (other: Input) (input: Input) : Input =
        let mutable changed = input

        for _ in 0 .. (1 <<< draws.Below 4) - 1 do
            changed <- once draws fresh other changed

        Array.truncate MostChunks changed
