module UtpPunch.Fuzz.Tests.Program

open System
open Expecto
open UtpPunch.Fuzz

/// Executions of each target in the tests: a second or two.
let private executions (target: Target) =
    match target.Name with
    | "trace" -> 300L
    | "scenario" -> 1_500L
    | "node" -> 2_500L
    | _ -> 5_000L

/// What the corpus reaches, and a few thousand executions from there. Without instrumentation, features alone are the guidance.
let private campaign (target: Target) =
    test $"{target.Name}: the corpus and what is near it keep all invariants" {
        let corpus = Corpus.load target
        Expect.isNonEmpty corpus "the corpus"
        let fuzzer = Fuzzer(target, 1UL, corpus)
        fuzzer.Run(Limit.Executions(int64 corpus.Length + executions target))

        if fuzzer.Findings.Count > 0 then
            let text (finding: Finding) = Input.toText $"{finding.Target}: {finding.Failure.Explanation}" finding.Input
            failtest (String.Join("\n", Seq.map text fuzzer.Findings))
    }

let private rules =
    test "node: the corpus reaches every rule" {
        let features = Features()

        let names =
            FSharp.Reflection.FSharpType.GetUnionCases typeof<UtpPunch.Protocol.Rule> |> Array.map _.Name

        let reached =
            set
                [ for input in Corpus.load NodeTarget.target @ NodeTarget.target.Seeds(Draws 1UL) do
                      Target.execute NodeTarget.target false features input |> ignore

                      for feature in features.Of NodeWorld.RuleArea do
                          names[NodeWorld.RuleOf feature] ]

        Expect.equal
            (String.Join(", ", set names - reached))
            ""
            "rules that are not reached; `dotnet fsi build.fsx fuzz node --minutes 1 --save` renews the corpus"
    }

// A function: the values of the targets use the core, whose branches can be counted only after `prepare`.
let private tests () =
    testList "fuzz" [ EngineTests.tests; rules; testSequenced (testList "targets" (List.map campaign Targets.all)) ]

[<EntryPoint>]
let main args =
    Edges.prepare ()

    match List.ofArray args with
    | "fuzz" :: rest -> CommandLine.run rest
    | [ "instrument"; folder ] ->
        Instrument.run folder
        0
    | _ -> runTestsWithCLIArgs [] args (tests ())
