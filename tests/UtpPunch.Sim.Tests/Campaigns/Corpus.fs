/// tests/corpus: minimised scenarios that once failed, each with a first line that says why; and traces. `open/` holds scenarios that
/// still fail; they are not run.
module UtpPunch.Sim.Tests.Corpus

open System
open System.IO
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

let private folder = Path.Combine(AppContext.BaseDirectory, "corpus")

/// Parses a scenario file; throws `FormatException` with the file's name.
let parse (name: string) (lines: string[]) : struct (string * Scenario) =
    let malformed why = raise (FormatException $"{name}: {why}")
    let content = lines |> Array.filter (fun line -> line.Trim() <> "")

    if content.Length <> 2 then malformed $"{content.Length} lines instead of two"

    if not (content[0].StartsWith "# ") then malformed "the first line does not say why"

    try
        struct (content[0].Substring 2, ScenarioText.parse content[1])
    with :? FormatException as error ->
        malformed error.Message

let private scenarios =
    [ for path in Directory.GetFiles(folder, "*.scenario") |> Array.sort do
          let name = Path.GetFileName path

          test name {
              let struct (why, scenario) = parse name (File.ReadAllLines path)
              let struct (_, violation) = Campaign.check scenario

              match violation with
              | ValueSome(struct (property, seen)) -> failtest $"{name} ({why}): {property}: {seen}"
              | ValueNone -> ()
          } ]

let private traces =
    [ for path in Directory.GetFiles(folder, "*.utrace") |> Array.sort do
          let name = Path.GetFileName path

          test name {
              let trace =
                  try
                      Trace.Parse(File.ReadAllText path)
                  with :? TraceException as error ->
                      failtest $"{name}, line {error.Line}: {error.Message}"

              let mode = if name.EndsWith ".strict.utrace" then ReplayMode.Strict else ReplayMode.InputsOnly
              let result = Replay.run mode trace null

              if not (isNull (box result.Divergence)) then failtest $"{name}: {result.Divergence}"
          } ]

let private text = ScenarioText.print Scenario.calm

let private malformed what (lines: string list) =
    test $"a corpus file with {what} is refused by name" {
        let error =
            try
                parse "odd.scenario" (List.toArray lines) |> ignore
                null
            with :? FormatException as error ->
                error

        Expect.isNotNull error "a malformed file is refused"
        Expect.stringStarts error.Message "odd.scenario: " "the message"
    }

let tests =
    testList
        "corpus"
        [ test "there is a corpus" { Expect.isNonEmpty scenarios "files" }
          yield! scenarios
          yield! traces
          malformed "no reason" [ text ]
          malformed "a reason that is none" [ "why"; text ]
          malformed "two scenarios" [ "# why"; text; text ]
          malformed "an unknown field" [ "# why"; text.Replace("HealAt", "HurtAt") ]
          malformed "half a scenario" [ "# why"; text.Substring(0, text.Length / 2) ] ]
