/// What holds for every punch: both peers report the same result, an attacker changes nothing, and the supported chains of NATs connect.
module UtpPunch.Sim.Tests.Punching

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

let private home = NatOracle.models[0]
let private clash = NatOracle.models[1]

let private draw (seed: uint64) kind below = Keyed.below below seed kind 0L

/// Two random NATs for each peer, over a network that loses 30 % and duplicates some datagrams.
let private lossy (seed: uint64) : PunchScenario =
    let chain kind =
        match draw seed (kind + 1) 8 with
        | 0 -> []
        | 1 -> [ NatOracle.models[draw seed kind 10]; home ]
        | _ -> [ NatOracle.models[draw seed kind 10] ]

    { PunchScenario.between (chain 10) (chain 20) with
        Seed = seed
        Path =
            { NetworkConfig.openInternet.Path with
                Delay = Time.milliseconds (1 + draw seed 30 150)
                Loss = Loss.Each 300
                Duplication = 50
                CopiesLate = Time.milliseconds 1 }
        Late = Time.milliseconds (draw seed 31 3000) }

let private stageOf (report: PunchReport voption) =
    match report with
    | ValueSome report -> $"%A{report.Stage}"
    | ValueNone -> "nothing"

let tests =
    testList
        "punching"
        [ test "over 10 000 punches with 30 % loss, both peers report the same result" {
              let ends =
                  Array.Parallel.init 10_000 (fun index ->
                      let seed = Keyed.mix (uint64 index + 77UL)
                      let outcome = PunchScenario.run (lossy seed)
                      struct (seed, outcome))

              let untold = ends |> Array.filter (fun struct (_, it) -> it.A.IsNone || it.B.IsNone)
              Expect.isEmpty [ for struct (seed, _) in untold -> seed ] "scenarios without a result"

              let oneSided =
                  [ for struct (seed, it) in ends do
                        if PunchOutcome.isOneSided it then $"seed {seed}: {stageOf it.A}, {stageOf it.B}" ]

              let met = ends |> Array.filter (fun struct (_, it) -> PunchOutcome.isMet it)
              let usable = met |> Array.filter (fun struct (_, it) -> it.IsUsable)
              printfn $"{met.Length} of 10000 met, {usable.Length} with a stream, {oneSided.Length} one-sided"
              Expect.isLessThanOrEqual oneSided.Length 1 (String.concat "; " oneSided)
              Expect.isGreaterThan met.Length 5_000 "punches that succeed"
              Expect.isGreaterThan (usable.Length * 1000) (met.Length * 995) "punches with a stream"
          }
          test "the same scenario gives the same events" {
              for seed in 1UL .. 20UL do
                  let scenario = lossy (Keyed.mix seed)
                  Expect.equal (PunchScenario.run scenario).Hash (PunchScenario.run scenario).Hash $"seed {seed}"
          }
          test "every failure is reported by both peers, in time and within 400 packets" {
              for a in NatOracle.models do
                  for b in NatOracle.models do
                      let outcome = PunchScenario.run (PunchScenario.between [ a ] [ b ])

                      for report in [ outcome.A; outcome.B ] do
                          match report with
                          | ValueSome it ->
                              Expect.isLessThanOrEqual it.Elapsed (Time.seconds 18) "the time"
                              Expect.isLessThanOrEqual it.Sent 400 "the packets"

                              if it.Stage <> PunchStage.Open then
                                  Expect.contains
                                      [ PunchStage.NothingHeard; PunchStage.NotHeard ]
                                      it.Stage
                                      "why it failed"
                          | ValueNone -> failtest "a peer without a result"
          }
          test "priming avoids collisions: without it the first packet of the late peer finds its port occupied" {
              // The introduction reaches one peer 20 ms before the other: half of the difference of their round trips. Lost packets add
              // to it.
              let meets hops seed =
                  { lossy seed with A = [ clash ]; B = [ clash ]; PrimingHops = hops }
                  |> PunchScenario.run
                  |> PunchOutcome.isMet

              let count hops =
                  seq { 1UL .. 100UL } |> Seq.sumBy (fun seed -> if meets hops (Keyed.mix seed) then 1 else 0)

              let primed, unprimed = count 4, count 64
              printfn $"clash: {primed} of 100 primed, {unprimed} not"
              Expect.isGreaterThan primed 90 "primed"
              Expect.isLessThan unprimed (primed - 20) "not primed"
          }
          test
              "peers connect behind a home and a carrier's NAT each, behind the same carrier, and in the same home network" {
              let meets a b = PunchOutcome.isMet (PunchScenario.run (PunchScenario.between a b))
              Expect.isTrue (meets [ home; home ] [ home; home ]) "two carriers"
              Expect.isTrue (meets [] [ home; home ]) "one on the open internet"
              Expect.isTrue (meets [] []) "both on the open internet"

              let inside build =
                  let internet = Internet(9UL, NetworkConfig.openInternet, Unchecked.defaultof<IInternetWatcher>)
                  let server = PunchScenario.addServer internet 1UL
                  let struct (a, b) = build internet
                  let a = PunchScenario.addHost internet a 6001us 2UL
                  let b = PunchScenario.addHost internet b 7002us 3UL
                  PunchScenario.meet internet server (PunchScenario.between [] []) a b

              let sameHome (internet: Internet) =
                  let struct (lan, _) = internet.Behind(internet.Open, home, NetworkConfig.home 1)
                  struct (lan, lan)

              let outcome = inside sameHome
              Expect.isTrue (PunchOutcome.isMet outcome) "the same home, without hairpinning"
              Expect.equal outcome.A.Value.Kind PathKind.Host "by their own addresses"

              let sameCarrier hairpin (internet: Internet) =
                  let carrier = { home with Hairpin = hairpin }
                  let struct (outer, _) = internet.Behind(internet.Open, carrier, NetworkConfig.carrier 1)
                  let struct (one, _) = internet.Behind(outer, home, NetworkConfig.home 1)
                  let struct (other, _) = internet.Behind(outer, home, NetworkConfig.home 2)
                  struct (one, other)

              Expect.isTrue
                  (PunchOutcome.isMet (inside (sameCarrier Hairpin.ExternalSource)))
                  "the same carrier, which hairpins"
          }
          test "a node that has punched to a thousand peers punches to another one" {
              let internet = Internet(4UL, NetworkConfig.openInternet, Unchecked.defaultof<IInternetWatcher>)
              let server = PunchScenario.addServer internet 1UL
              let scenario = PunchScenario.between [] []
              let host = PunchScenario.addHost internet internet.Open 6001us 2UL

              for index in 1..1100 do
                  let client = PunchScenario.addHost internet internet.Open 7002us (uint64 (index + 10))
                  let plan (socket: Endpoint) = PunchScenario.plan scenario server.Sockets[0] [| socket |]
                  host.Tell(internet, Event.Meet(index, plan host.Socket))
                  client.Tell(internet, Event.Meet(1, plan client.Socket))
                  internet.RunUntil(internet.Now + Time.seconds 2)
                  Expect.equal host.Punched.Count index "results at the host"
                  Expect.equal host.Punched[index - 1].Stage PunchStage.Open $"outcome {index}"
          }
          test
              "two punches at once that open sockets both succeed, and neither they nor a later one close a path in use" {
              let symmetric, restricted = NatOracle.models[7], NatOracle.models[0]
              let internet = Internet(11UL, NetworkConfig.openInternet, Unchecked.defaultof<IInternetWatcher>)
              let server = PunchScenario.addServer internet 1UL
              let scenario = { PunchScenario.between [] [] with Birthday = true }
              let struct (home, _) = internet.Behind(internet.Open, symmetric, NetworkConfig.home 1)
              let host = PunchScenario.addHost internet home 6001us 2UL
              host.IsChecked <- true

              let clients =
                  Array.init 3 (fun index ->
                      let struct (realm, _) =
                          internet.Behind(internet.Open, restricted, NetworkConfig.home (index + 2))

                      PunchScenario.addHost internet realm 7002us (uint64 (index + 10)))

              let meet index =
                  let plan (socket: Endpoint) =
                      { PunchScenario.plan scenario server.Sockets[0] [| socket |] with
                          Room = Owned(Array.create 32 (byte index)) }

                  host.Tell(internet, Event.Meet(index + 1, plan host.Socket))
                  clients[index].Tell(internet, Event.Meet(1, plan clients[index].Socket))

              let check count =
                  for report in host.Punched do
                      Expect.equal report.Stage PunchStage.Open "the result"
                      Expect.equal report.Kind PathKind.Birthday "how the path was found"

                  Expect.equal host.Punched.Count count "punches"
                  Expect.equal host.Opened count "streams of the host"

                  for client in Array.truncate count clients do
                      Expect.equal client.Opened 1 "streams of the client"

              meet 0
              meet 1
              internet.RunUntil(internet.Now + Time.seconds 30)
              check 2
              meet 2
              internet.RunUntil(internet.Now + Time.seconds 30)
              check 3
              let sockets = [ for report in host.Punched -> report.Remote.Via ]
              Expect.equal (List.distinct sockets) sockets "each path has its socket"
              // Idle streams are kept alive by keep-alives over a socket that is not reused.
              internet.RunUntil(internet.Now + Time.seconds 1000)
              Expect.equal host.Closed 0 "streams that have ended"

              for client in clients do
                  Expect.equal client.Closed 0 "streams that have ended"
          }
          test "birthday probing adds the pairs with one NAT of random allocation: at least 85 of 100 connect" {
              let cells =
                  [| for row in 0..9 ->
                         Array.Parallel.init 10 (fun column ->
                             { PunchScenario.between [ NatOracle.models[row] ] [ NatOracle.models[column] ] with
                                 Birthday = true
                                 Seed = uint64 (5000 + row * 100 + column) }
                             |> PunchScenario.run
                             |> PunchOutcome.isMet) |]

              let text =
                  cells
                  |> Array.map (fun row -> System.String [| for met in row -> if met then 'Y' else '.' |])
                  |> String.concat "\n"

              let count = cells |> Array.sumBy (Array.sumBy (fun met -> if met then 1 else 0))
              printfn $"birthday: {count} of 100\n{text}"
              Expect.isGreaterThanOrEqual count 85 text
          } ]
