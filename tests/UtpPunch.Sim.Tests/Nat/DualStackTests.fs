/// Networks with one or both address families: IPv4 behind NATs, IPv6 behind stateful firewalls, and servers of one family each.
module UtpPunch.Sim.Tests.DualStackTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

let private behind number = ValueSome [ NatOracle.models[number] ]
let private firewall = Ipv6Access.Behind FirewallModel.conntrack
let private only family ipv6 : DualStackPeer = { IPv4 = family; IPv6 = ipv6 }

let private isMetBy isIPv4 (outcome: DualStackOutcome) =
    match DualStackOutcome.path outcome with
    | ValueSome path -> outcome.IsUsable && Endpoint.isIPv4 path = isIPv4
    | ValueNone -> false

let private stages (reports: PunchReport list) =
    reports |> List.map (fun report -> $"%A{report.Stage}") |> String.concat " "

let private describe (outcome: DualStackOutcome) = $"{stages outcome.A}; {stages outcome.B}"

/// Networks of any kind, and at least one server.
let private drawn (seed: uint64) : DualStackScenario =
    let draw kind below = Keyed.below below seed kind 0L

    let peer kind =
        let ipv4 =
            match draw kind 6 with
            | 0 -> ValueNone
            | 1 -> ValueSome []
            | 2 -> ValueSome [ NatOracle.models[draw (kind + 1) 10]; NatOracle.models[0] ]
            | _ -> ValueSome [ NatOracle.models[draw (kind + 1) 10] ]

        let ipv6 =
            match draw (kind + 2) 4 with
            | 0 when ipv4.IsSome -> Ipv6Access.Absent
            | 1 -> Ipv6Access.Open
            | _ when ipv4 = ValueSome [] -> Ipv6Access.Open
            | _ -> Ipv6Access.Behind FirewallModel.all[draw (kind + 3) FirewallModel.all.Length]

        only ipv4 ipv6

    let servers = draw 30 4

    { DualStackScenario.between (peer 10) (peer 20) with
        Seed = seed
        ServesIPv4 = servers <> 1
        ServesIPv6 = servers <> 0
        Path = { NetworkConfig.openInternet.Path with Delay = Time.milliseconds (1 + draw 31 100) }
        Late = Time.milliseconds (draw 32 2000) }

/// The pairs of single NATs that a kernel connects.
let private mustConnectByIPv4 (scenario: DualStackScenario) =
    let indexOf (peer: DualStackPeer) =
        match peer.IPv4 with
        | ValueSome [ one ] -> Array.findIndex (fun it -> obj.ReferenceEquals(it, one)) NatOracle.models
        | _ -> -1

    let a, b = indexOf scenario.A, indexOf scenario.B
    scenario.ServesIPv4 && a >= 0 && b >= 0 && NatOracle.kernelReflexive[a][b]

let tests =
    testList
        "dual stack"
        [ test "a firewall of each kind admits what RFC 6092 says" {
              let inside = Endpoint.ofIPv6 0x2001_0DB8_0001_0001UL 2UL 6001us
              let remote = Endpoint.ofIPv6 0x2001_0DB8_0000_0001UL 1UL 3000us
              let others = [ remote; Endpoint.withPort 3001us remote; { remote with High = remote.High + 1UL } ]

              let admitted filter =
                  let firewall = Firewall(FirewallModel.rfc filter)
                  firewall.Outbound(0L<us>, inside, remote) |> ignore
                  others |> List.map (fun other -> (firewall.Inbound(1L<us>, other, inside)).IsPassed)

              Expect.equal (admitted NatBehavior.EndpointIndependent) [ true; true; true ] "every source"
              Expect.equal (admitted NatBehavior.AddressDependent) [ true; true; false ] "that address"
              Expect.equal (admitted NatBehavior.AddressAndPortDependent) [ true; false; false ] "that endpoint"

              let firewall = Firewall FirewallModel.conntrack
              Expect.isFalse (firewall.Inbound(0L<us>, remote, inside)).IsPassed "nothing was sent"
              firewall.Outbound(0L<us>, inside, remote) |> ignore
              Expect.isFalse (firewall.Inbound(Time.seconds 30, remote, inside)).IsPassed "the record has expired"
          }
          test "IPv6 behind stateful firewalls connects what IPv4 behind symmetric NATs does not" {
              let alone =
                  DualStackScenario.between (only (behind 7) Ipv6Access.Absent) (only (behind 7) Ipv6Access.Absent)

              let outcome = DualStackScenario.run alone
              Expect.equal (DualStackOutcome.path outcome) ValueNone (describe outcome)

              for index in 0..9 do
                  for filters in FirewallModel.all do
                      let scenario =
                          DualStackScenario.between
                              (only (behind 7) firewall)
                              (only (behind index) (Ipv6Access.Behind filters))

                      let outcome = DualStackScenario.run scenario
                      // Both families may work; then either may be the first.
                      let isMet = isMetBy false outcome || (NatOracle.kernelReflexive[7][index] && isMetBy true outcome)
                      Expect.isTrue isMet $"type {index}: {describe outcome}"
          }
          test "by a server of one family, two symmetric NATs connect over IPv6, whichever family that is" {
              for servesIPv4 in [ true; false ] do
                  let scenario =
                      { DualStackScenario.between (only (behind 7) firewall) (only (behind 7) firewall) with
                          ServesIPv4 = servesIPv4
                          ServesIPv6 = not servesIPv4 }

                  let outcome = DualStackScenario.run scenario
                  Expect.isTrue (isMetBy false outcome) (describe outcome)
          }
          test "a host with one family connects to one with both, by the server of that family" {
              let both = only (behind 0) firewall
              let outcome = DualStackScenario.run (DualStackScenario.between (only (behind 0) Ipv6Access.Absent) both)
              Expect.isTrue (isMetBy true outcome) (describe outcome)
              let outcome = DualStackScenario.run (DualStackScenario.between (only ValueNone firewall) both)
              Expect.isTrue (isMetBy false outcome) (describe outcome)
          }
          test "hosts without a family in common learn that no peer came" {
              let outcome =
                  DualStackScenario.run (
                      DualStackScenario.between (only (behind 0) Ipv6Access.Absent) (only ValueNone firewall)
                  )

              for reports in [ outcome.A; outcome.B ] do
                  Expect.equal (reports |> List.map _.Stage) [ PunchStage.NoPeer ] "results"
          }
          test "1000 drawn networks: peers with IPv6 connect whatever their NATs, others as their NATs allow" {
              let ends =
                  Array.Parallel.init 1000 (fun index ->
                      let scenario = drawn (Keyed.mix (uint64 index + 5UL))
                      struct (scenario, DualStackScenario.run scenario))

              let mutable met, metByIPv6, expected = 0, 0, 0

              for struct (scenario, outcome) in ends do
                  let why = $"seed {scenario.Seed}: {describe outcome}"
                  Expect.isFalse (DualStackOutcome.isOneSided outcome) why
                  let isMet = outcome.IsUsable && (DualStackOutcome.path outcome).IsSome
                  let mustConnect = DualStackScenario.mustConnect scenario || mustConnectByIPv4 scenario
                  if mustConnect then Expect.isTrue isMet why

                  if not (DualStackScenario.areIntroduced scenario) then Expect.isFalse isMet why

                  met <- met + (if isMet then 1 else 0)
                  metByIPv6 <- metByIPv6 + (if isMetBy false outcome then 1 else 0)
                  expected <- expected + (if mustConnect then 1 else 0)

              printfn $"dual stack: {met} of 1000 met, {metByIPv6} over IPv6; {expected} had to"
              Expect.isGreaterThan metByIPv6 300 "over IPv6"
              Expect.isGreaterThan (met - metByIPv6) 100 "over IPv4"
          }
          test "the node's laws hold, and restored nodes behave the same" {
              for index in 1UL .. 30UL do
                  let scenario = drawn (Keyed.mix (index + 9000UL))
                  let outcome = DualStackScenario.run scenario
                  Expect.equal (DualStackScenario.runChecked scenario).Hash outcome.Hash $"seed {scenario.Seed}"
          } ]
