/// The delivery rate (draft-ietf-ccwg-bbr, 4.1).
module UtpPunch.Protocol.Tests.DeliveryRateTests

open Expecto
open UtpPunch.Protocol

let private ms = Time.milliseconds
let private packet = 1_000

/// A sender's rate, and the trains that are in flight.
[<Sealed>]
type private Sender() =
    let rate = DeliveryRate.own DeliveryRate.Initial
    let trains = System.Collections.Generic.Dictionary<int, struct (Departure * Instant)>()
    let mutable flight = 0

    member _.Rate = rate

    /// Packet `number` leaves.
    member _.Send(number: int, at: int) =
        trains[number] <- struct (DeliveryRate.depart (ms at) flight packet 1 rate, ms at)
        flight <- flight + packet

    /// These arrive in one step; gives its sample.
    member _.Acknowledge(numbers: int list, at: int) =
        DeliveryRate.acknowledged (ms at) rate

        for number in numbers do
            let struct (departure, sentAt) = trains[number]
            flight <- flight - packet
            DeliveryRate.arrive departure sentAt (int64 number) packet rate

    /// The sample of a step, and whether the application limited it.
    member _.Sample(?least: int) =
        let sample = DeliveryRate.sample (ms (defaultArg least 1)) rate
        let isLimited = not (isNull rate.Newest) && rate.Newest.IsAppLimited
        DeliveryRate.report rate
        struct (sample, isLimited)

    member _.LimitByApplication() = DeliveryRate.limitByApplication flight rate

/// Packets leave every `apart` ms from a time on.
let private send (numbers: int list) start apart (sender: Sender) =
    for index, number in List.indexed numbers do
        sender.Send(number, start + apart * index)

let private rateOf (struct (rate: int64, _: bool)) = rate

let tests =
    testList
        "delivery rate"
        [ test "acknowledgements that come together are no higher rate: the packets were not sent faster" {
              let sender = Sender()
              sender |> send [ 1..11 ] 0 10
              sender.Acknowledge([ 1 ], 100)
              sender.Sample() |> ignore
              // Ten packets that left over 100 ms are acknowledged within one.
              sender.Acknowledge([ 2..11 ], 101)

              Expect.equal
                  (rateOf (sender.Sample()))
                  (11L * 1_000_000L / 101L + 1L)
                  "eleven packets since the first left"

              sender |> send [ 12..22 ] 110 10
              sender.Acknowledge([ 12 ], 210)
              sender.Sample() |> ignore
              sender.Acknowledge([ 13..22 ], 211)
              let rate = rateOf (sender.Sample())
              Expect.isLessThan rate 120_000L "the sample of a packet that was sent when others were in flight"
          }
          test "packets that are sent together are no higher rate: they do not arrive faster" {
              let sender = Sender()
              sender |> send [ 1..10 ] 0 0

              for number in 1..10 do
                  sender.Acknowledge([ number ], 100 + 10 * number)
                  // All of them left when nothing was delivered.
                  let expected = int64 (number * packet) * 1_000L / int64 (100 + 10 * number)
                  Expect.isLessThanOrEqual (rateOf (sender.Sample())) (expected + 1L) $"packet {number}"
          }
          test "what is sent after the application had nothing to send is marked, until that is delivered" {
              let sender = Sender()
              sender |> send [ 1..2 ] 0 10
              sender.LimitByApplication()
              sender |> send [ 3..4 ] 40 10
              sender.Acknowledge([ 1 ], 100)
              let struct (_, isLimited) = sender.Sample()
              Expect.isFalse isLimited "sent before"
              sender.Acknowledge([ 2; 3 ], 140)
              let struct (_, isLimited) = sender.Sample()
              Expect.isTrue isLimited "sent after"
              sender.Acknowledge([ 4 ], 150)
              sender.Sample() |> ignore
              sender |> send [ 5 ] 160 0
              sender.Acknowledge([ 5 ], 260)
              let struct (_, isLimited) = sender.Sample()
              Expect.isFalse isLimited "everything that was in flight then is delivered"
          }
          test
              "a packet that seems to come back sooner than any before gives no sample: it answers another transmission" {
              let sender = Sender()
              sender |> send [ 1 ] 0 0
              sender.Acknowledge([ 1 ], 30)
              Expect.equal (rateOf (sender.Sample 100)) 0L "30 ms, and the least round trip is 100"
              sender |> send [ 2 ] 200 0
              sender.Acknowledge([ 2 ], 300)
              Expect.equal (rateOf (sender.Sample 100)) 10_000L "a packet in 100 ms"
          }
          test "of the packets that a step acknowledges, the one that was sent last gives the sample" {
              let sender = Sender()
              sender |> send [ 1..2 ] 0 10
              sender.Acknowledge([ 1 ], 100)
              sender.Sample() |> ignore
              sender |> send [ 3 ] 100 0
              // In one step, and not in order.
              sender.Acknowledge([ 3; 2 ], 200)
              // Packet 3 left when one packet was delivered, at 100 ms: two more since then.
              Expect.equal (rateOf (sender.Sample())) 20_000L "two packets in 100 ms"
          } ]
