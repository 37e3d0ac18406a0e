/// Liveness: what must happen in the end, and by when (the properties L of docs/simulation.md that no single event can show).
module UtpPunch.Sim.Tests.Liveness

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Worlds

let private ms = Time.milliseconds
let private seconds = Time.seconds
let private stay bytes = { Scenario.plan bytes with Ending = Ending.Stay }
let private cut from until (path: Path) = { path with Cuts = { From = from; Until = until } :: path.Cuts }
let private drop drops (path: Path) = { path with Drops = drops }

let private ends (outcome: Outcome) = outcome.Applications.All |> Seq.map (fun app -> app.Name[0], app) |> Map.ofSeq

/// How a host's end of the stream closed, and when.
let private closes (scenario: Scenario) (outcome: Outcome) host reason (least: Duration) (most: Duration) =
    match (ends outcome).TryFind host with
    | None -> broken scenario "L2" $"{host} has no stream"
    | Some app ->
        require scenario "L2" (app.Closed = ValueSome reason) $"{host} closed with {app.Closed}"

        require
            scenario
            "L2"
            (app.ClosedAt >= least && app.ClosedAt <= most)
            $"{host} closed at {int64 app.ClosedAt} us, not within {int64 least} to {int64 most}"

// ---- L2 ----

/// A sends a megabyte to B at 200 kB/s; after the first second one direction or both are cut for good.
let private dead name cutAB cutBA check =
    [ for dialect in dialects ->
          test $"L2: {name}, %A{dialect}" {
              let slow (path: Path) = { path with Rate = Rate.Constant 200_000; Queue = Queue.Tail 20_000 }
              let whole = overBoth slow (streamOf 0L<us> (Scenario.plan 1_000_000) (Scenario.plan 0))
              let broken path = cut (seconds 1) Time.never path

              let scenario =
                  { whole with
                      Dialect = dialect
                      AB = (if cutAB then broken whole.AB else whole.AB)
                      BA = (if cutBA then broken whole.BA else whole.BA) }

              // The run itself checks that nothing is left of the streams (L3).
              check scenario (outcomeOf scenario)
          } ]

let private giveUp = seconds 46
/// Forty-five seconds without progress, and the time of the last time-out.
let private giveUpAtMost = seconds 60
let private idleAtMost = seconds 182

let private deadPeers =
    [ yield!
          dead "both directions are cut: the sender times out, the receiver is idle" true true (fun scenario outcome ->
              closes scenario outcome 'A' CloseReason.TimedOut giveUp giveUpAtMost
              closes scenario outcome 'B' CloseReason.IdleTimeout (seconds 180) idleAtMost)
      yield!
          dead "the direction to the receiver is cut: the sender times out" true false (fun scenario outcome ->
              closes scenario outcome 'A' CloseReason.TimedOut giveUp giveUpAtMost
              // The RESET does not arrive either.
              closes scenario outcome 'B' CloseReason.IdleTimeout (seconds 180) idleAtMost)
      yield!
          dead
              "the direction to the sender is cut: the sender times out, and its RESET arrives"
              false
              true
              (fun scenario outcome ->
                  closes scenario outcome 'A' CloseReason.TimedOut giveUp giveUpAtMost
                  closes scenario outcome 'B' CloseReason.Reset giveUp (giveUpAtMost + seconds 1))
      for name, sides in [ "no peer answers", (true, true); "only the direction to the peer works", (false, true) ] do
          test $"L2: {name} from the beginning: the connect ends when its timeout does" {
              let scenario = streamOf 0L<us> (Scenario.plan 10) (Scenario.plan 0)
              let broken path = cut 0L<us> Time.never path

              let scenario =
                  { scenario with
                      AB = (if fst sides then broken scenario.AB else scenario.AB)
                      BA = broken scenario.BA }

              let outcome = outcomeOf scenario
              Expect.equal outcome.Applications.Failed[0] CloseReason.ConnectTimeout "why"
              Expect.isEmpty outcome.Applications.All "applications"
          }
      test "L2: two idle ends that lose each other close with the idle time-out" {
          let scenario = overBoth (cut (seconds 1) Time.never) (streamOf 0L<us> (stay 10) (stay 0))

          let outcome = outcomeOf scenario

          for host in [ 'A'; 'B' ] do
              closes scenario outcome host CloseReason.IdleTimeout (seconds 180) idleAtMost
      } ]

// ---- L3 ----

let private quiet =
    [ for dialect in dialects do
          test $"L3: a stream that is idle for an hour sends at the rate of its keep-alives, %A{dialect}" {
              let scenario = { streamOf 0L<us> (stay 10) (stay 10) with Dialect = dialect }
              let withLongIdle = { scenario.A with IdleTimeout = seconds 3_600 }
              let scenario = { scenario with A = withLongIdle; B = withLongIdle }
              let struct (outcome, sendings) = watched scenario
              Expect.isGreaterThan outcome.Took (seconds 3_600) "how long the stream was open"

              for host in 0..1 do
                  let sent =
                      sendings.Order
                      |> Seq.filter (fun (struct (at, from, _)) -> from = host && at > seconds 1 && at < seconds 3_600)
                      |> Seq.length

                  // One every 25 s, and an answer to each of the other side's.
                  Expect.isGreaterThan sent (3_600 / 30) "datagrams: keep-alives must be sent"
                  Expect.isLessThanOrEqual sent (2 * 3_600 / 25) "datagrams"
          }

          test $"L3: an abort with many packets in flight: no RESET answers a RESET, %A{dialect}" {
              let abort = { Scenario.plan 300_000 with Ending = Ending.Abort 100_000 }
              let scenario = { streamOf (seconds 20) abort (Scenario.plan 300_000) with Dialect = dialect }

              let scenario =
                  overBoth
                      (fun path ->
                          { path with
                              Duplication = 300
                              Copies = 3
                              CopiesLate = seconds 2
                              Reorder = 200
                              ReorderBy = ms 300 })
                      scenario

              let struct (_, sendings) = watched scenario
              let resets host = Seq.filter (fun (struct (_, from, it)) -> from = host && isType PacketType.Reset it)

              let others host =
                  Seq.filter (fun (struct (_, from, it)) -> from = host && not (isType PacketType.Reset it))

              for host in 0..1 do
                  let answered = Seq.length (resets host sendings.Order)
                  // Each of the other side's packets may arrive four times.
                  Expect.isLessThanOrEqual answered (1 + 4 * Seq.length (others (1 - host) sendings.Order)) "RESETs"

              let struct (last, _, _) = sendings.Order[sendings.Order.Count - 1]
              Expect.isLessThan last (seconds 60) "when the last datagram was sent"
          } ]

// ---- L4 ----

let private fairLoss =
    [ for dialect in dialects do
          test
              $"L4: 100 kB arrive over 30 %% loss each way in 300 of 300 runs, in half of them within ten seconds, %A{dialect}" {
              let lossy = overBoth (fun path -> { path with Loss = Loss.Each 300 })

              let took =
                  [| 1UL .. 300UL |]
                  |> Array.Parallel.map (fun seed ->
                      let scenario =
                          { lossy (streamOf (seconds 600) (Scenario.plan 100_000) (Scenario.plan 0)) with
                              Seed = seed
                              NodeSeed = Keyed.mix seed
                              Dialect = dialect }

                      let outcome = Simulation.run scenario

                      match outcome.Violation with
                      | ValueSome(struct (property, why)) -> broken scenario property why
                      | ValueNone -> outcome.Applications.All |> Seq.map _.ClosedAt |> Seq.max)

              let median = (Array.sort took)[150]
              Expect.isLessThan median (seconds 10) "the median of the times"
          } ]

// ---- L5 ----

let private stalls =
    [ for stall in [ 1; 3; 8; 20; 60 ] do
          test
              $"L5: a reader stops for {stall} s and its window update is lost: the transfer continues after the next probe" {
              let reader = { Scenario.plan 0 with StallAt = 1; StallFor = seconds stall }
              let scenario = streamOf 0L<us> (Scenario.plan 100_000) reader

              let scenario =
                  { scenario with
                      B = { scenario.B with ReceiveBuffer = 20_000 }
                      // The window update, when the reader continues, a tenth of a second after the beginning.
                      BA = cut (seconds stall - ms 200) (seconds stall + ms 400) scenario.BA }

              let outcome = outcomeOf scenario
              Expect.isTrue (outcome.Marks.Counts.ContainsKey "zero window") "the window closed"
              Expect.isTrue (outcome.Marks.Counts.ContainsKey "lost: cut") "something was lost"
              // Probes are at most 15 s apart, one of them may be lost as well, and 80 kB are four windows.
              let limit = seconds stall + seconds 15 + seconds 2

              for app in outcome.Applications.All do
                  require scenario "L5" (app.ClosedAt < limit) $"it took {int64 app.ClosedAt} us"
          } ]

// ---- L7 ----

let private bothFinish name (most: Duration) (scenario: Scenario) =
    [ for dialect in dialects ->
          test $"L7: {name}, %A{dialect}" {
              let scenario = { scenario with Dialect = dialect }
              let outcome = outcomeOf scenario
              require scenario "L7" (Seq.length outcome.Applications.All = 2) $"{outcome.Streams}"

              for app in outcome.Applications.All do
                  require
                      scenario
                      "L7"
                      (app.Closed = ValueSome CloseReason.Finished && app.Ended && app.Finished)
                      $"{outcome.Streams}"

                  require scenario "L7" (app.ClosedAt <= most) $"{app.Name} closed at {int64 app.ClosedAt} us"
          } ]

let private fins count = [ for ordinal in 0 .. count - 1 -> Drop.Typed(1, ordinal) ]
let private last = { Scenario.plan 0 with Ending = Ending.FinishLast }

let private closing =
    [ for lost in [ 1; 3; 6 ] do
          // Probes, then time-outs of 0.5, 1, 2, 4 s.
          yield!
              bothFinish
                  $"{lost} FINs of each side lost"
                  (seconds (2 * lost * lost))
                  (overBoth (drop (fins lost)) (streamOf 0L<us> (Scenario.plan 100) (Scenario.plan 100)))

      yield!
          bothFinish
              "the FIN arrives before data that precedes it"
              (seconds 3)
              (overBoth
                  (drop [ Drop.Typed(0, 0); Drop.Typed(0, 1); Drop.Typed(0, 2) ])
                  (streamOf 0L<us> (Scenario.plan 2_000) (Scenario.plan 2_000)))

      yield!
          bothFinish
              "all packets are reordered"
              (seconds 20)
              (overBoth
                  (fun path -> { path with Reorder = 500; ReorderBy = ms 200 })
                  (streamOf (seconds 60) (Scenario.plan 30_000) (Scenario.plan 30_000)))

      yield!
          bothFinish
              "both close at the same instant, without data"
              (seconds 1)
              (streamOf 0L<us> (Scenario.plan 0) (Scenario.plan 0))

      yield!
          bothFinish
              "both close at once, and all acknowledgements of the first second are lost"
              (seconds 5)
              (let scenario = streamOf 0L<us> (Scenario.plan 500) (Scenario.plan 500)
               { scenario with BA = cut (ms 30) (seconds 1) scenario.BA })

      yield!
          bothFinish
              "one closes at once, and 300 kB flow the other way"
              (seconds 10)
              (streamOf 0L<us> (Scenario.plan 0) { last with Bytes = 300_000 })

      yield!
          bothFinish
              "the acceptor closes at once, and 300 kB flow to it over a path that loses a tenth"
              (seconds 60)
              (overBoth
                  (fun path -> { path with Loss = Loss.Each 100 })
                  (streamOf (seconds 100) { last with Bytes = 300_000 } (Scenario.plan 0))) ]

// ---- L9 ----

let private frozen name freezeA freezeB dialler acceptor =
    test $"L9: {name}: no stream closes, and there are at most two time-outs" {
        let scenario = streamOf 0L<us> dialler acceptor
        let slow (path: Path) = { path with Rate = Rate.Constant 200_000; Queue = Queue.Tail 20_000 }
        let freeze (host: Host) = { host with Clock = { host.Clock with Freezes = [ seconds 2, seconds 60 ] } }

        let scenario =
            { overBoth slow scenario with
                A = (if freezeA then freeze scenario.A else scenario.A)
                B = (if freezeB then freeze scenario.B else scenario.B) }

        let outcome = outcomeOf scenario

        for app in outcome.Applications.All do
            require scenario "L9" (app.Closed = ValueSome CloseReason.Finished) $"{outcome.Streams}"
            require scenario "L9" (app.ClosedAt > seconds 62) "the transfer ended before the pause"

        for actor in outcome.World.Actors do
            match actor.Rules.TryGetValue Rule.RetransmitTimeout with
            | true, count -> require scenario "L9" (count <= 2) $"{actor.Name} has timed out {count} times"
            | _ -> ()
    }

let private freezes =
    [ frozen "the sender is suspended for a minute" true false (Scenario.plan 1_000_000) (Scenario.plan 0)
      frozen "both are suspended for a minute" true true (Scenario.plan 1_000_000) (Scenario.plan 1_000_000)
      frozen
          "the peer of an idle stream is suspended for a minute"
          false
          true
          { Scenario.plan 2_000 with Chunk = 1_000; Pause = seconds 70 }
          (Scenario.plan 0) ]

// ---- L8 ----

let private searching = { Scenario.host with PacketSize = 1_200; LargestPacket = 65_507 }

/// A megabyte over a path whose MTU shrinks to `size` at an instant, reported or not.
let private over size from telling (largest: int) =
    let narrow = { Path.narrow size with From = from; Telling = telling; Fragments = true }
    let host = { searching with LargestPacket = largest }
    let path (path: Path) = { path with Mtu = [ narrow ]; Rate = Rate.Constant 2_000_000; Queue = Queue.Tail 200_000 }

    { overBoth path (streamOf 0L<us> (Scenario.plan 1_000_000) (Scenario.plan 50_000)) with
        A = host
        B = host }

let private narrowPaths =
    [ for telling in [ Telling.Nobody; Telling.System; Telling.Router ] do
          test
              $"L8: a path of any size, from the beginning or in mid-stream, reported by {telling}: the stream finishes" {
              for size in
                  [ 548; 576; 800; 1_000; 1_199; 1_200; 1_201; 1_300; 1_400; 1_464; 1_472; 4_000; 8_972; 65_507 ] do
                  for from in [ 0L<us>; ms 30; ms 300 ] do
                      for largest in [ 1_200; 65_507 ] do
                          outcomeOf (over size from telling largest) |> ignore
          }
      test "L8: without fragmentation, if no packet was ever larger than the path has always carried" {
          for size in [ 1_200; 1_400; 1_472; 8_972 ] do
              let scenario = over size 0L<us> Telling.Nobody 65_507
              let strict (path: Path) = { path with Mtu = [ { path.Mtu.Head with Fragments = false } ] }
              outcomeOf (overBoth strict scenario) |> ignore
      }
      test "L8: a path that becomes wider and narrower again" {
          let turn index size =
              { Path.narrow size with From = ms (200 * index); Until = ms (200 * index + 200); Fragments = true }

          let turns = List.mapi turn [ 9_000; 1_472; 700; 1_472; 9_000; 600 ]
          let change (path: Path) = { path with Mtu = turns; Rate = Rate.Constant 1_000_000 }
          let scenario = overBoth change (streamOf 0L<us> (Scenario.plan 1_000_000) (Scenario.plan 0))
          outcomeOf { scenario with A = searching; B = searching } |> ignore
      }
      test "L8: the npm package's dialect does not probe the path, and survives a black hole" {
          let scenario = { over 600 (ms 200) Telling.Nobody 1_200 with Dialect = "utp-punch" }
          outcomeOf scenario |> ignore
      } ]

let tests =
    testList "liveness" (narrowPaths @ deadPeers @ quiet @ fairLoss @ stalls @ closing @ freezes)
