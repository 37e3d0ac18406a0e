/// What an adversary off the path reaches that was given nearly everything.
module UtpPunch.Sim.Tests.BlindTests

open Expecto
open UtpPunch.Sim

let private median (packets: int list) = (List.sort packets)[packets.Length / 2]

let tests =
    testList
        "adversaries: given secrets"
        [ test "S28: who knows all that a SYN-ACK has said, and nothing later, draws the first window" {
              Blind.check ()
          }

          test "an idle stream whose numbers are given takes a packet only after several have failed" {
              let packets = [ for seed in 1UL .. 25UL -> Odds.untilInjected seed true 10_000 ]

              printfn
                  $"S29: inject into an idle stream, numbers given: after {median packets} packets in the median, {List.min packets} at least"

              Expect.isGreaterThan (median packets) 5 "packets"
          }

          test "an idle stream whose id is given takes a packet only after thousands have failed" {
              let packets = [ for seed in 1UL .. 3UL -> Odds.untilInjected seed false 1_000_000 ]
              let packets = packets |> List.map (fun count -> if count < 0 then 1_000_000 else count)

              printfn
                  $"S29: inject into an idle stream, the id given: after {median packets} packets in the median, {List.min packets} at least"

              Expect.isGreaterThan (median packets) 5_000 "packets"
          } ]
