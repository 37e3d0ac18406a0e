/// Random loss on a path, and loss by congestion.
module UtpPunch.Protocol.Tests.LossToleranceTests

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

/// One packet lost in `oneIn`, over `packets` packets.
let private losing oneIn packets isEmpty =
    let mutable congestion = fresh ()

    for _ in 1 .. packets / oneIn do
        congestion <- (acked (oneIn - 1) isEmpty congestion).Missed 1

    congestion

let private verdicts =
    [ test "one packet lost in a hundred, without a queue, is tolerated" {
          Expect.isTrue (losing 100 20_000 true).Tolerates "after many packets"
          Expect.isTrue (losing 100 100 true).Tolerates "the first one"
          Expect.isTrue ((losing 100 20_000 true).Missed 2).Tolerates "two at once"
      }
      test "one packet lost in thirty is congestion, but not before the rate is certain" {
          Expect.isFalse (losing 30 20_000 true).Tolerates "after many packets"
          Expect.isTrue (losing 30 300 true).Tolerates "after a few"
          Expect.isFalse (losing 10 300 true).Tolerates "one in ten"
      }
      test "with a queue, or without measurements, every loss is congestion" {
          Expect.isFalse (losing 100 20_000 false).Tolerates "all the time"
          let tolerant = losing 100 20_000 true
          Expect.isFalse (acked 10 false tolerant).Tolerates "the last sample shows a queue"
          Expect.isTrue (acked 10 true (acked 10 false tolerant)).Tolerates "the queue is empty"
          Expect.isFalse ((fresh ()).Missed 1).Tolerates "before the first acknowledgement"
      }
      test "many losses at once are congestion" {
          let tolerant = losing 100 200 true
          let packets = tolerant.Window / packet
          Expect.isTrue (tolerant.Missed(2 + packets / 32)).Tolerates "as many as random loss gives"
          Expect.isFalse (tolerant.Missed(3 + packets / 32)).Tolerates "more"
      }
      test "after a congestion response the loss rate is evaluated anew, over all packets" {
          let congestion = (losing 30 20_000 true).Lost()
          Expect.isTrue (congestion.Missed 1).Tolerates "directly after the response"
          let mutable congestion = congestion
          let mutable losses = 0

          while congestion.Tolerates do
              congestion <- (acked 29 true congestion).Missed 1
              losses <- losses + 1

          Expect.isLessThan losses 40 "losses of one in thirty until the next response"
      }
      test "with a very high loss rate no loss is tolerated, also after a congestion response" {
          Expect.isFalse (((losing 10 2_000 true).Lost()).Missed 1).Tolerates "one in ten"
      }
      test "any numbers: no exception, and counting does not change the window" {
          let random = System.Random 5
          let mutable congestion = fresh ()

          for _ in 1..2_000 do
              congestion <- acked (1 + random.Next 1_000) (random.Next 2 = 0) congestion
              let missed = congestion.Missed(1 <<< random.Next 31)
              Expect.equal missed.Window congestion.Window "the window"
              congestion <- if random.Next 4 = 0 then missed.Lost() else missed
      } ]

let private asItIs (_: byte[]) = ()

/// Without `timestamp_difference_microseconds`.
let private unmeasured (datagram: byte[]) = datagram.AsSpan(8, 4).Clear()

/// The simulated time of a transfer, and its dialler. `spoil` changes the packets of the other side.
let private transfer seed (options: NodeOptions) path bytes spoil =
    let back = { path with Rate = Rate.Unlimited }
    let pair = TwoNodes(TwoNodes.scenario seed options 64 path back, options, options)

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

let private noisy = { Path.perfect with Delay = Time.milliseconds 20; Loss = Loss.Each 10 }

let private paths =
    [ for seed in 1UL .. 5UL do
          test $"1 %% lost, 20 ms each way: ten megabytes take three seconds at most (seed {seed})" {
              let struct (time, a) = transfer seed fixedSize noisy 10_000_000 asItIs
              Expect.isLessThan time (Time.seconds 3) "the time; about half a minute if each loss were congestion"
              Expect.isGreaterThan (a.Count Rule.LossTolerated) 0 "losses that were tolerated"
          }
      test "20 % lost: it cannot be told from congestion" {
          let struct (_, a) = transfer 1UL fixedSize { noisy with Loss = Loss.Each 200 } 300_000 asItIs
          let answered = a.Count Rule.FastRetransmit - a.Count Rule.LossTolerated

          Expect.isGreaterThan
              answered
              (a.Count Rule.LossTolerated)
              "losses with a congestion response, and tolerated ones"
      }
      test "the npm package measures no delay: every loss is congestion" {
          let npm = { fixedSize with Dialect = Dialect.UtpPunch }
          let struct (_, a) = transfer 1UL npm noisy 1_000_000 unmeasured
          Expect.isGreaterThan (a.Count Rule.FastRetransmit) 0 "losses"
          Expect.equal (a.Count Rule.LossTolerated) 0 "losses that were tolerated"
      }
      test "a queue of four milliseconds overflows no more often than with a congestion response to each loss" {
          let path =
              { Path.perfect with
                  Delay = Time.milliseconds 20
                  Rate = Rate.Constant 2_500_000
                  Queue = Queue.Tail 10_000 }

          let struct (_, a) = transfer 1UL fixedSize path 20_000_000 asItIs
          Expect.isLessThan (a.Count Rule.LossTolerated) 5 "tolerated losses"
      } ]

let tests = testList "loss tolerance" (verdicts @ paths)
