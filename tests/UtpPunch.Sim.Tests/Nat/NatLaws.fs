/// Laws of every NAT over random traffic, and a reference model that keeps only a list of outbound datagrams.
module UtpPunch.Sim.Tests.NatLaws

open System.Collections.Generic
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Punchers

/// A datagram or a pause; numbers are taken modulo the number of hosts, endpoints or known mappings.
[<RequireQualifiedAccess>]
type Passing =
    | Out of inside: int * remote: int
    /// To an outside endpoint that was allocated before, or to any port.
    | In of remote: int * outside: int
    | Wait of seconds: int

type Traffic = { Model: NatModel; Passings: Passing list }

let private passing seconds =
    Gen.frequency
        [ 4, Gen.map2 (fun inside remote -> Passing.Out(inside, remote)) (Gen.choose (0, 5)) (Gen.choose (0, 5))
          4, Gen.map2 (fun remote outside -> Passing.In(remote, outside)) (Gen.choose (0, 5)) (Gen.choose (0, 30))
          (if seconds = 0 then 0 else 1), Gen.map Passing.Wait (Gen.choose (0, seconds)) ]

let private ports =
    Gen.elements
        [ PortAllocation.Preserving
          PortAllocation.Sequential(30_000, 100, 2)
          PortAllocation.Sequential(256, 60_000, 256)
          PortAllocation.Random(40_000, 64)
          PortAllocation.Hashed(40_000, 64) ]

let private traffic isQuirky =
    gen {
        let! model = Gen.elements NatModel.nine
        let! scope = Gen.elements [ FilterScope.Mapping; FilterScope.Endpoint ]
        let! ports = ports
        let! refresh = Gen.elements [ Refresh.Outbound; Refresh.Both; Refresh.Never ]
        let! clashes = Gen.elements [ false; isQuirky ]
        let! pins = Gen.elements [ false; isQuirky ]
        let! passings = Gen.listOf (passing (if isQuirky then 60 else 0))

        return
            { Model =
                { model with
                    FilterScope = scope
                    Ports = ports
                    Refresh = refresh
                    InboundCreatesState = clashes
                    InboundPinsMapping = pins
                    Unreplied = Time.seconds 30
                    Stream = Time.seconds 90 }
              Passings = passings }
    }

let private shrunk (traffic: Traffic) =
    seq {
        for index in 0 .. traffic.Passings.Length - 1 do
            { traffic with Passings = List.removeAt index traffic.Passings }
    }

let private insides =
    [| for host in 1u .. 3u do
           for number in 1..2 -> port number (Endpoint.ofIPv4 host 0us) |]

let private remotes =
    [| for host in 8u .. 10u do
           for number in 1..2 -> port number (Endpoint.ofIPv4 host 0us) |]

/// Passes traffic through a NAT; returns each datagram with its translation.
let private play (traffic: Traffic) outbound inbound =
    let nat = Nat(traffic.Model, Endpoint.ofIPv4 100u 0us, 1UL)
    let given = List<Endpoint>()
    let mutable now: Instant = 0L<us>

    for passing in traffic.Passings do
        match passing with
        | Passing.Wait seconds -> now <- now + Time.seconds seconds
        | Passing.Out(inside, remote) ->
            let translation = nat.Outbound(now, insides[inside], remotes[remote])

            match translation with
            | Translation.Passed(source, _) -> given.Add source
            | Translation.Dropped _ -> ()

            outbound nat now insides[inside] remotes[remote] translation
        | Passing.In(remote, outside) ->
            let target = if outside < given.Count then given[outside] else port (40_000 + outside) nat.Outside
            inbound nat now remotes[remote] target (nat.Inbound(now, remotes[remote], target))

let private config = { FsCheckConfig.defaultConfig with maxTest = 400 }

let private law name isQuirky check =
    testPropertyWithConfig config name (Prop.forAll (Arb.fromGenShrink (traffic isQuirky, shrunk)) check)

/// Outbound datagrams: the source, the destination and the outside endpoint.
let private twin (traffic: Traffic) =
    let model = traffic.Model
    let facts = List<struct (Endpoint * Endpoint * Endpoint)>()

    let outbound _ _ inside remote translation =
        match translation with
        | Translation.Passed(outside, onward) ->
            Expect.equal onward remote "its destination"

            let before =
                [ for struct (other, towards, by) in facts do
                      if other = inside && NatModel.key model.Mapping towards = NatModel.key model.Mapping remote then
                          by ]

            match before with
            | by :: _ -> Expect.equal outside by "the mapping that there was"
            | [] -> Expect.isFalse (facts.Exists(fun (struct (_, _, by)) -> by = outside)) "a port of its own"

            facts.Add(struct (inside, remote, outside))
        | Translation.Dropped cause -> failtest $"dropped: {cause}"

    let inbound _ _ remote target translation =
        let owners =
            List.distinct
                [ for struct (inside, _, by) in facts do
                      if by = target then inside ]

        let mayEnter owner =
            facts.Exists(fun (struct (inside, towards, by)) ->
                (if model.FilterScope = FilterScope.Mapping then by = target else inside = owner)
                && NatModel.key model.Filter towards = NatModel.key model.Filter remote)

        match owners, translation with
        | [], Translation.Dropped DropCause.NoMapping -> ()
        | [ owner ], Translation.Passed(source, inside) ->
            Expect.isTrue (mayEnter owner) "the filter's word"
            Expect.equal (source, inside) (remote, owner) "to its owner"
        | [ owner ], Translation.Dropped DropCause.Filtered -> Expect.isFalse (mayEnter owner) "the filter's word"
        | _ -> failtest $"{owners.Length} owners, {translation}"

    play traffic outbound inbound

/// Waits until everything has expired, then sends from every remote endpoint to every outside endpoint.
let private isForgotten (traffic: Traffic) =
    let unsolicited =
        [ for remote in 0..5 do
              for outside in 0..30 -> Passing.In(remote, outside) ]
    // The inbound datagram may create a session of the NAT itself, but must not find one.
    let mutable knocked = false
    let mutable idle: Instant = 0L<us>

    let inbound (nat: Nat) now _ _ translation =
        if now >= idle then
            if not knocked then
                knocked <- true
                Expect.isTrue (nat.Sessions now <= 1) "at most the session of the inbound datagram"

            match translation with
            | Translation.Dropped DropCause.NoMapping
            | Translation.Dropped DropCause.TakenByNat -> ()
            | _ -> failtest $"{translation}"

    for passing in traffic.Passings do
        match passing with
        | Passing.Wait seconds -> idle <- idle + Time.seconds seconds
        | _ -> ()

    idle <- idle + Time.seconds 91

    play { traffic with Passings = traffic.Passings @ [ Passing.Wait 91 ] @ unsolicited } (fun _ _ _ _ _ -> ()) inbound

/// The reverse of a translation that was just made.
let private isAnswered (traffic: Traffic) =
    let outbound (nat: Nat) now inside remote translation =
        match translation with
        | Translation.Passed(outside, onward) ->
            match nat.Inbound(now, onward, outside) with
            | Translation.Passed(source, destination) ->
                Expect.equal (source, destination) (remote, inside) "the answer"
            | Translation.Dropped cause -> failtest $"the answer was dropped: {cause}"
        | Translation.Dropped _ -> ()

    let inbound (nat: Nat) now remote target translation =
        match translation with
        | Translation.Passed(seen, inside) when traffic.Model.InboundPinsMapping ->
            match nat.Outbound(now, inside, seen) with
            | Translation.Passed(outside, onward) -> Expect.equal (outside, onward) (target, remote) "the answer"
            | Translation.Dropped cause -> failtest $"the answer was dropped: {cause}"
        | _ -> ()

    play traffic outbound inbound

let tests =
    testList
        "NAT laws"
        [ law "a NAT without quirks is described by its outbound datagrams and the two keys" false twin
          law "state that was idle for longer than every timeout has expired" true isForgotten
          law
              "an outbound datagram can be answered at once, and so can an inbound one if the NAT pins mappings"
              true
              isAnswered ]
