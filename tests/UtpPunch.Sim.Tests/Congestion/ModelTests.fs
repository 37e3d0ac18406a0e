/// The models of other stacks behave as these do: what a flow of ours leaves to them means something only then.
module UtpPunch.Sim.Tests.ModelTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion

let private ms = Time.milliseconds
let private seconds = Time.seconds

/// 20 ms each way and 20 Mbit/s, with a queue of two products of bandwidth and delay.
let private path = Lab.bottleneck (ms 20) 20_000_000L 200_000

let private flows (names: string list) =
    names |> List.mapi (fun index name -> FlowPlan.from $"{name} {index}" (Sender.Model name))

let private run bottleneck names length = Lab.run bottleneck (flows names) (seconds length) 1UL

let private lossy share = { path with Forward = { path.Forward with Loss = Loss.Each share } }

/// What a flow gets of the path between two seconds, on average over three seeds.
let private shareOf names length from until =
    [ for seed in 1UL .. 3UL ->
          Measure.share (Lab.run path (flows names) (seconds length) seed) 0 (seconds from) (seconds until) ]
    |> List.average

let tests =
    testList
        "models"
        [ for name in Controllers.models do
              test $"{name} alone uses 95 percent of a path" {
                  let result = run path [ name ] 30
                  let used = Measure.utilisation result (seconds 5) (seconds 30)
                  Expect.isGreaterThan used 0.95 "the utilisation"
              }

          for name in Controllers.models do
              test $"two flows of {name} share a path" {
                  let result = run path [ name; name ] 60
                  Expect.isGreaterThan (Measure.jain result [ 0; 1 ] (seconds 20) (seconds 60)) 0.85 "Jain's index"
              }

          test "at 1 percent of random loss Reno has the rate of Mathis's formula" {
              let result = run (lossy 10) [ "reno" ] 120
              // 1452 B / 40 ms * sqrt(3 / 2) / sqrt(0.01), with an acknowledgement of every second packet counted by packets.
              let expected = 1452.0 * 8.0 / 0.04 * 1.22 / 0.1
              let rate = Measure.goodput result.Flows[0] (seconds 10) (seconds 120)
              Expect.isTrue (rate > 0.75 * expected && rate < 1.25 * expected) $"{rate} of {expected}"
          }

          test "BBR does not yield to 1 percent of random loss" {
              let result = run (lossy 10) [ "bbr-model" ] 30
              Expect.isGreaterThan (Measure.utilisation result (seconds 5) (seconds 30)) 0.93 "the utilisation"
          }

          test "CUBIC is not weaker than Reno, and starves it not" {
              let share = shareOf [ "cubic-model"; "reno" ] 60 20 60
              Expect.isTrue (share > 0.45 && share < 0.85) $"{share}"
          }

          test "BBR and CUBIC both live" {
              let share = shareOf [ "bbr-model"; "cubic-model" ] 90 30 90
              Expect.isTrue (share > 0.15 && share < 0.85) $"{share}"
          }

          test "a call of 160 bytes every 20 ms has its delay and no losses on an idle path" {
              let call =
                  { FlowPlan.from "call" (Sender.Uncontrolled 192) with
                      Supplies = [ { From = 0L<us>; Rate = 8_600L } ] }

              let result = Lab.run path [ call ] (seconds 10) 1UL
              let flow = result.Flows[0]
              Expect.floatClose { absolute = 3.0; relative = 0.0 } (float result.Datagrams) 500.0 "50 packets a second"
              Expect.equal (Measure.lost flow 0L<us> (seconds 10)) 0.0 "nothing is lost"
              Expect.isLessThan (Measure.queueing result 95 0L<us> (seconds 10)) (ms 1) "nothing waits"
          } ]
