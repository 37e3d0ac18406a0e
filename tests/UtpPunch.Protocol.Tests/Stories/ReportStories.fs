/// What clients tell a rendezvous of their punches, and what it counts.
module UtpPunch.Protocol.Tests.ReportStories

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedRegistrant

let private fresh options = Rendezvous.create options seed 0L<us>

/// Two clients of a room that were introduced, and the nonce.
let private introduced options =
    let struct (a, server) = obtainCookie 0L<us> (registrant 1 5) (fresh options)
    let struct (b, server) = obtainCookie 0L<us> (registrant 2 5) server
    let struct (server, _) = send 0L<us> (register a) a server
    let struct (server, sent) = send 0L<us> (register b) b server

    match introductions (messagesTo a sent) with
    | [ struct (nonce, _) ] ->
        // Nothing of the introduction is sent later.
        let struct (server, _) = send 0L<us> (acknowledge nonce 1 a) a server
        let struct (server, _) = send 0L<us> (acknowledge nonce 1 b) b server
        struct (a, b, nonce, server)
    | other -> failtest $"one introduction was expected, not %A{other}"

/// Nothing heard after 700 ms, behind a NAT with random ports; that of the peer takes ports in sequence.
let private failure = [| 1uy; 0uy; 3uy; 2uy |]
/// A path to the observed endpoint after 180 ms; both NATs are endpoint-independent.
let private success = [| 0uy; 1uy; 1uy; 1uy |]

let private counted (server: Rendezvous) = (Rendezvous.counts server).Reports |> Array.sumBy _.Count
let private refused (server: Rendezvous) = (Rendezvous.counts server).Totals.ReportsRefused

let private after (now: Duration) bytes (registrant: Registrant) (server: Rendezvous) =
    let struct (server, sent) = send now bytes registrant server
    Expect.isEmpty (messagesTo registrant sent) "a report has no answer"
    server

let tests =
    testList
        "reports"
        [ test "each of two introduced clients reports once, and the server counts what they say" {
              let struct (a, b, nonce, server) = introduced options

              let server =
                  server
                  |> after (Time.seconds 1) (report nonce success 180 a) a
                  |> after (Time.seconds 2) (report nonce failure 700 b) b
                  |> after (Time.seconds 2) (report nonce failure 700 b) b
                  |> after (Time.seconds 2) (report nonce success 1 a) a

              let told = (Rendezvous.counts server).Reports |> Array.sortBy _.Within

              Expect.equal
                  told
                  [| { Stage = PunchStage.Open
                       Kind = PathKind.Observed
                       Mapping = PortPrediction.EndpointIndependent
                       PeerMapping = PortPrediction.EndpointIndependent
                       Within = Time.milliseconds 200
                       Count = 1L }
                     { Stage = PunchStage.NothingHeard
                       Kind = PathKind.Host
                       Mapping = PortPrediction.Dependent 0
                       PeerMapping = PortPrediction.Dependent 1
                       Within = Time.milliseconds 1000
                       Count = 1L } |]
                  "reports"

              Expect.equal (refused server) 2L "repetitions"
          }
          test "a report of another address, handle or introduction, without a cookie or too late counts nothing" {
              let struct (a, b, nonce, server) = introduced options
              let struct (stranger, server) = obtainCookie 0L<us> (registrant 3 5) server
              let moved = { a with Remote = Endpoint.ofIPv4 0x0B000001u 4000us }
              let struct (moved, server) = obtainCookie 0L<us> moved server
              let other = Array.map (fun value -> value ^^^ 1uy) nonce
              let now = Time.seconds 1

              let server =
                  server
                  |> after now (report nonce success 180 stranger) stranger
                  |> after now (report nonce success 180 moved) moved
                  |> after now (report other success 180 a) a

              Expect.equal (struct (counted server, refused server)) (struct (0L, 3L)) "known cookies"
              let dropped = (Rendezvous.statistics server).Dropped

              let server =
                  server
                  |> after now (report nonce success 180 { a with Cookie = noCookie }) a
                  |> after now (report nonce success 180 { a with Cookie = named 1 }) a

              Expect.equal (Rendezvous.statistics server).Dropped (dropped + 2L) "no cookie, and a wrong one"
              let server = after (Time.seconds 30) (report nonce success 180 b) b server
              Expect.equal (counted server) 0L "too late"
          }
          test "a report with an unknown value, or a part of one, is not valid" {
              let struct (a, _, nonce, server) = introduced options
              let whole = report nonce success 180 a

              let wrong =
                  [ for place in 0..3 ->
                        report nonce (Array.mapi (fun at it -> if at = place then 9uy else it) success) 1 a
                    for length in 13 .. whole.Length - 1 -> Array.truncate length whole ]

              let server = (server, wrong) ||> List.fold (fun server bytes -> after (Time.seconds 1) bytes a server)

              Expect.equal (counted server) 0L "reports"
              Expect.equal (Rendezvous.counts server).Totals.Invalid (int64 wrong.Length) "not valid"
          }
          test
              "a client forges no more reports than it has introductions, and the server keeps as many as registrations" {
              let options = { options with MaxRegistrations = 40; MaxPerSource = 1000; RatePerSource = 100_000 }
              let mutable server = fresh options
              let mutable taken = 0L

              for index in 1..100 do
                  let struct (a, next) = obtainCookie 0L<us> (registrant (2 * index) index) server
                  let struct (b, next) = obtainCookie 0L<us> (registrant (2 * index + 1) index) next
                  let struct (next, _) = send 0L<us> (register a) a next
                  let struct (next, sent) = send 0L<us> (register b) b next
                  server <- next

                  for struct (nonce, _) in introductions (messagesTo b sent) do
                      let struct (next, _) =
                          step 0L<us> [ for _ in 1..50 -> struct (b.Remote, report nonce success 1 b) ] server

                      taken <- taken + 1L
                      server <- next

                  for it in [ a; b ] do
                      let struct (next, _) = send 0L<us> (leave it) it server
                      server <- next

              Expect.equal taken 100L "introductions"
              Expect.equal (counted server) 40L "reports"
              Expect.equal (refused server) (100L * 50L - 40L) "refused"
          }
          test "the counts tell rooms, members, renewals and refusals apart" {
              let options = { options with MaxPerRoom = 1; MaxRegistrations = 3; MaxPerSource = 2 }
              let mutable server = fresh options

              let join (it: Registrant) =
                  let struct (it, next) = obtainCookie 0L<us> it server
                  let struct (next, _) = send 0L<us> (register it) it next
                  server <- next
                  it

              let first = join { registrant 1 1 with Stays = true }
              join { registrant 2 1 with Stays = true } |> ignore
              join (registrant 3 2) |> ignore
              join { registrant 4 3 with Remote = first.Remote } |> ignore
              join { registrant 5 4 with Remote = first.Remote } |> ignore
              let struct (next, _) = send 0L<us> (register first) first server
              server <- next
              let counts = Rendezvous.counts server
              Expect.equal (struct (counts.Rooms, counts.Waiting, counts.Staying)) (struct (3, 3, 1)) "rooms"
              Expect.equal counts.Registrations 3 "registrations"
              let totals = counts.Totals

              Expect.equal
                  (struct (totals.Registered, totals.Renewed, totals.Challenged))
                  (struct (3L, 1L, 5L))
                  "clients"

              Expect.equal
                  (struct (totals.RoomFull, totals.ServerFull, totals.SourceFull))
                  (struct (1L, 1L, 0L))
                  "refused"

              match Rendezvous.rooms 2 8 server with
              | [| one; two |] ->
                  Expect.equal (one.Visitors + one.Staying, two.Visitors + two.Staying) (1, 1) "members"
                  Expect.hasLength one.Members 1 "addresses"
              | other -> failtest $"two rooms were expected, not {other.Length}"
          } ]
