/// Streams between the two peers of a meeting go on when a NAT forgets them, and when a peer is in another network.
module UtpPunch.Sim.Tests.Moves

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// The indexes of drawn worlds, `usual` of them; the figures of docs/paths.md need 1000.
let private worlds usual =
    match Environment.GetEnvironmentVariable "UTP_WORLDS" with
    | null -> [ 1..usual ]
    | count -> [ 1 .. int count ]

let private draw (seed: uint64) kind below = Keyed.below below seed kind 0L

let private say (outcome: MoveOutcome) =
    let path (it: Transfer) =
        $"{it.Received} received, %A{it.Reason}, lost %A{List.ofSeq it.Losses}, moved %A{[ for struct (at, _) in it.Moves -> at ]}"

    $"A {path outcome.A}; B {path outcome.B}; gap {int64 outcome.LongestGap / 1000L} ms"

/// Random ports, so that a NAT that has forgotten takes others.
let private nat (seed: uint64) kind =
    NatModel.rfc
        (if draw seed kind 3 = 0 then
             NatBehavior.AddressDependent
         else
             NatBehavior.EndpointIndependent)
        (match draw seed (kind + 1) 3 with
         | 0 -> NatBehavior.EndpointIndependent
         | 1 -> NatBehavior.AddressDependent
         | _ -> NatBehavior.AddressAndPortDependent)

let private rebinding (seed: uint64) =
    let a = [ nat seed 10 ]

    let b =
        if draw seed 20 2 = 0 then
            []
        else
            [ NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.EndpointIndependent ]

    let silent = draw seed 21 3 = 0
    let delay = Time.milliseconds (5 + draw seed 22 100)
    let scenario = MoveScenario.between a b

    { scenario with
        Meeting = { scenario.Meeting with Seed = seed; Path = { NetworkConfig.openInternet.Path with Delay = delay } }
        BytesOfA = (if silent then 0 else scenario.BytesOfA)
        Moves = [ struct (Time.milliseconds (200 + draw seed 23 9000), false, MoveKind.Rebind) ] }

/// Networks of all kinds; `independent` ones connect to each other.
let private elsewhere (seed: uint64) kind =
    match draw seed kind 4 with
    | 0 -> []
    | 1 -> [ NatOracle.models[0]; nat seed (kind + 1) ]
    | _ -> [ nat seed (kind + 1) ]

/// One peer gets into another network, or both do at once.
let private moving (both: bool) (seed: uint64) =
    let scenario = MoveScenario.between (elsewhere seed 10) (elsewhere seed 20)
    let at = Time.milliseconds (200 + draw seed 30 9000)
    let delay = Time.milliseconds (5 + draw seed 31 60)
    let silent = draw seed 32 3

    { scenario with
        Meeting =
            { scenario.Meeting with
                Seed = seed
                Path =
                    { NetworkConfig.openInternet.Path with
                        Delay = delay
                        Loss = (if both then Loss.Each 100 else Loss.Never) } }
        BytesOfA = (if silent = 0 then 0 else scenario.BytesOfA)
        BytesOfB = (if silent = 1 then 0 else scenario.BytesOfB)
        Moves =
            [ struct (at, false, MoveKind.Elsewhere(elsewhere seed 40))
              if both then struct (at, true, MoveKind.Elsewhere(elsewhere seed 50)) ] }

/// A stream that A has opened to a host on the open internet. Its nodes agree on a key a second later.
let private dialled (move: uint64 -> MoveKind) (seed: uint64) =
    let scenario = MoveScenario.between (elsewhere seed 10) []
    let at = Time.milliseconds (1_500 + draw seed 30 8000)
    let delay = Time.milliseconds (5 + draw seed 31 60)
    let silent = draw seed 32 3

    { scenario with
        IsDialled = true
        Meeting = { scenario.Meeting with Seed = seed; Path = { NetworkConfig.openInternet.Path with Delay = delay } }
        BytesOfA = (if silent = 0 then 0 else scenario.BytesOfA)
        BytesOfB = (if silent = 1 then 0 else scenario.BytesOfB)
        Moves = [ struct (at, false, move seed) ] }

let private toElsewhere seed = MoveKind.Elsewhere(elsewhere seed 40)

/// Both peers get a second address in one network, one after the other, while the path between them is longer.
let private joining (seed: uint64) =
    let scenario = MoveScenario.between (elsewhere seed 10) (elsewhere seed 20)
    let at = Time.milliseconds (1_500 + draw seed 30 8000)
    let delay = Time.milliseconds (10 + draw seed 31 40)
    let lan = { Path.perfect with Delay = Time.microseconds (int64 (100 + draw seed 34 900)) }
    let silent = draw seed 32 3

    { scenario with
        Meeting = { scenario.Meeting with Seed = seed; Path = { NetworkConfig.openInternet.Path with Delay = delay } }
        BytesOfA = (if silent = 0 then 0 else scenario.BytesOfA)
        BytesOfB = (if silent = 1 then 0 else scenario.BytesOfB)
        Moves =
            [ struct (at, false, MoveKind.Joins lan)
              struct (at + Time.milliseconds (draw seed 33 3000), true, MoveKind.Joins lan) ] }

/// Two paths of one length, whose delay varies by that much.
let private varying (seed: uint64) =
    let path =
        { Path.perfect with
            Delay = Time.milliseconds 40
            Lateness = Lateness.Uniform(Time.milliseconds 10) }

    let scenario = MoveScenario.between [] []

    { scenario with
        Meeting = { scenario.Meeting with Seed = seed; Path = path }
        BytesOfA = 1_200_000
        BytesOfB = 1_200_000
        Pause = Time.milliseconds 500
        Moves =
            [ struct (Time.seconds 2, false, MoveKind.Joins path)
              struct (Time.seconds 3, true, MoveKind.Joins path) ] }

/// Runs 1000 drawn scenarios, and gives those whose peers have met.
let private runAll (draw: uint64 -> MoveScenario) =
    Array.Parallel.init 1000 (fun index ->
        let seed = Keyed.mix (uint64 index + 5UL)
        let scenario = draw seed
        struct (seed, scenario, MoveScenario.run scenario))
    |> Array.filter (fun struct (_, _, outcome) -> outcome.IsUsable)

/// The networks that both peers are in at the end.
let private last (scenario: MoveScenario) : PunchScenario =
    let at isOfB first =
        scenario.Moves
        |> List.fold
            (fun (chain: NatModel list) struct (_, ofB, move) ->
                match move with
                | MoveKind.Elsewhere other when ofB = isOfB -> other
                | _ -> chain)
            first

    { scenario.Meeting with A = at false scenario.Meeting.A; B = at true scenario.Meeting.B }

/// Those whose peers can meet where they are in the end.
let private connecting draw =
    runAll draw
    |> Array.filter (fun struct (_, scenario, _) -> (PunchScenario.run (last scenario)).IsUsable)

let private whole (ends: struct (uint64 * MoveScenario * MoveOutcome)[]) =
    let lost =
        [ for struct (seed, _, outcome) in ends do
              if not (MoveOutcome.isWhole outcome) then $"seed {seed}: {say outcome}" ]

    Expect.isEmpty lost "streams that have ended"
    ends

let private percentiles (ends: struct (uint64 * MoveScenario * MoveOutcome)[]) =
    let times = ends |> Array.map (fun struct (_, _, it) -> int64 it.LongestGap / 1000L) |> Array.sort
    let at share = times[(times.Length - 1) * share / 1000]
    $"gap {at 500} ms at the median, {at 990} of 99 %%, {at 1000} at most"

/// A writes more than the path takes at once, and all of it waits when the peer that moves is found.
let private busy isElsewhere (seed: uint64) =
    let scenario = MoveScenario.between [ nat seed 10 ] []
    let at = Time.milliseconds (500 + draw seed 30 300)
    let move = if isElsewhere then MoveKind.Elsewhere [ nat seed 40 ] else MoveKind.Rebind
    let delay = Time.milliseconds (20 + draw seed 31 60)

    { scenario with
        Meeting = { scenario.Meeting with Seed = seed; Path = { NetworkConfig.openInternet.Path with Delay = delay } }
        BytesOfA = 900_000
        BytesOfB = 900_000
        Chunk = 90_000
        Pause = Time.milliseconds 100
        Moves = [ struct (at, false, move) ] }

/// The lengths of the packets with data that go to the peer's new endpoint in the first round trip, for each side whose path has changed, and
/// whether they are sent for the first time: a number keeps its length, however small the packets have become. Probes of the path's MTU are
/// left out.
let private firstPackets (scenario: MoveScenario) =
    let sent = ResizeArray<struct (Instant * Endpoint * struct (int * bool))>()
    let known = HashSet<struct (uint16 * uint16)>()

    let watcher =
        { new IInternetWatcher with
            member _.Saw(now, _, datagram, what) =
                let mutable packet = Unchecked.defaultof<Packet>

                if
                    what = DatagramEvent.Sent
                    && Packet.decode (Borrowed datagram.Bytes) &packet = Malformed.None
                    && packet.Header.Type = PacketType.Data
                    && ExtensionBits.kindOf packet.Bits <> ExtensionBits.Kind.Probe
                then
                    let isNew = known.Add(struct (packet.Header.ConnectionId, packet.Header.SeqNr.Value))
                    sent.Add(struct (now, datagram.Destination, struct (datagram.Bytes.Length, isNew))) }

    let outcome = MoveScenario.runWatched watcher scenario

    outcome,
    [| for struct (at, path) in Seq.append outcome.A.Moves outcome.B.Moves ->
           [| for struct (now, target, it) in sent do
                  if target.Equals path && now >= at && now < at + 2L * scenario.Meeting.Path.Delay then it |] |]

let private newAttacker () = PathAttacker(MoveScenario.thirdHost, 1)

let private beside (attacker: PathAttacker) scenario = MoveScenario.runBeside attacker attacker scenario

let tests =
    testList
        "moves"
        [ test "G1: a NAT that takes another port at any moment costs a stream 3.5 s at most, and one round trip more" {
              let ends = runAll rebinding

              for struct (seed, scenario, outcome) in ends do
                  let roundTrip = 2L * scenario.Meeting.Path.Delay

                  let bound =
                      if scenario.BytesOfA = 0 then
                          Time.milliseconds 3_500 + roundTrip
                      else
                          Time.milliseconds 1_500 + 2L * roundTrip

                  Expect.isTrue (MoveOutcome.isWhole outcome) $"seed {seed}: {say outcome}"
                  Expect.isLessThan outcome.LongestGap bound $"seed {seed}: {say outcome}"

              let times = percentiles ends
              printfn $"{ends.Length}: %s{times}"
          }
          test "G2: a peer that is in another network goes on there, in the time of a punch and two seconds" {
              let ends = connecting (moving false) |> whole

              for struct (seed, scenario, outcome) in ends do
                  // A peer that only reads notices by the silence.
                  let notices = if scenario.BytesOfB = 0 then Time.seconds 4 else Time.seconds 2
                  let punch = Time.milliseconds 700 + 12L * scenario.Meeting.Path.Delay
                  Expect.isLessThan outcome.LongestGap (notices + punch) $"seed {seed}: {say outcome}"

              let times = percentiles ends
              printfn $"{ends.Length}: %s{times}"
          }
          test "G3: both peers are in other networks at once, and 10 % of the packets are lost" {
              let ends = connecting (moving true) |> whole
              let within bound = ends |> Array.filter (fun struct (_, _, it) -> it.LongestGap <= bound) |> Array.length
              let times = percentiles ends
              printfn $"{ends.Length}: %s{times}"
              Expect.isGreaterThanOrEqual (100 * within (Time.seconds 15)) (99 * ends.Length) "within 15 s"
              Expect.equal (within (Time.seconds 60)) ends.Length "within 60 s"
          }
          test "a stream that was opened without a meeting goes on when the NAT of the opener takes other ports" {
              let ends = runAll (dialled (fun _ -> MoveKind.Rebind)) |> whole

              for struct (seed, scenario, outcome) in ends do
                  let roundTrip = 2L * scenario.Meeting.Path.Delay
                  let notices = if scenario.BytesOfA = 0 then Time.milliseconds 3_500 else Time.milliseconds 1_500
                  Expect.isLessThan outcome.LongestGap (notices + 2L * roundTrip) $"seed {seed}: {say outcome}"

              let times = percentiles ends
              printfn $"{ends.Length}: %s{times}"
          }
          test "a stream that was opened without a meeting goes on when the opener is in another network" {
              let ends = runAll (dialled toElsewhere) |> whole

              for struct (seed, scenario, outcome) in ends do
                  let roundTrip = 2L * scenario.Meeting.Path.Delay
                  Expect.isLessThan outcome.LongestGap (Time.seconds 2 + 2L * roundTrip) $"seed {seed}: {say outcome}"

              let times = percentiles ends
              printfn $"{ends.Length}: %s{times}"
          }
          test
              "G7: in another network a stream begins with ten packets of 1200 bytes; from another port it goes on as it was" {
              let sizes = ResizeArray<int>()

              for index in worlds 200 do
                  let seed = Keyed.mix (uint64 index + 6100UL)
                  let isElsewhere = index % 2 = 0
                  let outcome, bursts = firstPackets (busy isElsewhere seed)

                  if outcome.IsUsable then
                      Expect.isTrue (MoveOutcome.isWhole outcome) $"seed {seed}: {say outcome}"
                      Expect.isNonEmpty bursts $"seed {seed}: paths that have changed"

                      for burst in bursts do
                          let lengths = burst |> Array.map (fun struct (length, _) -> length)

                          let fresh =
                              [| for struct (length, isNew) in burst do
                                     if isNew then length |]

                          if isElsewhere then
                              Expect.isLessThanOrEqual burst.Length 10 $"seed {seed}: packets"
                              Expect.all fresh (fun it -> it <= 1200) $"seed {seed}: %A{lengths}"

                              Expect.isLessThanOrEqual
                                  (Array.sum lengths)
                                  (max 12_000 lengths[0])
                                  $"seed {seed}: %A{lengths}"
                          else
                              sizes.AddRange fresh

              Expect.exists sizes (fun it -> it > 1200) "from another port, packets of the length that was found before"
          }
          test "G8: peers that get into one network go on there within two seconds" {
              let ends = runAll joining |> whole

              for struct (seed, scenario, outcome) in ends do
                  let struct (at, _, _) = scenario.Moves[1]

                  for transfer in [ outcome.A; outcome.B ] do
                      let moves = List.ofSeq transfer.Moves
                      let isThere (struct (_, remote: Endpoint)) = (remote.Low >>> 8) = 0xFFFF_C0A8_5AUL
                      Expect.equal (moves |> List.filter isThere |> List.length) 1 $"seed {seed}: {say outcome}"
                      let struct (last, _) = List.last moves
                      Expect.isTrue (isThere (List.last moves)) $"seed {seed}: {say outcome}"
                      Expect.isLessThan last (outcome.BeganAt + at + Time.seconds 2) $"seed {seed}: {say outcome}"

                  Expect.isLessThan outcome.LongestGap (Time.seconds 1) $"seed {seed}: {say outcome}"
          }
          test "G8: of two paths of one length, whose delay varies, none is better: two changes in ten minutes at most" {
              for index in worlds 100 do
                  let seed = Keyed.mix (uint64 index + 5200UL)
                  let outcome = MoveScenario.run (varying seed)
                  Expect.isTrue (MoveOutcome.isWhole outcome) $"seed {seed}: {say outcome}"
                  Expect.isLessThanOrEqual outcome.A.Moves.Count 2 $"seed {seed}: {say outcome}"
                  Expect.isLessThanOrEqual outcome.B.Moves.Count 2 $"seed {seed}: {say outcome}"
          }
          test "an outage costs a stream with a link five seconds more, and ends it when it would end any other" {
              for index in 1..60 do
                  let seed = Keyed.mix (uint64 index + 3900UL)
                  let outage = Time.seconds (1 + draw seed 50 40)
                  let drawn = dialled (fun _ -> MoveKind.Outage outage) seed
                  let scenario = { drawn with IsDialled = (index % 3 > 0) }
                  let outcome = MoveScenario.run scenario

                  if outcome.IsUsable then
                      Expect.isTrue (MoveOutcome.isWhole outcome) $"seed {seed}: {say outcome}"
                      Expect.isLessThan outcome.LongestGap (outage + Time.seconds 7) $"seed {seed}: {say outcome}"

              for index in 1..20 do
                  let seed = Keyed.mix (uint64 index + 4900UL)
                  let scenario = dialled (fun _ -> MoveKind.Outage(Time.seconds 100)) seed
                  let outcome = MoveScenario.run scenario
                  let writes, other = if scenario.BytesOfA > 0 then outcome.A, outcome.B else outcome.B, outcome.A
                  Expect.equal writes.Reason (ValueSome CloseReason.TimedOut) $"seed {seed}: {say outcome}"
                  Expect.isTrue other.Reason.IsSome $"seed {seed}: {say outcome}"
          }
          test "the node's laws hold while paths change, and snapshots restore what they hold" {
              for index in worlds 40 do
                  let seed = Keyed.mix (uint64 index + 77UL)

                  let scenario =
                      match index % 4 with
                      | 0 -> rebinding seed
                      | 1 -> dialled (if index % 8 = 1 then toElsewhere else (fun _ -> MoveKind.Rebind)) seed
                      | kind -> moving (kind = 2) seed

                  let small =
                      { scenario with BytesOfA = min 60_000 scenario.BytesOfA; BytesOfB = min 60_000 scenario.BytesOfB }

                  let early = small.Moves |> List.map (fun struct (at, isOfB, move) -> struct (at / 4L, isOfB, move))
                  MoveScenario.runChecked { small with Moves = early } |> ignore
          }
          test "G4, G5: who listens, forwards and forges from elsewhere moves nothing, and draws no more than it sends" {
              for index in worlds 20 do
                  let seed = Keyed.mix (uint64 index + 900UL)
                  let attacker = newAttacker ()
                  let chain = if index % 2 = 0 then [ nat seed 10 ] else []
                  let scenario = MoveScenario.between chain []

                  let quiet =
                      { scenario with IsDialled = (index % 4 < 2); Meeting = { scenario.Meeting with Seed = seed } }

                  let outcome = beside attacker quiet
                  Expect.isTrue (MoveOutcome.isWhole outcome) $"seed {seed}: {say outcome}"
                  Expect.isEmpty (Seq.append outcome.A.Moves outcome.B.Moves) $"seed {seed}: paths that have changed"
                  Expect.equal attacker.Packets 0 "packets of the stream to the attacker"
                  Expect.isGreaterThan attacker.Datagrams 1_000 "forged packets"
                  Expect.isLessThanOrEqual attacker.Received attacker.Sent "bytes that they draw"
          }
          test "G6: no packet of a stream goes to an address that has not answered, also when the peer's has changed" {
              for index in worlds 40 do
                  let seed = Keyed.mix (uint64 index + 1900UL)
                  let attacker = newAttacker ()

                  let drawn = if index % 2 = 0 then rebinding seed else dialled (fun _ -> MoveKind.Rebind) seed
                  let scenario = { drawn with BytesOfA = 300_000 }
                  let outcome = beside attacker scenario
                  Expect.isTrue (MoveOutcome.isWhole outcome) $"seed {seed}: {say outcome}"
                  Expect.equal attacker.Packets 0 $"seed {seed}: packets of the stream to the attacker"
                  Expect.isLessThanOrEqual attacker.Received attacker.Sent "bytes that they draw"
          }
          test "streams with a peer that stays on its path end well, whatever is lost and however long nothing is said" {
              for index in 1..100 do
                  let seed = Keyed.mix (uint64 index + 2900UL)
                  let scenario = MoveScenario.between [] [ nat seed 10 ]
                  let lossy = { NetworkConfig.openInternet.Path with Loss = Loss.Each(draw seed 11 200) }
                  let stays isOfB = if (index % 2 = 0) = isOfB then 0L<us> else Time.seconds 180

                  let outcome =
                      MoveScenario.run
                          { scenario with
                              Meeting =
                                  { scenario.Meeting with
                                      Seed = seed
                                      Path = lossy
                                      PathTimeoutOfA = stays false
                                      PathTimeoutOfB = stays true }
                              BytesOfA = 20_000
                              BytesOfB = 5_000
                              Pause = Time.seconds (1 + draw seed 12 8) }

                  if outcome.IsUsable then
                      Expect.isTrue (MoveOutcome.isWhole outcome) $"seed {seed}: {say outcome}"
          } ]
