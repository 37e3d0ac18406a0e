/// The lab itself, and what each congestion controller reaches on a few paths. `goodput.txt` beside this file has the reference values: goodput
/// may differ by 5 %, the delay of the queue by 20 % and 2 ms. After an intended change, run this test with UPDATE_GOODPUT=1 in the
/// environment, and review the file's diff.
module UtpPunch.Sim.Tests.LabTests

open System
open System.Globalization
open System.IO
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion

let private file = Path.Combine(__SOURCE_DIRECTORY__, "goodput.txt")

let private ms = Time.milliseconds
let private seconds = Time.seconds

/// A name, a path and flows by the controller, and the virtual time. Short: a test must not take minutes.
let private runs: (string * Bottleneck * (string -> FlowPlan list) * Duration) list =
    let path = LabScenario.path
    let alone controller = [ LabScenario.flow "flow" controller 1UL ]

    let two controller =
        [ LabScenario.flow "flow" controller 1UL; LabScenario.flowAt (seconds 4) "second" controller 1UL ]

    let beside other controller =
        [ LabScenario.flow "flow" controller 1UL; LabScenario.flowAt (seconds 2) other other 1UL ]

    [ "r1", path (ms 50) 100_000 625_000, alone, seconds 4
      "r2", path (ms 50) 100_000 625_000 |> LabScenario.losing 10, alone, seconds 4
      "r3", path (ms 100) 20_000 250_000, alone, seconds 10
      "r4", path (ms 200) 50_000 1_250_000 |> LabScenario.losing 20, alone, seconds 6
      "bufferbloat", path (ms 40) 1_000 1_250_000, alone, seconds 20
      "policer",
      path (ms 40) 10_000 0
      |> LabScenario.onForward (fun path -> { path with Rate = Rate.Policed(1_250_000, 100_000) }),
      alone,
      seconds 10
      "latecomer", path (ms 40) 10_000 150_000, two, seconds 15
      "beside-cubic", path (ms 40) 10_000 250_000, beside "cubic-model", seconds 15 ]

/// The goodput of the first flow in Mbit/s, and the 95th percentile of the queueing delay in ms.
let private measure bottleneck (flows: FlowPlan list) duration =
    let result = Lab.run bottleneck flows duration 1UL
    let goodput = Measure.goodput result.Flows[0] 0L<us> duration / 1e6
    struct (goodput, LabScenario.inMs (Measure.queueing result 95 0L<us> duration))

let private isUpdated = Environment.GetEnvironmentVariable "UPDATE_GOODPUT" = "1"

let private expected =
    lazy
        (File.ReadAllLines file
         |> Array.filter (fun line -> not (line.StartsWith "#"))
         |> Array.map (fun line ->
             let words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
             let number (word: string) = Double.Parse(word, CultureInfo.InvariantCulture)
             (words[0], words[1]), struct (number words[2], number words[3]))
         |> Map)

let private update () =
    let line name controller (struct (goodput: float, queue: float)) =
        String.Format(
            CultureInfo.InvariantCulture,
            "{0,-12} {1,-12} {2,7:0.00} {3,7:0.0}",
            name,
            controller,
            goodput,
            queue
        )

    let lines =
        [ "# Path, controller, goodput of the first flow in Mbit/s, and p95 of the queueing delay in ms. Written by UPDATE_GOODPUT=1."
          for name, bottleneck, flows, duration in runs do
              for controller in Controllers.names do
                  line name controller (measure bottleneck (flows controller) duration) ]

    File.WriteAllLines(file, lines)

/// A bulk transfer in a world of two hosts, where every step is checked: the bytes that arrived.
let private inWorld (bottleneck: Bottleneck) (options: NodeOptions) (duration: Duration) =
    let nodes = TwoNodes.over 1UL options bottleneck.Forward bottleneck.Reverse
    let chunk: byte[] = Array.zeroCreate 65_536
    nodes.Tell(nodes.B, Event.Listen 1)
    let stream = nodes.Connect(nodes.A, Dialect.Bep29)
    nodes.World.At(duration, ignore)

    while nodes.Now < duration do
        while stream.Room >= chunk.Length do
            nodes.Write(nodes.A, stream, ReadOnlySpan<byte> chunk) |> ignore

        nodes.World.Advance duration |> ignore

    nodes.B.Accepted[0].Received.Count

let tests =
    testList
        "lab"
        [ test
              "entries of an queue are taken in the order of their instants, and of one instant in the order of placing" {
              let events = EventQueue<int64>()
              let at number = Time.microseconds (int64 (UtpPunch.Tracing.Keyed.bits 7UL 1 number % 500UL))

              for number in 1L .. 3_000L do
                  events.Place(at number, number)

              let taken =
                  [ while not events.IsEmpty do
                        events.Take() ]

              Expect.equal taken (List.sortBy (fun number -> at number, number) [ 1L .. 3_000L ]) "sorted"
          }

          test "equal seeds give equal runs, and others do not" {
              let path = LabScenario.path (ms 40) 20_000 100_000 |> LabScenario.losing 10

              let bytes seed =
                  (Lab.run path [ LabScenario.flow "flow" "ledbat" 1UL ] (seconds 5) seed).Flows[0].Delivered

              Expect.equal (bytes 1UL) (bytes 1UL) "the same seed"
              Expect.notEqual (bytes 1UL) (bytes 2UL) "another seed"
          }

          test "a transfer takes as long as in a world of two hosts" {
              let path = { LabScenario.path (ms 40) 8_000 60_000 with Jitter = 0L<us> }
              let options = Controllers.options "ledbat"
              let result = Lab.run path [ FlowPlan.from "flow" (Sender.Utp(options, options)) ] (seconds 10) 1UL
              let bytes = float (Measure.bytes result.Flows[0] 0L<us> (seconds 10))
              let ratio = bytes / float (inWorld path options (seconds 10))
              // Writes are larger in the lab, and it tells less often what was read.
              Expect.isTrue (ratio > 0.98 && ratio < 1.02) $"{ratio}"
          }

          test "the scenarios have the groups of docs/congestion.md, and criteria for every controller" {
              let groups = LabCampaign.all |> List.map _.Group |> set

              for number in [ 1..12 ] @ [ 13..32 ] @ [ 34..37 ] do
                  Expect.isTrue (groups.Contains $"C{number}") $"C{number}"

              for controller in [ "ledbat"; "bbr"; "cubic" ] do
                  let criteria =
                      LabCampaign.all
                      |> List.sumBy (fun scenario ->
                          scenario.Criteria
                          |> List.filter (fun criterion -> Audience.has controller criterion.For)
                          |> List.length)

                  Expect.isGreaterThan criteria 40 controller
          }

          if isUpdated then
              test "the reference values are updated" { update () }
          else
              testList
                  "goodput"
                  [ for name, bottleneck, flows, duration in runs do
                        for controller in Controllers.names do
                            test $"{controller} on {name}" {
                                match Map.tryFind (name, controller) expected.Value with
                                | None -> failtest "goodput.txt lacks it: see the first lines of LabTests.fs."
                                | Some(struct (goodput, queue)) ->
                                    let struct (found, waited) = measure bottleneck (flows controller) duration

                                    Expect.isTrue
                                        (abs (found - goodput) <= 0.05 * goodput)
                                        $"goodput, Mbit/s: {found:F2}, and {goodput:F2} in goodput.txt"

                                    Expect.isTrue
                                        (abs (waited - queue) <= 0.2 * queue + 2.0)
                                        $"queueing, ms: {waited:F1}, and {queue:F1} in goodput.txt"
                            } ] ]
