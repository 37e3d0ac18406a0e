/// The campaign that mutants of punching are hunted with finds nothing in the core without a mutant.
module UtpPunch.Sim.Tests.PunchCampaigns

open Expecto
open UtpPunch.Sim

let tests =
    testList
        "punch campaign"
        [ test
              "200 runs keep N1, N2, N3, N5 and the laws of the node, and give the same events when restored from snapshots" {
              match PunchCampaign.run 1UL 200 with
              | ValueSome failure -> failtest $"run {failure.Run}: {failure.Property}, {failure.Why}"
              | ValueNone -> ()
          } ]
