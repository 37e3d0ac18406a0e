/// Unit tests of the receiver, compared with a reference model that keeps everything in a map and counts without wrapping.
module UtpPunch.Protocol.Tests.ReceiverTests

open System
open Expecto
open UtpPunch.Protocol

/// Numbers here are plain integers, from 0 for the first packet on.
[<Sealed>]
type private Twin(capacity: int) =
    let mutable held = Map.empty<int, byte[] * bool>
    let mutable next = 0
    let mutable fin = Int32.MaxValue
    let mutable unread = 0
    let delivered = ResizeArray<byte>()

    member _.Next = next
    member _.Held = held
    member _.Window = capacity - unread
    member _.Unread = unread
    member _.IsComplete = fin < next
    member _.Delivered = delivered
    member _.Consume count = unread <- unread - count

    member _.Accept(number: int, payload: byte[], isFin: bool) =
        let highest = if held.IsEmpty then -1 else Map.maxKeyValue held |> fst
        let heldBytes = held |> Map.fold (fun sum _ (bytes, _) -> sum + bytes.Length) 0

        if number >= next + Receiver.ReorderWindow || number < next - Receiver.ReorderWindow then
            Arrival.OutOfRange
        elif number < next then
            Arrival.Duplicate
        elif number > fin || (fin <> Int32.MaxValue && isFin <> (number = fin)) || (isFin && highest > number) then
            Arrival.BeyondFin
        elif held.ContainsKey number then
            Arrival.Duplicate
        elif unread + heldBytes + payload.Length > capacity then
            Arrival.Overrun
        else
            let isNext = number = next
            held <- held.Add(number, (payload, isFin))
            fin <- if isFin then number else fin

            while held.ContainsKey next do
                let bytes, _ = held[next]
                unread <- unread + bytes.Length
                delivered.AddRange bytes
                held <- held.Remove next
                next <- next + 1

            if isNext then Arrival.InOrder else Arrival.OutOfOrder

let private drained (receiver: Receiver) =
    let bytes = ResizeArray<byte>()
    Receiver.drain (fun payload -> bytes.AddRange(UtpPunch.Sim.Describe.flatten payload)) receiver
    bytes.ToArray()

/// The bits must name exactly what is held.
let private checkSack (twin: Twin) (receiver: Receiver) =
    let sack = Receiver.sack receiver
    Expect.equal (sack.Length % 4) 0 "a multiple of four bytes"
    Expect.equal sack.IsEmpty twin.Held.IsEmpty "there is one exactly when something is held"

    for bit in 0 .. 8 * sack.Length - 1 do
        let isSet = sack.Span[bit / 8] &&& (1uy <<< (bit % 8)) <> 0uy
        Expect.equal isSet (twin.Held.ContainsKey(twin.Next + 1 + bit)) $"bit {bit}"

    for entry in twin.Held do
        Expect.isLessThan (entry.Key - twin.Next - 1) (8 * sack.Length) "a bit for all that is held"

let private payloadOf number = Array.init (number * 37 % 120) (fun i -> byte (number * 31 + i))

/// A thousand random arrivals around the edges, and random reading.
let private compare (seed: int) (isn: uint16) =
    let random = System.Random seed
    let capacity = [| 500; 5_000; 1_000_000 |][seed % 3]
    let last = random.Next(20, 400)
    let twin = Twin capacity
    let mutable receiver = Receiver.create capacity (SeqNr isn + -1)
    let delivered = ResizeArray<byte>()

    for _ in 1..1_000 do
        let reach =
            match random.Next 20 with
            | 0 -> random.Next(-1100, 1100)
            | n when n < 10 -> random.Next(0, 3)
            | _ -> random.Next(-5, 40)

        let number = max (-30_000) (twin.Next + reach)
        // Sometimes a misplaced FIN, or data after it.
        let isFin = number = last || random.Next 200 = 0
        let payload = if isFin then [||] else payloadOf (abs number)

        // Each step works on a copy; the original must not change.
        let original = receiver
        let before = struct (Receiver.ackNr original, Receiver.window original, Receiver.sack original)
        receiver <- Receiver.copy original
        let arrival = Receiver.accept (SeqNr isn + number) (Borrowed payload) isFin receiver
        Expect.equal arrival (twin.Accept(number, payload, isFin)) $"packet {number} at {twin.Next}"
        delivered.AddRange(drained receiver)

        let struct (ackNr, window, sack) = before
        Expect.equal (Receiver.ackNr original) ackNr "the original's acknowledgement"
        Expect.equal (Receiver.window original) window "the original's window"
        Expect.equal (Receiver.sack original) sack "the original's bits"

        if random.Next 3 = 0 then
            let count = random.Next(twin.Unread + 1)
            Receiver.consume count receiver
            twin.Consume count

        Expect.equal (Receiver.ackNr receiver) (SeqNr isn + (twin.Next - 1)) "acknowledged: the unbroken run"
        Expect.equal (Receiver.window receiver) twin.Window "window"
        Expect.isGreaterThanOrEqual twin.Window 0 "unread never exceeds the capacity"
        Expect.equal (Receiver.hasGap receiver) (not twin.Held.IsEmpty) "gap"
        Expect.equal (Receiver.isComplete receiver) twin.IsComplete "complete"
        checkSack twin receiver

    Expect.isTrue (delivered.ToArray().AsSpan().SequenceEqual(twin.Delivered.ToArray())) "the bytes delivered"

let tests =
    testList
        "receiver"
        [ for isn in [ 0us; 1us; 32767us; 32768us; 65534us; 65535us ] do
              test $"packets in any order give the reference model's result, from number {isn} on" {
                  for seed in 1..15 do
                      compare seed isn
              }

          test "equal packets that lie in one buffer are delivered as one payload" {
              let receiver = Receiver.create 100_000 (SeqNr 9us)
              let buffer = Story.content 1_000

              for index in 0..9 do
                  let length = if index = 9 then 50 else 80

                  Receiver.accept (SeqNr 10us + index) (Borrowed(buffer, 20 + index * 100, length)) false receiver
                  |> ignore

              let payloads = ResizeArray<Payload>()
              Receiver.drain payloads.Add receiver
              Expect.equal payloads.Count 1 "payloads"

              let expected =
                  Array.concat [ for i in 0..9 -> Array.sub buffer (20 + i * 100) (if i = 9 then 50 else 80) ]

              Expect.equal (UtpPunch.Sim.Describe.flatten payloads[0]) expected "the bytes"
          }
          test "a payload can be copied out in pieces of any size" {
              let receiver = Receiver.create 100_000 (SeqNr 9us)
              let buffer = Story.content 700

              for index in 0..6 do
                  Receiver.accept (SeqNr 10us + index) (Borrowed(buffer, index * 100 + 20, 80)) false receiver
                  |> ignore

              let payloads = ResizeArray<Payload>()
              Receiver.drain payloads.Add receiver
              let whole = UtpPunch.Sim.Describe.flatten payloads[0]

              for size in [ 1; 7; 79; 80; 81; 333 ] do
                  let target = Array.zeroCreate<byte> whole.Length
                  let mutable start = 0

                  while start < whole.Length do
                      start <-
                          start + payloads[0].CopyTo(start, Span<byte>(target, start, min size (whole.Length - start)))

                  Expect.equal target whole $"in pieces of {size}"
          }
          test "no byte is drained twice" {
              let receiver = Receiver.create 1_000 (SeqNr 9us)
              Receiver.accept (SeqNr 10us) (Borrowed [| 1uy |]) false receiver |> ignore
              Expect.equal (drained receiver) [| 1uy |] "the first time"
              Expect.isEmpty (drained receiver) "the second time"
          }
          test "packets held out of order are copied: the buffer that they arrived in may be reused" {
              let receiver = Receiver.create 1_000 (SeqNr 9us)
              let buffer = [| 2uy |]
              Receiver.accept (SeqNr 11us) (Borrowed buffer) false receiver |> ignore
              buffer[0] <- 99uy
              Receiver.accept (SeqNr 10us) (Borrowed [| 1uy |]) false receiver |> ignore
              Expect.equal (drained receiver) [| 1uy; 2uy |] "the bytes"
          }
          test "consuming more than was delivered throws" {
              let receiver = Receiver.create 1_000 (SeqNr 9us)
              Receiver.accept (SeqNr 10us) (Borrowed [| 1uy |]) false receiver |> ignore
              Expect.throwsT<ArgumentException> (fun () -> Receiver.consume 2 receiver) "too much"
              Expect.throwsT<ArgumentException> (fun () -> Receiver.consume -1 receiver) "less than nothing"
          }
          test "a whole window of one-byte packets in reverse order is held, and freed by the first" {
              let receiver = Receiver.create 100_000 (SeqNr 65000us)

              for index in Receiver.ReorderWindow - 1 .. -1 .. 1 do
                  let arrival = Receiver.accept (SeqNr 65001us + index) (Borrowed [| byte index |]) false receiver
                  Expect.equal arrival Arrival.OutOfOrder $"packet {index}"

              Expect.isLessThanOrEqual (Receiver.sack receiver).Length 128 "bytes of selective acknowledgement"
              Receiver.accept (SeqNr 65001us) (Borrowed [| 0uy |]) false receiver |> ignore
              Expect.equal (drained receiver) (Array.init Receiver.ReorderWindow byte) "in order"
          } ]
