/// Random loss on a path, and loss by congestion.
module UtpPunch.Protocol.Tests.LossToleranceTests

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.Story

let private packet = 1380

let private fresh () =
    CongestionControls.ledbat.Start
        { Packet = packet; TargetDelay = Time.milliseconds 60; Window = 0; RoundTrip = 0L<us> }

let private nothing = Unchecked.defaultof<CongestionSample>

let private observed (sample: CongestionSample) (congestion: ICongestionController) = congestion.Observe &sample

let private acked packets isEmpty (congestion: ICongestionController) =
    observed
        { nothing with
            Bytes = packets * packet
            Packets = packets
            FlightBefore = congestion.Window
            HasQueueing = true
            IsQueueEmpty = isEmpty }
        congestion

/// Packets are lost; `isFirst` if there is no congestion event yet in this round trip.
let private missed packets isFirst congestion =
    observed { nothing with LostPackets = packets; IsFirstLoss = isFirst; HasSack = true } congestion

/// Whether the loss of that many packets is tolerated.
let private tolerates packets congestion = (missed packets true congestion).IsLossTolerated

/// One packet lost in `oneIn`, over `packets` packets.
let private losing oneIn packets isEmpty =
    let mutable congestion = fresh ()

    for _ in 1 .. packets / oneIn do
        congestion <- missed 1 false (acked (oneIn - 1) isEmpty congestion)

    congestion

let private verdicts =
    [ test "one packet lost in a hundred, without a queue, is tolerated" {
          Expect.isTrue (tolerates 0 (losing 100 20_000 true)) "after many packets"
          Expect.isTrue (tolerates 0 (losing 100 100 true)) "the first one"
          Expect.isTrue (tolerates 2 (losing 100 20_000 true)) "two at once"
      }
      test "one packet lost in thirty is congestion, but not before the rate is certain" {
          Expect.isFalse (tolerates 0 (losing 30 20_000 true)) "after many packets"
          Expect.isTrue (tolerates 0 (losing 30 300 true)) "after a few"
          Expect.isFalse (tolerates 0 (losing 10 300 true)) "one in ten"
      }
      test "with a queue, or without measurements, every loss is congestion" {
          Expect.isFalse (tolerates 0 (losing 100 20_000 false)) "all the time"
          let tolerant = losing 100 20_000 true
          Expect.isFalse (tolerates 1 (acked 10 false tolerant)) "the last sample shows a queue"
          Expect.isTrue (tolerates 1 (acked 10 true (acked 10 false tolerant))) "the queue is empty"
          Expect.isFalse (tolerates 1 (fresh ())) "before the first acknowledgement"
      }
      test "many losses at once are congestion" {
          let tolerant = losing 100 200 true
          let packets = tolerant.Window / packet
          Expect.isTrue (tolerates (2 + packets / 32) tolerant) "as many as random loss gives"
          Expect.isFalse (tolerates (3 + packets / 32) tolerant) "more"
      }
      test "after a congestion response the loss rate is evaluated anew, over all packets" {
          let congestion = missed 0 true (losing 30 20_000 true)
          Expect.isTrue (tolerates 1 congestion) "directly after the response"
          let mutable congestion = congestion
          let mutable losses = 0

          while tolerates 0 congestion do
              congestion <- missed 1 false (acked 29 true congestion)
              losses <- losses + 1

          Expect.isLessThan losses 40 "losses of one in thirty until the next response"
      }
      test "with a very high loss rate no loss is tolerated, also after a congestion response" {
          Expect.isFalse (tolerates 1 (missed 0 true (losing 10 2_000 true))) "one in ten"
      }
      test "a loss that is not tolerated halves the window, also without selective acknowledgements" {
          let tolerant = losing 100 20_000 true
          let sample = { nothing with LostPackets = 1; IsFirstLoss = true }
          let halved = observed sample tolerant
          Expect.isFalse halved.IsLossTolerated "the verdict"
          Expect.isLessThan halved.Window (tolerant.Window * 6 / 10) "the window"
      }
      test "any numbers: no exception, and counting does not change the window" {
          let random = System.Random 5
          let mutable congestion = fresh ()

          for _ in 1..2_000 do
              congestion <- acked (1 + random.Next 1_000) (random.Next 2 = 0) congestion
              let counted = missed (1 <<< random.Next 31) false congestion
              Expect.equal counted.Window congestion.Window "the window"
              congestion <- if random.Next 4 = 0 then missed 0 true counted else counted
      } ]

let private asItIs (_: byte[]) = ()

/// Without `timestamp_difference_microseconds`.
let private unmeasured (datagram: byte[]) = datagram.AsSpan(8, 4).Clear()

/// The simulated time of a transfer, and its dialler. `spoil` changes the packets of the other side.
let private transfer seed (options: NodeOptions) (path: Path) bytes spoil =
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
