/// uTP itself in a world of two nodes: a scenario, and a property of one's own that is checked after every event.
module Samples.OwnProperty

open System
open UtpPunch.Protocol
open UtpPunch.Sim

/// 200 ms each way, 1 MB/s, and one datagram in fifty is lost.
let path =
    { Path.perfect with
        Delay = Time.milliseconds 200
        Rate = Rate.Constant 1_000_000
        Loss = Loss.Each 20 }

/// Sends bytes from A to B. The property: what has arrived is a prefix of what was written, at every instant. Returns what violates it.
let check (seed: uint64) : string voption =
    let world = TwoNodes.over seed NodeOptions.standard path path
    let written = Array.init 300_000 (fun i -> byte (i * 7 + i / 251))
    world.Tell(world.B, Event.Listen 10)
    let near = world.Connect(world.A, Dialect.Bep29)
    let mutable sent = 0
    let mutable wrong = ValueNone
    let far () = if world.B.Accepted.Count = 0 then null else world.B.Accepted[0]

    let stepped () =
        if near.Opened && sent < written.Length then
            sent <- sent + world.Write(world.A, near, ReadOnlySpan(written, sent, written.Length - sent))

        match far () with
        | null -> false
        | stream ->
            let arrived = Seq.toArray stream.Received

            if not (written.AsSpan().StartsWith(ReadOnlySpan arrived)) then
                wrong <- ValueSome $"after {arrived.Length} bytes, at {int64 world.Now} us"

            wrong.IsSome || arrived.Length = written.Length

    match world.RunUntil(Time.seconds 120, Func<bool> stepped), wrong with
    | _, ValueSome why -> ValueSome why
    | false, ValueNone -> ValueSome "not everything has arrived after two minutes"
    | true, ValueNone -> ValueNone

/// Random worlds with the simulator's own properties (docs/simulation.md): the first failure, as a scenario that can be written to a file.
let campaign (seed: uint64) (runs: int) : string voption =
    match Campaign.runRandom seed runs with
    | ValueSome failure -> ValueSome $"{failure.Property}: {failure.Why}\n{ScenarioText.print failure.Scenario}"
    | ValueNone -> ValueNone
