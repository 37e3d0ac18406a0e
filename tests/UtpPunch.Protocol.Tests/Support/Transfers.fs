module UtpPunch.Protocol.Tests.Transfers

open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

/// One stream that carries that many bytes each way. Faults last as long as the stream.
let private carries (limit: Duration) dialect (path: Path) fromA fromB =
    let flow = { Scenario.flow 0 with Dialler = Scenario.plan fromA; Acceptor = Scenario.plan fromB }

    let scenario =
        { Scenario.calm with Dialect = dialect; AB = path; BA = path; Flows = [ flow ]; HealAt = limit }

    let outcome = Simulation.run scenario

    match outcome.Violation with
    | ValueSome(struct (property, why)) -> failtest $"{property}: {why}\n{ScenarioText.print scenario}"
    | ValueNone -> ()

    for app in outcome.Applications.All do
        Expect.isLessThan app.ClosedAt limit $"when {app.Name} closed"

    outcome

let private bad =
    { Path.perfect with Loss = Loss.Each 200; Lateness = Lateness.Uniform(Time.milliseconds 50) }

let tests =
    testList
        "transfers"
        [ test "without faults both directions are complete, and nothing is retransmitted" {
              let outcome = carries (Time.seconds 10) "bep29" Path.perfect 100_000 100_000
              let count side rule = outcome.World.Actors[side].Rules.GetValueOrDefault rule
              Expect.equal (count 0 Rule.RetransmitTimeout) 0 "time-outs"
              Expect.equal (count 0 Rule.FastRetransmit) 0 "losses"
              Expect.equal (count 1 Rule.Duplicate) 0 "duplicates"
          }
          test "in the npm dialect both directions are complete" {
              carries (Time.seconds 20) "utp-punch" Path.perfect 100_000 100_000 |> ignore
          }
          test "no bytes at all: both sides open, end and close" {
              carries (Time.seconds 10) "bep29" Path.perfect 0 0 |> ignore
          }
          test "one fifth lost and fifty milliseconds of shuffling: a megabyte each way arrives" {
              carries (Time.seconds 300) "bep29" bad (1 <<< 20) (1 <<< 20) |> ignore
          }
          test "60 000 bytes written and closed over 10 kB/s arrive" {
              let slow = { Path.perfect with Rate = Rate.Constant 10_000; Queue = Queue.Tail 10_000 }
              carries (Time.seconds 60) "bep29" slow 60_000 0 |> ignore
          } ]
