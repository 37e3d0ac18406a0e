/// How many forged packets pass each layer of the defence, against what the theory says.
module UtpPunch.Sim.Tests.OddsTests

open Expecto
open UtpPunch.Sim

let tests =
    testList
        "adversaries: odds"
        [ test
              "S29: of the packets that know everything but one secret, as many pass as that secret lets pass by chance" {
              for seed in 1UL .. 3UL do
                  for odds in Odds.measure seed do
                      if seed = 1UL then
                          printfn
                              $"S29: {odds.Name}: {odds.Passed} of {odds.Packets} packets, expected {odds.Expected:F1}"

                      Odds.check odds
          } ]
