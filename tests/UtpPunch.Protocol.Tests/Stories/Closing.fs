/// How streams end: finished by either side or both, aborted, reset, timed out.
module UtpPunch.Protocol.Tests.Closing

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private isFin = isType PacketType.Fin
let private isData = isType PacketType.Data
let private isState = isType PacketType.State

let bothFinish limit (pair: TwoNodes) (a: StreamView) (b: StreamView) =
    run limit pair "both close" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
    Expect.equal a.Closed (ValueSome CloseReason.Finished) "A's close"
    Expect.equal b.Closed (ValueSome CloseReason.Finished) "B's close"

/// A writes and finishes, B finishes, and datagrams that the filter drops are retransmitted.
let private survives name prepare =
    test name {
        let pair = calmPair ()
        let struct (a, b) = connected pair
        prepare pair
        let bytes = content 20_000
        write pair pair.A a bytes
        finish pair pair.A a
        finish pair pair.B b
        bothFinish (Time.seconds 30) pair a b
        received b bytes "what B received"
    }

let private gracefully =
    [ test "one side finishes at once and still receives all that the other sends, in both directions" {
          for first in [ true; false ] do
              let pair = calmPair ()
              let struct (streamA, streamB) = connected pair

              let struct (early, earlyStream, late, lateStream) =
                  if first then
                      struct (pair.A, streamA, pair.B, streamB)
                  else
                      struct (pair.B, streamB, pair.A, streamA)

              finish pair early earlyStream
              run (Time.seconds 5) pair "the other side receives the end" (fun () -> lateStream.Ended)
              Expect.isTrue lateStream.Closed.IsNone "the other side is open"
              let bytes = content 200_000

              for start in 0..50_000..150_000 do
                  write pair late lateStream bytes[start .. start + 49_999]
                  wait (Time.seconds 5) pair

              received earlyStream bytes "received after the own end"
              Expect.isFalse earlyStream.Ended "the end before it came"
              finish pair late lateStream
              bothFinish (Time.seconds 10) pair streamA streamB
      }
      survives "a lost last data packet at the close is repaired" (fun pair ->
          dropFirst 1 pair.A (fun datagram -> isData datagram && datagram.Length < 1400) pair)
      survives "a lost FIN is retransmitted" (fun pair -> dropFirst 1 pair.A isFin pair)
      survives "FINs lost three times both ways are retransmitted" (fun pair ->
          dropFirst 3 pair.A isFin pair
          dropFirst 3 pair.B isFin pair)
      survives "the last data packet and the FIN lost together" (fun pair ->
          dropFirst 2 pair.A (fun datagram -> isFin datagram || (isData datagram && datagram.Length < 1400)) pair)
      survives "all acknowledgements lost for a while" (fun pair -> dropFirst 12 pair.B isState pair)

      test "a lost last acknowledgement: the closed side answers the FIN once more, and the other ends in order" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          finish pair pair.A a
          run (Time.seconds 5) pair "A's end is acknowledged" (fun () -> a.Finished && b.Ended)
          dropFirst 2 pair.A (fun datagram -> isState datagram) pair
          finish pair pair.B b
          run (Time.seconds 5) pair "A has closed" (fun () -> a.Closed.IsSome)
          Expect.isTrue b.Closed.IsNone "B waits for its acknowledgement"
          bothFinish (Time.seconds 10) pair a b
          Expect.equal (pair.A.Resets + pair.B.Resets) 0 "RESETs"
      }
      test "a last data packet that never arrives does not give an orderly end" {
          let pair = calmPair ()
          let struct (a, b) = connected pair

          pair.Filter <-
              Func<_, _, _>(fun side datagram -> side.Name = "B" || not (isData datagram && datagram.Length < 1400))

          write pair pair.A a (content 20_000)
          finish pair pair.A a
          finish pair pair.B b
          run (Time.seconds 300) pair "both give up" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
          Expect.isFalse b.Ended "B was told of an end"
          Expect.notEqual a.Closed (ValueSome CloseReason.Finished) "A's close"
          Expect.notEqual b.Closed (ValueSome CloseReason.Finished) "B's close"
      }
      test "data after the end is ignored, and so is another end" {
          let struct (scripted, peer) = accepted ()
          peer.Data(0, content 10) |> ignore
          peer.Fin 1 |> ignore
          Expect.isTrue (scripted.HasEnded 1) "ended"
          peer.Data(1, content 5) |> ignore
          peer.Data(2, content 5) |> ignore
          peer.Fin 3 |> ignore
          Expect.equal (scripted.Delivered 1) (content 10) "delivered"
          Expect.equal (scripted.Effects.FindAll(fun effect -> effect.IsEnded).Count) 1 "ends"
      }
      test "data beyond a FIN that waits for its predecessors is not delivered" {
          let struct (scripted, peer) = accepted ()
          peer.Fin 2 |> ignore
          peer.Data(3, content 5) |> ignore
          peer.Data(1, [| 2uy |]) |> ignore
          Expect.isFalse (scripted.HasEnded 1) "ended too early"
          peer.Data(0, [| 1uy |]) |> ignore
          Expect.isTrue (scripted.HasEnded 1) "ended"
          Expect.equal (scripted.Delivered 1) [| 1uy; 2uy |] "delivered"
      }
      test "after the last effect of a stream, no event names it again or throws" {
          let struct (scripted, peer) = accepted ()
          peer.Fin 0 |> ignore
          scripted.Tell(Event.Finish 1) |> ignore
          peer.State(1, 1) |> ignore
          Expect.equal (scripted.Closed 1) (Some CloseReason.Finished) "the end"
          let before = scripted.Effects.Count
          peer.Fin 0 |> ignore
          peer.Data(0, [| 1uy |]) |> ignore
          peer.Data(1, [| 1uy |]) |> ignore

          scripted.Tell(
              Event.Write(1, Owned [| 1uy |]),
              Event.Consumed(1, 5),
              Event.Finish 1,
              Event.Release(1, Time.seconds 1),
              Event.SetIdleTimeout(1, Time.seconds 1),
              Event.Taken 1,
              Event.Abort 1
          )
          |> ignore

          scripted.Wait(Time.seconds 200)

          for effect in scripted.Effects.GetRange(before, scripted.Effects.Count - before) do
              Expect.equal (Describe.connIdOf effect) ValueNone (Describe.effect effect)

          Expect.equal (Node.statistics scripted.Node).Lingering 0 "lingering streams in the end"
          Expect.equal (Node.deadline scripted.Node) Time.never "nothing is left to do"
      } ]

let private abruptly =
    [ test "an abort is a Reset for the peer, not an end" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          write pair pair.A a (content 5_000)
          wait (Time.milliseconds 5) pair
          pair.Tell(pair.A, Event.Abort a.ConnId)
          Expect.equal a.Closed (ValueSome CloseReason.Aborted) "A's close"
          run (Time.seconds 1) pair "B closes" (fun () -> b.Closed.IsSome)
          Expect.equal b.Closed (ValueSome CloseReason.Reset) "B's close"
          Expect.isFalse b.Ended "B was told of an end"
      }
      test "an abort whose RESET is lost: the next packet of the peer is answered by one" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          dropFirst 1 pair.A (isType PacketType.Reset) pair
          pair.Tell(pair.A, Event.Abort a.ConnId)
          write pair pair.B b (content 10)
          run (Time.seconds 1) pair "B closes" (fun () -> b.Closed.IsSome)
          Expect.equal b.Closed (ValueSome CloseReason.Reset) "B's close"
      }
      test "a RESET outside the window of acknowledgements is ignored" {
          let struct (scripted, peer) = accepted ()
          scripted.Tell(Event.Write(1, Owned(content 2_000))) |> ignore
          scripted.Fresh() |> ignore

          for acked in [ -32768; -1000; -10; 10; 1000; 32767 ] do
              peer.Acked <- acked
              peer.Send(PacketType.Reset, 0, [||]) |> ignore

          Expect.equal (scripted.Closed 1) None "closed"
          Expect.equal (scripted.Count Rule.ResetOutOfRange) 6 "ignored"
          Expect.isEmpty (scripted.Fresh()) "answers"
          peer.Acked <- 1
          peer.Send(PacketType.Reset, 0, [||]) |> ignore
          Expect.equal (scripted.Closed 1) (Some CloseReason.Reset) "closed by one in the window"
          Expect.isEmpty (scripted.Fresh()) "answers"
      }
      test "RESETs that may be forged are challenged, and do not weaken the check of clocks for other packets" {
          let struct (scripted, peer) = accepted ()
          scripted.Tell(Event.Write(1, Owned(content 10))) |> ignore
          scripted.Wait(Time.milliseconds 20)
          peer.Acked <- 1
          peer.Data(0, content 10) |> ignore
          scripted.Wait(Time.milliseconds 200)
          scripted.Fresh() |> ignore
          let wrong = 0x2000_0000u

          let send packetType index adapt payload =
              let header = (decoded (peer.Make(packetType, index, payload))).Header
              scripted.Receive(here, encoded (adapt header) Owned.Empty (Owned payload)) |> ignore

          let doubtful (header: Header) =
              { header with AckNr = header.AckNr + -2; TimestampDifference = header.TimestampDifference + wrong }

          for _ in 1..5 do
              send PacketType.Reset 1 doubtful [||]
              scripted.Wait(Time.milliseconds 60)

          Expect.equal (scripted.Closed 1) None "closed"
          Expect.hasLength (scripted.Fresh()) 5 "challenges"

          // It echoes the node's clock, and its own has jumped.
          let jumped (header: Header) =
              { header with
                  Timestamp = header.Timestamp + wrong
                  TimestampDifference = header.TimestampDifference + wrong }

          send PacketType.Data 1 jumped (content 10)
          Expect.hasLength (scripted.Delivered 1) 10 "bytes"
          Expect.equal (scripted.Count Rule.TimestampOutOfRange) 1 "rejected"
      }
      test "a RESET under the id that the peer receives, as libutp sends it, counts too" {
          let struct (scripted, peer) = accepted ()
          let header = (decoded (peer.Make(PacketType.Reset, 0, [||]))).Header

          scripted.Receive(here, encoded { header with ConnectionId = 100us } Owned.Empty Owned.Empty)
          |> ignore

          Expect.equal (scripted.Closed 1) (Some CloseReason.Reset) "closed"
      }
      test "a RESET is never answered" {
          let scripted = ScriptedPeer usual
          let peer = Peer(scripted, here, 5us, SeqNr 1us, SeqNr 1us)
          peer.Send(PacketType.Reset, 0, [||]) |> ignore
          Expect.isEmpty (scripted.Fresh()) "answers"
      }
      test "a stray packet gets one RESET that both libutp and libtorrent accept, and many get few" {
          let scripted = ScriptedPeer usual
          let peer = Peer(scripted, here, 500us, SeqNr 70us, SeqNr 1us)
          peer.Data(0, content 100) |> ignore
          let answer = Array.exactlyOne (scripted.Fresh())
          Expect.equal answer.Type PacketType.Reset "its type"
          Expect.equal answer.Header.ConnectionId 500us "the id of the packet"
          Expect.equal answer.Header.AckNr.Value 70us "the number of the packet"
          Expect.equal answer.Length 20 "its length"

          for index in 0..9_999 do
              peer.Data(index, [||]) |> ignore

          let few (least: int) (most: int) what =
              let count = scripted.Fresh().Length
              Expect.isTrue (count >= least && count <= most) $"{count} RESETs {what}"

          // How long a RESET uses up the limit varies at random.
          few 20 50 "at one instant: the rest of a burst of 32"

          scripted.Wait(Time.seconds 1)

          for index in 0..9_999 do
              peer.Data(index, [||]) |> ignore

          few 20 50 "a second later: the burst again, and no more"
          scripted.Wait(Time.milliseconds 100)

          for index in 0..9_999 do
              peer.Data(index, [||]) |> ignore

          few 2 10 "after a tenth of a second: fifty a second"
      }
      test "two nodes that send each other stray packets stop after one RESET each" {
          let pair = calmPair ()
          let datagram = encoded (decoded (syn 1us 1us)).Header Owned.Empty Owned.Empty

          for packetType in [ PacketType.Data; PacketType.Fin; PacketType.State; PacketType.Reset; PacketType.Syn ] do
              datagram[0] <- (byte packetType <<< 4) ||| 1uy
              pair.Inject(pair.B, pair.A.Endpoint, Array.copy datagram)
              pair.Inject(pair.A, pair.B.Endpoint, Array.copy datagram)

          pair.Tell pair.A
          wait (Time.seconds 60) pair
          Expect.isLessThanOrEqual (pair.A.Sent + pair.B.Sent) 8 "one answer each, none to a RESET"
          Expect.isFalse (pair.Advance()) "no datagram is in transit"
      }
      test "bytes that arrive before a RESET are delivered, also if both arrive in one receive call" {
          let struct (scripted, peer) = accepted ()

          scripted.Receive(here, peer.Make(PacketType.Data, 0, content 10), peer.Make(PacketType.Reset, 1, [||]))
          |> ignore

          Expect.equal (scripted.Delivered 1) (content 10) "delivered"
          Expect.equal (scripted.Closed 1) (Some CloseReason.Reset) "closed"
      }
      test "an end followed by a RESET of the ended stream has the same result in one receive call or in two" {
          let close together =
              let struct (scripted, peer) = accepted ()
              scripted.Tell(Event.Finish 1) |> ignore
              let fin = peer.Make(PacketType.Fin, 0, [||])
              let reset = peer.Make(PacketType.Reset, 1, [||])

              if together then
                  scripted.Receive(here, fin, reset) |> ignore
              else
                  scripted.Receive(here, fin) |> ignore
                  scripted.Receive(here, reset) |> ignore

              scripted.Closed 1

          Expect.equal (close true) (close false) "reasons"
      } ]

let private abandoned =
    [ test "a peer that vanishes with data in flight: the stream times out, not early and not much later" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          pair.Filter <- Func<_, _, _>(fun _ _ -> false)
          let start = pair.Now
          write pair pair.A a (content 5_000)
          run (Time.seconds 100) pair "A closes" (fun () -> a.Closed.IsSome)
          Expect.equal a.Closed (ValueSome CloseReason.TimedOut) "the reason"
          Expect.equal (pair.Now - start) StreamOptions.bep29.GiveUpAfter "when"
          run (Time.seconds 200) pair "B closes" (fun () -> b.Closed.IsSome)
          Expect.equal b.Closed (ValueSome CloseReason.IdleTimeout) "B has nothing to send, and hears nothing"
      }
      test "a peer that vanishes during a download: the idle time-out closes the stream" {
          let struct (scripted, peer) = accepted ()
          scripted.Tell(Event.SetIdleTimeout(1, Time.seconds 10)) |> ignore
          scripted.Wait(Time.seconds 9)
          peer.Data(0, content 10) |> ignore
          scripted.Wait(Time.milliseconds 9_999)
          Expect.equal (scripted.Closed 1) None "closed too early"
          scripted.Wait(Time.milliseconds 1)
          Expect.equal (scripted.Closed 1) (Some CloseReason.IdleTimeout) "the reason"
      }
      test "an idle stream sends a keep-alive at the interval, and two idle nodes keep each other alive" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          // By then the dialler has stopped repeating its confirmation.
          wait (Time.seconds 40) pair
          let sentBefore = pair.A.Sent
          wait (Time.seconds 1000) pair
          Expect.isTrue (a.Closed.IsNone && b.Closed.IsNone) "both are open"
          Expect.isLessThanOrEqual (pair.A.Sent - sentBefore) 41 "keep-alives"
          Expect.isGreaterThanOrEqual (pair.A.Sent - sentBefore) 39 "keep-alives"
      }
      test "a keep-alive on a stream that carried no data is not taken for a repeated SYN-ACK: it is not answered" {
          let every duration options = { usual with Bep29 = { options with KeepAlive = duration } }

          let slow, fast = every (Time.seconds 25) usual.Bep29, every (Time.seconds 1) usual.Bep29
          let pair = TwoNodes(TwoNodes.scenario 7UL usual 1 Path.perfect Path.perfect, slow, fast)
          let struct (a, b) = connected pair
          // By then the dialler has sent its last confirmation.
          wait (Time.seconds 40) pair
          let struct (sentByA, sentByB) = struct (pair.A.Sent, pair.B.Sent)
          wait (Time.seconds 100) pair
          Expect.isTrue (a.Closed.IsNone && b.Closed.IsNone) "both are open"
          Expect.isGreaterThanOrEqual (pair.B.Sent - sentByB) 99 "keep-alives of the side that sends many"
          Expect.equal (pair.A.Sent - sentByA) 4 "packets of the other side: its own keep-alives"
      }
      test "an idle time-out can be switched off" {
          let struct (scripted, _) = accepted ()
          scripted.Tell(Event.SetIdleTimeout(1, Time.never)) |> ignore
          scripted.Wait(Time.seconds 3600)
          Expect.equal (scripted.Closed 1) None "closed"
      } ]

let private lingering =
    [ test "a peer that reuses the ids of a lingering stream gets a new stream, and the counts stay right" {
          let struct (scripted, peer) = accepted ()
          peer.Fin 0 |> ignore
          scripted.Tell(Event.Finish 1) |> ignore
          peer.State(1, 1) |> ignore
          Expect.equal (Node.statistics scripted.Node).Lingering 1 "lingering"

          scripted.Wait(Time.seconds 59)
          scripted.Receive(here, peer.Make(PacketType.Fin, 0, [||]), syn 100us 7777us) |> ignore
          Expect.equal (Node.statistics scripted.Node).Lingering 0 "lingering, after"
          Expect.equal (Node.statistics scripted.Node).HalfOpen 1 "half-open"
      }
      test "a lingering stream that is replaced in the very step in which it would expire is counted once" {
          let struct (scripted, peer) = accepted ()
          peer.Fin 0 |> ignore
          scripted.Tell(Event.Finish 1) |> ignore
          peer.State(1, 1) |> ignore
          let due = scripted.Now + Time.seconds 60
          let fin = peer.Make(PacketType.Fin, 0, [||])

          let events =
              [| for datagram in [ fin; syn 100us 7777us ] ->
                     Event.Received(here, Datagrams.One(Borrowed datagram, due)) |]

          let struct (node, _) = Node.step due events scripted.Node
          Expect.equal (Node.statistics node).Lingering 0 "lingering"
          Expect.equal (Node.statistics node).HalfOpen 1 "half-open"
      } ]

let tests = testList "closing" (gracefully @ abruptly @ abandoned @ lingering)
