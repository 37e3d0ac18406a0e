/// What a rendezvous counts of meetings behind NATs, beside what the nodes themselves say.
module UtpPunch.Sim.Tests.ReportTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// Two peers behind one NAT each meet at a server, and tell it the end.
let private meet (seed: uint64) reports a b (loss: int) =
    let scenario = { PunchScenario.between [ a ] [ b ] with Seed = seed }
    let path = { scenario.Path with Loss = Loss.Each loss }

    let internet =
        Internet(seed, { NetworkConfig.openInternet with Path = path }, Unchecked.defaultof<IInternetWatcher>)

    let server = PunchScenario.addServer internet (Keyed.mix (seed + 1UL))
    let struct (a, b) = PunchScenario.addPeers internet scenario

    for host in [ a; b ] do
        let plan = PunchScenario.plan scenario server.Sockets[0] [| host.Socket |]
        host.Tell(internet, Event.Meet(1, { plan with Reports = reports }))

    internet.RunUntil(Time.seconds 90)
    struct (server, [ a; b ])

let private isSequential mapping =
    match mapping with
    | PortPrediction.Dependent step -> PortPrediction.Dependent(min 1 (abs step))
    | other -> other

let tests =
    testList
        "reports of punches"
        [ test
              "behind all pairs of ten NATs, a server counts the outcome, the path and both NATs as each peer sees them" {
              let runs =
                  [| for row, a in Array.indexed NatOracle.models do
                         for column, b in Array.indexed NatOracle.models -> struct (row, column, a, b) |]
                  |> Array.Parallel.map (fun (struct (row, column, a, b)) ->
                      struct (row, column, meet (uint64 (1000 + 100 * row + column)) true a b 0))

              let mutable met = 0

              for struct (row, column, struct (server, hosts)) in runs do
                  let counts = server.Counts

                  // A visitor that has heard nothing returns to the room, and reports each of its punches: the last one is its result.
                  for host in hosts do
                      let own = host.Punched[host.Punched.Count - 1]

                      let told =
                          counts.Reports
                          |> Array.filter (fun it ->
                              it.Stage = own.Stage
                              && (own.Stage <> PunchStage.Open || it.Kind = own.Kind)
                              && it.Mapping = isSequential own.Mapping
                              && it.PeerMapping = isSequential own.PeerMapping
                              // A report has whole milliseconds.
                              && own.Elapsed / 1000L * 1000L <= it.Within)

                      Expect.isNonEmpty told $"{row} and {column}: a report as the node's"

                  let total = counts.Reports |> Array.sumBy _.Count
                  Expect.equal total (2L * counts.Introduced) $"{row} and {column}: reports"
                  Expect.equal counts.Totals.ReportsRefused 0L "refused"

                  met <-
                      met
                      + (counts.Reports
                         |> Array.sumBy (fun it -> if it.Stage = PunchStage.Open then int it.Count else 0))

              Expect.equal met (2 * 67) "reports of a path"
          }
          test "of peers that are at different instances, each instance counts the report of its own" {
              for seed in 1UL .. 20UL do
                  let world = Instances(seed, 2, { MaxDelay = Time.milliseconds 20; Lost = 0 })
                  world.Enter(1, 0) |> ignore
                  world.At(Time.milliseconds 500, (fun () -> world.Enter(1, 1) |> ignore))
                  world.RunUntil(Time.seconds 20)

                  for instance in 0..1 do
                      let counts = Rendezvous.counts (world.ServerOf instance).Value
                      Expect.equal (counts.Reports |> Array.map _.Stage) [| PunchStage.Open |] $"run {seed}, {instance}"
                      Expect.equal (counts.Reports[0].Count) 1L $"run {seed}, {instance}: the count"
                      Expect.equal counts.Totals.ReportsRefused 0L $"run {seed}, {instance}: refused"
          }
          test "without the option nothing is told, and loss loses reports but makes none" {
              let struct (server, _) = meet 1UL false NatOracle.models[0] NatOracle.models[2] 0
              Expect.isEmpty server.Counts.Reports "silent"
              let mutable all = 0L

              for seed in 1UL .. 40UL do
                  let struct (server, _) = meet seed true NatOracle.models[0] NatOracle.models[2] 200
                  let total = server.Counts.Reports |> Array.sumBy _.Count
                  Expect.isLessThanOrEqual total (2L * server.Counts.Introduced) $"run {seed}"
                  all <- all + total

              Expect.isGreaterThan all 40L "most arrive"
          } ]
