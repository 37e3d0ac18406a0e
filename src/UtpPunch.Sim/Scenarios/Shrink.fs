namespace UtpPunch.Sim

open UtpPunch.Protocol

/// Shrinks a failing scenario: the smallest one that still fails explains most.
module Shrink =
    // ---- In time ----

    let private earlier (scenario: Scenario) =
        [ for healAt in [ 0L<us>; scenario.HealAt / 4L; scenario.HealAt / 2L ] do
              if healAt < scenario.HealAt then { scenario with HealAt = healAt } ]

    // ---- Whole families of faults ----

    /// Simplifications of one path.
    let private pathFaults: (Path -> Path) list =
        let none = Path.perfect

        [ fun path -> { path with Loss = none.Loss }
          fun path -> { path with Drops = none.Drops }
          fun path -> { path with Cuts = none.Cuts }
          fun path -> { path with Mtu = none.Mtu }
          fun path -> { path with Corruption = 0; Harm = none.Harm }
          fun path -> { path with Duplication = 0; Copies = none.Copies; CopiesLate = none.CopiesLate }
          fun path -> { path with Reorder = 0; ReorderBy = none.ReorderBy }
          fun path -> { path with Lateness = none.Lateness }
          fun path -> { path with Rate = none.Rate; Queue = none.Queue } ]

    let private hostFaults: (Host -> Host) list =
        let none = Scenario.clock
        let onClock change (host: Host) = { host with Clock = change host.Clock }

        [ onClock (fun clock -> { clock with Freezes = [] })
          onClock (fun clock -> { clock with Steps = [] })
          onClock (fun clock -> { clock with Skew = 0 })
          onClock (fun clock -> { clock with Granularity = none.Granularity; Late = none.Late })
          onClock (fun clock -> { clock with Offset = 0L })
          fun host -> { host with Socket = Scenario.socket } ]

    /// A change of both directions at once, then of either.
    let private both (change: 'a -> 'a) (get: Scenario -> 'a) set (get': Scenario -> 'a) set' (scenario: Scenario) =
        let one = set (change (get scenario)) scenario
        let other = set' (change (get' scenario)) scenario
        [ set' (change (get' one)) one; one; other ]

    let private onPaths change (scenario: Scenario) =
        both
            change
            (fun it -> it.AB)
            (fun path it -> { it with AB = path })
            (fun it -> it.BA)
            (fun path it -> { it with BA = path })
            scenario

    let private onHosts change (scenario: Scenario) =
        both
            change
            (fun it -> it.A)
            (fun host it -> { it with A = host })
            (fun it -> it.B)
            (fun host it -> { it with B = host })
            scenario

    let private families (scenario: Scenario) =
        [ { scenario with Forgery = { Strange = 0; Spoofed = 0; Hints = 0 } }
          { scenario with Forgery = { scenario.Forgery with Hints = 0 } }
          { scenario with Forgery = { scenario.Forgery with Strange = 0 } }
          { scenario with Forgery = { scenario.Forgery with Spoofed = 0 } }
          { scenario with PermuteTies = false }
          for fault in pathFaults do
              yield! onPaths fault scenario
          for fault in hostFaults do
              yield! onHosts fault scenario ]

    // ---- Flows and what they carry ----

    let private without (scenario: Scenario) =
        let flows = scenario.Flows

        [ if flows.Length > 1 then
              for index in 0 .. flows.Length - 1 do
                  { scenario with Flows = [ flows[index] ] }

              for index in 0 .. flows.Length - 1 do
                  { scenario with Flows = List.removeAt index flows } ]

    let private onPlans (change: Plan -> Plan) (scenario: Scenario) =
        [ for index in 0 .. scenario.Flows.Length - 1 do
              let flow = scenario.Flows[index]
              let put flow = { scenario with Flows = List.updateAt index flow scenario.Flows }
              put { flow with Dialler = change flow.Dialler; Acceptor = change flow.Acceptor }
              put { flow with Dialler = change flow.Dialler }
              put { flow with Acceptor = change flow.Acceptor } ]

    let private payloads (scenario: Scenario) =
        let bytesOf (change: int -> int) (plan: Plan) = { plan with Bytes = change plan.Bytes }

        [ for change in [ (fun _ -> 0); (fun bytes -> bytes / 8); (fun bytes -> bytes / 2) ] do
              yield! onPlans (bytesOf change) scenario ]

    let private habits (scenario: Scenario) =
        let plain = Scenario.plan 0

        [ for index in 0 .. scenario.Flows.Length - 1 do
              let flow = scenario.Flows[index]
              let put flow = { scenario with Flows = List.updateAt index flow scenario.Flows }
              put { flow with At = 0L<us> }
              put { flow with FromB = false }
          for change in
              [ fun plan -> { plan with StallAt = plain.StallAt; StallFor = plain.StallFor }
                fun plan -> { plan with ReadSize = plain.ReadSize; ReadPause = plain.ReadPause }
                fun plan -> { plan with Pause = plain.Pause }
                fun plan -> { plan with Chunk = plain.Chunk }
                fun plan -> { plan with Ending = plain.Ending } ] do
              yield! onPlans change scenario ]

    // ---- Hosts ----

    let private hosts (scenario: Scenario) =
        let plain = Scenario.host

        [ { scenario with Dialect = "bep29" }
          for change in
              [ fun (host: Host) -> { plain with Clock = host.Clock; Socket = host.Socket }
                fun host -> { host with SendBuffer = plain.SendBuffer }
                fun host -> { host with ReceiveBuffer = plain.ReceiveBuffer }
                fun host -> { host with LargestPacket = host.PacketSize }
                fun host -> { host with PacketSize = plain.PacketSize; LargestPacket = plain.PacketSize }
                fun host -> { host with NoDelay = plain.NoDelay }
                fun host -> { host with IdleTimeout = plain.IdleTimeout }
                fun host -> { host with Congestion = plain.Congestion } ] do
              yield! onHosts change scenario ]

    // ---- Lists and numbers ----

    let private fewer (items: 'a list) =
        if items.Length < 2 then
            []
        else
            [ for index in 0 .. items.Length - 1 -> List.removeAt index items ]

    let private presets = [ 0L; 1_000L; 10_000L; 100_000L; 1_000_000L ]

    /// Shorter, rounder durations.
    let private rounder (duration: Duration) =
        [ for preset in presets do
              if preset < int64 duration then Time.microseconds preset ]

    let private shares share =
        [ for round in [ 10; 50; 100; 200; 500 ] do
              if round < share then round ]

    let private simplerPaths (path: Path) : Path list =
        [ for drops in fewer path.Drops do
              yield { path with Drops = drops }
          for mtu in fewer path.Mtu do
              yield { path with Mtu = mtu }
          for cuts in fewer path.Cuts do
              yield { path with Cuts = cuts }
          for delay in rounder path.Delay do
              yield { path with Delay = delay }
          for by in rounder path.ReorderBy do
              yield { path with ReorderBy = by }
          for late in rounder path.CopiesLate do
              yield { path with CopiesLate = late }
          if path.Copies > 1 then yield { path with Copies = 1 }
          match path.Loss with
          | Loss.Each share ->
              for round in shares share do
                  yield { path with Loss = Loss.Each round }
          | Loss.Gilbert _ -> yield { path with Loss = Loss.Each 100 }
          | Loss.Never
          | Loss.Every _
          | Loss.Burst _ -> ()
          match path.Lateness with
          | Lateness.Medium(period, wait, pause, every) ->
              yield { path with Lateness = Lateness.Release period }

              if pause > 0L<us> then
                  yield { path with Lateness = Lateness.Medium(period, wait, 0L<us>, every) }

              if wait > 0L<us> then
                  yield { path with Lateness = Lateness.Medium(period, 0L<us>, pause, every) }
          | Lateness.Thinned(period, _) -> yield { path with Lateness = Lateness.Release period }
          | Lateness.Steps steps ->
              for steps in fewer steps do
                  yield { path with Lateness = Lateness.Steps steps }
          | Lateness.Never
          | Lateness.Uniform _
          | Lateness.Exponential _
          | Lateness.Release _ -> ()
          match path.Rate, path.Queue with
          | Rate.Alternating(rate, other, _), _ ->
              yield { path with Rate = Rate.Constant rate }
              yield { path with Rate = Rate.Constant other }
          | Rate.Steps steps, _ ->
              for steps in fewer steps do
                  yield { path with Rate = Rate.Steps steps }

              for _, rate in steps do
                  yield { path with Rate = Rate.Constant rate }
          | Rate.Policed(rate, _), _
          | Rate.Shaped(rate, _, _), _
          | Rate.Cellular rate, _ -> yield { path with Rate = Rate.Constant rate }
          | Rate.Constant rate, Queue.Tail _ ->
              for round in [ 10_000_000; 1_000_000; 100_000; 10_000 ] do
                  if round > rate then yield { path with Rate = Rate.Constant round }
          | Rate.Constant _, _ -> yield { path with Queue = Queue.Tail 200_000 }
          | Rate.Unlimited, _ -> () ]

    let private numbers (scenario: Scenario) =
        [ for path in simplerPaths scenario.AB do
              yield { scenario with AB = path }
          for path in simplerPaths scenario.BA do
              yield { scenario with BA = path }
          yield { scenario with NodeSeed = 1UL } ]

    /// Smaller scenarios, the largest reductions first. None of them is the scenario itself.
    let candidates (scenario: Scenario) : Scenario seq =
        seq {
            for stage in [ earlier; families; without; payloads; habits; hosts; numbers ] do
                for candidate in stage scenario do
                    if candidate <> scenario then candidate
        }
        |> Seq.distinct

    /// Reduces the scenario while `fails` holds, until no candidate fails or `budget` runs were made. If the same property must fail,
    /// `fails` has to check that.
    let minimise (fails: Scenario -> bool) (budget: int) (scenario: Scenario) : Scenario =
        let mutable least = scenario
        let mutable left = budget
        let mutable going = true

        while going do
            let found =
                candidates least
                |> Seq.tryFind (fun candidate ->
                    left <- left - 1
                    left >= 0 && fails candidate)

            match found with
            | Some smaller -> least <- smaller
            | None -> going <- false

            going <- going && left > 0

        least
