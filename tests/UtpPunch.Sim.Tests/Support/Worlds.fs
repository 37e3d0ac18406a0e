/// Shared by the tests over whole scenarios.
module UtpPunch.Sim.Tests.Worlds

open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

/// Fails with the scenario's text, so that the failure can be repeated.
let broken (scenario: Scenario) (property: string) (why: string) =
    failtest $"{property}: {why}\n{ScenarioText.print scenario}"

/// Runs a scenario that must keep all properties.
let outcomeOf (scenario: Scenario) : Outcome =
    let outcome = Simulation.run scenario

    match outcome.Violation with
    | ValueSome(struct (property, why)) -> broken scenario property why
    | ValueNone -> outcome

let require (scenario: Scenario) property condition why = if not condition then broken scenario property why

/// The first `count` scenarios from a seed on for which a condition holds.
let swarm (seed: uint64) count (condition: Scenario -> bool) =
    Seq.initInfinite (fun index -> Swarm.scenario (seed + uint64 index))
    |> Seq.filter condition
    |> Seq.take count
    |> Seq.toArray

/// Whether every stream must end in order.
let isOrderly (scenario: Scenario) = Expectation.isWhole scenario && scenario.Flows |> List.forall Expectation.ends

let flowOf dialler acceptor = { Scenario.flow 0 with Dialler = dialler; Acceptor = acceptor }

/// One stream over good paths; `chaos` is how long faults last.
let streamOf chaos dialler acceptor = { Scenario.calm with Flows = [ flowOf dialler acceptor ]; HealAt = chaos }

/// The same for both directions.
let overBoth change (scenario: Scenario) = { scenario with AB = change scenario.AB; BA = change scenario.BA }

let dialects = [ "bep29"; "utp-punch" ]

/// The senders, 0 or 1, of the datagrams in their order, each counted once whether it arrives or not.
[<Sealed>]
type Sendings() =
    let seen = HashSet<int64>()
    let order = ResizeArray<struct (Instant * int * Datagram)>()

    let note now (from: Actor) (datagram: Datagram) =
        if seen.Add datagram.Number then order.Add(struct (now, from.Index, datagram))

    member _.Order = order

    interface IWatcher with
        member _.Step(_, _, _, _, _, _, _) = ()
        member _.Delivered(now, from, datagram, _, _, _) = note now from datagram
        member _.Threw(_, _, _, _, _, _) = ()
        member _.Lost(now, from, datagram, _) = note now from datagram

let watched (scenario: Scenario) : struct (Outcome * Sendings) =
    let sendings = Sendings()
    let outcome = Simulation.runOn (Simulation.machines scenario) sendings scenario

    match outcome.Violation with
    | ValueSome(struct (property, why)) -> broken scenario property why
    | ValueNone -> struct (outcome, sendings)

let isType (packetType: PacketType) (datagram: Datagram) = datagram.Bytes[0] >>> 4 = byte packetType
