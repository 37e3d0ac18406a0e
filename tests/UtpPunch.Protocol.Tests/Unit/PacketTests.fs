/// The wire format: BEP 29's header, its extensions, and malformed packets.
module UtpPunch.Protocol.Tests.WireTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Protocol.Tests.ScriptedPeer

let private decode (datagram: byte[]) =
    let mutable packet = Unchecked.defaultof<Packet>
    let malformed = Packet.decode (Borrowed datagram) &packet
    struct (malformed, packet)

/// A valid packet, in the order of BEP 29's diagram.
let private golden =
    [| yield! [| 0x21uy; 0x01uy |] // STATE, version 1; a selective acknowledgement follows
       yield! [| 0x12uy; 0x34uy |] // connection_id
       yield! [| 0x01uy; 0x02uy; 0x03uy; 0x04uy |] // timestamp_microseconds
       yield! [| 0x05uy; 0x06uy; 0x07uy; 0x08uy |] // timestamp_difference_microseconds
       yield! [| 0x00uy; 0x10uy; 0x00uy; 0x00uy |] // wnd_size
       yield! [| 0xFFuy; 0xFEuy |] // seq_nr
       yield! [| 0x00uy; 0x07uy |] // ack_nr
       // The measured example: no further extension, four bytes, bits 0 and 2: packets 9 and 11.
       yield! [| 0x00uy; 0x04uy; 0x05uy; 0x00uy; 0x00uy; 0x00uy |] |]

let private goldenHeader =
    { Type = PacketType.State
      ConnectionId = 0x1234us
      Timestamp = 0x01020304u
      TimestampDifference = 0x05060708u
      Window = 0x00100000u
      SeqNr = SeqNr 0xFFFEus
      AckNr = SeqNr 7us }

/// The bytes around the fixed header: a chain of extensions (id and content), then the payload.
let private chained (extensions: (byte * byte[]) list) (payload: byte[]) =
    let datagram = ResizeArray<byte>(golden[0..19])

    datagram[1] <-
        (match extensions with
         | (id, _) :: _ -> id
         | [] -> 0uy)

    for index, (_, content) in List.indexed extensions do
        datagram.Add(if index + 1 < extensions.Length then fst extensions[index + 1] else 0uy)
        datagram.Add(byte content.Length)
        datagram.AddRange content

    datagram.AddRange payload
    datagram.ToArray()

let private headers =
    gen {
        let! packetType = Gen.choose (0, 4)
        let! id = ArbMap.defaults.ArbFor<uint16>().Generator
        let! stamp = ArbMap.defaults.ArbFor<uint32>().Generator
        let! difference = ArbMap.defaults.ArbFor<uint32>().Generator
        let! window = ArbMap.defaults.ArbFor<uint32>().Generator
        let! seqNr = ArbMap.defaults.ArbFor<uint16>().Generator
        let! ackNr = ArbMap.defaults.ArbFor<uint16>().Generator

        return
            { Type = LanguagePrimitives.EnumOfValue(byte packetType)
              ConnectionId = id
              Timestamp = stamp
              TimestampDifference = difference
              Window = window
              SeqNr = SeqNr seqNr
              AckNr = SeqNr ackNr }
    }

let private bytesOf length = Gen.map Array.ofList (Gen.listOfLength length (Gen.map byte (Gen.choose (0, 255))))

let private extensions =
    gen {
        let! ids = Gen.listOf (Gen.elements [ 2uy; 3uy; 4uy; 77uy; 255uy ])
        let! contents = Gen.listOfLength ids.Length (Gen.bind bytesOf (Gen.choose (0, 20)))
        return List.zip (List.truncate 6 ids) (List.truncate 6 contents)
    }

let private property name check = testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 500 } name check

let private text (header: Header) = UtpPunch.Sim.Describe.header header

let tests =
    testList
        "wire"
        [ test "the golden bytes decode field by field" {
              let struct (malformed, packet) = decode golden
              Expect.equal malformed Malformed.None "well formed"
              Expect.equal (text packet.Header) (text goldenHeader) "the header"
              Expect.equal packet.Sack (Borrowed [| 5uy; 0uy; 0uy; 0uy |]) "the selective acknowledgement"
              Expect.isTrue packet.Payload.IsEmpty "no payload"
          }
          test "the golden bytes are what the packet encodes to" {
              Expect.equal (encoded goldenHeader (Owned [| 5uy; 0uy; 0uy; 0uy |]) Owned.Empty) golden "the bytes"
          }
          test "extension bits follow a selective acknowledgement, the only order that all implementations read" {
              let bits = 0x5550_0107_05C0_0000UL
              let sack = Owned [| 5uy; 0uy; 0uy; 0uy |]
              let both = encodedWith bits goldenHeader sack (Owned [| 9uy |])

              let behind =
                  [| 2uy; 4uy; 5uy; 0uy; 0uy; 0uy; 0uy; 8uy; 0x55uy; 0x50uy; 1uy; 7uy; 5uy; 0xC0uy; 0uy; 0uy; 9uy |]

              Expect.equal both (Array.append golden[..19] behind) "both"
              let alone = encodedWith bits goldenHeader Owned.Empty Owned.Empty
              Expect.equal (alone[1], alone[20..21]) (2uy, [| 0uy; 8uy |]) "the bits alone"

              for datagram in [ both; alone ] do
                  let struct (malformed, packet) = decode datagram
                  Expect.equal malformed Malformed.None "well formed"
                  Expect.equal packet.Bits bits "the bits"

                  Expect.equal
                      (TraceDatagram.headLength (ReadOnlySpan<byte> datagram))
                      (datagram.Length - packet.Payload.Length)
                      "the head"

              for length in [ 7; 9; 16 ] do
                  let struct (malformed, packet) = decode (chained [ 2uy, Array.create length 1uy ] [||])
                  Expect.equal (malformed, packet.Bits) (Malformed.None, 0UL) $"{length} bytes are ignored"
          }
          test "each type has its number in the upper half of the first byte" {
              for packetType, first in
                  [ PacketType.Data, 0x01uy
                    PacketType.Fin, 0x11uy
                    PacketType.State, 0x21uy
                    PacketType.Reset, 0x31uy
                    PacketType.Syn, 0x41uy ] do
                  let datagram = encoded { goldenHeader with Type = packetType } Owned.Empty Owned.Empty
                  Expect.equal datagram[0] first $"{packetType}"
                  Expect.equal datagram.Length 20 "a bare header"
          }
          test "another version, an unknown type and a short datagram are foreign" {
              for first in 0..255 do
                  let datagram = Array.copy golden
                  datagram[0] <- byte first
                  let struct (malformed, _) = decode datagram
                  let isKnown = first &&& 15 = 1 && first >>> 4 <= 4
                  Expect.equal malformed (if isKnown then Malformed.None else Malformed.Foreign) $"first byte {first}"

              for length in 0..19 do
                  let struct (malformed, _) = decode golden[0 .. length - 1]
                  Expect.equal malformed Malformed.Foreign $"{length} bytes"
          }
          test "a chain of extensions over the end is malformed, wherever it is cut" {
              for length in 20..25 do
                  let struct (malformed, _) = decode golden[0 .. length - 1]
                  Expect.equal malformed Malformed.Extension $"{length} bytes"

              // Extensions without end: each announces another one.
              let endless = Array.append golden[0..19] (Array.init 1000 (fun i -> if i % 2 = 0 then 9uy else 0uy))
              endless[1] <- 9uy
              let struct (malformed, _) = decode endless
              Expect.equal malformed Malformed.Extension "endless"
          }
          property "what is encoded decodes to itself" (fun () ->
              let packets =
                  Gen.zip3
                      headers
                      (Gen.bind (fun words -> bytesOf (4 * words)) (Gen.choose (0, 63)))
                      (Gen.bind bytesOf (Gen.choose (0, 50)))

              Prop.forAll (Arb.fromGen packets) (fun (header, sack, payload) ->
                  let struct (malformed, packet) = decode (encoded header (Owned sack) (Owned payload))
                  Expect.equal malformed Malformed.None "well formed"
                  Expect.equal (text packet.Header) (text header) "header"
                  Expect.equal packet.Sack (Borrowed sack) "selective acknowledgement"
                  Expect.equal packet.Payload (Borrowed payload) "payload"))

          property "unknown extensions are skipped, and never are payload" (fun () ->
              Prop.forAll
                  (Arb.fromGen (Gen.zip extensions (Gen.bind bytesOf (Gen.choose (0, 50)))))
                  (fun (chain, payload) ->
                      let struct (malformed, packet) = decode (chained chain payload)
                      Expect.equal malformed Malformed.None "well formed"
                      Expect.equal packet.Payload (Borrowed payload) "payload"
                      Expect.isTrue packet.Sack.IsEmpty "no selective acknowledgement"))

          property "a selective acknowledgement counts anywhere in the chain" (fun () ->
              Prop.forAll (Arb.fromGen (Gen.zip extensions extensions)) (fun (before, behind) ->
                  let bits = [| 1uy; 2uy; 3uy; 4uy |]
                  let struct (malformed, packet) = decode (chained (before @ [ 1uy, bits ] @ behind) [| 9uy |])
                  Expect.equal malformed Malformed.None "well formed"
                  Expect.equal packet.Sack (Borrowed bits) "the bits"
                  Expect.equal packet.Payload (Borrowed [| 9uy |]) "payload"))

          property "any bytes decode to a packet or a reason" (fun (datagram: byte[]) ->
              let struct (malformed, packet) = decode datagram
              Expect.equal (malformed = Malformed.None) (not (isNull packet.Payload.Array)) "a packet or a reason")

          property
              "a mutated packet decodes to a packet or a reason, and its parts lie within it"
              (fun (place: byte) (value: byte) (cut: byte) ->
                  let whole =
                      chained [ 2uy, [| 1uy |]; 1uy, Array.zeroCreate 8; 7uy, Array.zeroCreate 3 ] (Array.create 9 7uy)

                  whole[int place % whole.Length] <- value
                  let datagram = Array.truncate (whole.Length - int cut % 30) whole
                  let struct (malformed, packet) = decode datagram

                  if malformed = Malformed.None then
                      Expect.isLessThanOrEqual
                          (20 + packet.Sack.Length + packet.Payload.Length)
                          datagram.Length
                          "lengths")

          test "a train writes each packet with its own number and its share of the payload" {
              let train =
                  Train({ goldenHeader with Type = PacketType.Data }, Owned.Empty, Owned(Story.content 2_500), 1_000)

              let packets = datagramsOf train |> Array.map decoded
              Expect.equal [ for packet in packets -> packet.Payload.Length ] [ 1000; 1000; 500 ] "lengths"
              Expect.equal [ for packet in packets -> packet.Header.SeqNr.Value ] [ 0xFFFEus; 0xFFFFus; 0us ] "numbers"
              let joined = packets |> Array.collect (fun packet -> packet.Payload.Span.ToArray())
              Expect.equal joined (Story.content 2_500) "the payload"
          }
          test "one receive call's datagrams are cut at the segment size, the last perhaps shorter" {
              let datagrams = Datagrams(Array.init 30 byte, 3, 25, 10, 0L<us>)
              Expect.equal datagrams.Count 3 "datagrams"
              Expect.equal datagrams[1] (Borrowed(Array.init 10 (fun i -> byte (13 + i)))) "the second"
              Expect.equal datagrams[2] (Borrowed(Array.init 5 (fun i -> byte (23 + i)))) "the last"
              Expect.equal (Datagrams.One(Borrowed.Empty, 0L<us>)).Count 1 "an empty datagram is one"
          } ]
