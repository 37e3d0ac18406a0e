module UtpPunch.Sim.Tests.ReceiverOracle

open Expecto

let tests = testList "receiver oracle" [ test "nothing yet" { () } ]
