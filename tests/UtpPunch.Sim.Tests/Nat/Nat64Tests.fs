/// A host with IPv6 only, behind a NAT64 of each kind, meets hosts with IPv4 only, behind NATs of each kind.
module UtpPunch.Sim.Tests.Nat64Tests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

let private prefixes =
    [| Nat64.wellKnown
       for length in [| 32; 40; 48; 56; 64; 96 |] do
           match
               Nat64.tryCreate (if length = 32 then 0x2001_0DB8_0000_0000UL else 0x2001_0DB8_6400_0000UL) 0UL length
           with
           | ValueSome prefix -> prefix
           | ValueNone -> failwith "a prefix" |]

let private stages (reports: PunchReport list) =
    reports |> List.map (fun report -> $"%A{report.Stage}") |> String.concat " "

let private describe (outcome: DualStackOutcome) = $"{stages outcome.A}; {stages outcome.B}"
let private isMet (outcome: DualStackOutcome) = outcome.IsUsable && (DualStackOutcome.path outcome).IsSome

/// The models, with the index of a NAT of the kernel that maps and filters alike.
let private nat64s =
    [| struct (Nat64Gateway.models[0], 2)
       struct (Nat64Gateway.models[1], 3)
       for index in 0..9 do
           struct (NatOracle.models[index], index) |]

/// Any NAT64, and any NATs before the other peer; and whether they must connect.
let private drawn (seed: uint64) : struct (Nat64Scenario * bool) =
    let draw kind below = Keyed.below below seed kind 0L
    let struct (model, row) = nat64s[draw 1 nat64s.Length]
    let column = draw 2 10

    let struct (chain, mustConnect) =
        match draw 3 6 with
        | 0 -> struct ([], true)
        | 1 -> struct ([ NatOracle.models[0]; NatOracle.models[column] ], false)
        | _ -> struct ([ NatOracle.models[column] ], NatOracle.kernelReflexive[row][column])

    let scenario =
        { Nat64Scenario.between model chain with
            Seed = seed
            Prefix = prefixes[draw 4 prefixes.Length]
            Path = { NetworkConfig.openInternet.Path with Delay = Time.milliseconds (1 + draw 5 100) }
            Late = Time.milliseconds (draw 6 2000) }

    struct (scenario, mustConnect)

/// Hosts behind the prefix that are not public, and one that is.
let private named prefix =
    [| 0x7F000001u; 0x0A000001u; 0xC0A80101u; 0x64400001u; 0xE0000001u; 0xC6336407u |]
    |> Array.map (fun address -> Nat64.embed prefix (Endpoint.ofIPv4 address 5000us))

/// Remembers where a network's hosts send.
type private Watcher() =
    let sent = System.Collections.Generic.HashSet<Endpoint>()
    member _.Sent = sent

    interface IInternetWatcher with
        member _.Saw(_, place, datagram, what) =
            if place = "home 1" && what = DatagramEvent.Sent then
                sent.Add { datagram.Destination with Port = 0us } |> ignore

let tests =
    testList
        "nat64"
        [ test "without the prefix there is nothing: the server has IPv4 only" {
              let scenario = Nat64Scenario.between Nat64Gateway.models[0] []
              let outcome = Nat64Scenario.run { scenario with IsKnown = false }
              Expect.equal (outcome.A |> List.map _.Stage) [ PunchStage.ServerSilent ] (describe outcome)
          }
          test "both peers know the other one by an IPv4 address" {
              for model in Nat64Gateway.models do
                  let outcome = Nat64Scenario.run (Nat64Scenario.between model [ NatOracle.models[0] ])
                  Expect.isTrue (isMet outcome) (describe outcome)

                  for report in [ outcome.A.Head; outcome.B.Head ] do
                      Expect.isTrue (Endpoint.isIPv4 report.Remote) "the path"
                      Expect.isTrue (Endpoint.isIPv4 report.Observed) "as the server sees it"
          }
          test
              "1000 drawn networks: peers connect where the NAT64 and the other peer's NAT let two peers with IPv4 connect" {
              let ends =
                  Array.Parallel.init 1000 (fun index ->
                      let struct (scenario, mustConnect) = drawn (Keyed.mix (uint64 index + 64UL))
                      struct (scenario, mustConnect, Nat64Scenario.run scenario))

              let mutable met, expected = 0, 0

              for struct (scenario, mustConnect, outcome) in ends do
                  let why = $"seed {scenario.Seed}: {describe outcome}"
                  Expect.isFalse (DualStackOutcome.isOneSided outcome) why
                  if mustConnect then Expect.isTrue (isMet outcome) why
                  met <- met + (if isMet outcome then 1 else 0)
                  expected <- expected + (if mustConnect then 1 else 0)

              printfn $"NAT64: {met} of 1000 met; {expected} had to"
              Expect.isGreaterThan expected 500 "had to"
          }
          test "a peer that names hosts behind the prefix draws no packet to those that are not public" {
              for prefix in prefixes do
                  let watcher = Watcher()

                  let outcome =
                      Nat64Scenario.runWatched
                          watcher
                          { Nat64Scenario.between Nat64Gateway.models[0] [ NatOracle.models[0] ] with
                              Prefix = prefix
                              Named = named prefix }

                  Expect.isTrue (isMet outcome) (describe outcome)

                  for forbidden in (named prefix)[..4] do
                      Expect.isFalse (watcher.Sent.Contains { forbidden with Port = 0us }) $"%A{forbidden}"

                  Expect.isGreaterThan watcher.Sent.Count 1 "the server, and the peer"
          }
          test "the node's laws hold, and restored nodes behave the same" {
              for index in 1UL .. 30UL do
                  let struct (scenario, _) = drawn (Keyed.mix (index + 6400UL))
                  let outcome = Nat64Scenario.run scenario
                  Expect.equal (Nat64Scenario.runChecked scenario).Hash outcome.Hash $"seed {scenario.Seed}"
          } ]
