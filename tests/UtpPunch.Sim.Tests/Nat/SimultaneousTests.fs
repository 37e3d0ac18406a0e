/// Streams that both peers open at the same time (BEP 55), behind NATs. What a common peer would tell them, a STUN server does.
module UtpPunch.Sim.Tests.SimultaneousTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

[<NoComparison>]
type private Attempt =
    {
        Scenario: PunchScenario
        /// How much later B begins.
        Late: Duration
        ListensA: bool
        ListensB: bool
        Hops: int
    }

let private between (a: NatModel list) (b: NatModel list) : Attempt =
    { Scenario = PunchScenario.between a b
      Late = 0L<us>
      ListensA = false
      ListensB = false
      Hops = 4 }

let private timeout = Time.seconds 10

let private run (attempt: Attempt) : struct (NodeHost * NodeHost) =
    let scenario = attempt.Scenario

    let internet =
        Internet(
            scenario.Seed,
            { NetworkConfig.openInternet with Path = scenario.Path },
            Unchecked.defaultof<IInternetWatcher>
        )

    let server = PunchScenario.addServer internet (Keyed.mix (scenario.Seed + 1UL))
    let struct (a, b) = PunchScenario.addPeers internet scenario
    a.IsChecked <- scenario.Seed % 5UL = 0UL

    for host, listens in [ a, attempt.ListensA; b, attempt.ListensB ] do
        host.Tell(internet, Event.Discover(10, { StunClient.standard [| server.Sockets[0] |] with Behaviour = false }))
        if listens then host.Tell(internet, Event.Listen 10)

    internet.RunUntil(internet.Now + Time.seconds 6)

    if a.Mapped.Count > 0 && b.Mapped.Count > 0 then
        let dial (host: NodeHost) (peer: NodeHost) =
            host.Tell(internet, Event.ConnectSimultaneously(1000, peer.Mapped[0], timeout, attempt.Hops))

        dial a b
        internet.RunUntil(internet.Now + attempt.Late)
        dial b a

    internet.RunUntil(internet.Now + Time.seconds 20)
    struct (a, b)

/// Whether each side has one stream, and it is the same.
let private isOne (a: NodeHost) (b: NodeHost) =
    let isFrom (dialler: NodeHost) (other: NodeHost) =
        dialler.OpenedIds.Count = 1
        && dialler.Accepted.Count = 0
        && other.OpenedIds.Count = 0
        && other.Accepted.Count = 1
        && (let struct (_, id, isAwaited) = other.Accepted[0] in isAwaited && id = dialler.OpenedIds[0] + 1us)

    isFrom a b || isFrom b a

/// No more than that, whatever was lost.
let private isAtMostOne (host: NodeHost) = host.OpenedIds.Count + host.Accepted.Count <= 1

let tests =
    testList
        "simultaneous"
        [ test "behind NATs that map independently of the endpoint, both sides have one stream, the same" {
              for a in 0..4 do
                  for b in 0..4 do
                      for late in [ 0; 30; 90; 200; 400 ] do
                          let attempt =
                              { between [ NatOracle.models[a] ] [ NatOracle.models[b] ] with
                                  Late = Time.milliseconds late }

                          let seed = uint64 (100 * a + 10 * b + late)

                          let struct (one, other) =
                              run { attempt with Scenario = { attempt.Scenario with Seed = seed } }

                          // With a collision at B's NAT (1), A's second SYN must not come first.
                          if b <> 1 || late <= 90 then
                              Expect.isTrue (isOne one other) $"{a} and {b}, {late} ms late"
          }
          test "over 1000 attempts with 20 % loss, no side has two streams, and those of both are the same" {
              let ends =
                  Array.Parallel.init 1000 (fun index ->
                      let attempt = between [ NatOracle.models[0] ] [ NatOracle.models[2] ]

                      let scenario =
                          { attempt.Scenario with
                              Seed = Keyed.mix (uint64 index)
                              Path = { attempt.Scenario.Path with Loss = Loss.Each 200 } }

                      run { attempt with Scenario = scenario; Late = Time.milliseconds (index % 500) })

              // A discovery may fail, too; then nothing is dialled. The peer's stream may open before an own second SYN has left.
              let dialled = ends |> Array.filter (fun struct (a, b) -> a.SynIds.Count > 0 && b.SynIds.Count > 0)
              let met = dialled |> Array.filter (fun struct (a, b) -> isOne a b)
              printfn $"{met.Length} of {dialled.Length} have one stream"

              for struct (a, b) in ends do
                  Expect.isTrue (isAtMostOne a && isAtMostOne b) "at most one stream"

              Expect.isGreaterThan dialled.Length 800 "attempts"
              Expect.isGreaterThan met.Length (dialled.Length - 3) "streams"
          }
          test "a node that listens gets both streams, and closes none" {
              let struct (a, b) = run { between [] [] with ListensA = true; ListensB = true }

              for host in [ a; b ] do
                  Expect.equal host.OpenedIds.Count 1 "opened"
                  Expect.equal host.Accepted.Count 1 "accepted"
                  Expect.equal host.Closed 0 "closed"
          }
          test "a peer that begins a second late refuses nothing, and an absent one is a time-out" {
              let struct (a, b) = run { between [] [] with Late = Time.seconds 2 }
              Expect.isTrue (isOne a b) "one stream"
              Expect.equal (a.Reasons.Count + b.Reasons.Count) 1 "the other one was closed"
              let struct (a, _) = run { between [] [] with Late = Time.seconds 15 }
              Expect.equal (List.ofSeq a.Reasons) [ CloseReason.ConnectTimeout ] "how it ended"
          }
          test "a stranger's SYN is not accepted while a peer is dialled" {
              let internet = Punchers.unwatched 3UL
              let host = PunchScenario.addHost internet internet.Open 6001us 2UL
              let stranger = PunchScenario.addHost internet internet.Open 6002us 3UL
              let absent = internet.Open.NewAddress() |> Endpoint.withPort 6003us
              host.Tell(internet, Event.ConnectSimultaneously(1000, absent, timeout, 64))
              stranger.Tell(internet, Event.Connect(1000, host.Socket, Dialect.Bep29, timeout))
              internet.RunUntil(internet.Now + Time.seconds 15)
              Expect.equal host.Accepted.Count 0 "accepted"
              Expect.equal (List.ofSeq stranger.Reasons) [ CloseReason.Refused ] "the stranger"
          } ]
