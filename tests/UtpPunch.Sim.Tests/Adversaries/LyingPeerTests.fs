/// A peer that lies, against an application that releases its stream.
module UtpPunch.Sim.Tests.LyingPeerTests

open Expecto
open UtpPunch.Sim

let private bounded lie () =
    for seed in 1UL .. 10UL do
        match ScriptedCases.check (fun () -> LyingPeer.check lie seed |> ignore) with
        | ValueSome(struct (property, why)) -> failtest $"seed {seed}: {property}: {why}"
        | ValueNone -> ()

let tests =
    testList
        "adversaries: peer"
        [ for lie in LyingPeer.all do
              testCase $"S30: a released stream ends, within limits, although its peer %A{lie}" (bounded lie) ]
