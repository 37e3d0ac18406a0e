/// What a path loses without being full, and what looks like it.
module UtpPunch.Protocol.Tests.Noise

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.Story

let private packet = 1380
let private fresh () : ICongestion = Ledbat(packet, Time.milliseconds 100)

let private acked packets isEmpty (congestion: ICongestion) =
    congestion.Acknowledged
        { Bytes = packets * packet
          Packets = packets
          Flight = congestion.Window
          Queueing = ValueSome 0L<us>
          RttInflated = false
          QueueEmpty = isEmpty }

/// One lost in so many, for so many packets.
let private losing oneIn packets isEmpty =
    let mutable congestion = fresh ()

    for _ in 1 .. packets / oneIn do
        congestion <- (acked (oneIn - 1) isEmpty congestion).Missed 1

    congestion

let private verdicts =
    [ test "one lost in a hundred, and no queue: noise" {
          Expect.isTrue (losing 100 20_000 true).Tolerates "after many packets"
          Expect.isTrue (losing 100 100 true).Tolerates "the first one"
          Expect.isTrue ((losing 100 20_000 true).Missed 2).Tolerates "two at once"
      }
      test "one lost in thirty is congestion, but not before it can be told from one in a hundred" {
          Expect.isFalse (losing 30 20_000 true).Tolerates "after many packets"
          Expect.isTrue (losing 30 300 true).Tolerates "after a few"
          Expect.isFalse (losing 10 300 true).Tolerates "one in ten"
      }
      test "a queue, or nothing measured: congestion, however few are lost" {
          Expect.isFalse (losing 100 20_000 false).Tolerates "all the time"
          let noise = losing 100 20_000 true
          Expect.isFalse (acked 10 false noise).Tolerates "a queue shows last"
          Expect.isTrue (acked 10 true (acked 10 false noise)).Tolerates "it has gone"
          Expect.isFalse ((fresh ()).Missed 1).Tolerates "nothing was acknowledged yet"
      }
      test "many at once overflowed something" {
          let noise = losing 100 200 true
          let packets = noise.Window / packet
          Expect.isTrue (noise.Missed(2 + packets / 32)).Tolerates "as many as scatter together"
          Expect.isFalse (noise.Missed(3 + packets / 32)).Tolerates "more"
      }
      test "after an answer the share is looked at anew, and goes on to count" {
          let congestion = (losing 30 20_000 true).Lost()
          Expect.isTrue (congestion.Missed 1).Tolerates "the answer has had no time to show"
          let mutable congestion = congestion
          let mutable losses = 0

          while congestion.Tolerates do
              congestion <- (acked 29 true congestion).Missed 1
              losses <- losses + 1

          Expect.isLessThan losses 40 "losses of one in thirty until the next answer"
      }
      test "of very many lost packets none is tolerated, also after an answer" {
          Expect.isFalse (((losing 10 2_000 true).Lost()).Missed 1).Tolerates "one in ten"
      }
      test "any numbers: no exception, and the window is not moved by counting" {
          let random = System.Random 5
          let mutable congestion = fresh ()

          for _ in 1..2_000 do
              congestion <- acked (1 + random.Next 1_000) (random.Next 2 = 0) congestion
              let missed = congestion.Missed(1 <<< random.Next 31)
              Expect.equal missed.Window congestion.Window "the window"
              congestion <- if random.Next 4 = 0 then missed.Lost() else missed
      } ]

let private asItIs (_: byte[]) = ()

/// No `timestamp_difference_microseconds`.
let private unmeasured (datagram: byte[]) = datagram.AsSpan(8, 4).Clear()

/// Simulated time that a transfer of so many bytes takes, and its dialler. `spoil` is done to what the other side says.
let private transfer seed (options: NodeOptions) link bytes spoil =
    let pair = Pair(seed, options, options, link, { link with Rate = 0 })
    pair.Batches <- true

    pair.Filter <-
        fun side datagram ->
            if Object.ReferenceEquals(side, pair.B) then spoil datagram

            true

    let dialect = options.Dialect
    let struct (a, b) = connectedIn dialect pair
    let piece = content 65_536
    let start = pair.Now
    let mutable written = 0
    let mutable read = 0

    while read < bytes && pair.Now - start < Time.seconds 600 do
        while written < bytes && a.Room >= piece.Length do
            pair.Write(pair.A, a, ReadOnlySpan<byte> piece) |> ignore
            written <- written + piece.Length

        pair.Advance() |> ignore
        read <- read + b.Received.Count
        b.Received.Clear()

    Expect.isGreaterThanOrEqual read bytes "bytes that arrived"
    struct (pair.Now - start, pair.A)

let private fixedSize =
    { NodeOptions.standard with
        Bep29 = { StreamOptions.bep29 with PacketSize = 1400; LargestPacket = 1400 } }

let private noisy = { Link.perfect with Delay = Time.milliseconds 20; Loss = 10 }

let private paths =
    [ for seed in 1UL .. 5UL do
          test $"1 %% lost, 20 ms each way: ten megabytes take three seconds at most (seed {seed})" {
              let struct (time, a) = transfer seed fixedSize noisy 10_000_000 asItIs
              Expect.isLessThan time (Time.seconds 3) "with each loss answered it would be half a minute"
              Expect.isGreaterThan (a.Count Rule.LossTolerated) 0 "losses that were tolerated"
          }
      test "20 % lost: it is congestion for all that one can tell" {
          let struct (_, a) = transfer 1UL fixedSize { noisy with Loss = 200 } 300_000 asItIs
          let answered = a.Count Rule.FastRetransmit - a.Count Rule.LossTolerated

          Expect.isGreaterThan
              answered
              (a.Count Rule.LossTolerated)
              "losses that were answered, and those that were not"
      }
      test "the npm package measures nothing: every loss is congestion" {
          let npm = { fixedSize with Dialect = Dialect.UtpPunch }
          let struct (_, a) = transfer 1UL npm noisy 1_000_000 unmeasured
          Expect.isGreaterThan (a.Count Rule.FastRetransmit) 0 "losses"
          Expect.equal (a.Count Rule.LossTolerated) 0 "losses that were tolerated"
      }
      test "a queue of four milliseconds overflows, and not more often than where each loss is answered" {
          let link =
              { Link.perfect with Delay = Time.milliseconds 20; Rate = 2_500_000; Queue = Time.milliseconds 4 }

          let struct (_, a) = transfer 1UL fixedSize link 20_000_000 asItIs
          Expect.isLessThan (a.Count Rule.LossTolerated) 5 "losses that were taken for noise"
      } ]

let tests = testList "noise" (verdicts @ paths)
