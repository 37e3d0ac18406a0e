/// Data transfer: windows, acknowledgements and their delays, retransmissions and their times.
module UtpPunch.Protocol.Tests.Flow

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private isData = isType PacketType.Data
let private isState = isType PacketType.State
let private buffered size = bep29 (fun options -> { options with ReceiveBuffer = size })

let private read (pair: TwoNodes) (side: Side) (stream: StreamView) count =
    stream.Unread <- stream.Unread - count
    pair.Tell(side, Event.Consumed(stream.ConnId, count))

let private numberOf (seen: Seen) = seen.Header.SeqNr
let private ofType packetType (seen: Seen[]) = seen |> Array.filter (fun packet -> packet.Type = packetType)

/// The packets that a selective acknowledgement names, as distances from `ack_nr`.
let private selected (seen: Seen) =
    let bits = seen.Packet.Sack.Span.ToArray()

    [ for bit in 0 .. 8 * bits.Length - 1 do
          if bits[bit / 8] >>> (bit % 8) &&& 1uy = 1uy then bit + 2 ]

/// Cuts a selective acknowledgement to 32 bits, as libutp's are: the other bits become an unknown extension.
let private shortenSack (datagram: byte[]) =
    if datagram[1] = 1uy && datagram[21] > 4uy then
        let others = datagram[21] - 6uy
        datagram[26] <- datagram[20]
        datagram[27] <- others
        datagram[20] <- 2uy
        datagram[21] <- 4uy

let private readers =
    [ test "a stalled reader stops the sender at the window, and reading resumes the transfer" {
          let pair = pairOf (buffered 20_000) Path.perfect
          let struct (a, b) = connected pair
          b.Reads <- false
          let bytes = content 100_000
          write pair pair.A a bytes
          wait (Time.seconds 30) pair
          Expect.isLessThanOrEqual b.Unread 20_000 "unread bytes"
          Expect.isGreaterThan b.Unread 17_000 "the window was used"
          Expect.isTrue (a.Closed.IsNone && b.Closed.IsNone) "both wait"

          while b.Received.Count < bytes.Length do
              let before = b.Received.Count
              read pair pair.B b b.Unread
              run (Time.seconds 2) pair "more arrives" (fun () -> b.Received.Count > before)
              wait (Time.milliseconds 200) pair
              Expect.isLessThanOrEqual b.Unread 20_000 "unread bytes"

          received b bytes "what arrived"
      }
      test "after a lost window update, the sender's window probe resumes the transfer" {
          let pair = pairOf (buffered 20_000) Path.perfect
          let struct (a, b) = connected pair
          b.Reads <- false
          write pair pair.A a (content 60_000)
          wait (Time.seconds 3) pair
          b.Reads <- true
          dropFirst 1 pair.B isState pair
          read pair pair.B b b.Unread
          let start = pair.Now
          run (Time.seconds 20) pair "the rest arrives" (fun () -> b.Received.Count = 60_000)
          Expect.isLessThan (pair.Now - start) (Time.seconds 16) "a probe interval"
      }
      test "a reader may stall for an hour: the stream stays open, with few window probes" {
          let pair = pairOf (buffered 20_000) Path.perfect
          let struct (a, b) = connected pair
          b.Reads <- false
          write pair pair.A a (content 60_000)
          wait (Time.seconds 10) pair
          let sent = pair.A.Sent
          wait (Time.seconds 3600) pair
          Expect.isTrue (a.Closed.IsNone && b.Closed.IsNone) "both wait"
          Expect.isLessThan (pair.A.Sent - sent) 720 "packets in an hour: one in five seconds at most"
          b.Reads <- true
          read pair pair.B b b.Unread
          run (Time.seconds 5) pair "the rest arrives" (fun () -> b.Received.Count = 60_000)
      }
      test "data that comes after the application has released the stream is not taken, though all data before it was" {
          let struct (scripted, peer) = acceptedWith (buffered 10_000) 1000us

          for index in 0..3 do
              peer.Data(index, Array.create 300 (byte index)) |> ignore

          scripted.Tell(Event.Consumed(1, 1_200), Event.Write(1, Owned(content 100))) |> ignore
          scripted.Tell(Event.Release(1, Time.seconds 60)) |> ignore
          peer.Data(4, Array.create 300 4uy) |> ignore
          Expect.equal (scripted.Delivered 1).Length 1_200 "delivered"
          Expect.equal (scripted.Count Rule.DataAfterRelease) 1 "uses of the rule"
      }
      test "bytes beyond the advertised window are dropped, and not acknowledged" {
          let struct (scripted, peer) = acceptedWith (buffered 1_000) 1000us

          for index in 0..9 do
              peer.Data(index, Array.create 300 (byte index)) |> ignore

          Expect.equal (scripted.Delivered 1).Length 900 "delivered"
          Expect.isGreaterThan (scripted.Count Rule.WindowOverrun) 0 "uses of the rule"
          Expect.equal (Array.last (scripted.Fresh())).Header.Window 100u "what is left of the window"
          scripted.Tell(Event.Consumed(1, 900)) |> ignore
          Expect.equal (Array.last (scripted.Fresh())).Header.Window 1_000u "the update"
          peer.Data(3, Array.create 300 3uy) |> ignore
          Expect.equal (scripted.Delivered 1).Length 1_200 "delivered"
      }
      test
          "the packets of a receive call are one payload, and those of two calls are two, wherever they lie in the buffer" {
          let struct (scripted, peer) = accepted ()

          let buffer =
              Array.concat [ for index in 0..3 -> peer.Make(PacketType.Data, index, Array.create 100 (byte index)) ]

          let half = buffer.Length / 2
          let call offset = Event.Received(here, Datagrams(buffer, offset, half, half / 2, scripted.Now))

          let delivered =
              scripted.Tell(call 0, call half)
              |> Array.choose (fun effect ->
                  match effect with
                  | Effect.Deliver(_, payload) -> Some payload.Length
                  | _ -> None)

          Expect.equal delivered [| 200; 200 |] "bytes of each payload"
      }
      test "a slow reader's window updates are not taken for duplicate acknowledgements" {
          let pair = pairOf (buffered 200_000) { Path.perfect with Delay = Time.milliseconds 100 }
          let struct (a, b) = connected pair
          b.Reads <- false
          write pair pair.A a (content 1_000_000)

          while b.Received.Count < 1_000_000 && pair.Now < Time.seconds 100 do
              wait (Time.milliseconds 1) pair
              read pair pair.B b (min b.Unread 1_500)

          Expect.equal b.Received.Count 1_000_000 "bytes that arrived"
          Expect.equal (pair.A.Count Rule.FastRetransmit) 0 "false losses"
          Expect.equal (pair.B.Count Rule.Duplicate) 0 "duplicates"
      } ]

let private acknowledgements =
    [ test "one packet is acknowledged after 25 ms, a second one at once" {
          let struct (scripted, peer) = accepted ()
          peer.Data(0, content 10) |> ignore
          scripted.Wait(Time.microseconds 24_999L)
          Expect.isEmpty (scripted.Fresh()) "before its time"
          scripted.Wait(Time.microseconds 1L)
          let state = Array.exactlyOne (scripted.Fresh())
          Expect.equal (state.Type, state.Header.AckNr) (PacketType.State, peer.First) "the acknowledgement"
          peer.Data(1, content 10) |> ignore
          Expect.isEmpty (scripted.Fresh()) "the next one is delayed"
          peer.Data(2, content 10) |> ignore
          Expect.equal (scripted.Head().Header.AckNr) (peer.First + 2) "two"
          scripted.Wait(Time.seconds 1)
          Expect.isEmpty (scripted.Fresh()) "nothing is acknowledged twice"
      }
      test "a gap, a duplicate and the end are acknowledged at once, and a gap with its bits" {
          let struct (scripted, peer) = accepted ()
          peer.Data(1, content 10) |> ignore
          let gap = Array.exactlyOne (scripted.Fresh())
          Expect.equal (gap.Header.AckNr, selected gap) (peer.First + -1, [ 2 ]) "one gap"
          peer.Data(10, content 10) |> ignore
          let gaps = Array.exactlyOne (scripted.Fresh())
          Expect.equal (selected gaps, gaps.Packet.Sack.Length) ([ 2; 11 ], 4) "two gaps"
          peer.Data(40, content 10) |> ignore
          Expect.equal (scripted.Head() |> selected) [ 2; 11; 41 ] "a far one"
          peer.Data(0, content 10) |> ignore
          let filled = Array.exactlyOne (scripted.Fresh())
          Expect.equal (filled.Header.AckNr, selected filled) (peer.First + 1, [ 9; 39 ]) "the first gap is filled"
          peer.Data(0, content 10) |> ignore
          Expect.hasLength (scripted.Fresh()) 1 "a duplicate"

          for index in 2..40 do
              peer.Data(index, content 10) |> ignore

          scripted.Wait(Time.seconds 1)
          scripted.Fresh() |> ignore
          peer.Fin 41 |> ignore
          let ended = Array.exactlyOne (scripted.Fresh())
          Expect.equal (ended.Header.AckNr, ended.Packet.Sack.IsEmpty) (peer.First + 41, true) "the end"
      }
      test "data packets carry the acknowledgement" {
          let struct (scripted, peer) = accepted ()
          peer.Data(0, content 10) |> ignore
          scripted.Tell(Event.Write(1, Owned(content 100))) |> ignore
          let data = Array.exactlyOne (scripted.Fresh())
          Expect.equal (data.Type, data.Header.AckNr) (PacketType.Data, peer.First) "one packet for both"
          peer.State(1, 1) |> ignore
          scripted.Wait(Time.seconds 1)
          Expect.isEmpty (scripted.Fresh()) "no separate acknowledgement"
      }
      test "timestamp_difference is the delay of the last packet" {
          let struct (scripted, peer) = accepted ()
          let datagram = peer.Make(PacketType.Data, 0, content 10)
          scripted.Wait(Time.milliseconds 70)
          scripted.Receive(here, datagram) |> ignore
          peer.Data(1, content 10) |> ignore
          // The node's clock has a secret offset in both fields.
          let measured (seen: Seen) = Time.stamp seen.At - (seen.Header.Timestamp - seen.Header.TimestampDifference)
          // Both arrived in order; the second one was stamped and received at the same instant.
          Expect.equal (measured (scripted.Head())) 0u "of the last one"
          let late = peer.Make(PacketType.Data, 2, content 10)
          scripted.Wait(Time.milliseconds 90)
          scripted.Receive(here, late, late) |> ignore
          Expect.equal (measured (scripted.Head())) 90_000u "90 ms"
      }
      test "the npm package retransmits a packet with its original, old acknowledgement number: the packet is accepted" {
          let scripted = ScriptedPeer { usual with Dialect = Dialect.UtpPunch }
          scripted.Tell(Event.Listen 16) |> ignore
          scripted.Receive(here, syn 100us 1000us) |> ignore
          let peer = Peer(scripted, here, 100us, SeqNr 1001us, scripted.Head().Header.SeqNr)
          peer.State(0, 0) |> ignore
          let lost = peer.Make(PacketType.Data, 0, content 10)

          // Meanwhile the node sends a few hundred packets, each acknowledged at once.
          for acked in 1..300 do
              scripted.Tell(Event.Write(1, Owned(content 100))) |> ignore
              peer.State(acked, 1) |> ignore

          scripted.Receive(here, lost) |> ignore
          Expect.equal (scripted.Delivered 1) (content 10) "delivered"
      }
      test "acknowledgements beyond what was sent, and far behind, are ignored" {
          let struct (scripted, peer) = accepted ()
          scripted.Tell(Event.Write(1, Owned(content 3_000)), Event.Finish 1) |> ignore
          let sent = scripted.Fresh().Length

          for acked in [ sent + 1; sent + 100; 30_000; -30_000; -100 ] do
              peer.Acked <- acked
              peer.Data(0, content 10) |> ignore

          Expect.equal (scripted.Count Rule.AckOutOfRange) 5 "ignored"
          Expect.isEmpty (scripted.Delivered 1) "bytes delivered"
          Expect.isFalse (scripted.Effects.Exists(fun effect -> effect.IsFinished)) "finished"
          peer.State(sent, 0) |> ignore
          Expect.isTrue (scripted.Effects.Exists(fun effect -> effect.IsFinished)) "finished by the right one"
      } ]

/// The times at which the packet with the lowest number was sent.
let private timesOf (seen: Seen[]) =
    let data = ofType PacketType.Data seen

    [ for packet in data do
          if numberOf packet = numberOf data[0] then int64 packet.At / 1000L ]

let private repairs =
    [ test "on a dead path the time-outs double up to their cap" {
          let struct (scripted, _) = accepted ()
          scripted.Tell(Event.Write(1, Owned(content 100))) |> ignore
          scripted.Wait(Time.seconds 44)
          let gaps = timesOf (scripted.Fresh()) |> List.pairwise |> List.map (fun (a, b) -> b - a)

          Expect.equal
              gaps
              [ 1_000L; 2_000L; 4_000L; 6_000L; 6_000L; 6_000L; 6_000L; 6_000L; 6_000L ]
              "milliseconds between retransmissions, without a sample"
      }
      test "with a known round trip one probe goes first, then time-outs of 500 ms and more" {
          let struct (scripted, _) = dialled ()
          scripted.Tell(Event.Write(0, Owned(content 100))) |> ignore
          scripted.Wait(Time.seconds 20)
          let gaps = timesOf (scripted.Fresh()) |> List.pairwise |> List.map (fun (a, b) -> b - a)
          Expect.equal (scripted.Count Rule.LossProbe) 1 "probes"
          Expect.isLessThan gaps[0] 500L "the probe comes early"
          Expect.equal (gaps[0] + gaps[1]) 500L "the first time-out, from the first transmission on"
          Expect.equal gaps[2..5] [ 1_000L; 2_000L; 4_000L; 6_000L ] "then doubled"
      }
      test "an acknowledgement of a retransmitted packet gives no sample" {
          let struct (scripted, peer) = dialled ()
          Expect.equal (Node.stream 0 scripted.Node).Value.RoundTrip (Time.milliseconds 50) "from the handshake"
          scripted.Tell(Event.Write(0, Owned(content 100))) |> ignore
          scripted.Wait(Time.milliseconds 900)
          peer.State(1, 0) |> ignore
          Expect.equal (Node.stream 0 scripted.Node).Value.RoundTrip (Time.milliseconds 50) "still"
          scripted.Tell(Event.Write(0, Owned(content 100))) |> ignore
          scripted.Wait(Time.milliseconds 90)
          peer.State(2, 0) |> ignore
          Expect.equal (Node.stream 0 scripted.Node).Value.RoundTrip (Time.milliseconds 55) "a new sample, by an eighth"
      }
      test "one packet lost in a full window is retransmitted within a round trip, and no other packet is" {
          for place in [ 0; 5; 20; 40 ] do
              let pair = calmPair ()
              let struct (a, b) = connected pair
              write pair pair.A a (content 300_000)
              run (Time.seconds 10) pair "some has arrived" (fun () -> b.Received.Count > 40_000)
              let mutable seen = 0

              dropFirst
                  1
                  pair.A
                  (fun datagram ->
                      seen <- seen + 1
                      isData datagram && seen > place)
                  pair

              run (Time.seconds 10) pair "all has arrived" (fun () -> b.Received.Count = 300_000)
              wait (Time.milliseconds 100) pair
              let statistics = (Node.stream a.ConnId pair.A.Node).Value
              Expect.equal statistics.Retransmissions 1L $"retransmissions, {place} packets on"
              Expect.equal statistics.Timeouts 0L "time-outs"
              Expect.equal (pair.B.Count Rule.Duplicate) 0 "duplicates"
      }
      test
          "a hundred packets lost in a row, to a peer with 32 bits of selective acknowledgement: a few round trips, no time-out" {
          // CUBIC doubles its window at the start: more than a hundred packets are in flight.
          let pair =
              pairOf (bep29 (fun options -> { options with Congestion = CongestionControls.cubic })) Path.perfect

          let struct (a, b) = connected pair
          write pair pair.A a (content 1_000_000)
          run (Time.seconds 10) pair "some has arrived" (fun () -> b.Received.Count > 300_000)
          let mutable seen = 0

          pair.Filter <-
              fun side datagram ->
                  if Object.ReferenceEquals(side, pair.A) then
                      if isData datagram then seen <- seen + 1

                      not (isData datagram) || seen > 100
                  else
                      shortenSack datagram
                      true

          let start = pair.Now
          run (Time.seconds 10) pair "all has arrived" (fun () -> b.Received.Count = 1_000_000)
          let statistics = (Node.stream a.ConnId pair.A.Node).Value
          Expect.equal statistics.Retransmissions 100L "retransmissions"
          Expect.equal statistics.Timeouts 0L "time-outs"
          Expect.isLessThan (pair.Now - start) (Time.milliseconds 800) "forty round trips"
      }
      test "a lost tail is repaired by the probe, without a time-out" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          write pair pair.A a (content 10_000)
          run (Time.seconds 1) pair "a round trip is known" (fun () -> b.Received.Count = 10_000)
          wait (Time.milliseconds 100) pair
          dropFirst 1 pair.A isData pair
          write pair pair.A a (content 500)
          let start = pair.Now
          run (Time.seconds 1) pair "it arrives" (fun () -> b.Received.Count = 10_500)
          Expect.isLessThan (pair.Now - start) (Time.milliseconds 400) "sooner than a time-out"
          Expect.equal (Node.stream a.ConnId pair.A.Node).Value.Timeouts 0L "time-outs"
      }
      test
          "a peer without selective acknowledgements: three duplicate acknowledgements cause the retransmission, at once" {
          let struct (scripted, peer) = dialled ()
          scripted.Tell(Event.Write(0, Owned(content 13_000))) |> ignore
          Expect.isGreaterThan (scripted.Fresh().Length) 5 "packets in flight"
          scripted.Wait(Time.milliseconds 50)
          peer.State(1, 0) |> ignore
          scripted.Fresh() |> ignore

          for _ in 1..3 do
              peer.State(1, 0) |> ignore

          let again =
              scripted.Fresh()
              |> ofType PacketType.Data
              |> Array.filter (fun p -> numberOf p = peer.TheirFirst + 1)

          Expect.hasLength again 1 "retransmissions of the second packet"
          Expect.equal (scripted.Count Rule.RetransmitTimeout) 0 "time-outs"
          peer.State(1, 0) |> ignore
          peer.State(1, 0) |> ignore

          let more =
              scripted.Fresh()
              |> ofType PacketType.Data
              |> Array.filter (fun p -> numberOf p = peer.TheirFirst + 1)

          Expect.isEmpty more "retransmissions for further duplicates"
      }
      test "a reader that takes its bytes in parts: acknowledgements that change the window are no duplicates" {
          let struct (scripted, peer) = dialled ()
          scripted.Tell(Event.Write(0, Owned(content 13_000))) |> ignore
          scripted.Wait(Time.milliseconds 50)

          for part in 0..9 do
              peer.Window <- 900_000u + 1_000u * uint32 part
              peer.State(1, 0) |> ignore

          Expect.equal (Node.stream 0 scripted.Node).Value.Retransmissions 0L "retransmissions"
          Expect.equal (scripted.Count Rule.FastRetransmit) 0 "false losses"
      }
      test "packets that are reordered by two places cause no retransmission" {
          let struct (scripted, peer) = dialled ()
          scripted.Tell(Event.Write(0, Owned(content 13_000))) |> ignore
          scripted.Fresh() |> ignore
          scripted.Wait(Time.milliseconds 50)
          peer.Sack <- Owned [| 0b11uy; 0uy; 0uy; 0uy |]
          peer.State(1, 0) |> ignore
          peer.Sack <- Owned.Empty
          peer.State(4, 0) |> ignore
          Expect.equal (Node.stream 0 scripted.Node).Value.Retransmissions 0L "retransmissions"
          Expect.equal (scripted.Count Rule.FastRetransmit) 0 "losses"
      }
      test "after a suspension of a minute, a node does not take its own absence for the peer's" {
          let struct (scripted, peer) = dialled ()
          scripted.Tell(Event.Write(0, Owned(content 100))) |> ignore
          // The peer's answer waits in the socket; the timers fire first.
          let struct (node, _) = Node.step (scripted.Now + Time.seconds 60) [||] scripted.Node
          peer.Acked <- 1

          let answer =
              Datagrams.One(Borrowed(peer.Make(PacketType.State, 0, [||])), scripted.Now + Time.seconds 60)

          let struct (node, effects) =
              Node.step (scripted.Now + Time.seconds 60) [| Event.Received(here, answer) |] node

          Expect.isFalse (Array.exists (fun (effect: Effect) -> effect.IsClosed) effects) "closed"
          Expect.isTrue (Node.stream 0 node).IsSome "the stream is open"
      }
      test "after a suspension longer than the idle time-out, a node waits half a minute more for its peer" {
          let struct (scripted, _) = dialled ()
          let idle = StreamOptions.bep29.IdleTimeout
          let morning = scripted.Now + 3L * idle
          let struct (node, effects) = Node.step morning [||] scripted.Node
          Expect.isFalse (Array.exists (fun (effect: Effect) -> effect.IsClosed) effects) "closed on waking"
          let mutable node = node
          let mutable closedAt = Time.never

          while closedAt = Time.never do
              let now = Node.deadline node
              let struct (next, effects) = Node.step now [||] node
              node <- next

              if Array.exists (fun (effect: Effect) -> effect.IsClosed) effects then closedAt <- now

          Expect.equal (closedAt - morning) (Time.seconds 30) "the time that it waited"
      } ]

let tests = testList "flow" (readers @ acknowledgements @ repairs)
