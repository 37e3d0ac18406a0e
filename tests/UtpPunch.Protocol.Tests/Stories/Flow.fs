/// A stream under way: windows, acknowledgements and their delays, what is sent again and when.
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

let private read (pair: Pair) (side: Side) (stream: StreamView) count =
    stream.Unread <- stream.Unread - count
    pair.Tell(side, Event.Consumed(stream.ConnId, count))

let private numberOf (seen: Seen) = seen.Header.SeqNr
let private ofType packetType (seen: Seen[]) = seen |> Array.filter (fun packet -> packet.Type = packetType)

/// The bits of a packet, as the distances from its `ack_nr` that they stand for.
let private selected (seen: Seen) =
    let bits = seen.Packet.Sack.Span.ToArray()

    [ for bit in 0 .. 8 * bits.Length - 1 do
          if bits[bit / 8] >>> (bit % 8) &&& 1uy = 1uy then bit + 2 ]

/// Makes a selective acknowledgement one of 32 bits, as libutp's are: the others become an extension that nobody knows.
let private shortenSack (datagram: byte[]) =
    if datagram[1] = 1uy && datagram[21] > 4uy then
        let others = datagram[21] - 6uy
        datagram[26] <- datagram[20]
        datagram[27] <- others
        datagram[20] <- 2uy
        datagram[21] <- 4uy

let private readers =
    [ test "a reader that stands still stops the sender at the window, and reading on resumes it" {
          let pair = pairOf (buffered 20_000) Link.perfect
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
      test "a lost window update is made good by the sender's probe" {
          let pair = pairOf (buffered 20_000) Link.perfect
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
      test "a reader may stand still for an hour: the stream lives, and few packets ask" {
          let pair = pairOf (buffered 20_000) Link.perfect
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
      test "bytes beyond the advertised window are dropped and asked for again" {
          let struct (puppet, peer) = acceptedWith (buffered 1_000) 1000us

          for index in 0..9 do
              peer.Data(index, Array.create 300 (byte index)) |> ignore

          Expect.equal (puppet.Delivered 1).Length 900 "delivered"
          Expect.isGreaterThan (puppet.Count Rule.WindowOverrun) 0 "the rule"
          Expect.equal (Array.last (puppet.Fresh())).Header.Window 100u "what is left of the window"
          puppet.Tell(Event.Consumed(1, 900)) |> ignore
          Expect.equal (Array.last (puppet.Fresh())).Header.Window 1_000u "the update"
          peer.Data(3, Array.create 300 3uy) |> ignore
          Expect.equal (puppet.Delivered 1).Length 1_200 "delivered"
      }
      test "a slow reader's window updates are not taken for duplicate acknowledgements" {
          let pair = pairOf (buffered 200_000) { Link.perfect with Delay = Time.milliseconds 100 }
          let struct (a, b) = connected pair
          b.Reads <- false
          write pair pair.A a (content 1_000_000)

          while b.Received.Count < 1_000_000 && pair.Now < Time.seconds 100 do
              wait (Time.milliseconds 1) pair
              read pair pair.B b (min b.Unread 1_500)

          Expect.equal b.Received.Count 1_000_000 "bytes that arrived"
          Expect.equal (pair.A.Count Rule.FastRetransmit) 0 "losses that were none"
          Expect.equal (pair.B.Count Rule.Duplicate) 0 "duplicates"
      } ]

let private acknowledgements =
    [ test "one packet is acknowledged after 25 ms, a second one at once" {
          let struct (puppet, peer) = accepted ()
          peer.Data(0, content 10) |> ignore
          puppet.Wait(Time.microseconds 24_999L)
          Expect.isEmpty (puppet.Fresh()) "before its time"
          puppet.Wait(Time.microseconds 1L)
          let state = Array.exactlyOne (puppet.Fresh())
          Expect.equal (state.Type, state.Header.AckNr) (PacketType.State, peer.First) "the acknowledgement"
          peer.Data(1, content 10) |> ignore
          Expect.isEmpty (puppet.Fresh()) "the next one waits"
          peer.Data(2, content 10) |> ignore
          Expect.equal (puppet.Head().Header.AckNr) (peer.First + 2) "two"
          puppet.Wait(Time.seconds 1)
          Expect.isEmpty (puppet.Fresh()) "nothing is acknowledged twice"
      }
      test "a gap, a duplicate and the end are acknowledged at once, and a gap with its bits" {
          let struct (puppet, peer) = accepted ()
          peer.Data(1, content 10) |> ignore
          let gap = Array.exactlyOne (puppet.Fresh())
          Expect.equal (gap.Header.AckNr, selected gap) (peer.First + -1, [ 2 ]) "one gap"
          peer.Data(10, content 10) |> ignore
          let gaps = Array.exactlyOne (puppet.Fresh())
          Expect.equal (selected gaps, gaps.Packet.Sack.Length) ([ 2; 11 ], 4) "two gaps"
          peer.Data(40, content 10) |> ignore
          Expect.equal (puppet.Head() |> selected) [ 2; 11; 41 ] "a far one"
          peer.Data(0, content 10) |> ignore
          let filled = Array.exactlyOne (puppet.Fresh())
          Expect.equal (filled.Header.AckNr, selected filled) (peer.First + 1, [ 9; 39 ]) "the first gap is filled"
          peer.Data(0, content 10) |> ignore
          Expect.hasLength (puppet.Fresh()) 1 "a duplicate"

          for index in 2..40 do
              peer.Data(index, content 10) |> ignore

          puppet.Wait(Time.seconds 1)
          puppet.Fresh() |> ignore
          peer.Fin 41 |> ignore
          let ended = Array.exactlyOne (puppet.Fresh())
          Expect.equal (ended.Header.AckNr, ended.Packet.Sack.IsEmpty) (peer.First + 41, true) "the end"
      }
      test "data that goes out acknowledges what came in" {
          let struct (puppet, peer) = accepted ()
          peer.Data(0, content 10) |> ignore
          puppet.Tell(Event.Write(1, Owned(content 100))) |> ignore
          let data = Array.exactlyOne (puppet.Fresh())
          Expect.equal (data.Type, data.Header.AckNr) (PacketType.Data, peer.First) "one packet for both"
          peer.State(1, 1) |> ignore
          puppet.Wait(Time.seconds 1)
          Expect.isEmpty (puppet.Fresh()) "no acknowledgement of its own"
      }
      test "timestamp_difference is how long the last packet was under way" {
          let struct (puppet, peer) = accepted ()
          let datagram = peer.Make(PacketType.Data, 0, content 10)
          puppet.Wait(Time.milliseconds 70)
          puppet.Receive(here, datagram) |> ignore
          peer.Data(1, content 10) |> ignore
          // Both came in order; the second one was stamped and received at the same instant.
          Expect.equal (puppet.Head().Header.TimestampDifference) 0u "of the last one"
          let late = peer.Make(PacketType.Data, 2, content 10)
          puppet.Wait(Time.milliseconds 90)
          puppet.Receive(here, late, late) |> ignore
          Expect.equal (puppet.Head().Header.TimestampDifference) 90_000u "90 ms"
      }
      test "the npm package re-sends a packet with the acknowledgement of its first sending, however old: it counts" {
          let puppet = ScriptedPeer { usual with Dialect = Dialect.UtpPunch }
          puppet.Tell(Event.Listen 16) |> ignore
          puppet.Receive(here, syn 100us 1000us) |> ignore
          let peer = Peer(puppet, here, 100us, SeqNr 1001us, puppet.Head().Header.SeqNr)
          peer.State(0, 0) |> ignore
          let lost = peer.Make(PacketType.Data, 0, content 10)

          // Meanwhile the node sends a few hundred packets, each acknowledged at once.
          for acked in 1..300 do
              puppet.Tell(Event.Write(1, Owned(content 100))) |> ignore
              peer.State(acked, 1) |> ignore

          puppet.Receive(here, lost) |> ignore
          Expect.equal (puppet.Delivered 1) (content 10) "delivered"
      }
      test "acknowledgements beyond what was sent, and far behind, are ignored" {
          let struct (puppet, peer) = accepted ()
          puppet.Tell(Event.Write(1, Owned(content 3_000)), Event.Finish 1) |> ignore
          let sent = puppet.Fresh().Length

          for acked in [ sent + 1; sent + 100; 30_000; -30_000; -100 ] do
              peer.Acked <- acked
              peer.Data(0, content 10) |> ignore

          Expect.equal (puppet.Count Rule.AckOutOfRange) 5 "ignored"
          Expect.isEmpty (puppet.Delivered 1) "and their data with them"
          Expect.isFalse (puppet.Effects.Exists(fun effect -> effect.IsFinished)) "finished"
          peer.State(sent, 0) |> ignore
          Expect.isTrue (puppet.Effects.Exists(fun effect -> effect.IsFinished)) "finished by the right one"
      } ]

/// When each packet with the lowest number went out.
let private timesOf (seen: Seen[]) =
    let data = ofType PacketType.Data seen

    [ for packet in data do
          if numberOf packet = numberOf data[0] then int64 packet.At / 1000L ]

let private repairs =
    [ test "on a dead path the time-outs double up to their cap" {
          let struct (puppet, _) = accepted ()
          puppet.Tell(Event.Write(1, Owned(content 100))) |> ignore
          puppet.Wait(Time.seconds 44)
          let gaps = timesOf (puppet.Fresh()) |> List.pairwise |> List.map (fun (a, b) -> b - a)

          Expect.equal
              gaps
              [ 1_000L; 2_000L; 4_000L; 6_000L; 6_000L; 6_000L; 6_000L; 6_000L; 6_000L ]
              "milliseconds, without a sample"
      }
      test "with a known round trip one probe goes first, then time-outs of 500 ms and more" {
          let struct (puppet, _) = dialled ()
          puppet.Tell(Event.Write(0, Owned(content 100))) |> ignore
          puppet.Wait(Time.seconds 20)
          let gaps = timesOf (puppet.Fresh()) |> List.pairwise |> List.map (fun (a, b) -> b - a)
          Expect.equal (puppet.Count Rule.LossProbe) 1 "probes"
          Expect.isLessThan gaps[0] 500L "the probe comes early"
          Expect.equal (gaps[0] + gaps[1]) 500L "the first time-out, from the first transmission on"
          Expect.equal gaps[2..5] [ 1_000L; 2_000L; 4_000L; 6_000L ] "then doubled"
      }
      test "an acknowledgement of what was sent twice measures nothing" {
          let struct (puppet, peer) = dialled ()
          Expect.equal (Node.stream 0 puppet.Node).Value.RoundTrip (Time.milliseconds 50) "from the handshake"
          puppet.Tell(Event.Write(0, Owned(content 100))) |> ignore
          puppet.Wait(Time.milliseconds 900)
          peer.State(1, 0) |> ignore
          Expect.equal (Node.stream 0 puppet.Node).Value.RoundTrip (Time.milliseconds 50) "still"
          puppet.Tell(Event.Write(0, Owned(content 100))) |> ignore
          puppet.Wait(Time.milliseconds 90)
          peer.State(2, 0) |> ignore
          Expect.equal (Node.stream 0 puppet.Node).Value.RoundTrip (Time.milliseconds 55) "a new sample, by an eighth"
      }
      test "one packet lost in a full window is repaired within a round trip, and nothing else is sent twice" {
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
              Expect.equal statistics.Retransmissions 1L $"packets sent twice, {place} packets on"
              Expect.equal statistics.Timeouts 0L "time-outs"
              Expect.equal (pair.B.Count Rule.Duplicate) 0 "duplicates"
      }
      test "a hundred packets lost in a row, to a peer whose bits reach 32 far: a few round trips, no time-out" {
          let pair = calmPair ()
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
          Expect.equal statistics.Retransmissions 100L "packets sent twice"
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
      test "a peer without selective acknowledgements: three repeated ones bring the lost packet, at once" {
          let struct (puppet, peer) = dialled ()
          puppet.Tell(Event.Write(0, Owned(content 13_000))) |> ignore
          Expect.isGreaterThan (puppet.Fresh().Length) 5 "packets under way"
          puppet.Wait(Time.milliseconds 50)
          peer.State(1, 0) |> ignore
          puppet.Fresh() |> ignore

          for _ in 1..3 do
              peer.State(1, 0) |> ignore

          let again =
              puppet.Fresh() |> ofType PacketType.Data |> Array.filter (fun p -> numberOf p = peer.TheirFirst + 1)

          Expect.hasLength again 1 "the second packet, once"
          Expect.equal (puppet.Count Rule.RetransmitTimeout) 0 "time-outs"
          peer.State(1, 0) |> ignore
          peer.State(1, 0) |> ignore

          let more =
              puppet.Fresh() |> ofType PacketType.Data |> Array.filter (fun p -> numberOf p = peer.TheirFirst + 1)

          Expect.isEmpty more "not again for further repetitions"
      }
      test "a reader that takes its bytes in parts: acknowledgements that only change the window are no repeated ones" {
          let struct (puppet, peer) = dialled ()
          puppet.Tell(Event.Write(0, Owned(content 13_000))) |> ignore
          puppet.Wait(Time.milliseconds 50)

          for part in 0..9 do
              peer.Window <- 900_000u + 1_000u * uint32 part
              peer.State(1, 0) |> ignore

          Expect.equal (Node.stream 0 puppet.Node).Value.Retransmissions 0L "packets sent twice"
          Expect.equal (puppet.Count Rule.FastRetransmit) 0 "losses that were none"
      }
      test "packets that are only late by two places cause nothing" {
          let struct (puppet, peer) = dialled ()
          puppet.Tell(Event.Write(0, Owned(content 13_000))) |> ignore
          puppet.Fresh() |> ignore
          puppet.Wait(Time.milliseconds 50)
          peer.Sack <- Owned [| 0b11uy; 0uy; 0uy; 0uy |]
          peer.State(1, 0) |> ignore
          peer.Sack <- Owned.Empty
          peer.State(4, 0) |> ignore
          Expect.equal (Node.stream 0 puppet.Node).Value.Retransmissions 0L "packets sent twice"
          Expect.equal (puppet.Count Rule.FastRetransmit) 0 "losses"
      }
      test "a machine that slept for a minute does not take its own absence for the peer's" {
          let struct (puppet, peer) = dialled ()
          puppet.Tell(Event.Write(0, Owned(content 100))) |> ignore
          // The peer's answer waits in the socket; the timers fire first.
          let struct (node, _) = Node.step (puppet.Now + Time.seconds 60) [||] puppet.Node
          peer.Acked <- 1
          let answer = Datagrams.One(Borrowed(peer.Make(PacketType.State, 0, [||])), puppet.Now + Time.seconds 60)

          let struct (node, effects) =
              Node.step (puppet.Now + Time.seconds 60) [| Event.Received(here, answer) |] node

          Expect.isFalse (Array.exists (fun (effect: Effect) -> effect.IsClosed) effects) "closed"
          Expect.isTrue (Node.stream 0 node).IsSome "the stream lives"
      }
      test "a machine that slept longer than the idle time-out listens for half a minute before it believes in silence" {
          let struct (puppet, _) = dialled ()
          let idle = StreamOptions.bep29.IdleTimeout
          let morning = puppet.Now + 3L * idle
          let struct (node, effects) = Node.step morning [||] puppet.Node
          Expect.isFalse (Array.exists (fun (effect: Effect) -> effect.IsClosed) effects) "closed on waking"
          let mutable node = node
          let mutable closedAt = Time.never

          while closedAt = Time.never do
              let now = Node.deadline node
              let struct (next, effects) = Node.step now [||] node
              node <- next

              if Array.exists (fun (effect: Effect) -> effect.IsClosed) effects then closedAt <- now

          Expect.equal (closedAt - morning) (Time.seconds 30) "how long it listened"
      } ]

let tests = testList "flow" (readers @ acknowledgements @ repairs)
