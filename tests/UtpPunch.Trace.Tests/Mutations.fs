/// Mutations of traces: one bit, one number, one line, or the bytes of a snapshot.
module UtpPunch.Tracing.Tests.Mutations

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Random numbers from a seed.
[<Sealed>]
type Draws(seed: uint64) =
    let mutable count = 0L

    member _.Below(limit: int) : int =
        count <- count + 1L
        Keyed.below limit seed 1 count

    member this.Of(items: 'T[]) : 'T = items[this.Below items.Length]

let private limits =
    [| "0"
       "-1"
       "1"
       "2"
       "21"
       "255"
       "65535"
       "65536"
       "16777216"
       "2147483647"
       "-2147483648"
       "4294967295"
       "4294967296"
       "1152921504606846975"
       "-1152921504606846975"
       "9223372036854775807"
       "-9223372036854775808"
       "99999999999999999999999"
       "never"
       "none"
       ""
       "~k0:0:16777216"
       "~k0:9223372036854775807:16"
       "#0000000000000000"
       "00"
       "[::]:0"
       "10.0.0.1:65535/65535" |]

let private replaceAt (lines: string[]) index line = Array.updateAt index line lines

let private flip (draws: Draws) (line: string) =
    if line = "" then
        "\u0001"
    else
        let letters = line.ToCharArray()
        let at = draws.Below letters.Length
        letters[at] <- char (uint16 letters[at] ^^^ (1us <<< draws.Below 7))
        // A line feed would be another mutation.
        String(letters).Replace('\n', '!')

/// Another value for one field of a line.
let private setField (draws: Draws) (lines: string[]) (line: string) =
    let words = line.Split ' '

    let places =
        [| for index in 0 .. words.Length - 1 do
               if words[index].Contains '=' then index |]

    if places.Length = 0 then
        flip draws line
    else
        let place = draws.Of places
        let key = words[place].Split('=')[0]

        let value =
            if draws.Below 4 > 0 then
                draws.Of limits
            else
                // The value of another field of the trace.
                let other = (draws.Of lines).Split ' ' |> draws.Of
                other.Substring(other.IndexOf '=' + 1)

        String.Join(' ', Array.updateAt place (key + "=" + value) words)

let private mutateBytes (draws: Draws) (bytes: byte[]) =
    let at = draws.Below bytes.Length

    match draws.Below 6 with
    | 0
    | 1 -> Array.updateAt at (bytes[at] ^^^ (1uy <<< draws.Below 8)) bytes
    | 2 -> Array.updateAt at (byte (draws.Below 256)) bytes
    | 3 -> bytes[..at]
    | 4 -> Array.concat [| bytes[..at]; [| 0xFFuy; 0xFFuy; 0xFFuy; 0xFFuy; 0x0Fuy |]; bytes[at + 1 ..] |]
    | _ ->
        // A copy of a part.
        let until = min bytes.Length (at + 1 + draws.Below 100)
        Array.concat [| bytes[.. until - 1]; bytes[at..] |]

/// Changes the bytes of a snapshot; any other line is changed by a bit.
let private mutateSnapshot (draws: Draws) (line: string) =
    let decoded = Array.zeroCreate<byte> line.Length
    let mutable length = 0

    match line.Split ' ' with
    | [| "#snapshot"; name; text |] when Convert.TryFromBase64String(text, Span<byte> decoded, &length) ->
        let mutable bytes = decoded[.. length - 1]

        for _ in 0 .. draws.Below 3 do
            if bytes.Length > 0 then bytes <- mutateBytes draws bytes

        "#snapshot " + name + " " + Convert.ToBase64String bytes
    | _ -> flip draws line

let private once (draws: Draws) (lines: string[]) : string[] =
    if lines.Length < 2 then
        lines
    else
        let at = draws.Below lines.Length
        let other = draws.Below lines.Length

        let snapshots =
            [| for index in 0 .. lines.Length - 1 do
                   if lines[index].StartsWith "#snapshot" then index |]

        match draws.Below 12 with
        | 0 -> replaceAt lines at (flip draws lines[at])
        | 1
        | 2
        | 3 -> replaceAt lines at (setField draws lines lines[at])
        | 4 -> Array.removeAt at lines
        | 5 -> lines[..at]
        | 6 -> Array.insertManyAt at (Array.create (1 + draws.Below 200) lines[at]) lines
        | 7 -> lines |> Array.updateAt at lines[other] |> Array.updateAt other lines[at]
        | 8 -> replaceAt lines at (lines[at].Substring(0, draws.Below(lines[at].Length + 1)))
        | 9 -> replaceAt lines at (lines[at] + " " + String.replicate (draws.Below 5000) "x=1 ")
        | 10 -> Array.insertAt at lines[other] lines
        | _ when snapshots.Length > 0 ->
            let at = draws.Of snapshots
            replaceAt lines at (mutateSnapshot draws lines[at])
        | _ -> replaceAt lines at (setField draws lines lines[at])

/// One to four mutations of a trace.
let apply (seed: uint64) (lines: string[]) : string[] =
    let draws = Draws seed
    let mutable result = lines

    for _ in 0 .. draws.Below 4 do
        result <- once draws result

    result
