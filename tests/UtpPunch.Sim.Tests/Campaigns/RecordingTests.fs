/// Recording of runs as traces, and shrinking of scenarios.
module UtpPunch.Sim.Tests.RecordingTests

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

let private record scenario =
    let lines = ResizeArray<string>()
    let outcome = Recording.write scenario (Action<string>(lines.Add))
    lines, outcome

let private swarm run = Swarm.scenario (Campaign.seedOf 1UL run)

/// All faults of a path and of a host at once.
let private adverse =
    let path =
        { Path.perfect with
            Loss = Loss.Each 100
            Duplication = 100
            Corruption = 50
            Harm = Harm.Anywhere
            Cuts = [ { From = Time.milliseconds 50; Until = Time.milliseconds 700 } ] }

    let clock =
        { Scenario.clock with
            Offset = 5_000_000L
            Steps = [ Time.milliseconds 300, 1_000L ]
            Freezes = [ Time.milliseconds 500, Time.milliseconds 100 ] }

    { Scenario.calm with
        AB = path
        A = { Scenario.host with Clock = clock }
        Forgery = { Strange = 50; Spoofed = 50; Hints = 50 }
        HealAt = Time.seconds 2 }

let private tellsOfTheNetwork () =
    let lines, outcome = record adverse
    let isThere (text: string) = lines |> Seq.exists (fun line -> line.Contains text)

    for text in
        [ "#key k1 0x"
          "#scenario {Seed 1 "
          " net heal"
          " net cut       A>B until=0.700000"
          " net clock     A step=+1000"
          " net clock     A freeze=0.100000"
          " lost=loss"
          " lost=cut"
          " dup"
          " corrupt"
          " pay=~k0:"
          " pay=~k1:"
          " chk stream " ] do
        Expect.isTrue (isThere text) $"'{text}' is in the trace"

    Expect.equal outcome.Violation ValueNone "no violation"
    Expect.isFalse (isThere "violation") "no violation in the trace"

let private isStrict () =
    for run in 0..29 do
        let lines, outcome = record (swarm run)
        Expect.equal outcome.Violation ValueNone $"run {run} keeps all properties"
        let trace = Trace.Read lines
        Expect.isTrue trace.IsComplete $"the trace of run {run} is complete"
        let result = Replay.run ReplayMode.Strict trace null
        Expect.isTrue (isNull (box result.Divergence)) $"run {run}: {result.Divergence}"
        Expect.isGreaterThan result.Lines 10 $"run {run} has lines"

let private tellsViolations () =
    let lines = ResizeArray<string>()
    let finding = ValueSome(struct ("S99", "a byte\n is  wrong"))
    Recording.writeWith finding Scenario.calm (Action<string>(lines.Add)) |> ignore
    let line = TraceLine.parse lines[lines.Count - 2]
    Expect.equal (line.Direction, line.Kind) ("chk", "violation") "the last line but the end"
    Expect.equal line.Fields [| "S99"; "a"; "byte"; "is"; "wrong" |] "says what is wrong"
    Trace.Read lines |> ignore

/// A core that throws after a while.
let private faultIsTold () =
    let scenario = Scenario.calm
    let lines = ResizeArray<string>()
    let machines = Simulation.machines scenario

    let broken =
        { new IMachine with
            member _.Step(now, events) =
                if now > Time.milliseconds 45 then raise (InvalidOperationException "broken")

                machines[0].Step(now, events)

            member _.Deadline = machines[0].Deadline
            member _.Stream connId = machines[0].Stream connId }

    let outcome = Recording.writeOn [| broken; machines[1] |] ValueNone scenario (Action<string>(lines.Add))
    Expect.isTrue outcome.Violation.IsSome "the run fails"
    Expect.isTrue (lines |> Seq.exists (fun line -> line.Contains " A out fault")) "the last step is in the trace"

    Expect.stringContains
        lines[lines.Count - 2]
        " . chk violation S12 InvalidOperationException"
        "the reason is in the trace"

let private shrinksFaults () =
    let fails (scenario: Scenario) =
        scenario.Flows |> List.exists (fun flow -> flow.Dialler.Bytes >= 1000)
        && scenario.AB.Loss <> Loss.Never

    let big =
        Seq.initInfinite swarm |> Seq.find (fun scenario -> fails scenario && scenario.Flows.Length > 1)

    let small = Shrink.minimise fails 2_000 big
    Expect.isTrue (fails small) "it still fails"
    Expect.equal small.Flows.Length 1 "one stream is left"
    Expect.isLessThan small.Flows[0].Dialler.Bytes 2000 "bytes that are left"
    Expect.equal small.BA { Path.perfect with Delay = 0L<us> } "the other direction has no faults"
    Expect.equal { small.AB with Loss = Loss.Never } { Path.perfect with Delay = 0L<us> } "no other faults are left"
    Expect.equal small.A Scenario.host "the host has no faults"
    Expect.equal small.HealAt 0L<us> "no time of chaos is left"

let private shrinksWithin () =
    let mutable runs = 0

    let fails _ =
        runs <- runs + 1
        runs % 3 = 0

    Shrink.minimise fails 50 (swarm 3) |> ignore
    Expect.isLessThanOrEqual runs 50 "no more runs than allowed"

let private candidatesAreSound () =
    for run in 0..5 do
        let scenario = swarm run

        for candidate in Shrink.candidates scenario do
            Expect.notEqual candidate scenario "another scenario"
            Expect.isGreaterThan candidate.Flows.Length 0 "it has a stream"
            Expect.equal (ScenarioText.parse (ScenarioText.print candidate)) candidate "it can be printed and parsed"

/// A property that always fails shrinks to the smallest scenario; one that never fails leaves the scenario unchanged.
let private shrinksToTheEnd () =
    let least = Shrink.minimise (fun _ -> true) 100_000 (swarm 5)
    Expect.isEmpty (Shrink.candidates least) "the smallest scenario has no candidates"
    Expect.equal (Shrink.minimise (fun _ -> false) 100_000 (swarm 5)) (swarm 5) "the scenario is unchanged"

let tests =
    testList
        "recording"
        [ testCase "a trace records cuts, clocks, losses, copies and corruption" tellsOfTheNetwork
          testCase "every run that is recorded replays strictly" isStrict
          testCase "the same scenario gives the same trace" (fun () ->
              Expect.sequenceEqual (fst (record adverse)) (fst (record adverse)) "line by line")
          testCase "recording changes nothing" (fun () ->
              Expect.equal
                  (snd (record adverse)).Hash
                  (Simulation.run adverse).Hash
                  "the same packets at the same times")
          testCase "a violation is at the end of the trace" tellsViolations
          testCase "a step that throws is in the trace" faultIsTold
          testCase "a failure shrinks to the fault that causes it" shrinksFaults
          testCase "shrinking takes no more runs than allowed" shrinksWithin
          testCase "candidates are valid scenarios and differ from the original" candidatesAreSound
          testCase "shrinking ends" shrinksToTheEnd ]
