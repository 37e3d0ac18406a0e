/// The arguments of `dotnet fsi build.fsx fuzz`.
module UtpPunch.Fuzz.CommandLine

open System
open System.Globalization

let private usage =
    let targets = Targets.all |> List.map (fun target -> $"  %-12s{target.Name} {target.About}")

    $"""
dotnet fsi build.fsx fuzz [TARGET...] [OPTIONS]
dotnet fsi build.fsx fuzz replay FILE

  TARGET       what to fuzz; default: all, one after the other
  --minutes N  how long, for all targets together; default 8
  --runs N     instead: executions of each target
  --seed N     seed of the random numbers; default: random, printed
  --save       replace the inputs in tests/fuzz-corpus by the smallest ones that reach as much
  replay FILE  run the input of a finding

Targets:
{String.Join("\n", targets)}

A finding is minimized and written to artifacts/fuzz/findings/. Exit code: 0 without findings, otherwise 1.
"""

let private print () =
    printfn "%s" (usage.Trim())
    0

let private mistake (message: string) =
    eprintfn "%s (`dotnet fsi build.fsx help fuzz` prints the options)" message
    2

let private number (text: string) : float voption =
    match Double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture) with
    | true, value when value > 0.0 -> ValueSome value
    | _ -> ValueNone

let rec private parse (arguments: string list) (options: Campaign.Options) : Result<Campaign.Options, string> =
    let withNumber key (text: string) (rest: string list) set =
        match number text with
        | ValueSome value -> parse rest (set value)
        | ValueNone -> Error $"'{text}' is not a number for {key}."

    match arguments with
    | [] -> Ok options
    | "--minutes" as key :: text :: rest ->
        withNumber key text rest (fun value -> { options with Limit = Limit.Time(TimeSpan.FromMinutes value) })
    | "--runs" as key :: text :: rest ->
        withNumber key text rest (fun value -> { options with Limit = Limit.Executions(int64 value) })
    | "--seed" as key :: text :: rest -> withNumber key text rest (fun value -> { options with Seed = uint64 value })
    | "--save" :: rest -> parse rest { options with Saves = true }
    | word :: rest ->
        match Targets.tryFind word with
        | Some target -> parse rest { options with Targets = options.Targets @ [ target ] }
        | None -> Error $"'{word}' is neither a target nor an option, or its value is missing."

let private preset: Campaign.Options =
    { Targets = []
      Limit = Limit.Time(TimeSpan.FromMinutes 8.0)
      Seed = uint64 (Random.Shared.Next())
      Saves = false }

let run (arguments: string list) : int =
    match arguments with
    | [ "--help" ] -> print ()
    | [ "replay"; file ] -> Campaign.replay file
    | _ ->
        match parse arguments preset with
        | Error message -> mistake message
        | Ok options when options.Targets.IsEmpty -> Campaign.run { options with Targets = Targets.all }
        | Ok options -> Campaign.run options
