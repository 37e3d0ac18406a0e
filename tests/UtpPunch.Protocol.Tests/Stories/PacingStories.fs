/// When packets leave: pacing (RFC 9002, 7.7), and paths that become longer.
module UtpPunch.Protocol.Tests.PacingStories

open System
open System.Buffers.Binary
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.FixedControl
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private ms = Time.milliseconds

/// Bytes a second, and the window: more than the path holds.
let private rate = 1_000_000
let private window = 400_000
let private packet = 1_400

let private options control =
    bep29 (fun options -> { options with PacketSize = packet; LargestPacket = packet; Congestion = control })

/// A node whose clock a test sets, beside an ordinary one; and what it has sent of data: when, the length, and the number.
let private pacedBetween path back clock control =
    let mine, theirs = options control, options CongestionControls.ledbat
    let scenario = TwoNodes.scenario 7UL mine 1 path back
    let pair = TwoNodes({ scenario with A = { scenario.A with Clock = clock } }, mine, theirs)
    let departures = ResizeArray<struct (Instant * int * uint16)>()

    let see (from: Side) (datagram: byte[]) =
        if Object.ReferenceEquals(from, pair.A) && isType PacketType.Data datagram then
            let number = BinaryPrimitives.ReadUInt16BigEndian(ReadOnlySpan<byte>(datagram, 16, 2))
            departures.Add(struct (pair.Now, datagram.Length, number))

        true

    pair.Filter <- see
    struct (pair, departures)

let private path = { Path.perfect with Delay = ms 25 }

let private pacedOver path clock control = pacedBetween path { path with Lateness = Lateness.Never } clock control

let private paced clock = pacedOver path clock (fixedControl window (int64 rate) (ResizeArray()))

/// The most bytes that leave within some time.
let private mostWithin (span: Duration) (departures: struct (Instant * int * uint16) seq) =
    let departures = Seq.toArray departures

    departures
    |> Array.map (fun (struct (from, _, _)) ->
        departures
        |> Array.sumBy (fun (struct (at, length, _)) -> if at >= from && at < from + span then length else 0))
    |> Array.fold max 0

/// What the rate gives in that time, a train that was due before, and one at the end. The rate is that of payloads.
let private allowed (span: Duration) = int (float rate * float (int64 span) / 1e6 * 1.03) + 4 * packet

let private transfer (pair: TwoNodes) (a: StreamView) (b: StreamView) count =
    let before = b.Received.Count
    write pair pair.A a (content count)
    run (Time.seconds 20) pair "it arrives" (fun () -> b.Received.Count = before + count)

let private pacing =
    [ test "packets leave at the pacing rate, in trains of a millisecond or of two packets" {
          let struct (pair, departures) = paced Scenario.clock
          let struct (a, b) = connected pair
          let start = pair.Now
          transfer pair a b 500_000
          Expect.isGreaterThan (pair.Now - start) (ms 480) "half a second"
          Expect.isLessThan (pair.Now - start) (ms 620) "half a second, and the round trip"

          for span in [ ms 1; ms 5; ms 20; ms 100 ] do
              // The first round trip is not known while the handshake is under way.
              let later = departures |> Seq.filter (fun (struct (at, _, _)) -> at > start)
              Expect.isLessThanOrEqual (mostWithin span later) (allowed span) $"bytes within {int64 span} us"
      }
      test "retransmissions are paced as new data is" {
          let struct (pair, departures) = paced Scenario.clock
          let struct (a, b) = connected pair
          let see = pair.Filter
          let mutable lost = 0

          // A hundred packets in a row.
          pair.Filter <-
              fun from datagram ->
                  see.Invoke(from, datagram)
                  && (not (Object.ReferenceEquals(from, pair.A))
                      || departures.Count < 100
                      || lost >= 100
                      || (lost <- lost + 1
                          false))

          transfer pair a b 500_000
          let seen = Collections.Generic.HashSet<uint16>()

          let again =
              departures |> Seq.filter (fun (struct (_, _, number)) -> not (seen.Add number)) |> Seq.toArray

          Expect.isGreaterThan again.Length 90 "retransmissions"
          Expect.isLessThanOrEqual (mostWithin (ms 10) again) (allowed (ms 10)) "bytes of them within 10 ms"
          Expect.isLessThanOrEqual (mostWithin (ms 10) departures) (allowed (ms 10)) "bytes within 10 ms"
      }
      test "an application that pauses earns nothing: what it writes then leaves at the pacing rate" {
          let struct (pair, departures) = paced Scenario.clock
          let struct (a, b) = connected pair

          for pause in [ ms 5; ms 30; ms 1_000 ] do
              transfer pair a b 50_000
              wait pause pair
              departures.Clear()
              transfer pair a b 50_000
              Expect.isLessThanOrEqual (mostWithin (ms 5) departures) (allowed (ms 5)) $"bytes after {int64 pause} us"
      }
      test "timers that are late are made up for" {
          let struct (pair, departures) = paced { Scenario.clock with Granularity = ms 8 }
          let struct (a, _) = connected pair
          write pair pair.A a (content 1_000_000)
          wait (ms 200) pair
          departures.Clear()
          wait (ms 500) pair
          let sent = departures |> Seq.sumBy (fun (struct (_, length, _)) -> length)
          Expect.isGreaterThan sent 480_000 "bytes in half a second"
          Expect.isLessThan sent 530_000 "bytes in half a second"
      }
      test "after a suspension of the host, 20 ms are made up for, and no more" {
          let struct (pair, departures) = paced { Scenario.clock with Freezes = [ ms 400, ms 300 ] }
          let struct (a, _) = connected pair
          write pair pair.A a (content 1_000_000)
          wait (ms 390 - pair.Now) pair
          departures.Clear()
          wait (ms 500) pair
          let burst = mostWithin (ms 2) departures
          Expect.isGreaterThan burst 20_000 "bytes within 2 ms"
          Expect.isLessThanOrEqual burst (allowed (ms 22)) "bytes within 2 ms"
      } ]

/// The samples of a stream that has sent for two seconds, before its path changes; those of the second after it; and of two more.
let private overChangingPaths there back pieceLength =
    let samples = ResizeArray()
    let changing lateness = { path with Lateness = Lateness.Steps lateness }
    let control = fixedControl 100_000 (int64 rate) samples
    let struct (pair, _) = pacedBetween (changing there) (changing back) Scenario.clock control
    let struct (a, _) = connected pair
    let piece = content pieceLength

    let bulk (until: Instant) =
        while pair.Now < until do
            if a.Room >= piece.Length then write pair pair.A a piece
            wait (ms 20) pair

    let taken (until: Instant) =
        samples.Clear()
        bulk until
        samples.ToArray()

    struct (taken (Time.seconds 2), taken (Time.seconds 3), taken (Time.seconds 5))

let private longer = [ Time.seconds 2, ms 100 ]

/// Whole pairs of packets: every second one is acknowledged at once.
let private pairs = 40 * (packet - Packet.HeaderLength)

let private overChangingPath (lateness: (Duration * Duration) list) = overChangingPaths lateness [] pairs

/// Nothing passes for 100 ms; then all that has waited arrives together.
let private paused = [ for late in 0..100 -> Time.seconds 2 + ms late, ms (100 - late) ]

let private longerPaths =
    [ test "on a path that has become longer, the least round trip rises to what it is now" {
          let struct (before, _, after) = overChangingPath longer
          Expect.isLessThan (Array.last before).Least (ms 55) "before"

          for sample in after do
              Expect.isGreaterThan sample.Least (ms 145) "after"
              Expect.isLessThan sample.Least (ms 155) "after"
      }
      test "on a path that has become longer, the base delay rises: what is longer is no queue" {
          let struct (_, _, after) = overChangingPath longer

          for sample in after do
              Expect.isTrue sample.HasQueueing "it is measured"
              Expect.isLessThan sample.Queueing (ms 4) "the queueing delay"
              Expect.isTrue sample.IsQueueEmpty "no queue shows"
      }
      test "the same where the last acknowledgement before had been delayed" {
          let struct (_, _, after) = overChangingPaths longer [] 50_000

          for sample in after do
              Expect.isGreaterThan sample.Least (ms 145) "after"
              Expect.isLessThan sample.Least (ms 155) "after"
      }
      test "both directions become longer at once: the round trip does in two steps" {
          let struct (_, _, after) = overChangingPaths longer longer pairs

          for sample in after do
              Expect.isGreaterThan sample.Least (ms 240) "after"
              Expect.isLessThan sample.Least (ms 255) "after"
              Expect.isLessThan sample.Queueing (ms 10) "the queueing delay"
      }
      test "a pause of the link is no longer path: the least round trip stays what it was" {
          let struct (_, during, after) = overChangingPath paused
          Expect.isGreaterThan (during |> Array.map _.RoundTrip |> Array.max) (ms 145) "the longest round trip"

          for sample in Array.append during after do
              Expect.isLessThan sample.Least (ms 55) "the least one"
      }
      test
          "a queue that a stream fills itself over a slow link is no longer path: the least round trip stays what it was" {
          // 1 Mbit/s and 40 ms, of which a packet and its acknowledgement are 12 more; a queue of two seconds.
          let link = { Path.perfect with Delay = ms 20; Rate = Rate.Constant 125_000; Queue = Queue.Tail 250_000 }
          let samples = ResizeArray()
          let struct (pair, _) = pacedOver link Scenario.clock (fixedControl 150_000 Int64.MaxValue samples)
          let struct (a, b) = connected pair
          transfer pair a b 1_000_000
          let queue = samples |> Seq.map _.RoundTrip |> Seq.max
          Expect.isGreaterThan queue (ms 1_000) "the longest round trip"

          for sample in samples do
              Expect.isLessThan sample.Least (ms 65) "the least one"
      } ]

let tests = testList "pacing" (pacing @ longerPaths)
