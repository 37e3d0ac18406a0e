/// Metamorphic tests: runs that differ only in what must not matter behave equally.
module UtpPunch.Sim.Tests.Metamorphic

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Worlds

let private isTrusted (scenario: Scenario) = not (Expectation.isUnprotected scenario)
let private isUnforged (scenario: Scenario) = scenario.Forgery = { Strange = 0; Spoofed = 0; Hints = 0 }

/// The other run's packets are equal and are sent at the same times, apart from ids, first numbers and clocks.
let private sameShape property (scenario: Scenario) (changed: Scenario) =
    let one = outcomeOf scenario
    let other = outcomeOf changed
    require changed property (one.Shape = other.Shape) $"other packets, or at other times, than {scenario.Seed}"
    require changed property (one.Streams = other.Streams) $"{one.Streams}, then {other.Streams}"

let private ahead by (host: Host) = { host with Clock = { host.Clock with Offset = host.Clock.Offset + by } }

/// A short exchange with losses: eighty packets each way.
let private lossy seed =
    let plan = { Scenario.plan 8_000 with Chunk = 100; Pause = Time.milliseconds 5 }

    { overBoth
          (fun path -> { path with Loss = Loss.Each 100; Reorder = 100; ReorderBy = Time.milliseconds 40 })
          (streamOf (Time.seconds 30) plan plan) with
        Seed = seed
        NodeSeed = seed }

// ---- S20 ----

/// Without random faults of a direction or a host.
let private undrawn (scenario: Scenario) =
    let path path =
        { path with
            Loss = Loss.Never
            Lateness = Lateness.Never
            Queue =
                (match path.Queue with
                 | Queue.Red(_, most) -> Queue.Tail most
                 | other -> other)
            Reorder = 0
            Duplication = 0
            Corruption = 0 }

    let host (host: Host) =
        { host with Clock = { host.Clock with Late = 0L<us> }; Socket = { host.Socket with Refusals = 0 } }

    { overBoth path scenario with
        A = host scenario.A
        B = host scenario.B
        Forgery = { Strange = 0; Spoofed = 0; Hints = 0 }
        PermuteTies = false }

let private mirror (scenario: Scenario) =
    { scenario with
        A = scenario.B
        B = scenario.A
        AB = scenario.BA
        BA = scenario.AB
        Flows = scenario.Flows |> List.map (fun flow -> { flow with FromB = not flow.FromB }) }

/// Flow, host (mirrored or not), what it wrote and read, and how it ended.
let private ends isMirrored (outcome: Outcome) =
    [ for app in outcome.Applications.All ->
          let isA = app.Name.StartsWith "A" <> isMirrored
          struct (app.Flow, isA, app.Writes.Written, app.Reads.Delivered, app.Ended, app.Closed) ]
    |> List.sort

let tests =
    testList
        "metamorphic"
        [ test "S11: each datagram twice, at the same instant: the applications see the same" {
              for scenario in swarm 20_000UL 40 isOrderly do
                  let twice path = { path with Duplication = 1000; Copies = 1; CopiesLate = 0L<us> }
                  // Copies end with the faulty period, which must be over before streams time out.
                  let changed = overBoth twice { scenario with HealAt = max scenario.HealAt (Time.seconds 25) }
                  let one = outcomeOf scenario
                  let other = outcomeOf changed
                  Expect.isTrue (other.Marks.Counts.ContainsKey "duplicated") "copies"
                  require changed "S11" (ends false one = ends false other) $"{one.Streams}, then {other.Streams}"
          }

          test "S17: sequence numbers that wrap after any packet change nothing" {
              [| 1UL .. 120UL |]
              |> Array.Parallel.iter (fun seed ->
                  let scenario = lossy seed
                  sameShape "S17" scenario { scenario with NodeSeed = Wraps.seedNear scenario })
          }

          test "S17: other first numbers and ids change nothing in random scenarios" {
              for scenario in swarm 21_000UL 20 (fun it -> isTrusted it && isUnforged it) do
                  sameShape "S17" scenario { scenario with NodeSeed = Keyed.mix scenario.NodeSeed }
          }

          test "S18: the offset of one host's clock changes nothing" {
              for by, seed in [ 1L, 22_000UL; 0x8000_0000L, 22_100UL; 0xFFFF_FFFFL, 22_200UL; 1L <<< 45, 22_300UL ] do
                  for scenario in swarm seed 6 isTrusted do
                      sameShape "S18" scenario { scenario with B = ahead by scenario.B }
                      sameShape "S18" scenario { scenario with A = ahead by scenario.A }
          }

          test "S19: the time of the start changes nothing" {
              for by, seed in [ 0x7FFF_0000L, 23_000UL; 0xFFFF_FFFFL, 23_100UL; 0x1_0000_0000L, 23_200UL ] do
                  for scenario in swarm seed 6 isTrusted do
                      sameShape "S19" scenario { scenario with A = ahead by scenario.A; B = ahead by scenario.B }
          }

          test "S20: hosts and directions exchanged give the mirrored result" {
              for scenario in swarm 24_000UL 40 isOrderly do
                  let scenario = undrawn scenario
                  let one = outcomeOf scenario
                  let other = outcomeOf (mirror scenario)
                  require scenario "S20" (ends false one = ends true other) $"{one.Streams}, mirrored {other.Streams}"
          }

          test "S20: one stream over calm paths is mirrored to the microsecond" {
              for dialler, acceptor in [ 1, 0; 0, 50_000; 100_000, 30_000 ] do
                  let scenario = streamOf 0L<us> (Scenario.plan dialler) (Scenario.plan acceptor)
                  Expect.equal (outcomeOf (mirror scenario)).Took (outcomeOf scenario).Took "the time that it took"
          } ]
