/// Gives the same packets to the core's receiver and to the oracle's: at every packet that the core sends, both acknowledge the same, to
/// the bit.
module UtpPunch.Sim.Tests.ReceiverOracle

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Sim

let private peer = Endpoint.ofIPv4 0x0A000009u 9000us

/// A core with a scripted peer, and the oracle beside it. Places count the peer's packets from 1; the last is its FIN.
[<Sealed>]
type private Bench(first: SeqNr, fin: int, coreDials: bool) =
    let machine: IMachine = CoreMachine(NodeOptions.standard, uint64 first.Value, 0L<us>)
    let oracle = OracleReceiver(first + -1, true)
    let mutable now: Instant = 0L<us>
    let mutable sendId = 101us
    let mutable connId = 1
    /// The last number that the core used, which its peer acknowledges.
    let mutable theirs = SeqNr 0us
    let mutable states = 0
    let delivered = ResizeArray<byte>()
    let expected = ResizeArray<byte>()
    let mutable hasEnded = false
    /// The offset in the core's time stamps.
    let mutable offset = 0u

    let payloadOf place = if place = fin then [||] else Array.init (1 + place % 3) (fun i -> byte (31 * place + i))

    let datagram packetType seqNr ackNr payload =
        let header =
            { Type = packetType
              ConnectionId = if packetType = PacketType.Syn then 100us else sendId
              Timestamp = Time.stamp now
              TimestampDifference = 0u - offset
              Window = 1u <<< 20
              SeqNr = seqNr
              AckNr = ackNr }

        let packet = Array.zeroCreate<byte>(Packet.lengthOf 0 0UL (Array.length payload))
        Packet.encode &header Owned.Empty 0UL (Owned payload) (Span<byte>(packet)) |> ignore
        Event.Received(peer, Datagrams.One(Borrowed packet, now))

    /// Steps the core; returns the number of acknowledging packets, after comparing each.
    let step events =
        let mutable acknowledging = 0
        let answers = ResizeArray<Event>()

        for effect in machine.Step(now, events) do
            match effect with
            | Effect.Send(_, train) ->
                let header = train.Header
                offset <- header.Timestamp - Time.stamp now
                if header.Type <> PacketType.State then theirs <- header.SeqNr + (train.Count - 1)

                Expect.equal header.AckNr.Value oracle.AckNr.Value $"ack_nr of {Describe.effect effect}"

                if header.Type = PacketType.State then
                    states <- states + 1

                    Expect.equal
                        (Convert.ToHexString train.Sack.Span)
                        (Convert.ToHexString oracle.Sack.Span)
                        $"bits of {Describe.effect effect}"
                else
                    Expect.isTrue train.Sack.IsEmpty "only a STATE carries a selective acknowledgement"

                acknowledging <- acknowledging + 1
            | Effect.Deliver(_, payload) ->
                delivered.AddRange(Describe.flatten payload)
                answers.Add(Event.Consumed(connId, payload.Length))
            | Effect.Ended _ -> hasEnded <- true
            | Effect.Noted(rule, _) when rule = Rule.AckOutOfRange || rule = Rule.SeqOutOfRange ->
                failtest $"%A{rule}: the test itself is wrong"
            | _ -> ()

        if answers.Count > 0 then machine.Step(now, answers.ToArray()) |> ignore

        acknowledging

    /// Opens the stream on both sides; SYN and SYN-ACK are not compared here.
    do
        let sent (effects: Effect[]) =
            effects
            |> Array.pick (fun effect ->
                match effect with
                | Effect.Send(_, train) -> Some train.Header
                | _ -> None)

        if coreDials then
            connId <- 0
            let syn = sent (machine.Step(now, [| Event.Connect(0, peer, Dialect.Bep29, Time.seconds 10) |]))
            theirs <- syn.SeqNr
            sendId <- syn.ConnectionId
            now <- now + Time.milliseconds 20
            step [| datagram PacketType.State first theirs [||] |] |> ignore
        else
            machine.Step(now, [| Event.Listen 1 |]) |> ignore
            let synAck = sent (machine.Step(now, [| datagram PacketType.Syn (first + -1) (SeqNr 0us) [||] |]))
            theirs <- synAck.SeqNr + -1
            offset <- synAck.Timestamp - Time.stamp now
            now <- now + Time.milliseconds 20
            step [| datagram PacketType.State first theirs [||]; Event.Taken 1 |] |> ignore

    member _.States = states

    member _.Wait(duration: Duration) =
        let until = now + duration

        while machine.Deadline <= until do
            now <- machine.Deadline
            step [||] |> ignore

        now <- until

    member _.Write() = step [| Event.Write(connId, Owned [| 1uy; 2uy; 3uy |]) |] |> ignore
    member _.Finish() = step [| Event.Finish connId |] |> ignore

    /// How far a packet is ahead of the next one in order.
    member _.Ahead(place: int) = (first + (place - 1)) - oracle.AckNr - 1

    /// These arrive in one batch.
    member this.Arrive(places: int list) =
        let mutable atOnce = false

        let events =
            [| for place in places do
                   let ahead = this.Ahead place
                   let hadGap = oracle.HasGap

                   for piece in oracle.Take(first + (place - 1), payloadOf place, (place = fin)) do
                       expected.AddRange piece

                   // RFC 5681, 4.2: out of order, duplicate, or filling a gap.
                   if ahead <> 0 || hadGap || place = fin then atOnce <- true

                   let kind = if place = fin then PacketType.Fin else PacketType.Data
                   datagram kind (first + (place - 1)) theirs (payloadOf place) |]

        let acknowledging = step events
        if atOnce then Expect.isGreaterThan acknowledging 0 $"acknowledgements of {places}"

    /// The delayed acknowledgement was sent: all bytes and the end must have been delivered.
    member this.Conclude() =
        this.Wait(Time.milliseconds 200)
        Expect.equal (delivered.ToArray()) (expected.ToArray()) "bytes delivered"
        Expect.equal hasEnded oracle.HasEnded "the end"

/// What a receiver gets and when, and what its own application does meanwhile.
type PacketStream =
    {
        First: uint16
        CoreDials: bool
        /// The peer's packets, its FIN included.
        Packets: int
        /// How far packets are reordered.
        Shuffling: int
        Loss: int
        Duplication: int
        Batch: int
        /// The application writes every that many batches; never with 0.
        Writes: int
        /// At which batch it finishes.
        FinishesAt: int
        Seed: int
    }

let private arrivals =
    gen {
        let! first = Gen.oneof [ Gen.choose (0, 0xFFFF); Gen.choose (0xFF00, 0xFFFF) ]
        let! coreDials = Gen.elements [ true; false ]
        let! packets = Gen.oneof [ Gen.choose (1, 8); Gen.choose (1, 100); Gen.choose (900, 1500) ]
        let! shuffling = Gen.elements [ 0; 1; 3; 10; 40; 300; 1200 ]
        let! loss = Gen.elements [ 0; 20; 200; 500 ]
        let! duplication = Gen.elements [ 0; 20; 300 ]
        let! batch = Gen.elements [ 1; 1; 2; 7 ]
        let! writes = Gen.elements [ 0; 0; 1; 5 ]
        let! finishesAt = Gen.elements [ 0; 1; 10; 100_000 ]
        let! seed = Gen.choose (0, Int32.MaxValue)

        return
            { First = uint16 first
              CoreDials = coreDials
              Packets = packets
              Shuffling = shuffling
              Loss = loss
              Duplication = duplication
              Batch = batch
              Writes = writes
              FinishesAt = finishesAt
              Seed = seed }
    }

let private shrink (it: PacketStream) =
    seq {
        if it.Packets > 1 then { it with Packets = it.Packets / 2 }

        if it.Shuffling > 0 then { it with Shuffling = it.Shuffling / 2 }

        if it.Loss > 0 then { it with Loss = 0 }

        if it.Duplication > 0 then { it with Duplication = 0 }

        if it.Batch > 1 then { it with Batch = 1 }

        if it.Writes > 0 then { it with Writes = 0 }

        if it.FinishesAt < 100_000 then { it with FinishesAt = 100_000 }
    }

type Arbitraries =
    static member PacketStream() : Arbitrary<PacketStream> = Arb.fromGenShrink (arrivals, shrink)

let private config =
    { FsCheckConfig.defaultConfig with arbitrary = [ typeof<Arbitraries> ]; maxTest = 100 }

/// Every packet is sent until it has arrived; each time it may be lost, duplicated and reordered.
let private schedule (it: PacketStream) =
    let random = System.Random it.Seed

    let rec rounds (missing: int list) =
        [ if not missing.IsEmpty then
              let lost =
                  set
                      [ for place in missing do
                            if random.Next 1000 < it.Loss then place ]

              let copies =
                  [ for index, place in List.indexed missing do
                        if not (lost.Contains place) then
                            index + random.Next(it.Shuffling + 1), place

                            if random.Next 1000 < it.Duplication then
                                index + random.Next(20 * it.Shuffling + 1), place ]

              yield! List.map snd (List.sortBy fst copies)
              yield! rounds (List.filter lost.Contains missing) ]

    rounds [ 1 .. it.Packets ]

let private replay (it: PacketStream) =
    let bench = Bench(SeqNr it.First, it.Packets, it.CoreDials)
    let random = System.Random(it.Seed + 1)

    for index, batch in List.indexed (List.chunkBySize it.Batch (schedule it)) do
        // The core accepts 1024 numbers on either side of the next one; the oracle accepts any.
        let near = batch |> List.filter (fun place -> abs (bench.Ahead place) < 1000)
        if not near.IsEmpty then bench.Arrive near

        if index < it.FinishesAt && it.Writes > 0 && index % it.Writes = 0 then bench.Write()

        if index = it.FinishesAt then bench.Finish()

        if random.Next 4 = 0 then bench.Wait(Time.milliseconds (random.Next 60))

    bench.Conclude()
    bench

let rec private permutations items =
    match items with
    | [] -> [ [] ]
    | _ ->
        [ for item in items do
              for rest in permutations (List.except [ item ] items) do
                  item :: rest ]

let tests =
    testList
        "receiver"
        [ testPropertyWithConfig
              config
              "the core acknowledges what the oracle does, to the bit, for any packets"
              (fun it -> replay it |> ignore)
          test "the same in all 720 orders of five packets and a FIN, from every number at which they wrap" {
              for index, order in List.indexed (permutations [ 1..6 ]) do
                  let bench = Bench(SeqNr(uint16 (0xFFF9 + index % 8)), 6, index % 2 = 0)

                  for place in order do
                      bench.Arrive [ place ]

                  bench.Conclude()
          }
          test "a gap of 1 to 999 packets gives a selective acknowledgement of just that length" {
              for ahead in 1..999 do
                  let bench = Bench(SeqNr 65_000us, 2_000, true)
                  bench.Arrive [ 1 + ahead ]
                  bench.Arrive [ 1 ]
                  bench.Conclude()
                  Expect.isGreaterThanOrEqual bench.States 2 "compared STATE packets"
          } ]
