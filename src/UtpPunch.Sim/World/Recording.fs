namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Runs as traces (docs/utrace.md): events and effects, the fate of each datagram, and the measurements of streams.
[<Sealed>]
type private Recorder(scenario: Scenario, machines: IMachine[], sink: Action<string>) =
    let keys =
        [| for flow in 0 .. scenario.Flows.Length - 1 do
               for side in 1..2 -> KeyValuePair($"k{2 * flow + side - 1}", Content.keyOf scenario.Seed flow side) |]

    let writer = TraceWriter(sink, TraceWriter.Core, TracePayloads.Synth keys)
    /// The last line of each open stream.
    let streams = [| SortedDictionary<ConnId, string>(); SortedDictionary<ConnId, string>() |]

    let seconds (at: Instant) =
        if at = Time.never then
            "never"
        else
            (decimal (int64 at) / 1_000_000m).ToString("F6", Globalization.CultureInfo.InvariantCulture)

    let net (at: Instant) kind fields = TraceLine(int64 at, ".", "net", kind, fields)

    let cuts way (path: Path) =
        [ for cut in path.Cuts -> cut.From, net cut.From "cut" [| way; "until=" + seconds cut.Until |] ]

    let clocks name (clock: Clock) =
        [ for at, by in clock.Steps ->
              let sign = if by < 0L then "" else "+"
              at, net at "clock" [| name; $"step={sign}{by}" |]
          for at, duration in clock.Freezes -> at, net at "clock" [| name; "freeze=" + seconds duration |] ]

    /// What the scenario schedules.
    let announced =
        [ yield! cuts "A>B" scenario.AB
          yield! cuts "B>A" scenario.BA
          yield! clocks "A" scenario.A.Clock
          yield! clocks "B" scenario.B.Clock
          scenario.HealAt, net scenario.HealAt "heal" [||] ]
        |> List.sortBy fst
        |> Queue

    let catchUp (now: Instant) =
        while announced.Count > 0 && fst (announced.Peek()) <= now do
            writer.Line(snd (announced.Dequeue()))

    let fate (now: Instant) (from: Actor) (datagram: Datagram) (fields: string list) =
        catchUp now
        let way = if from.Index = 0 then "A>B" else "B>A"
        let corrupt = if datagram.IsCorrupt then [ "corrupt" ] else []
        writer.Line(net now "fate" (Array.ofList ($"p={datagram.Number}" :: way :: fields @ corrupt)))

    /// A forged packet has no number.
    let counted (numbers: int64[]) =
        let mutable next = 0

        Func<int64>(fun () ->
            next <- next + 1
            if next <= numbers.Length then max 0L numbers[next - 1] else 0L)

    let notice (actor: Actor) (events: Event[]) (effects: Effect[]) =
        for event in events do
            match event with
            | Event.ConnectSimultaneously(connId, _, _, _)
            | Event.Connect(connId, _, _, _) -> streams[actor.Index][connId] <- ""
            | _ -> ()

        for effect in effects do
            match effect with
            | Effect.Accepted(connId, _, _, _) -> streams[actor.Index][connId] <- ""
            | _ -> ()

    let measure (actor: Actor) (now: Instant) =
        let known = streams[actor.Index]

        for connId in Seq.toArray known.Keys do
            match actor.Machine.Stream connId with
            | ValueNone -> known.Remove connId |> ignore
            | ValueSome statistics ->
                let line = TraceText.sample (int64 now) actor.Name (TraceSample.ofStatistics connId statistics)
                let text = String.Join(' ', line.Fields)

                if text <> known[connId] then
                    known[connId] <- text
                    writer.Line line

    do
        for index in 0..1 do
            match machines[index] with
            | :? CoreMachine as core ->
                let name, address, port = if index = 0 then "A", 0x0A000001u, 5000us else "B", 0x0A000002u, 6000us
                writer.Node(TraceNode(name, Endpoint.ofIPv4 address port, core.Options, core.Seed, core.CreatedAt))
            | _ -> ()

        writer.Comment("scenario", ScenarioText.print scenario)

    member _.End(now: Instant, violation: struct (string * string) voption) =
        match violation with
        | ValueSome(struct (property, why)) ->
            let words = why.Split([| ' '; '\n'; '\r' |], StringSplitOptions.RemoveEmptyEntries)
            writer.Line(TraceLine(int64 now, ".", "chk", "violation", Array.append [| property |] words))
        | ValueNone -> ()

        writer.End()

    interface IWatcher with
        member _.Step(actor, now, local, events, numbers, effects, firstOut) =
            catchUp now
            let mutable next = firstOut - 1L
            notice actor events effects
            writer.Events(int64 now, actor.Name, local, events, counted numbers)

            let following =
                Func<int64>(fun () ->
                    next <- next + 1L
                    next)

            writer.Effects(int64 now, actor.Name, effects, following)
            measure actor now

        member _.Threw(actor, now, local, events, numbers, error) =
            catchUp now
            writer.Events(int64 now, actor.Name, local, events, counted numbers)
            writer.Line(TraceText.fault (int64 now) actor.Name error)

        member _.Delivered(now, from, datagram, at, waited, copy) =
            let further = if copy > 0 then [ "dup" ] else []
            fate now from datagram ([ "deliver=" + seconds at; $"queue={int64 waited}" ] @ further)

        member _.Lost(now, from, datagram, cause) = fate now from datagram [ "lost=" + cause ]

module Recording =
    /// Runs a scenario with these machines and writes its trace to `sink`, line by line. `finding` is a violation that was found by other
    /// means; it is written when this run has none.
    let writeOn
        (machines: IMachine[])
        (finding: struct (string * string) voption)
        (scenario: Scenario)
        (sink: Action<string>)
        : Outcome =
        let recorder = Recorder(scenario, machines, sink)
        let outcome = Simulation.runOn machines recorder scenario

        let violation =
            match outcome.Violation with
            | ValueSome _ -> outcome.Violation
            | ValueNone -> finding

        recorder.End(outcome.Took, violation)
        outcome

    let writeWith finding scenario sink = writeOn (Simulation.machines scenario) finding scenario sink

    let write scenario sink = writeWith ValueNone scenario sink
