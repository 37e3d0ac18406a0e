/// Traces of whole scenarios, and replays of them.
module UtpPunch.Tracing.Tests.Replays

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.Generators

/// The lines of a scenario's trace; with `cutAt`, only of the steps from then on, after snapshots of that time.
let record (payloads: TracePayloads) (cutAt: int) (scenario: Scenario) =
    let lines = ResizeArray<string>()
    let writer = TraceWriter(Action<string>(lines.Add), TraceWriter.Core, payloads)
    let mutable steps = 0
    let cores = Simulation.machines scenario |> Array.map (fun machine -> machine :?> CoreMachine)
    let addresses = [| "A", Endpoint.ofIPv4 0x0A000001u 5000us; "B", Endpoint.ofIPv4 0x0A000002u 6000us |]

    let watcher =
        StepWatcher(fun actor now events effects ->
            steps <- steps + 1

            if steps = cutAt then
                for index in 0..1 do
                    // The watcher sees a step after it was taken.
                    let node = if index = actor.Index then cores[index].Before else cores[index].Node
                    writer.Snapshot(fst addresses[index], Snapshot.take (not payloads.IsHash) node)

            if steps >= cutAt then
                writer.Events(int64 now, actor.Name, now, events, null)
                writer.Effects(int64 now, actor.Name, effects, null))

    for core, (name, endpoint) in Array.zip cores addresses do
        writer.Node(TraceNode(name, endpoint, core.Options, core.Seed, core.CreatedAt))

    writer.Comment("scenario", $"seed={scenario.Seed}")
    Simulation.runOn [| for core in cores -> core |] watcher scenario |> ignore
    writer.End()
    lines.ToArray()

let synth (scenario: Scenario) =
    TracePayloads.Synth [| for side in 1..2 -> KeyValuePair($"k{side - 1}", Content.keyOf scenario.Seed 0 side) |]

let private strictly (trace: Trace) = Replay.run ReplayMode.Strict trace null

let private expectEqual (result: ReplayResult) =
    if not (isNull (box result.Divergence)) then failtest (result.Divergence.ToString())

/// One stream over a path that loses `loss` of 1000 packets each way, delays, reorders and duplicates.
let lossy loss fromDialler fromAcceptor =
    let path = { Path.perfect with Delay = Time.milliseconds 20; Loss = Loss.Each loss }

    { Scenario.calm with
        AB =
            { path with
                Lateness = Lateness.Uniform(Time.milliseconds 30)
                Duplication = 50
                CopiesLate = Time.milliseconds 30 }
        BA = path
        Flows = [ { Scenario.flow 0 with Dialler = Scenario.plan fromDialler; Acceptor = Scenario.plan fromAcceptor } ]
        HealAt = Time.seconds 600 }

let private bad = lossy 100 50_000 30_000

let private lines = lazy (record TracePayloads.Full 0 bad)

let private refused message (lines: string[]) =
    Expect.throwsC (fun () -> Trace.Read lines |> ignore) (fun error ->
        Expect.isTrue (error :? TraceException) $"a TraceException, not {error}"
        Expect.stringContains error.Message message "the reason")

let tests =
    testList
        "replay"
        [ testPropertyWithConfig
              { config with maxTest = 20 }
              "any scenario replays with equal effects, with any kind of payloads"
              (fun (scenario: Scenario) ->
                  for payloads in [ TracePayloads.Full; TracePayloads.Hash; synth scenario ] do
                      let result = strictly (Trace.Read(record payloads 0 scenario))
                      expectEqual result
                      Expect.isGreaterThan result.Lines 3 "lines")

          testPropertyWithConfig
              { config with maxTest = 20 }
              "a trace cut off anywhere replays from its snapshots"
              (fun (scenario: Scenario) (FsCheck.PositiveInt cut) ->
                  for payloads in [ TracePayloads.Full; TracePayloads.Hash ] do
                      expectEqual (strictly (Trace.Read(record payloads (1 + cut % 60) scenario))))

          test "a snapshot in the middle of loss, reordering and unread bytes continues with equal effects" {
              for cut in [ 2; 10; 30; 50; 51; 52; 70; 100 ] do
                  let whole = record TracePayloads.Full cut bad
                  Expect.isTrue (Array.exists (fun (line: string) -> line.StartsWith "#snapshot A") whole) "snapshots"
                  expectEqual (strictly (Trace.Read whole))
          }
          test "a divergent line is reported with its differences and its context" {
              let text = Array.copy lines.Value

              let place =
                  Array.findIndexBack (fun (line: string) -> line.Contains " out pkt" && line.Contains " STATE ") text

              let line = TraceLine.parse text[place]
              text[place] <- text[place].Replace("ack=" + line.Find "ack", "ack=77")
              let trace = Trace.Read text[.. text.Length - 2]
              let divergence = (strictly trace).Divergence
              Expect.equal divergence.LineNumber (place + 1) "where"
              Expect.equal divergence.Differences [| "ack: 77 -> " + line.Find "ack" |] "what"
              Expect.equal (divergence.Recorded.ToString()) text[place] "the line as it was recorded"
              Expect.contains divergence.Context ("> " + text[place]) "the context"
              Expect.isGreaterThan divergence.Streams.Length 0 "streams"
              Expect.stringContains (divergence.ToString()) ("ack: 77 -> " + line.Find "ack") "the report"
              Expect.isFalse trace.IsComplete "no #end"
          }
          test "a missing line and one too many are divergences" {
              let place = Array.findIndex (fun (line: string) -> line.Contains " out opened") lines.Value
              let fewer = Array.removeAt place lines.Value[.. lines.Value.Length - 2]
              let missing = (strictly (Trace.Read fewer)).Divergence
              Expect.equal missing.Actual.Kind "opened" "the replayed line"
              let more = Array.insertAt place lines.Value[place] lines.Value[.. lines.Value.Length - 2]
              let extra = (strictly (Trace.Read more)).Divergence
              Expect.equal extra.Recorded.Kind "opened" "the recorded line"
          }
          test "the semantic mode ignores clocks and windows" {
              let changed =
                  [| for line in lines.Value[.. lines.Value.Length - 2] ->
                         if line.Contains " out pkt" then
                             let parsed = TraceLine.parse line

                             line
                                 .Replace(" ts=" + parsed.Find "ts", " ts=1")
                                 .Replace(" wnd=" + parsed.Find "wnd", " wnd=2")
                         else
                             line |]

              let trace = Trace.Read changed
              Expect.isNotNull (box (strictly trace).Divergence) "strictly it differs"
              expectEqual (Replay.run ReplayMode.Semantic trace null)
          }
          test "the mode inputs-only writes the outputs of this build" {
              let inputs =
                  [| for line in lines.Value[.. lines.Value.Length - 2] do
                         if not (line.Contains " out ") then line |]

              let told = ResizeArray<string>()

              let result =
                  Replay.run
                      ReplayMode.InputsOnly
                      (Trace.Read inputs)
                      (Action<TraceLine>(fun line -> told.Add(line.ToString())))

              expectEqual result

              let body =
                  [| for line in lines.Value do
                         if not (line.StartsWith '#') then line |]

              Expect.equal (told.ToArray()) body "the same as was recorded"
          }
          test "a step that throws is recorded as a line, and throws again in a replay" {
              let thrower = TraceWriter.Core
              let lines = ResizeArray<string>()
              let writer = TraceWriter(Action<string>(lines.Add), thrower, TracePayloads.Full)

              writer.Node(
                  TraceNode("A", Endpoint.ofIPv4 1u 2us, NodeOptions.standard, Owned(Array.zeroCreate 32), 0L<us>)
              )

              writer.Events(
                  0L,
                  "A",
                  0L<us>,
                  [| Event.Connect(1, Endpoint.ofIPv4 1u 3us, Dialect.Bep29, 5L<us>) |],
                  null
              )

              writer.Line(TraceText.fault 0L "A" (ArgumentException()))
              writer.End()
              expectEqual (strictly (Trace.Read lines))
          }
          test "a text that is not a trace is refused with the line and the reason" {
              let whole = lines.Value
              refused "Line 1:" [| "#utrace 1" |]
              refused "Line 1:" [||]
              refused "has changed" (Array.removeAt 20 whole)
              refused "has changed" (Array.updateAt 5 (whole[5] + " ") whole)
              refused "more behind" (Array.append lines.Value [| "#more" |])
              // Without its #end, which would be refused first.
              let whole = whole[.. whole.Length - 2]
              refused "not a whole number" (Array.updateAt 3 (whole[3].Replace("maxHalfOpen=", "maxHalfOpen=x")) whole)
              refused "There is no maxHalfOpen=" (Array.updateAt 3 (whole[3].Replace("maxHalfOpen=", "x=")) whole)
              let step = Array.findIndex (fun (line: string) -> line.Contains " in  step") whole
              refused $"Line {step + 1}:" (Array.updateAt step (whole[step].Replace("now=", "then=")) whole)

              refused
                  "no #node line"
                  (Array.updateAt step (whole[step].Replace(" A ", " Z ").Replace(" B ", " Z ")) whole)

              let packet = Array.findIndex (fun (line: string) -> line.Contains " in  pkt") whole
              refused "no recv line" (Array.removeAt (packet - 1) whole)
              refused "neither a packet type" (Array.updateAt packet "    0.000000 B in  pkt       p=0 i=1/1" whole)
          } ]
