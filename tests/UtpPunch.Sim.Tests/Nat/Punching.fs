/// What holds for every punch: both sides tell the same end, strangers change nothing, and what was promised to chains of NATs.
module UtpPunch.Sim.Tests.Punching

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

let private kernel = NatOracle.kernel |> Array.map (fun struct (_, model) -> model)
let private home = kernel[0]
let private clash = kernel[1]

let private draw (seed: uint64) kind below = Keyed.below below seed kind 0L

/// Two drawn NATs each, over a network that loses 30 % and doubles some.
let private lossy (seed: uint64) : Encounter =
    let chain kind =
        match draw seed (kind + 1) 8 with
        | 0 -> []
        | 1 -> [ kernel[draw seed kind 10]; home ]
        | _ -> [ kernel[draw seed kind 10] ]

    { Encounter.between (chain 10) (chain 20) with
        Seed = seed
        Link =
            { Ground.openInternet.Link with
                Delay = Time.milliseconds (1 + draw seed 30 150)
                Loss = 300
                Duplication = 50 }
        Late = Time.milliseconds (draw seed 31 3000) }

let private stageOf (report: PunchReport voption) =
    match report with
    | ValueSome report -> $"%A{report.Stage}"
    | ValueNone -> "nothing"

let tests =
    testList
        "punching"
        [ test "over 10 000 punches with 30 % loss, both sides tell the same end" {
              let ends =
                  Array.Parallel.init 10_000 (fun index ->
                      let seed = Keyed.mix (uint64 index + 77UL)
                      let meeting = Encounter.run (lossy seed)
                      struct (seed, meeting))

              let untold = ends |> Array.filter (fun struct (_, it) -> it.A.IsNone || it.B.IsNone)
              Expect.isEmpty [ for struct (seed, _) in untold -> seed ] "sides that never learnt of an end"

              let oneSided =
                  [ for struct (seed, it) in ends do
                        if Meeting.isOneSided it then $"seed {seed}: {stageOf it.A}, {stageOf it.B}" ]

              let met = ends |> Array.filter (fun struct (_, it) -> Meeting.isMet it)
              let usable = met |> Array.filter (fun struct (_, it) -> it.IsUsable)
              printfn $"{met.Length} of 10000 met, {usable.Length} with a stream, {oneSided.Length} one-sided"
              Expect.isLessThanOrEqual oneSided.Length 1 (String.concat "; " oneSided)
              Expect.isGreaterThan met.Length 5_000 "and most of them meet"
              Expect.isGreaterThan (usable.Length * 1000) (met.Length * 995) "and have a stream"
          }
          test "the same encounter goes the same way" {
              for seed in 1UL .. 20UL do
                  let encounter = lossy (Keyed.mix seed)
                  Expect.equal (Encounter.run encounter).Hash (Encounter.run encounter).Hash $"seed {seed}"
          }
          test "every failure is told within its time and its 400 packets, by both sides" {
              for a in kernel do
                  for b in kernel do
                      let meeting = Encounter.run (Encounter.between [ a ] [ b ])

                      for report in [ meeting.A; meeting.B ] do
                          match report with
                          | ValueSome it ->
                              Expect.isLessThanOrEqual it.Elapsed (Time.seconds 18) "the time"
                              Expect.isLessThanOrEqual it.Sent 400 "the packets"

                              if it.Stage <> PunchStage.Open then
                                  Expect.contains
                                      [ PunchStage.NothingHeard; PunchStage.NotHeard ]
                                      it.Stage
                                      "why it failed"
                          | ValueNone -> failtest "a side that never learnt of an end"
          }
          test "priming is what keeps a clash away: without it the late one's first packet meets a port that is taken" {
              // The introduction reaches one side 20 ms before the other: half of what their round trips differ by, and lost packets
              // make more of it.
              let meets hops seed =
                  { lossy seed with A = [ clash ]; B = [ clash ]; PrimingHops = hops }
                  |> Encounter.run
                  |> Meeting.isMet

              let count hops =
                  seq { 1UL .. 100UL } |> Seq.sumBy (fun seed -> if meets hops (Keyed.mix seed) then 1 else 0)

              let primed, unprimed = count 4, count 64
              printfn $"clash: {primed} of 100 primed, {unprimed} not"
              Expect.isGreaterThan primed 90 "primed"
              Expect.isLessThan unprimed (primed - 20) "not primed"
          }
          test "behind a home and a carrier's NAT each, behind the same carrier, and in the same home, peers meet" {
              let meets a b = Meeting.isMet (Encounter.run (Encounter.between a b))
              Expect.isTrue (meets [ home; home ] [ home; home ]) "two carriers"
              Expect.isTrue (meets [] [ home; home ]) "one on the open internet"
              Expect.isTrue (meets [] []) "both on the open internet"

              let inside build =
                  let internet = Internet(9UL, Ground.openInternet, Unchecked.defaultof<IInternetWatcher>)
                  let server = Encounter.serve internet 1UL
                  let struct (a, b) = build internet
                  let a = Encounter.settle internet a 6001us 2UL
                  let b = Encounter.settle internet b 7002us 3UL
                  Encounter.meet internet server (Encounter.between [] []) a b

              let sameHome (internet: Internet) =
                  let struct (lan, _) = internet.Behind(internet.Open, home, Ground.home 1)
                  struct (lan, lan)

              let meeting = inside sameHome
              Expect.isTrue (Meeting.isMet meeting) "the same home, without hairpinning"
              Expect.equal meeting.A.Value.Kind PathKind.Host "by their own addresses"

              let sameCarrier hairpin (internet: Internet) =
                  let carrier = { home with Hairpin = hairpin }
                  let struct (outer, _) = internet.Behind(internet.Open, carrier, Ground.carrier 1)
                  let struct (one, _) = internet.Behind(outer, home, Ground.home 1)
                  let struct (other, _) = internet.Behind(outer, home, Ground.home 2)
                  struct (one, other)

              Expect.isTrue
                  (Meeting.isMet (inside (sameCarrier Hairpin.ExternalSource)))
                  "the same carrier, which hairpins"
          }
          test "a node that has met a thousand peers meets another one" {
              let internet = Internet(4UL, Ground.openInternet, Unchecked.defaultof<IInternetWatcher>)
              let server = Encounter.serve internet 1UL
              let encounter = Encounter.between [] []
              let host = Encounter.settle internet internet.Open 6001us 2UL

              for index in 1..1100 do
                  let guest = Encounter.settle internet internet.Open 7002us (uint64 (index + 10))
                  let plan (socket: Endpoint) = Encounter.plan encounter server.Sockets[0] [| socket |]
                  host.Tell(internet, Event.Meet(index, plan host.Socket))
                  guest.Tell(internet, Event.Meet(1, plan guest.Socket))
                  internet.RunUntil(internet.Now + Time.seconds 2)
                  Expect.equal host.Punched.Count index "the host learns what came of it"
                  Expect.equal host.Punched[index - 1].Stage PunchStage.Open $"meeting {index}"
          }
          test
              "two punches at once that open sockets both succeed, and neither they nor a later one close a path in use" {
              let symmetric, restricted = kernel[7], kernel[0]
              let internet = Internet(11UL, Ground.openInternet, Unchecked.defaultof<IInternetWatcher>)
              let server = Encounter.serve internet 1UL
              let encounter = { Encounter.between [] [] with Birthday = true }
              let struct (home, _) = internet.Behind(internet.Open, symmetric, Ground.home 1)
              let host = Encounter.settle internet home 6001us 2UL
              host.IsChecked <- true

              let guests =
                  Array.init 3 (fun index ->
                      let struct (realm, _) = internet.Behind(internet.Open, restricted, Ground.home (index + 2))
                      Encounter.settle internet realm 7002us (uint64 (index + 10)))

              let meet index =
                  let plan (socket: Endpoint) =
                      { Encounter.plan encounter server.Sockets[0] [| socket |] with
                          Room = Owned(Array.create 32 (byte index)) }

                  host.Tell(internet, Event.Meet(index + 1, plan host.Socket))
                  guests[index].Tell(internet, Event.Meet(1, plan guests[index].Socket))

              let check count =
                  for report in host.Punched do
                      Expect.equal report.Stage PunchStage.Open "what came of it"
                      Expect.equal report.Kind PathKind.Birthday "how the path was found"

                  Expect.equal host.Punched.Count count "punches"
                  Expect.equal host.Opened count "streams of the host"

                  for guest in Array.truncate count guests do
                      Expect.equal guest.Opened 1 "streams of the guest"

              meet 0
              meet 1
              internet.RunUntil(internet.Now + Time.seconds 30)
              check 2
              meet 2
              internet.RunUntil(internet.Now + Time.seconds 30)
              check 3
              let sockets = [ for report in host.Punched -> report.Remote.Via ]
              Expect.equal (List.distinct sockets) sockets "each path has its socket"
              // Idle streams live on keep-alives, over a socket that is theirs for good.
              internet.RunUntil(internet.Now + Time.seconds 1000)
              Expect.equal host.Closed 0 "streams that have ended"

              for guest in guests do
                  Expect.equal guest.Closed 0 "streams that have ended"
          }
          test "birthday probing adds the pairs of one unforeseeable NAT: 85 of 100 at least" {
              let cells =
                  [| for row in 0..9 ->
                         Array.Parallel.init 10 (fun column ->
                             { Encounter.between [ kernel[row] ] [ kernel[column] ] with
                                 Birthday = true
                                 Seed = uint64 (5000 + row * 100 + column) }
                             |> Encounter.run
                             |> Meeting.isMet) |]

              let text =
                  cells
                  |> Array.map (fun row -> System.String [| for met in row -> if met then 'Y' else '.' |])
                  |> String.concat "\n"

              let count = cells |> Array.sumBy (Array.sumBy (fun met -> if met then 1 else 0))
              printfn $"birthday: {count} of 100\n{text}"
              Expect.isGreaterThanOrEqual count 85 text
          } ]
