/// Many streams, attackers, and nodes that are restored from snapshots.
module UtpPunch.Sim.Tests.Bounds

open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Worlds

/// The core, replaced by its restored snapshot after some steps.
[<Sealed>]
type private Restored(core: CoreMachine, isDue: int -> bool) =
    let mutable node = core.Node
    let mutable steps = 0

    member val Restores = 0 with get, set

    interface IMachine with
        member this.Step(now, events) =
            steps <- steps + 1

            if isDue steps then
                this.Restores <- this.Restores + 1
                node <- Snapshot.restore (Snapshot.take true node)

            let struct (next, effects) = Node.step now events node
            node <- next
            effects

        member _.Deadline = Node.deadline node
        member _.Stream connId = Node.stream connId node

let private counted (rule: Rule) (outcome: Outcome) =
    outcome.World.Actors |> Array.sumBy (fun actor -> actor.Rules.GetValueOrDefault rule)

let tests =
    testList
        "bounds"
        [ test "M3: a node that is restored from a snapshot at any step behaves as before" {
              for scenario in swarm 30_000UL 30 (fun _ -> true) do
                  let machines =
                      Simulation.machines scenario
                      |> Array.mapi (fun side machine ->
                          // Handshakes are in early steps, so one random step is drawn for each power of two.
                          let isDue step =
                              let octave = System.Numerics.BitOperations.Log2(uint32 step)
                              step = (1 <<< octave) + Keyed.below (1 <<< octave) scenario.Seed (900 + side) octave

                          Restored(machine :?> CoreMachine, isDue))

                  let straight = outcomeOf scenario

                  let restored =
                      Simulation.runOn
                          (machines |> Array.map (fun it -> it :> IMachine))
                          Unchecked.defaultof<_>
                          scenario

                  for machine in machines do
                      Expect.isGreaterThan machine.Restores 0 "snapshots"

                  require scenario "M3" (restored.Hash = straight.Hash) $"{restored.Violation} {restored.Streams}"
          }

          for dialect in dialects do
              test
                  $"S15: sixteen streams at once in both directions have different ids and their own bytes, %A{dialect}" {
                  for seed in 1UL .. 10UL do
                      let plan bytes = { Scenario.plan bytes with Chunk = 1_000; Pause = Time.milliseconds 3 }

                      let flows =
                          [ for index in 0..15 ->
                                { flowOf (plan (1_000 * index)) (plan (500 * index)) with FromB = index % 2 = 1 } ]

                      let scenario =
                          { overBoth (fun path -> { path with Loss = Loss.Each 50 }) Scenario.calm with
                              Seed = seed
                              NodeSeed = seed
                              Dialect = dialect
                              HealAt = Time.seconds 60
                              Flows = flows }

                      let outcome = outcomeOf scenario

                      for actor in outcome.World.Actors do
                          require
                              scenario
                              "S15"
                              (actor.Opened.Count = 8)
                              $"{actor.Name} dialled {actor.Opened.Count} ids"

                          require scenario "S15" (actor.ByReceiveId.Count = 16) $"{actor.ByReceiveId.Count} ids of 16"

                      require scenario "S15" (Seq.length outcome.Applications.All = 32) $"{outcome.Streams}"
              }

          test
              "S13: a third party that copies and forges every other packet changes nothing, and receives less than it sends" {
              for seed in 1UL .. 20UL do
                  let scenario =
                      { streamOf (Time.seconds 60) (Scenario.plan 60_000) (Scenario.plan 60_000) with
                          Seed = seed
                          Dialect = dialects[int seed % 2]
                          Forgery = { Strange = 300; Spoofed = 300; Hints = 100 } }

                  let outcome = outcomeOf scenario
                  Expect.isTrue (outcome.Marks.Counts.ContainsKey "forged") "forged packets"

                  for actor in outcome.World.Actors do
                      // Copies of SYNs are answered by at most three SYN-ACKs; all other packets by fewer bytes than they have.
                      require scenario "S13" (actor.StrangeIn > 0L) "no forged packet arrived"

                      require
                          scenario
                          "S13"
                          (actor.StrangeOut <= actor.StrangeIn + 3L * 26L)
                          $"{actor.StrangeOut} bytes to addresses that sent {actor.StrangeIn}"

                  require
                      scenario
                      "S13"
                      (counted Rule.UnknownConnection outcome > 0)
                      "no packet had an unknown connection"
          }

          test "S14: every stream that opens closes exactly once" {
              // Every run checks that nothing follows the close; here every close reason must occur.
              let seen = HashSet<string>()

              for scenario in swarm 31_000UL 150 (fun it -> not (isOrderly it)) do
                  let outcome = outcomeOf scenario

                  for app in outcome.Applications.All do
                      require scenario "S14" app.Closed.IsSome $"{app.Name} never closed"
                      seen.Add(string app.Closed.Value) |> ignore

                  for reason in outcome.Applications.Failed.Values do
                      seen.Add(string reason) |> ignore

              for reason in
                  [ CloseReason.Finished
                    CloseReason.Aborted
                    CloseReason.Reset
                    CloseReason.TimedOut
                    CloseReason.ConnectTimeout ] do
                  Expect.contains seen (string reason) "close reasons"
          } ]
