/// Meetings at two rendezvous servers at once, over a network that loses datagrams.
module UtpPunch.Sim.Tests.ServerTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// Both peers meet at both servers, each in its own order.
let private run (seed: uint64) isReversed (loss: int) (late: int) : struct (NodeHost * NodeHost) =
    let scenario =
        let plain = PunchScenario.between [ NatOracle.models[0] ] [ NatOracle.models[2] ]
        { plain with Seed = seed; Path = { plain.Path with Loss = Loss.Each loss } }

    let internet =
        Internet(
            scenario.Seed,
            { NetworkConfig.openInternet with Path = scenario.Path },
            Unchecked.defaultof<IInternetWatcher>
        )

    let first = PunchScenario.addServer internet (Keyed.mix (seed + 1UL))
    let second = PunchScenario.addServer internet (Keyed.mix (seed + 4UL))
    let struct (a, b) = PunchScenario.addPeers internet scenario
    a.IsChecked <- seed % 20UL = 0UL

    let meet (host: NodeHost) (servers: RendezvousHost[]) =
        let plan (server: RendezvousHost) = PunchScenario.plan scenario server.Sockets[0] [| host.Socket |]
        host.Tell(internet, Event.Meet(1, plan servers[0]))
        internet.RunUntil(internet.Now + Time.milliseconds late)
        host.Tell(internet, Event.MeetAlso(2, 1, plan servers[1]))

    meet a [| first; second |]
    meet b (if isReversed then [| second; first |] else [| first; second |])
    internet.RunUntil(internet.Now + Time.seconds 60)
    struct (a, b)

let private isOpen (report: PunchReport) = report.Stage = PunchStage.Open

let tests =
    testList
        "several servers"
        [ test "whatever is lost and whatever the order, both peers find one path, and one stream is open" {
              let ends =
                  Array.Parallel.init 1000 (fun index ->
                      run (Keyed.mix (uint64 index)) (index % 2 = 0) (if index % 3 = 0 then 0 else 200) (index % 300))

              for index, struct (a, b) in Array.indexed ends do
                  for host in [ a; b ] do
                      Expect.equal (host.Punched |> Seq.filter isOpen |> Seq.length) 1 $"paths in run {index}"
                      Expect.equal host.Opened 1 $"streams in run {index}"

                      for report in host.Punched do
                          // The other punch, or the other meeting: an application cancels that.
                          if not (isOpen report) then
                              Expect.contains
                                  [ PunchStage.Cancelled; PunchStage.ServerSilent; PunchStage.NoPeer ]
                                  report.Stage
                                  $"the other result in run {index}"
          }
          test "a peer that is at one of the servers only is met there" {
              let internet = Punchers.unwatched 8UL
              let first = PunchScenario.addServer internet 1UL
              let second = PunchScenario.addServer internet 2UL
              let scenario = PunchScenario.between [] []
              let host = PunchScenario.addHost internet internet.Open 6001us 3UL
              let peer = PunchScenario.addHost internet internet.Open 6002us 4UL

              let plan (server: RendezvousHost) (own: NodeHost) =
                  PunchScenario.plan scenario server.Sockets[0] [| own.Socket |]

              host.Tell(internet, Event.Meet(1, plan first host))
              host.Tell(internet, Event.MeetAlso(2, 1, plan second host))
              peer.Tell(internet, Event.Meet(1, plan second peer))
              internet.RunUntil(internet.Now + Time.seconds 5)
              Expect.equal (host.Opened, peer.Opened) (1, 1) "streams"
          }
          test
              "of two peers that come at the same time by different servers, one is met, and the other one goes on waiting" {
              let internet = Punchers.unwatched 9UL
              let servers = [| PunchScenario.addServer internet 1UL; PunchScenario.addServer internet 2UL |]
              let scenario = PunchScenario.between [] []
              let add port seed = PunchScenario.addHost internet internet.Open port seed
              let host = add 6001us 3UL
              let peers = [| add 6002us 4UL; add 6003us 5UL |]
              let plan index (own: NodeHost) = PunchScenario.plan scenario servers[index].Sockets[0] [| own.Socket |]

              for index in 0..1 do
                  peers[index].Tell(internet, Event.Meet(1, plan index peers[index]))

              internet.RunUntil(internet.Now + Time.seconds 2)
              host.Tell(internet, Event.Meet(1, plan 0 host))
              host.Tell(internet, Event.MeetAlso(2, 1, plan 1 host))
              internet.RunUntil(internet.Now + Time.seconds 5)
              Expect.equal host.Opened 1 "streams of the host"
              Expect.equal (peers |> Array.sumBy _.Opened) 1 "streams of the peers"
          } ]
