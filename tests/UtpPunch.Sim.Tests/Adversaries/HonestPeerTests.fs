/// What the timestamp check costs peers that are honest.
module UtpPunch.Sim.Tests.HonestPeerTests

open Expecto
open UtpPunch.Sim

let tests =
    testList
        "adversaries: honest peers"
        [ for struct (name, run, most) in HonestPeers.all do
              test $"S31: {name}: every stream ends in order" {
                  let result =
                      try
                          run ()
                      with Violation(property, why) ->
                          failtest $"{property}: {why}"

                  printfn
                      $"S31: {name}: {result.Dropped} packets dropped, takes {int64 result.Slowest / 1000L} ms at most"

                  Expect.isLessThanOrEqual result.Slowest most "the slowest message"
              } ]
