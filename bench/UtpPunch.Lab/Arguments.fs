/// The command line: words, and options with values.
module UtpPunch.Lab.Arguments

open System
open System.Globalization

/// A mistake on the command line.
exception Mistake of why: string

type Arguments = { Words: string list; Options: Map<string, string> }

/// `flags` are options without a value.
let parse (known: string list) (flags: string list) (arguments: string list) : Arguments =
    let rec read words options arguments =
        match arguments with
        | [] -> { Words = List.rev words; Options = options }
        | (flag: string) :: rest when List.contains flag flags -> read words (Map.add flag "" options) rest
        | key :: value :: rest when List.contains key known -> read words (Map.add key value options) rest
        | key :: _ when key.StartsWith "--" -> raise (Mistake $"{key} is not an option, or its value is missing.")
        | word :: rest -> read (word :: words) options rest

    read [] Map.empty arguments

let has key arguments = Map.containsKey key arguments.Options

let text key preset arguments = Map.tryFind key arguments.Options |> Option.defaultValue preset

let number key (preset: float) arguments =
    match Map.tryFind key arguments.Options with
    | None -> preset
    | Some value ->
        match Double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, value when value >= 0.0 -> value
        | _ -> raise (Mistake $"{key} takes a number, not '{value}'.")

/// Numbers separated by commas.
let numbers key (preset: float list) arguments =
    match Map.tryFind key arguments.Options with
    | None -> preset
    | Some value ->
        value.Split ','
        |> Array.map (fun part ->
            match Double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture) with
            | true, value -> value
            | _ -> raise (Mistake $"{key} takes numbers, not '{value}'."))
        |> List.ofArray

let list key (preset: string list) arguments =
    match Map.tryFind key arguments.Options with
    | None -> preset
    | Some value -> value.Split ',' |> List.ofArray
