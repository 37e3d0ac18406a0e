namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// The result of a run.
[<NoComparison; NoEquality>]
type Outcome =
    {
        /// The violated property, and the reason.
        Violation: struct (string * string) voption
        /// Of every packet and its time.
        Hash: uint64
        /// The same without ids, first numbers and clocks.
        Shape: uint64
        /// The results of the applications, one line per stream.
        Streams: string list
        Events: int64
        Took: Duration
        Marks: Marks
        World: World
        Applications: Applications
    }

module Simulation =
    let private seedOf (scenario: Scenario) side = Keyed.mix (scenario.NodeSeed + uint64 side)

    /// The core on both hosts.
    let machines (scenario: Scenario) : IMachine[] =
        [| for side, host in [ 1, scenario.A; 2, scenario.B ] ->
               CoreMachine(Scenario.optionsOf scenario host, seedOf scenario side, Scenario.local host.Clock 0L<us>) |]

    let private describe (applications: Applications) =
        [ for app in applications.All |> Seq.sortBy (fun app -> app.Flow, app.Name) ->
              let reason =
                  match app.Closed with
                  | ValueSome reason -> TraceNames.reasons.Name reason
                  | ValueNone -> "open"

              $"flow {app.Flow} {app.Name}: wrote {app.Writes.Written}, read {app.Reads.Delivered}, ended {app.Ended}, {reason}"
          for KeyValue(flow, reason) in applications.Failed |> Seq.sortBy (fun pair -> pair.Key) ->
              $"flow {flow}: not connected, {TraceNames.reasons.Name reason}" ]

    /// L1, L7: a stream that both applications end in order delivers everything.
    let private checkWhole (world: World) (applications: Applications) =
        for index in 0 .. applications.Flows.Length - 1 do
            if Expectation.ends applications.Flows[index] then
                match applications.Failed.TryGetValue index with
                | true, reason -> Check.fail "L1" $"flow {index} was not connected: %A{reason}"
                | _ -> ()

                let ends = applications.All |> Seq.filter (fun app -> app.Flow = index) |> Seq.toList

                for app in ends do
                    match app.Closed with
                    | ValueSome CloseReason.Finished -> ()
                    | ValueSome reason -> Check.fail "L7" $"{app.Name} closed with %A{reason}"
                    | ValueNone ->
                        Check.fail
                            "L1"
                            $"{app.Name} is not done after {int64 world.Now} us: {app.Reads.Delivered} bytes read"

                    if not app.Ended then Check.fail "L7" $"{app.Name} closed without the end"

                if ends.Length <> 2 then
                    Check.fail "L1" $"flow {index} has {ends.Length} ends after {int64 world.Now} us"

    /// After use, the counters and instants of a node take a few more bytes in a snapshot than those of a new node. A leftover entry of a
    /// table takes more.
    let private longerNumbers = 8

    /// Whether the tables of a node (routes, collisions, timers, streams to take, aliases) are empty, as in a new node.
    let private checkTables (actor: Actor) (core: CoreMachine) (now: Instant) =
        let size node = (Snapshot.take false node).Length
        // By the next step, at the latest, the limits of RESETs are forgotten, and after a minute the error codes of aborted streams.
        let struct (later, _) = Node.step (max now actor.Now + Time.seconds 60) [| Event.Taken 1 |] core.Node
        let used, fresh = size later, size (Node.create core.Options core.Seed now)

        if used > fresh + longerNumbers then
            Check.fail "L3" $"{actor.Name} has state left of its streams: {used} bytes, a new node {fresh}"

    /// L3: once all streams have closed, nothing is due, and no state of them is left.
    let private checkQuiet (world: World) =
        for actor in world.Actors do
            if actor.Machine.Deadline <> Time.never then
                Check.fail "L3" $"{actor.Name} has a deadline after all streams have closed"

            match actor.Machine with
            | :? CoreMachine as core ->
                let left = Node.statistics core.Node

                if left.Incoming + left.Outgoing + left.HalfOpen + left.Lingering > 0 then
                    Check.fail "L3" $"{actor.Name} has streams left: {left}"

                checkTables actor core (Scenario.local actor.Host.Clock world.Now)
            | _ -> ()

    /// More events than any scenario needs; a livelock ends here.
    let private eventLimit = 20_000_000L

    let private drive (world: World) (applications: Applications) =
        let scenario = world.Scenario
        let finishBy = Expectation.finishBy scenario
        let closeBy = Expectation.closeBy scenario
        let isWhole = Expectation.isWhole scenario
        applications.Start()

        let run until =
            while not applications.AreDone && world.Advance until do
                if world.Events > eventLimit then Check.fail "S13" $"{world.Events} events without an end"

        run finishBy

        if isWhole && not applications.AreDone then
            // Streams that are not meant to end do not count.
            checkWhole world applications

        run closeBy

        if not applications.AreDone then
            for app in applications.All do
                let isMeantToStay =
                    applications.Flows[app.Flow].Dialler.Ending = Ending.Stay
                    || applications.Flows[app.Flow].Acceptor.Ending = Ending.Stay

                let isStuck =
                    applications.Flows[app.Flow].Dialler.StallFor = Time.never
                    || applications.Flows[app.Flow].Acceptor.StallFor = Time.never

                if app.Closed.IsNone && not isMeantToStay && not isStuck then
                    let paired = applications.All |> Seq.filter (fun other -> other.Flow = app.Flow) |> Seq.length

                    if paired = 2 || not isWhole then
                        Check.fail "L2" $"{app.Name} is still open after {int64 world.Now} us"

            applications.CloseAll()

        if isWhole then checkWhole world applications

        // Lingering streams answer for a minute more; half-open ones expire.
        let quietBy = world.Now + Time.seconds 400

        while world.Advance quietBy do
            if world.Events > eventLimit then Check.fail "S13" $"{world.Events} events without an end"

        checkQuiet world

    /// Runs the scenario of a new world.
    let runIn (world: World) : Outcome =
        let applications = Applications world

        let violation =
            try
                drive world applications
                ValueNone
            with
            | Violation(property, why) -> ValueSome(struct (property, $"{why} (at {int64 world.Now} us)"))
            | error ->
                ValueSome(
                    struct ("S12",
                            $"{error.GetType().Name}: {error.Message} (at {int64 world.Now} us) {error.StackTrace}")
                )

        for actor in world.Actors do
            for KeyValue(rule, count) in actor.Rules do
                for _ in 1 .. min 1 count do
                    world.Marks.Hit(TraceNames.rules.Name rule)

        { Violation = violation
          Hash = world.Hash
          Shape = world.Shape
          Streams = describe applications
          Events = world.Events
          Took = world.Now
          Marks = world.Marks
          World = world
          Applications = applications }

    /// Runs a scenario with these machines.
    let runOn (machines: IMachine[]) (watcher: IWatcher) (scenario: Scenario) : Outcome =
        runIn (World(scenario, machines, watcher))

    let run (scenario: Scenario) = runOn (machines scenario) Unchecked.defaultof<_> scenario
