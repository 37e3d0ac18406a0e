/// The fuzzer itself: it is deterministic, finds what only guidance reaches, and minimizes it.
module UtpPunch.Fuzz.Tests.EngineTests

open System.Text
open Expecto
open UtpPunch.Fuzz

/// Fails for a chunk that begins with `FUZZ`. Each letter is a mark of its own.
let private planted: Target =
    { Name = "planted"
      About = "a test"
      Seeds = fun _ -> [ [| Array.zeroCreate 4 |] ]
      Fresh = fun draws -> draws.Bytes 4
      Run =
        fun features input ->
            for chunk in input do
                let expected = "FUZZ"B
                let fitting = Seq.zip chunk expected |> Seq.takeWhile (fun (a, b) -> a = b) |> Seq.length
                features.Add(1, fitting)
                if fitting = 4 then Target.violated "There it is."
      MostAllocated = struct (1_000_000L, 1_000L, 1_000L) }

let private fuzzed seed =
    let fuzzer = Fuzzer(planted, seed, [])
    fuzzer.Run(Limit.Executions 60_000L)
    fuzzer

let tests =
    testList
        "engine"
        [ test "four bytes are found one by one, and nothing else is left of the input" {
              let finding = Seq.exactlyOne (fuzzed 1UL).Findings
              Expect.equal finding.Input [| "FUZZ"B |] "the input"
              Expect.equal finding.Failure.Explanation "There it is." "the reason"
          }
          test "the same seed keeps the same inputs, and another seed others" {
              let kept seed = List.ofSeq (fuzzed seed).Kept
              Expect.equal (kept 2UL) (kept 2UL) "the same seed"
              Expect.notEqual (kept 2UL) (kept 3UL) "another seed"
          }
          test "an exception is a finding, and so is too much memory" {
              let failing message run =
                  let fuzzer = Fuzzer({ planted with Run = run }, 1UL, [])
                  fuzzer.Run(Limit.Executions 400L)
                  let finding = Seq.exactlyOne fuzzer.Findings
                  Expect.stringContains finding.Failure.Signature message "the signature"

              failing "InvalidOperationException" (fun _ _ -> invalidOp "no")
              failing "allocated" (fun _ _ -> Array.zeroCreate<byte> 3_000_000 |> ignore)
          }
          test "inputs are written and read unchanged" {
              let inputs: Input list =
                  [ [| "plain text"B; [||]; [| 0uy; 255uy |]; "# no remark"B; "---"B |]; [| [| 10uy |] |] ]

              for input in inputs do
                  Expect.equal (Input.ofText (Input.toText "node: why\nand how" input)) input "one input"

              Expect.equal (Input.ofTexts (Input.toTexts inputs)) inputs "several"
          }
          test "a mutation never makes a chunk longer than a datagram" {
              let draws = Draws 5UL
              let mutable input: Input = [| Encoding.ASCII.GetBytes(String.replicate 64_000 "7") |]

              for _ in 1..300 do
                  input <- Mutations.apply draws (fun () -> draws.Bytes 10) input input

              Expect.all input (fun chunk -> chunk.Length <= 65_000) "lengths"
          } ]
