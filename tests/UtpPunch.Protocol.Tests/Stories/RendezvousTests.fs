/// What a rendezvous server does for clients that have proved their address, and what it does not do for others.
module UtpPunch.Protocol.Tests.RendezvousTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Protocol.Tests.ScriptedRegistrant

let private fresh options = Rendezvous.create options seed 0L<us>

/// Two registrants of a room, with their cookies, at a server.
let private couple now options =
    let struct (a, server) = obtainCookie now (registrant 1 5) (fresh options)
    let struct (b, server) = obtainCookie now (registrant 2 5) server
    struct (a, b, server)

/// Both register; returns the introduction's nonce.
let private introduced now options =
    let struct (a, b, server) = couple now options
    let struct (server, _) = send now (register a) a server
    let struct (server, sent) = send now (register b) b server

    match introductions (messagesTo a sent), introductions (messagesTo b sent) with
    | [ struct (nonce, toA) ], [ struct (other, toB) ] ->
        Expect.equal nonce other "one nonce"
        Expect.equal (toA, toB) (b.Peer, a.Peer) "each is introduced to the other"
        struct (a, b, nonce, server)
    | other -> failtest $"no introduction of both but %A{other}"

let private bytesOf length = Gen.arrayOfLength length (Gen.map byte (Gen.choose (0, 255)))

/// Datagrams from an address without a cookie of its own: valid otherwise, with some bytes changed, cut or added, and random bytes.
let private foreign =
    gen {
        let stranger = { registrant 77 5 with Remote = Endpoint.ofIPv4 0xCB007101u 9us }
        let! cookie = bytesOf 16
        let! isBlank = Gen.elements [ true; false ]
        let stranger = { stranger with Cookie = if isBlank then noCookie else cookie }

        let! whole =
            Gen.frequency
                [ 4, Gen.constant (register stranger)
                  1, Gen.constant (acknowledge (named 1) 3 stranger)
                  1, Gen.constant (leave stranger)
                  2, Gen.constant (observe stranger)
                  1, Gen.bind (fun length -> Gen.map (Array.append "UPN1"B) (bytesOf length)) (Gen.choose (0, 200))
                  1, Gen.bind bytesOf (Gen.choose (0, 200)) ]

        let! changes = Gen.listOfLength 3 (Gen.zip (Gen.choose (0, 250)) (Gen.choose (0, 255)))
        let! count = Gen.frequency [ 2, Gen.constant 0; 1, Gen.choose (1, 3) ]
        let bytes = Array.copy whole

        for place, value in List.truncate count changes do
            if place < bytes.Length then bytes[place] <- byte value

        let! length = Gen.frequency [ 2, Gen.constant bytes.Length; 1, Gen.choose (0, 220) ]
        return Array.truncate length (padded (min length 220) bytes)
    }

let private sockets count = [| for index in 0 .. count - 1 -> Endpoint.ofIPv4 0x01010101u (uint16 (3000 + index)) |]

let private many = FsCheckConfig.defaultConfig

let tests =
    testList
        "rendezvous"
        [ testPropertyWithConfig
              { many with maxTest = 2000 }
              "an address that is not verified gets no more bytes than it has sent, and registers nothing"
              (fun () ->
                  let arrived = Gen.zip (Gen.nonEmptyListOf foreign) (Gen.choose (1, 4))

                  Prop.forAll (Arb.fromGen arrived) (fun (datagrams, count) ->
                      let mutable server = fresh { options with Sockets = sockets count; RatePerSource = 100_000 }
                      let remote = Endpoint.ofIPv4 0xCB007101u 9us

                      for datagram in datagrams do
                          let struct (next, sent) = step 1L<us> [ struct (remote, datagram) ] server
                          server <- next
                          let length = sent |> Array.sumBy (fun struct (_, answer) -> answer.Length)
                          Expect.isLessThanOrEqual length datagram.Length "bytes"

                          for struct (target, _) in sent do
                              Expect.equal target remote "the target of the answer"

                      Expect.equal (Rendezvous.statistics server).Waiting 0 "registrants"
                      Expect.equal (Rendezvous.deadline server) Time.never "the deadline"))
          test "a hundred thousand addresses without cookies leave no state, and a pair is introduced among them" {
              let struct (a, b, server) = couple 0L<us> options
              let struct (server, _) = send 0L<us> (register a) a server
              let mutable server = server
              let before = GC.GetTotalMemory true

              for index in 1..100_000 do
                  let it = registrant (1000 + index) 5
                  let struct (next, _) = send (Time.microseconds (int64 index)) (register it) it server
                  server <- next

              let grown = GC.GetTotalMemory true - before
              Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants"
              // 65 536 sources are distinguished, each with an entry for its rate.
              Expect.isLessThan grown 24_000_000L "memory"
              let struct (_, sent) = send (Time.milliseconds 90) (register b) b server
              Expect.hasLength (introductions (messagesTo b sent)) 1 "the pair is introduced"
          }
          test "five hundred clients of one address, which renew every 1.5 s, are within the default limits" {
              let share = Rendezvous.standard.MaxPerSource

              let mutable server =
                  fresh { options with MaxPerSource = share; RatePerSource = Rendezvous.standard.RatePerSource }

              let clients =
                  [| for index in 1..share ->
                         let it =
                             { registrant index index with
                                 Remote = Endpoint.ofIPv4 0x0A0A0A0Au (uint16 (1000 + index)) }

                         let at = Time.microseconds (int64 index * 1_500_000L / int64 share)
                         let struct (it, next) = obtainCookie at it server
                         server <- next
                         struct (at, it) |]

              for round in 1..6 do
                  for struct (at, it) in clients do
                      let struct (next, _) = send (at + int64 round * Time.milliseconds 1500) (register it) it server
                      server <- next

              Expect.equal (Rendezvous.statistics server).Dropped 0L "dropped"
              Expect.equal (Rendezvous.statistics server).Waiting share "all wait"
          }
          test "an address with valid cookies can use only its own share; further registrations are refused" {
              let options = { options with MaxPerSource = 20; RatePerSource = 100_000 }
              let mutable server = fresh options
              let mutable full = 0

              for index in 1..500 do
                  let it = { registrant index index with Remote = Endpoint.ofIPv4 0x0A0A0A0Au (uint16 (1000 + index)) }
                  let struct (it, next) = obtainCookie 0L<us> it server
                  let struct (next, sent) = send 0L<us> (register it) it next
                  server <- next

                  match messagesTo it sent with
                  | [ ServerMessage.Full ] -> full <- full + 1
                  | [ ServerMessage.Registered ] -> ()
                  | other -> failtest $"%A{other}"

              Expect.equal (Rendezvous.statistics server).Waiting 20 "its share"
              Expect.equal full 480 "the others"
              let struct (other, next) = obtainCookie 0L<us> (registrant 1 1) server
              let struct (_, sent) = send 0L<us> (register other) other next

              match messagesTo other sent with
              | ServerMessage.Registered :: _ -> ()
              | wrong -> failtest $"another source has its own share: %A{wrong}"
          }
          test "all sources together can register no more than the limit" {
              let mutable server = fresh { options with MaxRegistrations = 50 }

              for index in 1..80 do
                  let struct (it, next) = obtainCookie 0L<us> (registrant index index) server
                  let struct (next, _) = send 0L<us> (register it) it next
                  server <- next

              Expect.equal (Rendezvous.statistics server).Waiting 50 "the cap"
          }
          test "a registration expires after its lifetime unless it is renewed" {
              let struct (a, b, server) = couple 0L<us> options
              let b = { b with Room = named 6 }
              let struct (server, _) = send 0L<us> (register a) a server
              let struct (server, _) = send 0L<us> (register b) b server
              let struct (server, _) = send (Time.seconds 40) (register a) a server
              let struct (server, _) = step (Time.seconds 60) [] server
              Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants after b has expired"
              let struct (server, _) = step (Time.seconds 99) [] server
              Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants: a was renewed"
              let struct (server, _) = step (Time.seconds 100) [] server
              Expect.equal (Rendezvous.statistics server).Waiting 0 "registrants 60 s after the last renewal of a"
              Expect.equal (Rendezvous.deadline server) Time.never "the deadline"
          }
          test "a cookie is valid for one to two minutes, for one address and handle" {
              let struct (a, server) = obtainCookie (Time.seconds 59) (registrant 1 5) (fresh options)

              let isGood now (it: Registrant) =
                  let struct (_, sent) = send now (register it) it server

                  match messagesTo it sent with
                  | [ ServerMessage.Registered ] -> true
                  | [ ServerMessage.Challenge _ ] -> false
                  | other -> failtest $"%A{other}"

              Expect.isTrue (isGood (Time.seconds 119) a) "a minute later"
              Expect.isFalse (isGood (Time.seconds 120) a) "two minutes later"
              Expect.isFalse (isGood (Time.seconds 59) { a with Remote = Endpoint.withPort 4001us a.Remote }) "port"
              Expect.isFalse (isGood (Time.seconds 59) { a with Handle = a.Handle + 1UL }) "handle"
          }
          test "a client that moves to another address is introduced there" {
              let struct (a, b, server) = couple 0L<us> options
              let struct (server, _) = send 0L<us> (register a) a server
              let moved = { a with Remote = Endpoint.ofIPv4 0x0B000001u 5555us; Cookie = noCookie }
              let struct (moved, server) = obtainCookie 1L<us> moved server
              let struct (server, _) = send 1L<us> (register moved) moved server
              // The earlier registration expires: only its own address can end it.
              Expect.equal (Rendezvous.statistics server).Waiting 2 "registrants"
              let struct (_, sent) = send 2L<us> (register b) b server

              match messagesTo b sent with
              | [ ServerMessage.Registered; ServerMessage.Introduce(_, peer, port) ] ->
                  Expect.equal (peer, port) (a.Peer, 5555) "the new port"
              | other -> failtest $"%A{other}"

              Expect.hasLength (introductions (messagesTo moved sent)) 1 "introductions at the new address"
          }
          test
              "an introduction is sent at most six times to a client that does not acknowledge it, and then is forgotten" {
              let struct (a, b, nonce, server) = introduced 0L<us> options
              // a acknowledges the first, b none.
              let struct (server, _) = send 1L<us> (acknowledge nonce 10 a) a server
              let mutable server = server
              let mutable toA, toB = 1, 1

              while (Rendezvous.statistics server).Introductions > 0 do
                  let struct (next, sent) = step (Rendezvous.deadline server) [] server
                  server <- next
                  toA <- toA + List.length (introductions (messagesTo a sent))
                  toB <- toB + List.length (introductions (messagesTo b sent))

              Expect.equal (toA, toB) (1, 6) "introductions sent"
          }
          test
              "when an introduction is over, a client that has not acknowledged it may register again, and one that has may not" {
              let struct (a, b, nonce, server) = introduced 0L<us> options
              let struct (server, _) = send 1L<us> (acknowledge nonce 10 a) a server
              let struct (server, sent) = send (Time.seconds 1) (register b) b server
              Expect.equal (messagesTo b sent |> List.filter _.IsRegistered) [ ServerMessage.Registered ] "under way"
              Expect.equal (Rendezvous.statistics server).Waiting 0 "while it is under way"
              let mutable server = server

              while (Rendezvous.statistics server).Introductions > 0 do
                  let struct (next, _) = step (Rendezvous.deadline server) [] server
                  server <- next

              let struct (server, sent) = send (Time.seconds 8) (register a) a server
              Expect.isEmpty sent "a late registration of the one that has left"
              let struct (server, sent) = send (Time.seconds 8) (register b) b server
              Expect.equal (messagesTo b sent) [ ServerMessage.Registered ] "the one that has not learned of it"
              Expect.equal (Rendezvous.statistics server).Waiting 1 "waits"
          }
          test
              "when both have acknowledged, both begin, and the one with the shorter round trip later by half of the difference" {
              let struct (a, b, nonce, server) = introduced 0L<us> options
              let struct (server, sent) = send 1L<us> (acknowledge nonce 10 a) a server
              Expect.isEmpty sent "before the other has acknowledged"
              let struct (server, sent) = send 2L<us> (acknowledge nonce 110 b) b server

              match messagesTo a sent, messagesTo b sent with
              | [ ServerMessage.Go(_, waitA) ], [ ServerMessage.Go(_, waitB) ] ->
                  Expect.equal (waitA, waitB) (50, 0) "waits"
              | other -> failtest $"%A{other}"

              let stranger = { b with Remote = Endpoint.ofIPv4 9u 9us }
              let struct (_, sent) = send 3L<us> (acknowledge nonce 1 stranger) stranger server
              Expect.isEmpty sent "a cookie from another address changes nothing"
          }
          test "a late registration leaves no registrant to which the next client would be introduced" {
              let struct (a, b, nonce, server) = introduced 0L<us> options
              let struct (server, _) = send 1L<us> (acknowledge nonce 10 a) a server
              let struct (server, _) = send 1L<us> (acknowledge nonce 10 b) b server
              let struct (server, _) = send 2L<us> (register a) a server
              let struct (server, _) = send 2L<us> (register b) b server
              let struct (server, _) = step (Time.seconds 20) [] server
              let struct (server, _) = send (Time.seconds 20) (register a) a server
              Expect.equal (Rendezvous.statistics server).Waiting 0 "registrants"
              let struct (c, server) = obtainCookie (Time.seconds 20) (registrant 3 5) server
              let struct (server, sent) = send (Time.seconds 20) (register c) c server
              Expect.isEmpty (introductions (messagesTo c sent)) "introductions of c"
              Expect.equal (Rendezvous.statistics server).Introduced 1L "one introduction in all"
          }
          test
              "a client that stays is introduced to each further client, and two that stay are not introduced to each other" {
              let struct (host, server) = obtainCookie 0L<us> { registrant 1 5 with Stays = true } (fresh options)
              let struct (server, _) = send 0L<us> (register host) host server
              let struct (other, server) = obtainCookie 0L<us> { registrant 2 5 with Stays = true } server
              let struct (server, sent) = send 0L<us> (register other) other server
              Expect.isEmpty (introductions (messagesTo other sent)) "both stay"
              let struct (server, _) = send 0L<us> (leave other) other server
              let mutable server = server

              for index in 3..12 do
                  let struct (newcomer, next) = obtainCookie 0L<us> (registrant index 5) server
                  let struct (next, sent) = send 0L<us> (register newcomer) newcomer next
                  server <- next
                  Expect.hasLength (introductions (messagesTo newcomer sent)) 1 "introductions at the further client"
                  Expect.hasLength (introductions (messagesTo host sent)) 1 "introductions at the client that stays"

              Expect.equal (Rendezvous.statistics server).Waiting 1 "registrants: the client that stays"
          }
          test "a source is served at its rate, with bursts of twice that, and does not use up another one's" {
              let struct (noisy, quiet, server) = couple 0L<us> { options with RatePerSource = 10 }
              let noisy = { noisy with Room = named 6 }
              let flood = [ for _ in 1..100 -> struct (noisy.Remote, register noisy) ]
              let struct (server, sent) = step 0L<us> flood server
              Expect.hasLength sent 20 "at once"
              let struct (server, sent) = step (Time.milliseconds 500) flood server
              Expect.hasLength sent 5 "in half a second"
              let struct (_, sent) = send (Time.milliseconds 500) (register quiet) quiet server
              Expect.hasLength sent 1 "another source"
          }
          test "with any order and duplication of their messages, two clients are introduced once, and to each other" {
              for index in 1..500 do
                  let struct (a, b, server) = couple 0L<us> { options with RatePerSource = 10_000 }
                  let mutable server = server
                  let draw kind below = Keyed.below below (uint64 index) 1 (int64 kind)
                  let mutable pending = ResizeArray [ struct (a, register a); struct (b, register b) ]
                  let mutable now = 0L<us>
                  let mutable message = 0
                  let peers = ResizeArray<byte[]>()

                  while pending.Count > 0 && message < 200 do
                      let place = draw message pending.Count
                      let struct (who, bytes) = pending[place]
                      // Every third datagram stays in transit, and arrives again.
                      if draw (1000 + message) 3 > 0 then pending.RemoveAt place

                      message <- message + 1
                      now <- now + Time.milliseconds 1
                      let struct (next, sent) = send now bytes who server
                      server <- next

                      for it in [ a; b ] do
                          for struct (nonce, peer) in introductions (messagesTo it sent) do
                              peers.Add peer
                              pending.Add struct (it, acknowledge nonce 1 it)
                              Expect.notEqual peer it.Peer "a peer other than itself"

                  Expect.equal (Rendezvous.statistics server).Introduced 1L $"run {index}"
                  Expect.isNonEmpty peers "introductions"
          } ]
