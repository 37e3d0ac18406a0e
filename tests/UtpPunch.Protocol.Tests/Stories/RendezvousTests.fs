/// What a rendezvous server does for those who prove their address, and what it does not do for anybody else.
module UtpPunch.Protocol.Tests.RendezvousTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Protocol.Tests.Guest

let private fresh options = Rendezvous.create options seed 0L<us>

/// Two guests of a room, with their cookies, at a server.
let private couple now options =
    let struct (a, server) = knock now (guest 1 5) (fresh options)
    let struct (b, server) = knock now (guest 2 5) server
    struct (a, b, server)

/// Both register; the introduction's nonce.
let private introduced now options =
    let struct (a, b, server) = couple now options
    let struct (server, _) = say now (register a) a server
    let struct (server, sent) = say now (register b) b server

    match introductions (heard a sent), introductions (heard b sent) with
    | [ struct (nonce, toA) ], [ struct (other, toB) ] ->
        Expect.equal nonce other "one nonce"
        Expect.equal (toA, toB) (b.Peer, a.Peer) "each hears of the other"
        struct (a, b, nonce, server)
    | other -> failtest $"no introduction of both but %A{other}"

let private bytesOf length = Gen.arrayOfLength length (Gen.map byte (Gen.choose (0, 255)))

/// From an address that has no cookie of its own: what is all right but for that, with some bytes changed, cut or added, and noise.
let private foreign =
    gen {
        let stranger = { guest 77 5 with Remote = Endpoint.ofIPv4 0xCB007101u 9us }
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
              "whoever has not proved its address gets no more bytes than came from it, and makes nothing wait"
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
                              Expect.equal target remote "to nobody else"

                      Expect.equal (Rendezvous.statistics server).Waiting 0 "nobody waits"
                      Expect.equal (Rendezvous.deadline server) Time.never "nothing is to do"))
          test "a hundred thousand addresses without cookies leave nothing behind, and a pair meets among them" {
              let struct (a, b, server) = couple 0L<us> options
              let struct (server, _) = say 0L<us> (register a) a server
              let mutable server = server
              let before = GC.GetTotalMemory true

              for index in 1..100_000 do
                  let it = guest (1000 + index) 5
                  let struct (next, _) = say (Time.microseconds (int64 index)) (register it) it server
                  server <- next

              let grown = GC.GetTotalMemory true - before
              Expect.equal (Rendezvous.statistics server).Waiting 1 "who waits"
              // 65 536 sources are told apart, each with a place for its rate.
              Expect.isLessThan grown 24_000_000L "memory"
              let struct (_, sent) = say (Time.seconds 1) (register b) b server
              Expect.hasLength (introductions (heard b sent)) 1 "the pair is introduced"
          }
          test
              "one address with valid cookies fills its own share and no more; beyond that it hears that there is no room" {
              let options = { options with MaxPerSource = 20; RatePerSource = 100_000 }
              let mutable server = fresh options
              let mutable full = 0

              for index in 1..500 do
                  let it = { guest index index with Remote = Endpoint.ofIPv4 0x0A0A0A0Au (uint16 (1000 + index)) }
                  let struct (it, next) = knock 0L<us> it server
                  let struct (next, sent) = say 0L<us> (register it) it next
                  server <- next

                  match heard it sent with
                  | [ Said.Full ] -> full <- full + 1
                  | [ Said.Registered ] -> ()
                  | other -> failtest $"%A{other}"

              Expect.equal (Rendezvous.statistics server).Waiting 20 "its share"
              Expect.equal full 480 "the others"
              let struct (other, next) = knock 0L<us> (guest 1 1) server
              let struct (_, sent) = say 0L<us> (register other) other next

              match heard other sent with
              | Said.Registered :: _ -> ()
              | wrong -> failtest $"another source has its own: %A{wrong}"
          }
          test "all sources together fill the server and no more" {
              let mutable server = fresh { options with MaxRegistrations = 50 }

              for index in 1..80 do
                  let struct (it, next) = knock 0L<us> (guest index index) server
                  let struct (next, _) = say 0L<us> (register it) it next
                  server <- next

              Expect.equal (Rendezvous.statistics server).Waiting 50 "the cap"
          }
          test "a registration that is not renewed is over after its time, and one that is renewed is not" {
              let struct (a, b, server) = couple 0L<us> options
              let b = { b with Room = named 6 }
              let struct (server, _) = say 0L<us> (register a) a server
              let struct (server, _) = say 0L<us> (register b) b server
              let struct (server, _) = say (Time.seconds 40) (register a) a server
              let struct (server, _) = step (Time.seconds 60) [] server
              Expect.equal (Rendezvous.statistics server).Waiting 1 "b is gone"
              let struct (server, _) = step (Time.seconds 99) [] server
              Expect.equal (Rendezvous.statistics server).Waiting 1 "a is not"
              let struct (server, _) = step (Time.seconds 100) [] server
              Expect.equal (Rendezvous.statistics server).Waiting 0 "a is, 60 s after its last word"
              Expect.equal (Rendezvous.deadline server) Time.never "nothing is left to do"
          }
          test "a cookie is good for a minute at least, for two at most, and for one address and handle" {
              let struct (a, server) = knock (Time.seconds 59) (guest 1 5) (fresh options)

              let isGood now (it: Guest) =
                  let struct (_, sent) = say now (register it) it server

                  match heard it sent with
                  | [ Said.Registered ] -> true
                  | [ Said.Challenge _ ] -> false
                  | other -> failtest $"%A{other}"

              Expect.isTrue (isGood (Time.seconds 119) a) "a minute later"
              Expect.isFalse (isGood (Time.seconds 120) a) "two of the server's minutes later"
              Expect.isFalse (isGood (Time.seconds 59) { a with Remote = Endpoint.withPort 4001us a.Remote }) "port"
              Expect.isFalse (isGood (Time.seconds 59) { a with Handle = a.Handle + 1UL }) "handle"
          }
          test "a guest that comes from another address is introduced there, and counts once" {
              let struct (a, b, server) = couple 0L<us> options
              let struct (server, _) = say 0L<us> (register a) a server
              let moved = { a with Remote = Endpoint.ofIPv4 0x0B000001u 5555us; Cookie = noCookie }
              let struct (moved, server) = knock 1L<us> moved server
              let struct (server, _) = say 1L<us> (register moved) moved server
              Expect.equal (Rendezvous.statistics server).Waiting 1 "one guest"
              let struct (_, sent) = say 2L<us> (register b) b server

              match heard b sent with
              | [ Said.Registered; Said.Introduce(_, peer, port) ] ->
                  Expect.equal (peer, port) (a.Peer, 5555) "the new port"
              | other -> failtest $"%A{other}"

              Expect.hasLength (introductions (heard moved sent)) 1 "it hears there"
          }
          test "an introduction is said at most six times to whoever does not acknowledge it, and then is forgotten" {
              let struct (a, b, nonce, server) = introduced 0L<us> options
              // a acknowledges the first, b none.
              let struct (server, _) = say 1L<us> (acknowledge nonce 10 a) a server
              let mutable server = server
              let mutable toA, toB = 1, 1

              while (Rendezvous.statistics server).Introductions > 0 do
                  let struct (next, sent) = step (Rendezvous.deadline server) [] server
                  server <- next
                  toA <- toA + List.length (introductions (heard a sent))
                  toB <- toB + List.length (introductions (heard b sent))

              Expect.equal (toA, toB) (1, 6) "how often"
          }
          test "when both have acknowledged, both go, and the nearer one later by half of what it is nearer" {
              let struct (a, b, nonce, server) = introduced 0L<us> options
              let struct (server, sent) = say 1L<us> (acknowledge nonce 10 a) a server
              Expect.isEmpty sent "one alone does not go"
              let struct (server, sent) = say 2L<us> (acknowledge nonce 110 b) b server

              match heard a sent, heard b sent with
              | [ Said.Go(_, waitA) ], [ Said.Go(_, waitB) ] -> Expect.equal (waitA, waitB) (50, 0) "waits"
              | other -> failtest $"%A{other}"

              let stranger = { b with Remote = Endpoint.ofIPv4 9u 9us }
              let struct (_, sent) = say 3L<us> (acknowledge nonce 1 stranger) stranger server
              Expect.isEmpty sent "a cookie from elsewhere moves nobody"
          }
          test "a registration that comes late makes no ghost that the next comer would be introduced to" {
              let struct (a, b, nonce, server) = introduced 0L<us> options
              let struct (server, _) = say 1L<us> (acknowledge nonce 10 a) a server
              let struct (server, _) = say 1L<us> (acknowledge nonce 10 b) b server
              let struct (server, _) = say 2L<us> (register a) a server
              let struct (server, _) = say 2L<us> (register b) b server
              let struct (server, _) = step (Time.seconds 20) [] server
              let struct (server, _) = say (Time.seconds 20) (register a) a server
              Expect.equal (Rendezvous.statistics server).Waiting 0 "nobody waits"
              let struct (c, server) = knock (Time.seconds 20) (guest 3 5) server
              let struct (server, sent) = say (Time.seconds 20) (register c) c server
              Expect.isEmpty (introductions (heard c sent)) "c is introduced to nobody"
              Expect.equal (Rendezvous.statistics server).Introduced 1L "one introduction in all"
          }
          test "who stays is introduced to each comer, and two who stay not to each other" {
              let struct (host, server) = knock 0L<us> { guest 1 5 with Stays = true } (fresh options)
              let struct (server, _) = say 0L<us> (register host) host server
              let struct (other, server) = knock 0L<us> { guest 2 5 with Stays = true } server
              let struct (server, sent) = say 0L<us> (register other) other server
              Expect.isEmpty (introductions (heard other sent)) "both stay"
              let struct (server, _) = say 0L<us> (leave other) other server
              let mutable server = server

              for index in 3..12 do
                  let struct (comer, next) = knock 0L<us> (guest index 5) server
                  let struct (next, sent) = say 0L<us> (register comer) comer next
                  server <- next
                  Expect.hasLength (introductions (heard comer sent)) 1 "the comer hears of the host"
                  Expect.hasLength (introductions (heard host sent)) 1 "and the host of it"

              Expect.equal (Rendezvous.statistics server).Waiting 1 "the host alone"
          }
          test "a source is heard at its rate, twice that at once, and does not cost another one's" {
              let server = fresh { options with RatePerSource = 10 }
              let struct (noisy, quiet) = struct (guest 1 5, guest 2 5)
              let flood = [ for _ in 1..100 -> struct (noisy.Remote, observe noisy) ]
              let struct (server, sent) = step 0L<us> flood server
              Expect.hasLength sent 20 "at once"
              let struct (server, sent) = step (Time.milliseconds 500) flood server
              Expect.hasLength sent 5 "in half a second"
              let struct (_, sent) = say (Time.milliseconds 500) (observe quiet) quiet server
              Expect.hasLength sent 1 "another source"
          }
          test "over any order and any copies of what both say, they are introduced once, and to each other" {
              for index in 1..500 do
                  let struct (a, b, server) = couple 0L<us> { options with RatePerSource = 10_000 }
                  let mutable server = server
                  let draw kind below = Keyed.below below (uint64 index) 1 (int64 kind)
                  let mutable pending = ResizeArray [ struct (a, register a); struct (b, register b) ]
                  let mutable now = 0L<us>
                  let mutable said = 0
                  let peers = ResizeArray<byte[]>()

                  while pending.Count > 0 && said < 200 do
                      let place = draw said pending.Count
                      let struct (who, bytes) = pending[place]
                      // Every third one stays under way, and comes again.
                      if draw (1000 + said) 3 > 0 then pending.RemoveAt place

                      said <- said + 1
                      now <- now + Time.milliseconds 1
                      let struct (next, sent) = say now bytes who server
                      server <- next

                      for it in [ a; b ] do
                          for struct (nonce, peer) in introductions (heard it sent) do
                              peers.Add peer
                              pending.Add struct (it, acknowledge nonce 1 it)
                              Expect.notEqual peer it.Peer "nobody meets itself"

                  Expect.equal (Rendezvous.statistics server).Introduced 1L $"run {index}"
                  Expect.isNonEmpty peers "and they heard of it"
          } ]
