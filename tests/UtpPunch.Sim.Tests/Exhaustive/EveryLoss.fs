/// Small worlds in which everything is tried: each set of losses among the first datagrams of an exchange, whoever sends them.
module UtpPunch.Sim.Tests.EveryLoss

open System
open System.Threading
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Worlds

/// Tries each set of losses among the first `among` datagrams in the order of their sending; returns how many there were. A run
/// goes as the one with one loss fewer did up to the last loss, so that one tells who sends what: no set is tried twice.
let tryAll among (check: Scenario -> Outcome -> unit) (exchange: Scenario) : int =
    let mutable tried = 0

    let rec explore (lost: struct (int * int) list) from =
        let drops host =
            [ for struct (side, ordinal) in lost do
                  if side = host then Drop.Nth ordinal ]

        let scenario =
            { exchange with
                AB = { exchange.AB with Drops = drops 0 }
                BA = { exchange.BA with Drops = drops 1 } }

        let struct (outcome, sendings) = watched scenario
        check scenario outcome
        Interlocked.Increment &tried |> ignore
        let hosts = [| for struct (_, host, _) in sendings.Order -> host |]

        [| from .. min among hosts.Length - 1 |]
        |> Array.Parallel.iter (fun place ->
            let ordinal = hosts |> Seq.take place |> Seq.filter ((=) hosts[place]) |> Seq.length
            explore (struct (hosts[place], ordinal) :: lost) (place + 1))

    try
        explore [] 0
    with :? AggregateException as failures ->
        // The first that was found, not the levels at which it was found.
        raise (failures.Flatten().InnerExceptions[0])

    tried

/// What was promised to both applications.
let private allFinished (scenario: Scenario) (outcome: Outcome) =
    let flow = List.head scenario.Flows
    require scenario "L1" (outcome.Streams.Length = 2) $"{outcome.Streams}"

    for app in outcome.World.Apps do
        require scenario "L1" (app.Closed = ValueSome CloseReason.Finished) $"{outcome.Streams}"
        require scenario "S2" app.Ended $"{outcome.Streams}"

    let delivered = outcome.World.Apps |> Seq.sumBy (fun app -> app.Reads.Delivered)
    let written = int64 (flow.Dialler.Bytes + flow.Acceptor.Bytes)
    require scenario "S1" (delivered = written) $"{outcome.Streams}"

// Twelve losses in a row take the time of twelve time-outs.
let private chaos = Time.seconds 100

let private everyLoss name among dialler acceptor =
    [ for dialect in dialects ->
          test
              $"every set of losses among the first {among} datagrams of {name}, %A{dialect}: all arrives, both ends are true, then silence" {
              let exchange = { streamOf chaos dialler acceptor with Dialect = dialect }
              let tried = tryAll among allFinished exchange
              // Without losses some exchanges are shorter than that.
              Expect.isGreaterThan tried (1 <<< (among - 3)) "sets of losses"
              Expect.isLessThanOrEqual tried (1 <<< among) "sets of losses"
          } ]

let private reader bytes = { Scenario.plan bytes with Ending = Ending.FinishLast }

let tests =
    testList
        "every loss"
        [ yield! everyLoss "connect, one byte, close" 12 (Scenario.plan 1) (Scenario.plan 0)
          // S22: an initiator that skipped what it has not seen would lose the first bytes.
          yield! everyLoss "connect, and the acceptor writes first" 9 (reader 0) (Scenario.plan 5_000)
          yield! everyLoss "connect, and both write first" 9 (reader 1) (Scenario.plan 5_000) ]
