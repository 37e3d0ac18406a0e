/// Predicted and guessed ports: the next ports of a NAT with sequential allocation, and random ones of a NAT with random allocation.
module UtpPunch.Sim.Tests.NatGuessing

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Punchers
open UtpPunch.Sim.Tests.NatKinds

let private predicting = { reflexive with Predicted = 5 }

let private counting scope =
    [| for model in NatModel.nine ->
           { model with FilterScope = scope; Ports = PortAllocation.Sequential(20_000, 4096, 1) } |]

/// The pairs for which simulation and closed form disagree, and the number of pairs that connect.
let private compared scope =
    let models = counting scope

    let cells =
        [ for row, a in Array.indexed models do
              for column, b in Array.indexed models do
                  let meets = punch (uint64 (row * 100 + column)) predicting 0L<us> a b
                  row, column, meets, NatOracle.canPunch PunchAlgorithm.Predicting a b ]

    let differing =
        [ for row, column, meets, expected in cells do
              if meets <> expected then row, column, meets ]

    struct (differing, (cells |> List.filter (fun (_, _, meets, _) -> meets)).Length)

/// The number of tries, of a hundred, in which one of `probes` random ports hits one of 256 sockets behind a NAT with random allocation.
let private birthdays probes =
    let hits seed =
        let internet = unwatched (uint64 seed)
        let struct (_, symmetric) = NatOracle.kernel[7]
        let struct (_, independent) = NatOracle.kernel[0]
        let struct (drawing, nat) = internet.Behind(internet.Open, symmetric, NetworkConfig.home 1)
        let struct (keeping, other) = internet.Behind(internet.Open, independent, NetworkConfig.home 2)
        let struct (many, address) = manualHostIn internet drawing
        let struct (one, its) = manualHostIn internet keeping

        for index in 0..255 do
            many.Send(internet, port (2000 + index) address, port 6001 other.Outside)

        runBriefly internet

        for index in 0 .. probes - 1 do
            let guess = 1024 + Keyed.below 64_512 (uint64 seed) 90 (int64 index)
            one.Send(internet, port 6001 its, port guess nat.Outside)

        runBriefly internet
        many.Inbox.Count > 0

    [ 1..100 ] |> List.filter hits |> List.length

let tests =
    testList
        "NAT guessing"
        [ test "with the next five ports predicted, 76 of 81 pairs connect, and all of them with a filter per endpoint" {
              for scope, count in [ FilterScope.Mapping, 76; FilterScope.Endpoint, 81 ] do
                  let struct (differing, met) = compared scope
                  Expect.isEmpty differing $"{scope}: cells unlike the closed form"
                  Expect.equal met count $"{scope}: pairs"
          }
          test "256 probes find one of 256 sockets in 64 of 100 tries, 1024 probes in 98" {
              // Expected: 63.9 % and 98.3 %; the tolerance is three standard deviations of a hundred tries.
              let few = birthdays 256
              Expect.isTrue (few >= 50 && few <= 78) $"256 probes: {few}"
              let many = birthdays 1024
              Expect.isTrue (many >= 95) $"1024 probes: {many}"
          } ]
