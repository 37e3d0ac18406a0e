/// What an attacker does to a rendezvous server who forges addresses, registers without limit, or repeats what it has overheard.
module UtpPunch.Protocol.Tests.RendezvousAttacks

open System
open System.Diagnostics
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Protocol.Tests.ScriptedRegistrant

let private fresh options = Rendezvous.create options seed 0L<us>

let private isRegistered (messages: ServerMessage list) =
    match messages with
    | ServerMessage.Registered :: _ -> true
    | _ -> false

/// Obtains a cookie and registers.
let private join now (registrant: Registrant) server : struct (Registrant * Rendezvous * ServerMessage list) =
    let struct (registrant, server) = obtainCookie now registrant server
    let struct (server, sent) = send now (register registrant) registrant server
    struct (registrant, server, messagesTo registrant sent)

let private at address port (registrant: Registrant) = { registrant with Remote = Endpoint.ofIPv4 address port }

let private ipv6 network = Endpoint.ofIPv6 network 1UL 4000us

/// What an attacker that forges the source of `victim` sends: one byte, a registration without a cookie or with a wrong one, a request.
let private forgery (victim: Registrant) index =
    match index % 5 with
    | 0 -> [| 7uy |]
    | 1 -> register { victim with Cookie = noCookie }
    | 2 -> register { victim with Cookie = Array.init 16 (fun place -> Keyed.byteAt (uint64 index) (int64 place)) }
    | 3 -> leave { victim with Cookie = Array.init 16 (fun place -> Keyed.byteAt (uint64 index) (int64 place)) }
    | _ -> observe victim

let private flooding =
    [ for rate in [ 150; 1000; 3000 ] do
          test
              $"with {rate} forged datagrams per second from its address, a client obtains a cookie and registers at once" {
              let mutable server = fresh options
              let mutable answered = 0
              let pause = 1_000_000L / int64 rate

              for second in 1..12 do
                  let victim = registrant second second |> at 0x0A000001u 4000us

                  for index in 1..rate do
                      let now = Time.seconds second + int64 index * pause * 1L<us>
                      let struct (next, _) = send now (forgery victim index) victim server
                      server <- next

                  let now = Time.seconds (second + 1) - 1L<us>
                  let struct (next, sent) = send now (register victim) victim server
                  server <- next

                  match messagesTo victim sent with
                  | [ ServerMessage.Challenge cookie ] ->
                      let victim = { victim with Cookie = cookie }
                      let struct (next, sent) = send now (register victim) victim server
                      server <- next
                      if isRegistered (messagesTo victim sent) then answered <- answered + 1
                  | _ -> ()

              printfn $"A4: {rate} forged datagrams/s: {answered} of 12 registrations"
              Expect.equal answered 12 "registrations"
          }
      test "datagrams with wrong cookies use up nothing of what datagrams with valid ones may" {
          let struct (it, server) =
              obtainCookie 0L<us> (registrant 1 5) (fresh { options with RatePerSource = 10 })

          let flood = [ for index in 1..10_000 -> struct (it.Remote, register { it with Cookie = named index }) ]

          let struct (server, _) = step 0L<us> flood server
          let valid = [ for _ in 1..100 -> struct (it.Remote, register it) ]
          let struct (_, sent) = step 0L<us> valid server
          Expect.hasLength (messagesTo it sent) 20 "answers"
      }
      test
          "the prefixes of an IPv6 network have limits too: four times that of a /64 for a /56, sixteen times for a /48" {
          let options = { options with MaxPerSource = 10; RatePerSource = 10_000 }

          let joined networks =
              let mutable server = fresh options
              let mutable count = 0

              for network in networks do
                  for index in 1..12 do
                      let it =
                          { registrant (index + int network * 100) (index + int network * 100) with
                              Remote = ipv6 (0x20010DB8_0000_0000UL + network) }

                      let struct (_, next, messages) = join 0L<us> it server
                      server <- next
                      if isRegistered messages then count <- count + 1

              count

          Expect.equal (joined [ 0UL ]) 10 "one /64"
          Expect.equal (joined [ 0UL .. 9UL ]) 40 "ten /64 of a /56"
          Expect.equal (joined [ for index in 0UL .. 19UL -> index * 256UL ]) 160 "twenty /56 of a /48"
      } ]

/// The least time of five runs for a number of operations, in microseconds each.
let private microseconds count (operation: int -> unit) =
    let run () =
        let clock = Stopwatch.StartNew()

        for index in 0 .. count - 1 do
            operation index

        clock.Elapsed.TotalMicroseconds / float count

    List.min [ for _ in 1..5 -> run () ]

let private crowded =
    [ test "a datagram takes as long in a room, or for a handle, with 16 000 registrations as with ten" {
          let options = { options with MaxPerSource = 100_000; MaxPerRoom = 100_000; RatePerSource = 1_000_000 }

          let cost (member': int -> Registrant) size =
              let mutable server = fresh options

              let members =
                  [| for index in 1..size ->
                         let struct (it, next, _) = join 0L<us> (member' index) server
                         server <- next
                         it |]

              let renew index =
                  let it = members[index * 7919 % size]
                  let struct (_, _) = send 1L<us> (register it) it server
                  ()

              let struct (visitor, prepared) = obtainCookie 1L<us> (registrant 90_000 5) server

              let visit _ =
                  let struct (met, _) = send 1L<us> (register visitor) visitor prepared
                  send 2L<us> (leave visitor) visitor met |> ignore

              renew 0
              struct (microseconds 400 renew, microseconds 400 visit)

          let staying index = { registrant index 5 with Stays = true }
          let oneHandle index = { registrant index (index + 10) with Handle = 99UL }
          let oneHandleAndRoom index = { registrant index 5 with Handle = 99UL; Stays = true }

          for name, member' in [ "one room", staying; "one handle", oneHandle; "both", oneHandleAndRoom ] do
              let costs = [ for size in [ 10; 1000; 16_000 ] -> cost member' size ]
              let renewals = costs |> List.map (fun (struct (renewal, _)) -> renewal)
              let visits = costs |> List.map (fun (struct (_, visit)) -> visit)
              printfn $"A5: {name}: renewals %A{renewals} us, visits %A{visits} us"
              // Deeper tries and colder caches: a small factor, where a list was a thousand times as slow.
              Expect.isLessThan renewals[2] (6.0 * renewals[0] + 20.0) $"renewals in {name}"
              Expect.isLessThan visits[2] (6.0 * visits[0] + 20.0) $"visits in {name}"
      }
      test "64 visitors may wait in a room, 8 of one address; the next one is told that the server is full" {
          // Of one peer: the server introduces none of them.
          let visitor index = { registrant index 5 with Peer = named 1 }

          let registered (visitors: Registrant list) =
              let mutable server = fresh options

              let results =
                  [ for visitor in visitors do
                        let struct (_, next, messages) = join 0L<us> visitor server
                        server <- next

                        match messages with
                        | [ ServerMessage.Full ] -> false
                        | [ ServerMessage.Registered ] -> true
                        | other -> failtest $"%A{other}" ]

              let count = results |> List.filter id |> List.length
              Expect.equal (Rendezvous.statistics server).Waiting count "registrants"
              Expect.isTrue (results |> List.take count |> List.forall id) "the first ones"
              count

          Expect.equal (registered [ for index in 1..100 -> visitor index ]) 64 "of many addresses"
          Expect.equal (registered [ for index in 1..100 -> visitor index |> at 0x0A000001u (uint16 index) ]) 8 "of one"
      }
      test "a thousand clients in the room of one that stays are each introduced to it" {
          let struct (service, server, _) = join 0L<us> { registrant 1 5 with Stays = true } (fresh options)
          let mutable server = server
          let mutable count = 0

          for index in 2..1001 do
              let struct (_, next, messages) = join 0L<us> (registrant index 5) server
              server <- next

              match introductions messages with
              | [ struct (_, peer) ] when peer = service.Peer -> count <- count + 1
              | _ -> ()

          Expect.equal count 1000 "introductions"
      }
      test "registrations that have left leave no state but rate limits" {
          let mutable server = fresh options

          for index in 1..20_000 do
              let now = Time.milliseconds index
              let it = { registrant index (index % 50) with Peer = named 1; Stays = index % 2 = 0 }
              let struct (it, next, _) = join now it server
              let struct (next, _) = send now (leave it) it next
              server <- next

          let struct (after, _) = step (Time.seconds 100) [] server
          Expect.equal (Rendezvous.statistics after).Waiting 0 "registrants"
          Expect.equal (Rendezvous.deadline after) Time.never "the deadline"
          let counts = [ Radix.count after.Registrants; Radix.count after.Handles; Radix.count after.Rooms ]
          Expect.equal (counts @ [ Radix.count after.Counts ]) [ 0; 0; 0; 0 ] "entries"
      }
      test
          "a client that registers and leaves many times leaves no timers, and what waits is still pinged and forgotten" {
          let struct (service, server, _) = join 0L<us> { registrant 1 5 with Stays = true } (fresh options)
          let struct (it, server) = obtainCookie 0L<us> (registrant 2 6) server
          let mutable server = server
          let mutable most = 0

          for index in 1..20_000 do
              let now = Time.milliseconds (4 * index)

              if index % 5000 = 0 then
                  server <- (let struct (next, _) = send now (register service) service server in next)

              let struct (next, _) = send now (register it) it server
              let struct (next, _) = send now (leave it) it next
              server <- next
              most <- max most (TimerQueue.count server.TimerQueue)

          Expect.isLessThanOrEqual most 70 "timers"
          Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants"
          // The first visitor for a minute: the service is asked whether it is there.
          let struct (_, _, messages) = join (Time.milliseconds 90_000) (registrant 3 5) server
          Expect.isEmpty (introductions messages) "introductions to one that was not heard lately"
          let struct (after, _) = step (Time.seconds 200) [] server
          Expect.equal (Rendezvous.statistics after).Waiting 0 "registrants that have expired"
      }
      test "numbers of registrations do not run out" {
          let struct (service, server, _) = join 0L<us> { registrant 1 5 with Stays = true } (fresh options)
          server.Next <- Int32.MaxValue - 10
          let mutable server = server

          for index in 2..40 do
              let struct (_, next, messages) = join 0L<us> (registrant index 5) server
              server <- next
              Expect.hasLength (introductions messages) 1 "introductions"

          Expect.equal (Rendezvous.statistics server).Introduced 39L "introductions"
          let struct (server, _) = send 1L<us> (leave service) service server
          Expect.equal (Rendezvous.statistics server).Waiting 0 "registrants"
      }
      test "a registration that claims an offer of 65 535 bytes costs no more than another one" {
          let whole = register (registrant 1 5)
          let lying = Array.copy whole
          lying[63] <- 255uy
          lying[64] <- 255uy
          let cost bytes = microseconds 20_000 (fun _ -> PunchWire.decode (Borrowed bytes) |> ignore)
          let struct (honest, claimed) = struct (cost whole, cost lying)
          printfn $"A16: decoding {honest:F2} us, with 65 535 bytes claimed {claimed:F2} us"
          Expect.isTrue (PunchWire.decode (Borrowed lying)).IsNone "it is not a message"
          Expect.isLessThan claimed (3.0 * honest + 1.0) "its time"
      } ]

let private overheard =
    [ test
          "what an attacker sends from its own address, with the handle and the room of a client, changes nothing for the client" {
          let struct (a, server, _) = join 0L<us> (registrant 1 5) (fresh options)
          let attacker = { a with Remote = Endpoint.ofIPv4 0xCB007101u 666us; Cookie = noCookie }

          // The cookie of the client, and then one of its own.
          let struct (server, sent) = step 1L<us> [ struct (attacker.Remote, leave a) ] server
          Expect.isEmpty sent "a replayed departure"
          Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants after a replayed departure"
          let struct (attacker, server) = obtainCookie 1L<us> attacker server
          let struct (server, _) = send 1L<us> (leave attacker) attacker server
          Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants after a departure from elsewhere"
          let struct (b, server) = obtainCookie 2L<us> (registrant 2 5) server
          let struct (server, sent) = send 2L<us> (register b) b server

          match introductions (messagesTo a sent) with
          | [ struct (nonce, _) ] ->
              let struct (server, sent) = send 3L<us> (acknowledge nonce 1 attacker) attacker server
              Expect.isEmpty sent "an acknowledgement from elsewhere"
              let struct (server, _) = send 3L<us> (acknowledge nonce 1 b) b server
              let struct (_, sent) = send 4L<us> (acknowledge nonce 1 a) a server
              Expect.hasLength sent 2 "both begin"
          | other -> failtest $"%A{other}"
      }
      test "a registration that is replayed from another address does not take the place of the client's" {
          let struct (a, server, _) = join 0L<us> (registrant 1 5) (fresh options)
          let attacker = { a with Remote = Endpoint.ofIPv4 0xCB007101u 666us; Cookie = noCookie }
          let struct (attacker, server, _) = join 1L<us> attacker server
          let struct (b, server, first) = join 2L<us> (registrant 2 5) server
          Expect.hasLength (introductions first) 1 "the latest registration is the attacker's"
          // b has punched in vain.
          let struct (_, sent) = send 3L<us> (registerAvoiding [ attacker.Remote ] b) b server
          Expect.hasLength (introductions (messagesTo b sent)) 1 "the next introduction"
          Expect.hasLength (introductions (messagesTo a sent)) 1 "is to the client"
      }
      test "a client that returns is not introduced to what it avoids, nor to what avoids it" {
          let struct (a, b) = struct (registrant 1 5, registrant 2 5)
          let struct (a, server, _) = join 0L<us> a (fresh options)
          let struct (b, server, _) = join 0L<us> b server
          // Repetitions of the first registration change nothing.
          let struct (server, _) = send 1L<us> (register a) a server
          Expect.equal (Rendezvous.statistics server).Waiting 0 "registrants after the introduction"

          for avoided in [ b.Remote; Endpoint.withPort 0us b.Remote ] do
              let struct (server, sent) = send 2L<us> (registerAvoiding [ avoided ] a) a server
              Expect.isTrue (isRegistered (messagesTo a sent)) "the client has returned"
              Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants after the return"
              let struct (server, sent) = send 3L<us> (registerAvoiding [ Endpoint.nowhere ] b) b server
              Expect.isEmpty (introductions (messagesTo b sent)) "the peer that is avoided"
              let struct (_, server, messages) = join 4L<us> (registrant 3 5) server
              Expect.hasLength (introductions messages) 1 "another peer"
              Expect.equal (Rendezvous.statistics server).Waiting 1 "one of the two is left"
      }
      test "the room of one that stays admits clients although hundreds wait that avoid it" {
          let struct (service, server, _) = join 0L<us> { registrant 1 5 with Stays = true } (fresh options)
          let mutable server = server

          for index in 2..500 do
              let struct (it, next) = obtainCookie 0L<us> { registrant index 5 with Peer = named 1 } server
              let struct (next, _) = send 0L<us> (registerAvoiding [ service.Remote ] it) it next
              server <- next

          Expect.equal (Rendezvous.statistics server).Waiting 500 "registrants"
          let struct (_, _, messages) = join 0L<us> (registrant 1000 5) server
          Expect.hasLength (introductions messages) 1 "introductions"
      } ]

let tests = testList "attacks on the rendezvous" (flooding @ crowded @ overheard)
