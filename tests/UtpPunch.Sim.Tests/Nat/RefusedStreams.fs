/// Listeners whose application decides about peers, and streams over a path that a meeting has found.
module UtpPunch.Sim.Tests.RefusedStreams

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

/// Two peers that have met and listen: the one that has dialled the stream of the meeting, and the other.
let private met admits : struct (Internet * NodeHost * NodeHost) =
    let internet = Punchers.unwatched 11UL
    let server = PunchScenario.addServer internet 1UL
    let a = PunchScenario.addHost internet internet.Open 6001us 2UL
    let b = PunchScenario.addHost internet internet.Open 7002us 3UL

    for host in [ a; b ] do
        host.Admits <- admits
        host.Tell(internet, Event.ListenSelectively 10)

    let outcome = PunchScenario.meet internet server (PunchScenario.between [] []) a b
    Expect.isTrue outcome.IsUsable "the stream of the meeting"
    if a.Accepted.Count = 0 then struct (internet, a, b) else struct (internet, b, a)

/// The first peer dials once more, with a time-out of 10 s.
let private dialAgain (internet: Internet) (dialler: NodeHost) =
    dialler.Tell(internet, Event.Connect(5000, dialler.Punched[0].Remote, Dialect.Bep29, Time.seconds 10))
    internet.RunUntil(internet.Now + Time.milliseconds 800)

let tests =
    testList
        "refused streams"
        [ test "the stream of a meeting is not asked about, and a further one that is admitted opens" {
              let struct (internet, dialler, other) = met true
              Expect.equal (dialler.Asked + other.Asked) 0 "questions"
              dialAgain internet dialler
              Expect.equal other.Asked 1 "questions"
              Expect.equal other.Accepted.Count 2 "accepted streams"
              Expect.equal dialler.OpenedIds.Count 2 "opened streams"
          }
          test "a further stream that is refused ends at once: the RESET has the key of the meeting" {
              let struct (internet, dialler, other) = met false
              dialAgain internet dialler
              Expect.equal other.Asked 1 "questions"
              Expect.equal other.Accepted.Count 1 "accepted streams"
              Expect.equal (List.ofSeq dialler.Reasons) [ CloseReason.Refused ] "the reason"
          }
          test "without the key of the meeting a RESET does not end the dial" {
              // A node that was started again at the same address does not know the key, and does not listen.
              let struct (internet, dialler, other) = met false
              let address = Endpoint.withPort 0us other.Socket
              internet.Move(other, internet.Isolated(NetworkConfig.home 9), [| address |])
              let fresh = NodeHost(other.Socket, 99UL)
              internet.AddHost(internet.Open, [| address |], fresh)
              dialAgain internet dialler
              Expect.isEmpty dialler.Reasons "reasons"
          } ]
