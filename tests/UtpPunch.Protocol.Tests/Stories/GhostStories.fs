/// Clients that were killed, or have lost their network, and are still registered: no client is introduced to them.
module UtpPunch.Protocol.Tests.GhostStories

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedRegistrant

let private isIntroduced registrant sent = not (introductions (messagesTo registrant sent)).IsEmpty
let private isPinged registrant sent = List.contains ServerMessage.Ping (messagesTo registrant sent)

/// Registers at an instant; what the server sends then.
let private enter now registrant server =
    let struct (registrant, server) = obtainCookie now registrant server
    let struct (server, sent) = send now (register registrant) registrant server
    struct (registrant, server, sent)

/// Lets the server act until an instant; all that it sends.
let private passTo until server =
    let mutable server = server
    let sent = ResizeArray()

    while Rendezvous.deadline server <= until do
        let struct (next, more) = step (Rendezvous.deadline server) [] server
        server <- next
        sent.AddRange more

    struct (server, sent.ToArray())

let private usual = { options with RatePerSource = 10_000 }

let tests =
    testList
        "ghosts"
        [ test "twenty clients were killed: two that come later meet at once, and the twenty are forgotten" {
              let mutable server = Rendezvous.create usual seed 0L<us>

              // Services of one room are not introduced to each other: all of them wait, and are heard no more.
              for index in 1..20 do
                  let struct (_, next, _) = enter 0L<us> { registrant index 5 with Stays = true } server
                  server <- next

              let struct (later, _) = passTo (Time.seconds 10) server
              let struct (a, entered, sent) = enter (Time.seconds 10) (registrant 101 5) later
              Expect.isFalse (isIntroduced a sent) "no client is there"
              let struct (entered, _) = passTo (Time.seconds 10 + Time.milliseconds 20) entered
              let soon = Time.seconds 10 + Time.milliseconds 90
              let struct (b, _, sent) = enter soon (registrant 102 5) entered
              Expect.isTrue (isIntroduced b sent) "b meets a"
              Expect.isTrue (isIntroduced a sent) "a meets b"
              let struct (left, _) = passTo (Time.seconds 14) entered

              Expect.isLessThanOrEqual
                  (Rendezvous.statistics left).Waiting
                  5
                  "the sixteen that were asked are forgotten"
          }
          test "a client that was not heard lately is asked, and meets the other one as soon as it answers" {
              let struct (a, server, _) = enter 0L<us> (registrant 1 5) (Rendezvous.create usual seed 0L<us>)
              let struct (b, server, sent) = enter (Time.seconds 5) (registrant 2 5) server
              Expect.isTrue (isPinged a sent) "a is asked"
              Expect.isFalse (isIntroduced b sent) "b waits for that"
              let answeredAt = Time.seconds 5 + Time.milliseconds 40
              let struct (_, sent) = send answeredAt (register a) a server
              Expect.isTrue (isIntroduced a sent) "a meets b"
              Expect.isTrue (isIntroduced b sent) "b meets a"
          }
          test "clients meet although an answer takes two seconds" {
              let roundTrip = Time.seconds 2
              let struct (a, server, _) = enter 0L<us> (registrant 1 5) (Rendezvous.create usual seed 0L<us>)
              let struct (b, server, sent) = enter (Time.seconds 5) (registrant 2 5) server
              Expect.isTrue (isPinged a sent) "a is asked"
              let struct (server, _) = passTo (Time.seconds 5 + roundTrip) server
              let struct (_, sent) = send (Time.seconds 5 + roundTrip) (register a) a server
              Expect.isTrue (isIntroduced a sent) "b has waited for that"
              Expect.isTrue (isIntroduced b sent) "b meets a"
          }
          test "an answer after the last ping meets all the same; three pings and no more are sent for it" {
              let struct (a, server, _) = enter 0L<us> (registrant 1 5) (Rendezvous.create usual seed 0L<us>)
              let struct (b, server, first) = enter (Time.seconds 5) (registrant 2 5) server
              let struct (server, more) = passTo (Time.seconds 9) server
              let pings = Array.append first more |> messagesTo a |> List.filter ((=) ServerMessage.Ping)
              Expect.equal pings.Length 3 "pings"
              // It is registered anew, so b, who was not heard for a second, is asked.
              let struct (server, sent) = send (Time.seconds 9) (register a) a server
              Expect.isTrue (isPinged b sent) "b is asked"
              let struct (_, sent) = send (Time.seconds 9 + Time.milliseconds 30) (register b) b server
              Expect.isTrue (isIntroduced a sent) "a meets b"
          }
          test "a service that was killed is forgotten, and the one that is there serves" {
              let staying index = { registrant index 5 with Stays = true }
              let struct (_, server, _) = enter 0L<us> (staying 1) (Rendezvous.create usual seed 0L<us>)
              let struct (alive, server, _) = enter (Time.seconds 10 - Time.milliseconds 50) (staying 2) server
              let struct (visitor, server, sent) = enter (Time.seconds 10) (registrant 3 5) server
              Expect.isTrue (isIntroduced visitor sent) "by the one that was heard"
              Expect.isTrue (isIntroduced alive sent) "which serves"
              ignore server
          } ]
