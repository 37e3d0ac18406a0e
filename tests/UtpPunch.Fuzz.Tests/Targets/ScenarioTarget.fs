/// Scenarios: any text is a scenario or draws a FormatException with a reason; what is read can be printed, and is read the same.
module UtpPunch.Fuzz.ScenarioTarget

open System
open System.Text
open UtpPunch.Sim

let private text (input: Input) =
    String.Join(' ', Array.map (fun (chunk: byte[]) -> Encoding.Latin1.GetString chunk) input)

/// A chunk for every few words.
let private ofText (text: string) : Input =
    [ "{"; "}"; "("; ")"; "["; "]" ]
    |> List.fold (fun (spaced: string) bracket -> spaced.Replace(bracket, $" {bracket} ")) text
    |> _.Split(' ', StringSplitOptions.RemoveEmptyEntries)
    |> Array.chunkBySize 6
    |> Array.map (fun words -> Encoding.Latin1.GetBytes(String.Join(' ', words)))

/// An error without what it quotes.
let private kindOf (message: string) =
    let first, last = message.IndexOf '\'', message.LastIndexOf '\''

    if first < 0 then message
    // The word that is expected is the name of a field.
    elif message.EndsWith "stands there." then message.Split('\'')[1]
    else message.Remove(first, last - first)

let private run (features: Features) (input: Input) =
    let parsed =
        try
            ValueSome(ScenarioText.parse (text input))
        with :? FormatException as error ->
            Target.check (error.Message <> "") "An error has no reason."
            features.AddText(1, kindOf error.Message)
            ValueNone

    match parsed with
    | ValueNone -> ()
    | ValueSome scenario ->
        let printed = ScenarioText.print scenario

        Target.check
            (ScenarioText.print (ScenarioText.parse printed) = printed)
            "A scenario changes when it is printed and read."

        features.AddText(2, string (Scenario.mistake scenario))
        features.AddSize(3, scenario.Flows.Length)

let private chunks = lazy (ofText (ScenarioText.print (Swarm.scenario 7UL)))

let target: Target =
    { Name = "scenario"
      About = "texts of scenarios"
      Seeds = fun _ -> [ for seed in [ 1UL; 2UL; 3UL; 4UL; 7UL ] -> ofText (ScenarioText.print (Swarm.scenario seed)) ]
      Fresh = fun draws -> draws.Of chunks.Value
      Run = run
      MostAllocated = struct (4_000_000L, 400L, 20_000L) }
