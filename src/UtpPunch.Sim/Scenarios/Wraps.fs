namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Seeds of nodes whose first sequence numbers are just below 65535.
module Wraps =
    let private firstHeader (seed: uint64) side =
        let key = Keyed.mix (seed + uint64 side)
        let bytes = Owned(Array.init 32 (fun i -> Keyed.byteAt key (int64 i)))
        let node = Node.create NodeOptions.standard bytes 0L<us>
        let peer = Endpoint.ofIPv4 0x0A000002u 6000us

        let struct (_, effects) =
            Node.step 0L<us> [| Event.Connect(0, peer, Dialect.Bep29, Time.seconds 1) |] node

        effects
        |> Array.pick (fun effect ->
            match effect with
            | Effect.Send(_, train) -> Some train.Header
            | _ -> None)

    let private firstNumber seed side = (firstHeader seed side).SeqNr.Value

    /// What A's clock must show so that the time stamps of the first stream that it dials wrap after `wait`: they have a secret offset.
    let clockNear (wait: Duration) (seed: uint64) = 0x1_0000_0000L - int64 (firstHeader seed 1).Timestamp - int64 wait

    /// Another node seed for a scenario, with which the first stream that A dials wraps within a few dozen packets.
    let seedNear (scenario: Scenario) =
        let mutable seed = Keyed.mix (scenario.NodeSeed + 1UL)
        let mutable tries = 0

        while tries < 3_000 && firstNumber seed 1 < 65_500us do
            seed <- seed + 1UL
            tries <- tries + 1

        seed
