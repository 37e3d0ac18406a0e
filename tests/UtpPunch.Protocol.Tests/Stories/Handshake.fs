/// How streams begin: lost, repeated, forged and colliding handshakes.
module UtpPunch.Protocol.Tests.Handshake

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private isState = isType PacketType.State
let private isSyn = isType PacketType.Syn

/// Both directions carry their bytes to the end.
let private exchanges (pair: TwoNodes) (a: StreamView) (b: StreamView) =
    let bytes = content 5_000
    write pair pair.A a bytes
    write pair pair.B b bytes
    finish pair pair.A a
    finish pair pair.B b
    run (Time.seconds 30) pair "both close" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
    Expect.equal a.Closed (ValueSome CloseReason.Finished) "A's close"
    Expect.equal b.Closed (ValueSome CloseReason.Finished) "B's close"
    received a bytes "A received what B wrote"
    received b bytes "B received what A wrote"

let private lost =
    [ test "a lost SYN is retransmitted after one second" {
          let pair = calmPair ()
          dropFirst 1 pair.A isSyn pair
          let struct (a, b) = connected pair
          Expect.isGreaterThanOrEqual pair.Now (Time.seconds 1) "the second SYN"
          Expect.isLessThan pair.Now (Time.milliseconds 1200) "and no later"
          exchanges pair a b
      }
      test "a lost SYN-ACK is retransmitted" {
          let pair = calmPair ()
          dropFirst 1 pair.B isState pair
          let struct (a, b) = connected pair
          Expect.isLessThan pair.Now (Time.milliseconds 1200) "the time at which it opens"
          exchanges pair a b
      }
      test "a lost confirmation does not keep a server that writes first waiting" {
          let pair = calmPair ()
          dropFirst 1 pair.A isState pair
          pair.Tell(pair.B, Event.Listen 16)
          let a = pair.Connect(pair.A, Dialect.Bep29)
          run (Time.seconds 5) pair "the server accepts" (fun () -> pair.B.Accepted.Count = 1)
          exchanges pair a pair.B.Accepted[0]
      }
      test "six of seven datagrams of the handshake lost: it opens all the same" {
          let pair = calmPair ()
          dropFirst 3 pair.A isSyn pair
          dropFirst 3 pair.B isState pair
          pair.Tell(pair.B, Event.Listen 16)
          let a = pair.Connect(pair.A, Dialect.Bep29)

          run (Time.seconds 60) pair "both are open" (fun () -> a.Opened && pair.B.Accepted.Count = 1)
          exchanges pair a pair.B.Accepted[0]
      }
      test "without an answer the connect fails with ConnectTimeout at its timeout, after a few SYNs" {
          let pair = calmPair ()
          pair.Filter <- Func<_, _, _>(fun _ _ -> false)
          let a = pair.Connect(pair.A, Dialect.Bep29)
          run (Time.seconds 61) pair "it ends" (fun () -> a.Closed.IsSome)
          Expect.equal a.Closed (ValueSome CloseReason.ConnectTimeout) "the reason"
          Expect.equal pair.Now (Time.seconds 60) "the timeout of the connect"
          // At 0, 1, 3, 7, 13 s and so on, each from the third on with a RESET for the ids before it.
          Expect.equal (pair.A.Sent - pair.A.Resets) 12 "SYNs"
          Expect.equal pair.A.Resets 10 "RESETs"
          Expect.equal (Node.statistics pair.A.Node).Outgoing 0 "streams left"
      }
      test "a node that does not listen refuses a connect after one round trip" {
          let pair = calmPair ()
          let a = pair.Connect(pair.A, Dialect.Bep29)
          run (Time.seconds 1) pair "it ends" (fun () -> a.Closed.IsSome)
          Expect.equal a.Closed (ValueSome CloseReason.Refused) "the reason"
          Expect.equal pair.Now (Time.milliseconds 20) "one round trip"
      }
      test "in the npm dialect, a node that does not listen refuses a connect after one round trip" {
          let options = { usual with Dialect = Dialect.UtpPunch }
          let pair = pairOf options Path.perfect
          let a = pair.Connect(pair.A, Dialect.UtpPunch)
          run (Time.seconds 1) pair "it ends" (fun () -> a.Closed.IsSome)
          Expect.equal a.Closed (ValueSome CloseReason.Refused) "the reason"
      } ]

/// A dial to a host without a socket at that port, which answers the SYNs for which `answers` holds, by their number.
let private dialClosedPort answers =
    let pair = calmPair ()
    pair.B.Actor.IsGone <- true
    pair.B.Actor.Refuses <- true
    let mutable syns = 0

    pair.Filter <-
        Func<_, _, _>(fun side bytes ->
            if side = pair.A && isSyn bytes then syns <- syns + 1

            answers syns)

    struct (pair, pair.Connect(pair.A, Dialect.Bep29))

/// The quote of a SYN with ids and numbers from those of the SYN on.
let private quoteOf (syn: byte[]) id number =
    match Craft.tryRead syn with
    | ValueSome header -> Owned(Craft.syn (header.ConnectionId + id) (header.SeqNr + number) header.Timestamp)
    | ValueNone -> failtest "It is no packet."

/// A dial that nothing answers, to whose SYNs forged reports come: `connect` begins it, `quote` makes a report of each.
let private dialWithReports connect quote =
    let pair = calmPair ()

    pair.Filter <-
        Func<_, _, _>(fun side bytes ->
            if side = pair.A && isSyn bytes then
                pair.Tell(pair.A, Event.PortUnreachable(pair.B.Endpoint, quote bytes))

            false)

    let stream: StreamView = connect pair
    run (Time.seconds 61) pair "it ends" (fun () -> stream.Closed.IsSome)
    stream.Closed

let private closedPort =
    [ test "a port that is closed refuses a connect after two SYNs" {
          let struct (pair, stream) = dialClosedPort (fun _ -> true)
          run (Time.seconds 2) pair "it ends" (fun () -> stream.Closed.IsSome)
          Expect.equal stream.Closed (ValueSome CloseReason.Refused) "the reason"
          Expect.equal (pair.A.Sent, pair.A.Resets) (2, 0) "SYNs"
          Expect.isLessThan pair.Now (Time.milliseconds 1200) "when"
      }
      test "two reports that do not follow each other are not enough, the next two are" {
          let struct (pair, stream) = dialClosedPort (fun syn -> syn <> 2)
          run (Time.seconds 20) pair "it ends" (fun () -> stream.Closed.IsSome)
          Expect.equal stream.Closed (ValueSome CloseReason.Refused) "the reason"
          Expect.isGreaterThanOrEqual pair.Now (Time.seconds 7) "the fourth SYN"
      }
      test "a server that starts after the first SYN is reached" {
          let pair = calmPair ()
          pair.Tell(pair.B, Event.Listen 16)
          pair.B.Actor.IsGone <- true
          pair.B.Actor.Refuses <- true
          pair.World.At(Time.milliseconds 500, fun () -> pair.B.Actor.IsGone <- false)
          let stream = pair.Connect(pair.A, Dialect.Bep29)
          run (Time.seconds 2) pair "it is open" (fun () -> stream.Opened)
      }
      test "reports whose quote is not of that SYN end nothing" {
          let dial (pair: TwoNodes) = pair.Connect(pair.A, Dialect.Bep29)

          for struct (id, number) in [ struct (3us, 0); struct (0us, 1); struct (0us, -1) ] do
              Expect.equal
                  (dialWithReports dial (fun syn -> quoteOf syn id number))
                  (ValueSome CloseReason.ConnectTimeout)
                  $"the reason with {id} {number}"

          for length in [ 0; 8; 19 ] do
              Expect.equal
                  (dialWithReports dial (fun syn -> Owned(Array.truncate length syn)))
                  (ValueSome CloseReason.ConnectTimeout)
                  $"the reason with {length} bytes"

          Expect.equal
              (dialWithReports dial (fun syn -> quoteOf syn 0us 0))
              (ValueSome CloseReason.Refused)
              "with that of the SYN"
      }
      test "a dial goes on where one side punches: the NAT of the peer may refuse until its own packet opens it" {
          let timeout = Time.seconds 30

          for punches in [ false; true ] do
              let pair = calmPair ()
              let remote = pair.B.Endpoint

              pair.Filter <-
                  Func<_, _, _>(fun side bytes ->
                      if side = pair.A && isSyn bytes then
                          pair.Tell(pair.A, Event.PortUnreachable(remote, quoteOf bytes 0us 0))

                      false)

              if punches then
                  pair.Tell(pair.A, Event.PunchLegacy(1, remote, 100))
                  pair.Tell(pair.A, Event.Connect(2, remote, Dialect.Bep29, timeout))
              else
                  pair.Tell(pair.A, Event.ConnectSimultaneously(2, remote, timeout, 4))

              pair.RunUntil(Time.seconds 10, Func<_>(fun () -> false)) |> ignore
              Expect.equal (Node.statistics pair.A.Node).Outgoing 1 $"streams, punches is {punches}"
      } ]

let private synAck =
    [ test "the SYN-ACK never changes, however often it is repeated" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Listen 16) |> ignore

          for _ in 1..20 do
              scripted.Receive(here, syn 100us 1000us) |> ignore
              scripted.Wait(Time.milliseconds 700)

          let seen = scripted.Fresh()
          Expect.isGreaterThanOrEqual seen.Length 20 "one for each SYN"

          for packet in seen do
              Expect.equal packet.Type PacketType.State "the type of the answer"
              Expect.equal packet.Header.ConnectionId 100us "the peer's receive id"
              Expect.equal packet.Header.AckNr.Value 1000us "the SYN's number"
              Expect.equal packet.Header.SeqNr seen[0].Header.SeqNr "the number of the first data"
              Expect.equal packet.Header.TimestampDifference 0u "no delay is measured from a SYN"
      }
      test "a repeated SYN gets no second SYN-ACK once the stream has data in flight" {
          let struct (scripted, _) = accepted ()
          scripted.Tell(Event.Write(1, Owned(content 3_000))) |> ignore
          scripted.Fresh() |> ignore
          scripted.Receive(here, syn 100us 1000us) |> ignore
          Expect.isEmpty (scripted.Fresh()) "answers"
      }
      test "a forged SYN to a server that writes first gets at most three SYN-ACKs, no data, and its state expires" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Listen 16) |> ignore
          scripted.Receive(here, syn 100us 1000us) |> ignore
          Expect.equal (Node.statistics scripted.Node).HalfOpen 1 "half-open streams"
          scripted.Wait(Time.seconds 200)
          let seen = scripted.Fresh()
          Expect.isLessThanOrEqual seen.Length 3 "packets"
          Expect.all seen (fun packet -> packet.Type = PacketType.State && packet.Length = 20) "bare STATEs"
          Expect.equal (Node.statistics scripted.Node).HalfOpen 0 "half-open streams in the end"
          Expect.equal (scripted.Count Rule.HalfOpenExpired) 1 "it expired"
          Expect.equal (Node.deadline scripted.Node) Time.never "nothing is left to do"
          Expect.isFalse (scripted.Effects.Exists(fun effect -> effect.IsAccepted)) "the application was not told"
      }
      test "a SYN-ACK for another SYN, and any other packet, does not open a stream" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
          let dialled = scripted.Head().Header
          let peer = Peer(scripted, here, dialled.ConnectionId, SeqNr 7us, dialled.SeqNr + 1)

          for acked in [ -5; -4; -1; 1; 2; 1000; -32768 ] do
              peer.State(acked, 0) |> ignore

          peer.Acked <- 0
          peer.Data(0, [| 1uy |]) |> ignore
          peer.Fin 0 |> ignore
          Expect.isFalse (scripted.Effects.Exists(fun effect -> effect.IsOpened)) "opened"
          Expect.isEmpty (scripted.Fresh()) "answers"
          peer.State(0, 0) |> ignore
          Expect.isTrue (scripted.Effects.Exists(fun effect -> effect.IsOpened)) "opened by the right one"
      }
      test "data that arrives ahead of the SYN-ACK is dropped, and accepted when it is retransmitted" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
          let dialled = scripted.Head().Header
          let peer = Peer(scripted, here, dialled.ConnectionId, SeqNr 65535us, dialled.SeqNr + 1)
          peer.Data(0, [| 1uy; 2uy |]) |> ignore
          Expect.isEmpty (scripted.Delivered 0) "delivered before the stream is open"
          peer.State(0, 0) |> ignore
          peer.Data(1, [| 3uy |]) |> ignore
          peer.Data(0, [| 1uy; 2uy |]) |> ignore
          Expect.equal (scripted.Delivered 0) [| 1uy; 2uy; 3uy |] "delivered"
      }
      test "only an acknowledgement of the SYN-ACK opens a half-open stream" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Listen 16) |> ignore
          scripted.Receive(here, syn 100us 1000us) |> ignore
          let first = scripted.Head().Header.SeqNr
          let peer = Peer(scripted, here, 101us, SeqNr 1001us, first)

          for acked in [ -4; 1; 2; 500; -32768 ] do
              peer.Acked <- acked
              peer.Data(0, [| 1uy |]) |> ignore
              peer.State(acked, 0) |> ignore

          Expect.isFalse (scripted.Effects.Exists(fun effect -> effect.IsAccepted)) "accepted"
          Expect.isEmpty (scripted.Fresh()) "answers"
          peer.Acked <- 0
          peer.Data(0, [| 1uy |]) |> ignore
          Expect.equal (scripted.Delivered 1) [| 1uy |] "delivered"
      }
      test "repeated SYNs at any moment never make a second stream" {
          let struct (scripted, peer) = accepted ()
          let again () = scripted.Receive(here, syn 100us 1000us, syn 100us 1000us) |> ignore
          again ()
          peer.Data(0, content 100) |> ignore
          again ()
          peer.Fin 1 |> ignore
          again ()
          scripted.Tell(Event.Finish 1) |> ignore
          peer.State(1, 2) |> ignore
          Expect.equal (scripted.Closed 1) (Some CloseReason.Finished) "the stream's end"
          again ()
          scripted.Wait(Time.seconds 5)
          again ()
          let accepts = scripted.Effects.FindAll(fun effect -> effect.IsAccepted)
          Expect.equal accepts.Count 1 "streams"
          Expect.equal (Node.statistics scripted.Node).HalfOpen 0 "half-open ones"
      }
      test "a SYN with an open stream's ids and another number does not affect that stream" {
          let struct (scripted, peer) = accepted ()
          scripted.Receive(here, syn 100us 4000us) |> ignore
          Expect.isEmpty (scripted.Fresh()) "answers"
          peer.Data(0, content 10) |> ignore
          Expect.equal (scripted.Delivered 1) (content 10) "delivered"
      } ]

let private numbers =
    [ test "the id 0xFFFF, which libutp cannot answer, is never used" {
          let scripted = ScriptedPeer usual
          let seen = HashSet<uint16>()

          for dial in 0..199_999 do
              let connId = 2 * dial

              for effect in scripted.Tell(Event.Connect(connId, here, Dialect.Bep29, Time.seconds 60)) do
                  match effect with
                  | Effect.Send(_, train) -> seen.Add train.Header.ConnectionId |> ignore
                  | _ -> ()

              scripted.Tell(Event.Abort connId) |> ignore

          Expect.isGreaterThan seen.Count 60_000 "different ids"
          Expect.isFalse (seen.Contains 0xFFFFus) "0xFFFF among them"
      }
      test "in the npm dialect SYNs have even ids, and data has the same id" {
          let scripted = ScriptedPeer usual

          for dial in 0..4_999 do
              scripted.Tell(Event.Connect(2 * dial, here, Dialect.UtpPunch, Time.seconds 60)) |> ignore
              let dialled = scripted.Head().Header
              Expect.equal (dialled.ConnectionId &&& 1us) 0us "the low bit of the SYN's id"
              let peer = Peer(scripted, here, dialled.ConnectionId + 1us, SeqNr 7us, dialled.SeqNr + 1)
              peer.State(0, 0) |> ignore
              Expect.equal (scripted.Head().Header.ConnectionId) dialled.ConnectionId "the id after the SYN"
              scripted.Tell(Event.Abort(2 * dial)) |> ignore
              scripted.Fresh() |> ignore
      }
      test "two thousand dials to one peer have two thousand ids" {
          let scripted = ScriptedPeer usual

          for dial in 0..1_999 do
              scripted.Tell(Event.Connect(2 * dial, here, Dialect.Bep29, Time.seconds 60)) |> ignore

          let ids = scripted.Fresh() |> Array.map (fun packet -> packet.Header.ConnectionId) |> Array.distinct
          Expect.equal ids.Length 2_000 "ids"
      }
      test "both nodes dial each other at once: two streams, and both work" {
          let pair = calmPair ()
          pair.Tell(pair.A, Event.Listen 16)
          pair.Tell(pair.B, Event.Listen 16)
          let fromA = pair.Connect(pair.A, Dialect.Bep29)
          let fromB = pair.Connect(pair.B, Dialect.Bep29)

          run (Time.seconds 10) pair "all are open" (fun () ->
              fromA.Opened && fromB.Opened && pair.A.Accepted.Count = 1 && pair.B.Accepted.Count = 1)

          exchanges pair fromA pair.B.Accepted[0]
          exchanges pair pair.A.Accepted[0] fromB
      } ]

let private stranger number = Endpoint.ofIPv4 (0xC0000000u + uint32 number) (uint16 (1024 + number % 60_000))

let private bounds =
    [ test "ten thousand forged SYNs leave a bounded number of half-open streams, and a valid peer can connect" {
          let pair = calmPair ()
          pair.Tell(pair.B, Event.Listen 16)
          let limit = pair.B.Options.MaxHalfOpen

          for number in 0..9_999 do
              pair.Inject(pair.B, stranger (number % 3_000), syn (uint16 (number * 7)) (uint16 number))

          pair.Tell(pair.A)
          wait (Time.milliseconds 1) pair
          Expect.isLessThanOrEqual (Node.statistics pair.B.Node).HalfOpen limit "half-open streams"
          let struct (a, b) = connected pair
          exchanges pair a b
          wait (Time.seconds 60) pair
          Expect.equal (Node.statistics pair.B.Node).HalfOpen 0 "half-open streams in the end"
      }
      test "a flood of SYNs in one receive call stays within the bound too" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Listen 16) |> ignore
          scripted.Receive(here, [| for number in 0..9_999 -> syn (uint16 (2 * number)) 1us |]) |> ignore

          Expect.isLessThanOrEqual (Node.statistics scripted.Node).HalfOpen usual.MaxHalfOpen "half-open streams"
      }
      test "no more streams wait to be accepted than the backlog, and accepting one admits the next" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Listen 3) |> ignore
          let count () = (scripted.Effects.FindAll(fun effect -> effect.IsAccepted)).Count

          let peers =
              [ for number in 0..9 do
                    scripted.Receive(stranger number, syn 100us 1000us) |> ignore
                    let first = scripted.Head().Header.SeqNr
                    Peer(scripted, stranger number, 101us, SeqNr 1001us, first) ]

          for peer in peers do
              peer.Data(0, [| 1uy |]) |> ignore

          Expect.equal (count ()) 3 "accepted"
          scripted.Receive(stranger 77, syn 100us 1000us) |> ignore
          Expect.equal (scripted.Count Rule.AcceptQueueFull) 8 "turned away: seven at the confirmation, one at the SYN"

          scripted.Tell(Event.Taken 1) |> ignore
          peers[9].Data(0, [| 1uy |]) |> ignore
          Expect.equal (count ()) 4 "accepted after one was taken"
      }
      test "MaxConnections limits opened and accepted streams together" {
          let options = { usual with MaxConnections = 4 }
          let scripted = ScriptedPeer options
          scripted.Tell(Event.Listen 16) |> ignore

          for connId in 0..2..8 do
              scripted.Tell(Event.Connect(connId, here, Dialect.Bep29, Time.seconds 60)) |> ignore

          Expect.equal (scripted.Closed 8) (Some CloseReason.TooManyConnections) "the fifth"
          Expect.equal (Node.statistics scripted.Node).Outgoing 4 "streams"
          scripted.Fresh() |> ignore
          scripted.Receive(stranger 1, syn 100us 1000us) |> ignore
          Expect.isEmpty (scripted.Fresh()) "answers to a SYN beyond the cap"
          Expect.equal (scripted.Count Rule.TooManyConnections) 1 "the rule"
      }
      test "when a node stops listening, half-open and waiting streams are reset, and accepted ones continue" {
          let struct (scripted, peer) = accepted ()
          // Stream 3 is open and waits to be accepted; stream 5 is half-open.
          scripted.Receive(stranger 1, syn 100us 1000us) |> ignore
          let synAck = scripted.Head().Header
          let waiting = Peer(scripted, stranger 1, 101us, SeqNr 1001us, synAck.SeqNr)
          waiting.State(0, 0) |> ignore
          scripted.Receive(stranger 2, syn 100us 1000us) |> ignore
          Expect.equal (Node.statistics scripted.Node).Incoming 2 "streams that are open"
          Expect.equal (Node.statistics scripted.Node).HalfOpen 1 "and half-open"
          scripted.Fresh() |> ignore
          scripted.Tell(Event.Unlisten) |> ignore
          Expect.equal (Node.statistics scripted.Node).HalfOpen 0 "half-open streams"
          Expect.equal (Node.statistics scripted.Node).Incoming 1 "open streams: the taken one"
          Expect.equal (scripted.Closed 3) (Some CloseReason.Aborted) "the one that waited"
          let resets = scripted.Fresh() |> Array.filter (fun packet -> packet.Type = PacketType.Reset)
          Expect.isGreaterThanOrEqual resets.Length 1 "RESETs to its peer"
          waiting.Data(0, content 10) |> ignore
          Expect.isEmpty (scripted.Delivered 3) "delivered to the one that waited"
          peer.Data(0, content 10) |> ignore
          Expect.equal (scripted.Delivered 1) (content 10) "delivered to the taken one"
      } ]

let tests = testList "handshake" (lost @ closedPort @ synAck @ numbers @ bounds)
