/// Selective acknowledgements of ranges: what a receiver holds and names, and what a sender makes of it.
module UtpPunch.Protocol.Tests.RangeTests

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Story

// ---- The receiver ----

/// A receiver as a set of numbers, from 0 for the first packet on. A value, so that an old one can go on.
[<NoComparison>]
type private Model = { Next: int; Held: Map<int, byte[]>; Delivered: byte list }

let private reach = 16384

let private arrive (number: int) (payload: byte[]) (model: Model) : Model =
    if number < model.Next || number >= model.Next + reach || model.Held.ContainsKey number then
        model
    else
        let mutable held = model.Held.Add(number, payload)
        let mutable next = model.Next
        let mutable delivered = []

        while held.ContainsKey next do
            delivered <- List.ofArray held[next] @ delivered
            held <- held.Remove next
            next <- next + 1

        { Next = next; Held = held; Delivered = delivered }

let private pairs (ranges: Owned) =
    let ranges = ranges.AsBorrowed
    [ for index in 0 .. SackRanges.count ranges - 1 -> SackRanges.first index ranges, SackRanges.length index ranges ]

/// Runs of consecutive distances from the last number received in order.
let private runsOf (model: Model) =
    let distances = [ for entry in model.Held -> entry.Key - model.Next + 1 ]

    let extend runs distance =
        match runs with
        | (first, length) :: rest when first + length = distance -> (first, length + 1) :: rest
        | _ -> (distance, 1) :: runs

    List.fold extend [] distances |> List.rev

let private check (model: Model) (receiver: Receiver) (isn: SeqNr) =
    let runs = runsOf model
    let named = pairs (Receiver.ranges receiver)
    Expect.equal (Receiver.ackNr receiver) (isn + (model.Next - 1)) "acknowledged"
    Expect.equal (Receiver.hasGap receiver) (not runs.IsEmpty) "a gap"

    if runs.Length <= SackRanges.Most then
        Expect.equal named runs "all ranges"
    else
        Expect.equal named.Length SackRanges.Most "as many ranges as there is room for"
        Expect.all named (fun range -> List.contains range runs) "each of them is one"

    let bytes = model.Held |> Map.fold (fun sum _ payload -> sum + payload.Length) 0
    let most = 64 * model.Held.Count + 128 * (runs.Length + model.Held.Count / 16)
    let held = Receiver.held receiver - Receiver.unread receiver
    Expect.isGreaterThanOrEqual held (bytes + 64 * model.Held.Count + 128 * runs.Length) "what is held, at least"
    Expect.isLessThanOrEqual held (bytes + most) "what is held, at most"

/// Random arrivals. Each works on a copy; now and then a version from before goes on with others.
let private walk seed (isn: SeqNr) =
    let random = System.Random seed
    let receiver = Receiver.create 100_000_000 (isn + -1)
    Receiver.setReach reach receiver
    let versions = ResizeArray [ struct ({ Next = 0; Held = Map.empty; Delivered = [] }, receiver) ]
    let width = [| 20; 300; 20_000 |][seed % 3]

    for step in 1..1_500 do
        let at = if random.Next 4 = 0 then random.Next versions.Count else versions.Count - 1
        let struct (model, before) = versions[at]
        let named = Receiver.ranges before
        let own = Receiver.copy before

        let number =
            match random.Next 8 with
            | 0 -> model.Next
            | 1
            | 2
            | 3 when not model.Held.IsEmpty -> fst (Map.maxKeyValue model.Held) + 1
            | 4 when not model.Held.IsEmpty -> fst (Map.minKeyValue model.Held) - 1
            | _ -> model.Next + random.Next width - 3

        // Another version has other bytes under the same number.
        let payload = Array.init (random.Next 4) (fun index -> byte (step + 31 * index))
        let next = arrive number payload model
        Receiver.accept (isn + number) (Borrowed payload) false own |> ignore
        let bytes = ResizeArray<byte>()
        Receiver.drain (fun payload -> bytes.AddRange(UtpPunch.Sim.Describe.flatten payload)) own
        check next own isn

        if next.Next > model.Next then
            let expected =
                [| for number in model.Next .. next.Next - 1 do
                       yield! if number = model.Next then payload else model.Held[number] |]

            Expect.equal (bytes.ToArray()) expected "the bytes"

        Expect.isTrue (named.Equals(Receiver.ranges before)) "the version from before names what it did"
        versions.Add(struct ({ next with Delivered = [] }, own))
        if versions.Count > 40 then versions.RemoveAt(random.Next 30)

let private holding (numbers: int seq) =
    let receiver = Receiver.create 100_000_000 (SeqNr 99us)
    Receiver.setReach reach receiver

    for number in numbers do
        Receiver.accept (SeqNr 100us + number) (Borrowed [| byte number |]) false receiver |> ignore

    receiver

let private receiving =
    [ for isn in [ 0us; 32768us; 65535us ] do
          test $"packets in any order give the result of a set of numbers, also from old versions, from number {isn} on" {
              for seed in 1..9 do
                  walk seed (SeqNr isn)
          }
      test "of 100 ranges, those that have changed last are named, each several times" {
          // Every third packet, so that the ranges stay apart.
          let receiver = holding [ for range in 1..100 -> 3 * range ]
          let first = pairs (Receiver.ranges receiver) |> List.map fst
          Expect.equal first [ for range in 38..100 -> 3 * range + 1 ] "the last 63"
          Receiver.accept (SeqNr 100us + 4) (Borrowed [| 0uy |]) false receiver |> ignore

          Expect.equal
              (pairs (Receiver.ranges receiver))
              ((4, 2) :: [ for range in 39..100 -> 3 * range + 1, 1 ])
              "a range that grows is among them again"
      }
      test "16383 packets in reverse order are one range, and are delivered at once" {
          let receiver = holding [ for number in reach - 1 .. -1 .. 1 -> number ]
          Expect.equal (pairs (Receiver.ranges receiver)) [ 2, reach - 1 ] "the range"
          let bytes = ResizeArray<byte>()
          Receiver.accept (SeqNr 100us) (Borrowed [| 0uy |]) false receiver |> ignore
          Receiver.drain (fun payload -> bytes.AddRange(UtpPunch.Sim.Describe.flatten payload)) receiver
          Expect.equal (bytes.ToArray()) (Array.init reach byte) "in order"
          Expect.equal (Receiver.held receiver) reach "what is held are the bytes that are not consumed"
      } ]

// ---- The sender ----

let private options =
    { StreamOptions.bep29 with PacketSize = 30; PacketWindow = 400; SendBuffer = 100_000 }

let private started first =
    let sender = Sender.create options (SeqNr first)
    Sender.advertise 1_000_000L 0u true sender
    sender

let private bitsOf (held: int list) =
    // More than libutp's four bytes: the peer names all that it holds.
    let bits = Array.zeroCreate<byte>(max 8 (4 * ((List.max held - 2) / 32 + 1)))

    for distance in held do
        let bit = distance - 2
        bits[bit / 8] <- bits[bit / 8] ||| (1uy <<< (bit % 8))

    Borrowed bits

let private rangesOf (held: int list) =
    let runs =
        runsOf { Next = 1; Held = Map.ofList [ for distance in held -> distance, [||] ]; Delivered = [] }

    let be16 (value: int) = [| byte (value >>> 8); byte value |]

    Borrowed
        [| for first, length in runs do
               yield! Array.append (be16 first) (be16 length) |]

let private describe (run: Run) = if isNull run then "none" else $"{run.First} {run.Count} {run.Data.Length}"

/// The same history for two senders: one hears of what the peer holds by bits, the other by ranges.
let private sameHistory seed first =
    let random = System.Random seed
    let mutable one, other = started first, started first
    let mutable now = 0L<us>
    let mutable oldest = 0
    let held = HashSet<int>()
    let rtt = Rtt.observe (Time.milliseconds 40) Rtt.none

    let both action =
        let result = action one
        Expect.equal (action other) result "what both do"
        result

    for _ in 1..300 do
        now <- now + Time.milliseconds (random.Next 30)
        one <- Sender.copy one
        other <- Sender.copy other

        match random.Next 6 with
        | 0
        | 1 ->
            let bytes = Owned(content (random.Next(1, 1_000)))

            if bytes.Length <= Sender.room one then
                Sender.write bytes one
                Sender.write bytes other
        | 2 ->
            both (fun sender -> describe (Scoreboard.retransmit now 1 Train.Limit (Sender.board sender)))
            |> ignore
        | 3 when random.Next 20 = 0 -> both (fun sender -> Scoreboard.timeOut (Sender.board sender)) |> ignore
        | _ ->
            let outstanding = Scoreboard.packets (Sender.board one)

            for _ in 1 .. random.Next 12 do
                let place = if random.Next 3 = 0 then 0 else random.Next(max 1 outstanding)
                if outstanding > 0 then held.Add(oldest + place) |> ignore

                if outstanding > 0 && random.Next 8 = 0 then
                    for number in oldest .. oldest + random.Next outstanding do
                        held.Add number |> ignore

            let before = oldest

            while held.Remove oldest do
                oldest <- oldest + 1

            let ahead = [ for number in held -> number - oldest + 1 ] |> List.sort
            let ackNr = SeqNr first + (oldest - 1)

            if before <> oldest || not ahead.IsEmpty then
                let sack, ranges =
                    if ahead.IsEmpty then Borrowed.Empty, Borrowed.Empty else bitsOf ahead, rangesOf ahead

                if SackRanges.count ranges <= SackRanges.Most then
                    let acknowledge sack isRanges sender =
                        let result = Sender.acknowledge now (now - rtt.Least) rtt ackNr sack isRanges true sender

                        struct (struct (result.Freed, result.Bytes, result.Packets, result.Fresh),
                                struct (result.Lost, result.Congested, result.RetransmitAge))

                    Expect.equal
                        (acknowledge ranges (not ranges.IsEmpty) other)
                        (acknowledge sack false one)
                        "what the acknowledgement changes"

        for window in [ 3_000; 8_000 ] do
            let mutable sent =
                both (fun sender -> describe (Scoreboard.retransmit now window Train.Limit (Sender.board sender)))

            while sent <> "none" do
                sent <-
                    both (fun sender -> describe (Scoreboard.retransmit now window Train.Limit (Sender.board sender)))

            both (fun sender -> describe (Sender.sendNew now window Train.Limit sender)) |> ignore

        both (fun sender -> Scoreboard.flight (Sender.board sender)) |> ignore
        both (fun sender -> Scoreboard.outstanding (Sender.board sender)) |> ignore
        both (fun sender -> Scoreboard.hasLost (Sender.board sender)) |> ignore
        both (fun sender -> Scoreboard.overdueAt (Sender.board sender)) |> ignore

    oldest

let private sending =
    [ for first in [ 5us; 65400us ] do
          test $"ranges and bits that name the same give the same scoreboard, from number {first} on" {
              let acknowledged = [ for seed in 1..20 -> sameHistory seed first ]
              Expect.isGreaterThan (List.sum acknowledged) 2_000 "packets acknowledged"
          }
      test "ranges that name what was never sent do no harm" {
          let sender = started 5us
          Sender.write (Owned(content 100)) sender
          Sender.sendNew 0L<us> 10_000 Train.Limit sender |> ignore
          let ranges = Borrowed [| 0uy; 2uy; 0uy; 4uy; 0uy; 6uy; 0uy; 200uy; 0x20uy; 0uy; 0uy; 1uy |]
          let result = Sender.acknowledge 1L<us> 1L<us> Rtt.none (SeqNr 4us) ranges true true sender
          Expect.equal (result.Packets, result.Bytes) (9, 90) "all but the oldest"
          Expect.equal (Scoreboard.outstanding (Sender.board sender)) 100 "bytes that are not acknowledged in order"
      } ]

// ---- On the wire ----

let private header: Header =
    { Type = PacketType.State
      ConnectionId = 0x0102us
      Timestamp = 0x03040506u
      TimestampDifference = 0x0708090Au
      Window = 0x0B0C0D0Eu
      SeqNr = SeqNr 0x0F10us
      AckNr = SeqNr 0x1112us }

/// A STATE with one extension of this number.
let private withExtension (number: byte) (content: byte[]) =
    Array.concat [ [| 0x21uy; number |]; [| 1uy .. 0x12uy |]; [| 0uy; byte content.Length |]; content; [| 0xAAuy |] ]

let private decode (datagram: byte[]) =
    let mutable packet = Unchecked.defaultof<Packet>
    Expect.equal (Packet.decode (Borrowed datagram) &packet) Malformed.None "a packet"
    packet

let private wire =
    [ test "ranges are extension 86, before the extension bits" {
          let ranges = Owned [| 0uy; 2uy; 0uy; 1uy; 0x10uy; 0uy; 0x30uy; 1uy |]
          let bytes = Array.zeroCreate (Packet.lengthOf ranges.Length (ExtensionBits.hello 16384) 1)
          let header = header

          let length =
              Packet.encodeRanges &header ranges (ExtensionBits.hello 16384) (Owned [| 7uy |]) (Span bytes)

          Expect.equal length bytes.Length "the length"

          let expected =
              Array.concat
                  [ [| 0x21uy; 86uy |]
                    [| 1uy .. 0x12uy |]
                    [| 2uy; 8uy; 0uy; 2uy; 0uy; 1uy; 0x10uy; 0uy; 0x30uy; 1uy |]
                    [| 0uy; 8uy; 0x55uy; 0x50uy; 1uy; 0uy; 0xFFuy; 0xE3uy; 0x40uy; 0uy |]
                    [| 7uy |] ]

          Expect.equal bytes expected "the bytes"
          let packet = decode bytes
          Expect.isTrue packet.HasRanges "ranges"
          Expect.equal packet.Sack ranges.AsBorrowed "which ones"
          Expect.equal (ExtensionBits.reachOf packet.Bits) 16384 "the reach"
      }
      test "what is no list of ranges is skipped, as any unknown extension" {
          let bad =
              [ [||]
                [| 0uy; 2uy |]
                [| 0uy; 2uy; 0uy; 1uy; 0uy |]
                // The distance of a packet that was acknowledged, or that is missing.
                [| 0uy; 0uy; 0uy; 1uy |]
                [| 0uy; 1uy; 0uy; 1uy |]
                // No packet at all.
                [| 0uy; 2uy; 0uy; 0uy |]
                // Not in order, or one upon another.
                [| 0uy; 9uy; 0uy; 1uy; 0uy; 2uy; 0uy; 1uy |]
                [| 0uy; 2uy; 0uy; 3uy; 0uy; 4uy; 0uy; 1uy |]
                // Beyond 16384.
                [| 0x40uy; 0uy; 0uy; 2uy |]
                [| 0xFFuy; 0xFFuy; 0xFFuy; 0xFFuy |] ]

          for content in bad do
              let packet = decode (withExtension 86uy content)
              Expect.isTrue packet.Sack.IsEmpty $"{content}"
              Expect.isFalse packet.HasRanges $"{content}"
              Expect.equal packet.Payload (Borrowed [| 0xAAuy |]) "the payload"

          Expect.isTrue (decode (withExtension 86uy [| 0x40uy; 0uy; 0uy; 1uy |])).HasRanges "the last packet in reach"
      }
      test "bits come before ranges, if a packet has both" {
          let both =
              Array.concat
                  [ [| 0x21uy; 86uy |]
                    [| 1uy .. 0x12uy |]
                    [| 1uy; 4uy; 0uy; 2uy; 0uy; 1uy |]
                    [| 0uy; 4uy; 1uy; 0uy; 0uy; 0uy |] ]

          let packet = decode both
          Expect.isFalse packet.HasRanges "bits"
          Expect.equal packet.Sack (Borrowed [| 1uy; 0uy; 0uy; 0uy |]) "which ones"
      } ]

let tests = testList "ranges" (receiving @ sending @ wire)
