/// The campaign that hunts the punching mutants finds nothing where there is no mutant.
module UtpPunch.Sim.Tests.PunchCampaigns

open Expecto
open UtpPunch.Sim

let tests =
    testList
        "punch campaign"
        [ test "200 runs keep N1, N2, N3 and N5, the laws of the node, and go the same way from snapshots" {
              match PunchCampaign.run 1UL 200 with
              | ValueSome failure -> failtest $"run {failure.Run}: {failure.Property}, {failure.Why}"
              | ValueNone -> ()
          } ]
