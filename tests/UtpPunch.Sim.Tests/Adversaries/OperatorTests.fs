/// The operator of a rendezvous against the meetings of its clients.
module UtpPunch.Sim.Tests.OperatorTests

open Expecto
open UtpPunch.Tracing
open UtpPunch.Sim

let private meetings = 1000

let tests =
    testList
        "adversaries: operator"
        [ test
              $"N10: in {meetings} meetings whose operator strikes at every moment, each stream is between the two peers" {
              let mutable moves = 0L
              let mutable met = 0

              for index in 1..meetings do
                  let seed = Keyed.mix (uint64 index)

                  let one () =
                      let struct (hasMet, it) = OperatedMeeting.meet seed
                      moves <- moves + int64 it.Moves
                      if hasMet then met <- met + 1

                  match ScriptedCases.check one with
                  | ValueSome(struct (property, why)) -> failtest $"seed {seed}: {property}: {why}"
                  | ValueNone -> ()

              printfn $"N10: {meetings} meetings, {met} of them met, {moves} packets of the operator"
              Expect.isGreaterThan met (meetings / 2) "meetings that the operator does not prevent"
          } ]
