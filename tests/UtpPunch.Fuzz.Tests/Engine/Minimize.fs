/// Makes a failing input smaller as long as it fails in the same way.
module UtpPunch.Fuzz.Minimize

/// The most executions that are spent on one input.
[<Literal>]
let private Budget = 3_000

/// The items without one part after the other: halves first, single items last.
let private withoutParts (items: 'T[]) : 'T[] seq =
    seq {
        let mutable size = max 1 (items.Length / 2)

        while size > 0 do
            for start in 0..size .. items.Length - 1 do
                Array.append items[.. start - 1] items[start + size ..]

            size <- size / 2
    }

let private smaller (input: Input) : Input seq =
    seq {
        yield! withoutParts input

        for index in 0 .. input.Length - 1 do
            for chunk in withoutParts input[index] do
                Array.updateAt index chunk input

        for index in 0 .. input.Length - 1 do
            for at in 0 .. input[index].Length - 1 do
                if input[index][at] <> 0uy then
                    Array.updateAt index (Array.updateAt at 0uy input[index]) input
    }

let run (fails: Input -> bool) (input: Input) : Input =
    let mutable least = input
    let mutable left = Budget
    let mutable isShrinking = true

    let try' candidate =
        left <- left - 1
        fails candidate

    while isShrinking && left > 0 do
        match smaller least |> Seq.takeWhile (fun _ -> left > 0) |> Seq.tryFind try' with
        | Some candidate -> least <- candidate
        | None -> isShrinking <- false

    least
