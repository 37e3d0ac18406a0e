/// Exhaustive losses in small exchanges: each set of losses among the first datagrams, in both directions.
module UtpPunch.Sim.Tests.EveryLoss

open System
open System.Threading
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Worlds

/// Tries each set of losses among the first `among` datagrams in the order of sending, and returns the number of sets. Up to its last
/// loss, a run equals the run without that loss, which shows which host sends each datagram: no set is tried twice.
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
        // The original exception, not those of the levels above it.
        raise (failures.Flatten().InnerExceptions[0])

    tried

/// What both applications must have seen.
let private allFinished (scenario: Scenario) (outcome: Outcome) =
    let flow = List.head scenario.Flows
    require scenario "L1" (outcome.Streams.Length = 2) $"{outcome.Streams}"

    for app in outcome.Applications.All do
        require scenario "L1" (app.Closed = ValueSome CloseReason.Finished) $"{outcome.Streams}"
        require scenario "S2" app.Ended $"{outcome.Streams}"

    let delivered = outcome.Applications.All |> Seq.sumBy (fun app -> app.Reads.Delivered)
    let written = int64 (flow.Dialler.Bytes + flow.Acceptor.Bytes)
    require scenario "S1" (delivered = written) $"{outcome.Streams}"

// Twelve losses in a row take the time of twelve time-outs.
let private chaos = Time.seconds 100

let private everyLoss name among dialler acceptor =
    [ for dialect in dialects ->
          test
              $"every set of losses among the first {among} datagrams of {name}, %A{dialect}: all bytes arrive, both ends are orderly, then nothing is sent" {
              let exchange = { streamOf chaos dialler acceptor with Dialect = dialect }
              let tried = tryAll among allFinished exchange
              // Without losses some exchanges have fewer datagrams than that.
              Expect.isGreaterThan tried (1 <<< (among - 3)) "sets of losses"
              Expect.isLessThanOrEqual tried (1 <<< among) "sets of losses"
          } ]

let private reader bytes = { Scenario.plan bytes with Ending = Ending.FinishLast }

let tests =
    testList
        "every loss"
        [ yield! everyLoss "connect, one byte, close" 12 (Scenario.plan 1) (Scenario.plan 0)
          // S22: an initiator that skips packets which arrive ahead of the SYN-ACK would lose the first bytes.
          yield! everyLoss "connect, and the acceptor writes first" 9 (reader 0) (Scenario.plan 5_000)
          yield! everyLoss "connect, and both write first" 9 (reader 1) (Scenario.plan 5_000) ]
