/// Nodes and streams that exist for long: rare events far apart, and many streams in succession.
module UtpPunch.Protocol.Tests.LongLivedStreams

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

/// A chunk of data whose packets are all lost for that long. Afterwards everything has arrived.
let private outage (duration: Duration) (pair: TwoNodes) (a: StreamView) (b: StreamView) =
    let until = pair.Now + duration
    let side = pair.A

    pair.Filter <-
        fun from datagram -> from.Name <> side.Name || pair.Now >= until || not (isType PacketType.Data datagram)

    let before = b.Received.Count
    write pair side a (content 5_000)
    run (Time.seconds 80) pair "the chunk arrives" (fun () -> b.Received.Count = before + 5_000)
    pair.Filter <- null

/// Causes one time-out: on a path of 20 ms, the loss probes and the first retransmission are sent before 490 ms.
let private oneTimeout pair a b = outage (Time.milliseconds 490) pair a b

let private statistics (pair: TwoNodes) (stream: StreamView) = (Node.stream stream.ConnId pair.A.Node).Value

let private farApart =
    [ test "each time-out of a long-lived stream is preceded by loss probes, however many there were before" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          write pair pair.A a (content 5_000)
          wait (Time.seconds 5) pair

          for episode in 1..6 do
              let probes, timeouts = pair.A.Count Rule.LossProbe, (statistics pair a).Timeouts
              oneTimeout pair a b
              Expect.equal ((statistics pair a).Timeouts - timeouts) 1L $"time-outs of episode {episode}"
              Expect.isGreaterThanOrEqual (pair.A.Count Rule.LossProbe - probes) 2 $"loss probes of episode {episode}"
              wait (Time.seconds 60) pair
      }
      test "time-outs minutes apart are no black hole: the packets keep their size" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          write pair pair.A a (content 5_000)
          wait (Time.seconds 5) pair
          let size = (statistics pair a).MaxPayload

          for episode in 1..8 do
              oneTimeout pair a b
              Expect.equal (statistics pair a).MaxPayload size $"the packet size after episode {episode}"
              wait (Time.seconds 120) pair
      }
      test "time-outs minutes apart do not add up: the stream survives an outage of twenty seconds after them" {
          let pair = calmPair ()
          let struct (a, b) = connected pair

          for _ in 1..6 do
              oneTimeout pair a b
              wait (Time.seconds 60) pair

          outage (Time.seconds 20) pair a b
          Expect.isTrue (a.Closed.IsNone && b.Closed.IsNone) "both are open"
      } ]

/// A stream that carries some bytes each way and ends in order.
let private comeAndGo (pair: TwoNodes) =
    let a = pair.Connect(pair.A, Dialect.Bep29)
    let before = pair.B.Accepted.Count
    run (Time.seconds 10) pair "it opens" (fun () -> a.Opened && pair.B.Accepted.Count > before)
    let b = pair.B.Accepted[before]
    write pair pair.A a (content 3_000)
    write pair pair.B b (content 3_000)
    finish pair pair.A a
    finish pair pair.B b
    run (Time.seconds 10) pair "it closes" (fun () -> a.Closed.IsSome && b.Closed.IsSome)

let private snapshotSizes (pair: TwoNodes) =
    wait (Time.seconds 300) pair
    (Snapshot.take true pair.A.Node).Length, (Snapshot.take true pair.B.Node).Length

let private churn =
    [ test "after a thousand streams have come and gone, the snapshots of both nodes are as small as after one" {
          let pair = calmPair ()
          pair.Tell(pair.B, Event.Listen 16)
          comeAndGo pair
          let beforeA, beforeB = snapshotSizes pair

          for _ in 1..1000 do
              comeAndGo pair

          let afterA, afterB = snapshotSizes pair
          // Counters and numbers take a few more digits.
          Expect.isLessThan (afterA, afterB) (beforeA + 64, beforeB + 64) "bytes"
      }
      test "streams that were refused, reset, aborted, given up or never confirmed leave nothing in either node" {
          let pair = calmPair ()
          pair.Tell(pair.B, Event.Listen 16)
          comeAndGo pair
          let beforeA, beforeB = snapshotSizes pair

          for index in 1..200 do
              let a = pair.Connect(pair.A, Dialect.Bep29)

              match index % 4 with
              | 0 -> pair.Tell(pair.A, Event.Abort a.ConnId)
              | 1 ->
                  run (Time.seconds 10) pair "it opens" (fun () -> a.Opened)
                  pair.Tell(pair.A, Event.Abort a.ConnId)
              | 2 ->
                  let before = pair.B.Accepted.Count
                  run (Time.seconds 10) pair "it is accepted" (fun () -> pair.B.Accepted.Count > before)
                  pair.Tell(pair.B, Event.Abort pair.B.Accepted[before].ConnId)
              | _ ->
                  // No packet of the server arrives: neither side learns of the other's end.
                  pair.Filter <- fun from _ -> from.Name = "A"
                  wait (Time.seconds 100) pair
                  pair.Filter <- null

              wait (Time.seconds 30) pair

          let afterA, afterB = snapshotSizes pair
          Expect.isLessThan (afterA, afterB) (beforeA + 64, beforeB + 64) "bytes"
      } ]

let private unlistening =
    [ test
          "when a node stops to listen, streams that wait to be accepted and half-open ones are reset, and accepted ones stay open" {
          let struct (scripted, peer) = accepted ()

          let dial id address confirms =
              let from = Endpoint.ofIPv4 (0x0A000100u + address) 9000us
              scripted.Receive(from, syn id 500us) |> ignore
              let synAck = scripted.Head()
              let other = Peer(scripted, from, id + 1us, SeqNr 501us, synAck.Header.SeqNr)
              if confirms then other.State(0, 0) |> ignore
              scripted.Fresh() |> ignore
              from

          let untaken = dial 300us 1u true
          let halfOpen = dial 400us 2u false
          scripted.Tell(Event.Unlisten) |> ignore
          let resets = scripted.Fresh() |> Array.filter (fun seen -> seen.Type = PacketType.Reset)

          let resetUntaken = resets |> Array.filter (fun seen -> seen.Remote.Equals untaken)
          Expect.hasLength resetUntaken 1 "the stream that waits is reset"

          Expect.isFalse
              (resets |> Array.exists (fun seen -> seen.Remote.Equals here))
              "the stream that was taken is not"

          let left = Node.statistics scripted.Node
          Expect.equal (left.Incoming, left.HalfOpen) (1, 0) "streams that are left"
          ignore halfOpen
          peer.Data(0, content 100) |> ignore
          Expect.equal (scripted.Delivered 1) (content 100) "it continues"
      } ]

let tests = testList "long-lived streams" (farApart @ churn @ unlistening)
