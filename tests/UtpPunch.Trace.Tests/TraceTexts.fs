/// Traces as text: printing and parsing give the original values.
module UtpPunch.Tracing.Tests.TraceTexts

open System
open System.Collections.Generic
open Expecto
open FsCheck
open FsCheck.FSharp
open Microsoft.FSharp.Reflection
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Tracing.Tests.OptionGenerator

let private bytesOf length = Gen.map Array.ofList (Gen.listOfLength length (Gen.map byte (Gen.choose (0, 255))))
let private anyOf<'T> = ArbMap.defaults.ArbFor<'T>().Generator

let private endpoints =
    gen {
        let! high =
            Gen.oneof [ anyOf<uint64>; Gen.elements [ 0UL; 0x20010DB8_00000000UL; 0xFE80_0000_0000_0000UL ] ]

        let! low = Gen.oneof [ anyOf<uint64>; Gen.elements [ 0UL; 1UL; 0x1_0000_0001UL ] ]
        let! scope = Gen.frequency [ 3, Gen.constant 0u; 1, anyOf<uint32> ]
        let! port = anyOf<uint16>
        let! via = Gen.frequency [ 3, Gen.constant 0us; 1, anyOf<uint16> ]
        let! own = Gen.frequency [ 3, Gen.constant 0us; 1, anyOf<uint16> ]

        return!
            Gen.elements [ Endpoint.ofIPv4 (uint32 low) port; { Endpoint.ofIPv6 high low port with Scope = scope } ]
            |> Gen.map (Endpoint.via via >> Endpoint.local own)
    }

let private headers =
    gen {
        let! packetType = Gen.choose (0, 4)
        let! id = anyOf<uint16>
        let! stamp = anyOf<uint32>
        let! difference = anyOf<uint32>
        let! window = anyOf<uint32>
        let! seqNr = anyOf<uint16>
        let! ackNr = anyOf<uint16>

        return
            { Type = LanguagePrimitives.EnumOfValue(byte packetType)
              ConnectionId = id
              Timestamp = stamp
              TimestampDifference = difference
              Window = window
              SeqNr = SeqNr seqNr
              AckNr = SeqNr ackNr }
    }

let private key = 0x1F3A0C55D2E47B99UL

let private contents =
    gen {
        let! length = Gen.elements [ 0; 1; 15; 16; 17; 23; 40 ]
        let! offset = Gen.choose (0, 1_000_000)
        let! noise = bytesOf length
        return! Gen.elements [ noise; Array.init length (fun index -> Keyed.byteAt key (int64 (offset + index))) ]
    }

let private sacks =
    Gen.bind (fun words -> bytesOf (4 * words)) (Gen.frequency [ 3, Gen.constant 0; 1, Gen.choose (1, 63) ])

let private ranges =
    gen {
        let! count = Gen.choose (1, 63)
        let! lengths = Gen.listOfLength count (Gen.choose (1, 200))
        let be16 (number: int) = [| byte (number >>> 8); byte number |]

        return
            [| for at, length in List.indexed lengths do
                   yield! Array.append (be16 (2 + 250 * at)) (be16 length) |]
    }

/// Packets, packets with a changed byte, and random bytes.
let private datagrams =
    gen {
        let! header = headers
        let! sack = sacks
        let! payload = contents
        let! named = ranges
        let! hasRanges = Gen.frequency [ 3, Gen.constant false; 1, Gen.constant true ]
        let whole = encoded header (Owned(if hasRanges then named else sack)) (Owned payload)
        if hasRanges then whole[1] <- 86uy
        let! place = Gen.choose (0, whole.Length - 1)
        let! value = Gen.choose (0, 255)
        let mutated = Array.copy whole
        mutated[place] <- byte value
        let! length = Gen.choose (0, 60)
        let! noise = bytesOf length
        return! Gen.frequency [ 4, Gen.constant whole; 2, Gen.constant mutated; 1, Gen.constant noise ]
    }

/// Datagrams of one size (the last perhaps shorter), some of which share their buffer with those before.
let private received =
    gen {
        let! runs =
            Gen.listOfLength
                3
                (gen {
                    let! from = endpoints
                    let! first = datagrams
                    let! more = Gen.choose (0, 3)
                    let! cut = Gen.choose (0, 10)
                    let whole = Array.concat (List.replicate (1 + more) first)

                    let length =
                        if first.Length = 0 || more = 0 then
                            first.Length
                        else
                            max (whole.Length - cut) (whole.Length - first.Length + 1)

                    let! gap = Gen.choose (0, 3)
                    return struct (from, whole[0 .. length - 1], max 1 first.Length, gap)
                })

        let! shares = anyOf<bool>
        let! at = anyOf<int64>
        let at = Time.microseconds at
        let buffer = ResizeArray<byte>()

        let placed =
            [ for struct (from, bytes, segment, gap) in runs do
                  buffer.AddRange(Array.zeroCreate gap)
                  let offset = buffer.Count
                  buffer.AddRange bytes
                  struct (from, offset, bytes.Length, segment) ]

        let slab = buffer.ToArray()

        return
            [ for struct (from, offset, length, segment) in placed do
                  let own = if shares then slab else Array.copy slab
                  Event.Received(from, Datagrams(own, offset, length, segment, at)) ]
    }

let private durations = Gen.oneof [ Gen.constant Time.never; Gen.map Time.microseconds anyOf<int64> ]

let private plainEvents =
    gen {
        let! connId = anyOf<int>
        let! count = anyOf<int>
        let! remote = endpoints
        let! duration = durations
        let! bytes = contents
        let! dialect = Gen.elements [ Dialect.Bep29; Dialect.UtpPunch ]

        return!
            Gen.elements
                [ Event.Connect(connId, remote, dialect, duration)
                  Event.ConnectSimultaneously(connId, remote, duration, 4)
                  Event.Listen count
                  Event.ListenSelectively count
                  Event.Decided(connId, count > 0)
                  Event.Unlisten
                  Event.Taken connId
                  Event.Write(connId, Owned bytes)
                  Event.Consumed(connId, count)
                  Event.Finish connId
                  Event.Release(connId, duration)
                  Event.Abort connId
                  Event.AbortWithCode(connId, uint32 count)
                  Event.SetIdleTimeout(connId, duration)
                  Event.SetCongestionControl(connId, CongestionControls.bbr)
                  Event.Unreachable remote ]
    }

let private tasks =
    gen {
        let! taskId = anyOf<int>
        let! attempts = Gen.choose (0, System.Int32.MaxValue)
        let! hops = Gen.choose (0, 255)
        let! remote = endpoints
        let! others = Gen.resize 3 (Gen.arrayOf endpoints)
        let! room = bytesOf 32
        let! timeout = durations
        let! longer = durations
        let! stays = anyOf<bool>
        let! birthday = anyOf<bool>
        let! policy = Gen.elements (List.ofArray TraceNames.privateAddresses.Values)

        let plan =
            { Servers = [| remote |]
              Room = Owned room
              Hosts = others
              Stays = stays
              Timeout = timeout
              PunchTimeout = longer
              Birthday = birthday
              PrimingHops = hops
              PrivateAddresses = policy
              PathTimeout = Time.seconds 180
              Reports = birthday <> stays }

        let discovery =
            { Servers = Array.append [| remote |] (Array.truncate 1 others)
              Local = if stays then ValueSome remote else ValueNone
              Timeout = timeout
              TestTimeout = longer
              Behaviour = birthday }

        return!
            Gen.elements
                [ Event.Meet(taskId, plan)
                  Event.MeetAlso(taskId, taskId, plan)
                  Event.PunchOffered(taskId, plan, plan.Room, Owned(Array.init 40 byte), stays)
                  Event.PunchLegacy(taskId, remote, attempts)
                  Event.Discover(taskId, discovery)
                  Event.Cancel taskId ]
    }

let private batches =
    Gen.map
        (List.concat >> Array.ofList)
        (Gen.resize
            8
            (Gen.listOf (Gen.oneof [ Gen.map List.singleton plainEvents; Gen.map List.singleton tasks; received ])))

/// The contents of an event, with its buffers.
let private says (events: Event[]) =
    [ for index, event in Array.indexed events do
          match event with
          | Event.Received(from, datagrams) ->
              let behind =
                  match (if index = 0 then Event.Unlisten else events[index - 1]) with
                  | Event.Received(_, before) when Object.ReferenceEquals(before.Buffer, datagrams.Buffer) ->
                      datagrams.Offset - before.Offset
                  | _ -> -1

              let bytes = [ for item in 0 .. datagrams.Count - 1 -> Convert.ToHexString datagrams[item].Span ]
              $"received {from} {datagrams.ArrivedAt} {datagrams.SegmentSize} {datagrams.Length} {bytes} {behind}"
          | Event.Write(connId, bytes) -> $"write {connId} {Convert.ToHexString bytes.Span}"
          | Event.Meet(taskId, plan) ->
              let hosts = String.Join(" ", plan.Hosts)
              let servers = String.Join(" ", plan.Servers)
              let room = Convert.ToHexString plan.Room.Span
              let times = $"{plan.Timeout} {plan.PunchTimeout}"
              let ways = $"{plan.Birthday} {plan.PrimingHops} {plan.PrivateAddresses}"
              $"meet {taskId} {servers} {room} {hosts} {plan.Stays} {times} {ways}"
          | other -> $"%A{other}" ]

let private roundTrip payloads events =
    let lines = TraceText.events payloads null 7L "A" 5L<us> events
    let read = [| for line in lines -> TraceLine.parse (line.ToString()) |]
    Expect.equal (TraceText.parseStep read[0]) 5L<us> "the time"
    TraceText.parseEvents payloads read[1..]

let private texts (lines: TraceLine[]) = [ for line in lines -> line.ToString() ]

let private property name check = testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 100 } name check

let tests =
    testList
        "trace text"
        [ property "events with full payloads are parsed unchanged, also random bytes and shared buffers" (fun () ->
              Prop.forAll (Arb.fromGen batches) (fun events ->
                  Expect.equal (says (roundTrip TracePayloads.Full events)) (says events) "the events"))
          property "events whose payloads are places in a stream are parsed unchanged" (fun () ->
              let payloads = TracePayloads.Synth [| KeyValuePair("k0", 5UL); KeyValuePair("k1", key) |]

              Prop.forAll (Arb.fromGen batches) (fun events ->
                  Expect.equal (says (roundTrip payloads events)) (says events) "the events"))
          property "events with hashes are parsed with zeroes, and otherwise unchanged" (fun () ->
              Prop.forAll (Arb.fromGen batches) (fun events ->
                  let once = roundTrip TracePayloads.Hash events
                  Expect.equal (says (roundTrip TracePayloads.Hash once)) (says once) "a second time"

                  let withoutHashes (lines: TraceLine[]) = [ for line in lines -> line.ToString().Split(" pay=")[0] ]

                  Expect.equal
                      (withoutHashes (TraceText.events TracePayloads.Hash null 0L "A" 0L<us> once))
                      (withoutHashes (TraceText.events TracePayloads.Hash null 0L "A" 0L<us> events))
                      "the lines but for the hashes"))
          property "packet lines are parsed to the original datagrams" (fun () ->
              Prop.forAll (Arb.fromGen datagrams) (fun datagram ->
                  let event = Event.Received(Endpoint.ofIPv4 1u 2us, Datagrams.One(Borrowed datagram, 0L<us>))

                  let line =
                      (TraceText.events TracePayloads.Full (Func<int64>(fun () -> 42L)) 0L "A" 0L<us> [| event |])[2]

                  let packet = TraceText.parsePacket TracePayloads.Full line
                  Expect.equal (packet.Encode TracePayloads.Full) datagram "bytes"
                  Expect.equal packet.Number 42L "number"
                  Expect.equal packet.IsRaw (not (isNull (line.Find "raw"))) "whether the line has the bytes"))
          test "trains are printed and parsed packet by packet" {
              let content = Array.init 2_500 (fun index -> Keyed.byteAt key (int64 index + 77L))

              let header =
                  { Type = PacketType.Data
                    ConnectionId = 9us
                    Timestamp = 1u
                    TimestampDifference = 2u
                    Window = 3u
                    SeqNr = SeqNr 0xFFFFus
                    AckNr = SeqNr 4us }

              let train = Train(header, Owned.Empty, Owned content, 1_000)
              let target = Endpoint.ofIPv4 0x0A000002u 6000us
              let payloads = TracePayloads.Synth [| KeyValuePair("k0", key) |]
              let last = ref 0L

              let lines =
                  TraceText.effects
                      payloads
                      (Func<int64>(fun () ->
                          last.Value <- last.Value + 1L
                          last.Value))
                      1_500_000L
                      "A"
                      [| Effect.Send(target, train) |]

              Expect.equal
                  (texts lines)
                  [ "    1.500000 A out pkt       p=1 to=10.0.0.2:6000 i=1/3 DATA id=9 seq=65535 ack=4 wnd=3 ts=1 td=2 len=1000 pay=~k0:77:1000"
                    "    1.500000 A out pkt       p=2 to=10.0.0.2:6000 i=2/3 DATA id=9 seq=0 ack=4 wnd=3 ts=1 td=2 len=1000 pay=~k0:1077:1000"
                    "    1.500000 A out pkt       p=3 to=10.0.0.2:6000 i=3/3 DATA id=9 seq=1 ack=4 wnd=3 ts=1 td=2 len=500 pay=~k0:2077:500" ]
                  "the lines"

              let packets = lines |> Array.map (TraceText.parsePacket payloads)

              Expect.equal
                  [ for packet in packets -> packet.Encode payloads ]
                  [ for it in datagramsOf train -> it ]
                  "bytes"
          }
          test "every rule, reason and kind of effect has a line of its own" {
              let cases kind = FSharpType.GetUnionCases(kind, true)
              let rules = [| for case in cases typeof<Rule> -> FSharpValue.MakeUnion(case, [||]) :?> Rule |]

              let reasons =
                  [| for case in cases typeof<CloseReason> -> FSharpValue.MakeUnion(case, [||]) :?> CloseReason |]

              let remote = Endpoint.ofIPv4 1u 2us

              let lines =
                  TraceText.effects
                      TracePayloads.Full
                      null
                      0L
                      "A"
                      [| for rule in rules -> Effect.Noted(rule, remote)
                         for reason in reasons -> Effect.Closed(0, reason) |]

              for index in 0 .. rules.Length - 1 do
                  Expect.equal (lines[index].Find "rule") $"%A{rules[index]}" "a rule by its name"

              for index in 0 .. reasons.Length - 1 do
                  Expect.equal
                      (lines[rules.Length + index].Find "reason")
                      (TraceNames.reasons.Texts[index])
                      "a reason by its name"
          }
          property "endpoints are parsed unchanged" (fun () ->
              Prop.forAll (Arb.fromGen endpoints) (fun endpoint ->
                  Expect.equal (TraceText.parseEndpoint (TraceText.endpoint endpoint)) endpoint "the endpoint"))
          test "IPv6 endpoints are as short as RFC 5952 has them" {
              for text in
                  [ "[::]:1"; "[::1]:65535"; "[2001:db8::1]:6000"; "[fe80::1%3]:5"; "[1:0:0:2::]:0"; "10.0.0.1:5000" ] do
                  Expect.equal (TraceText.endpoint (TraceText.parseEndpoint text)) text "back and forth"
          }
          property "a node's header is parsed unchanged, with all options" (fun () ->
              Prop.forAll (Arb.fromGen (Gen.zip options endpoints)) (fun (options, endpoint) ->
                  let node = TraceNode("A", endpoint, options, Owned(Array.init 32 byte), 99L<us>)
                  let read = TraceNode.Parse(node.ToString())
                  Expect.equal read.Options options "options"
                  Expect.equal read.Endpoint endpoint "endpoint"
                  Expect.equal read.Seed node.Seed "seed"
                  Expect.equal read.Now node.Now "now"
                  Expect.equal (read.ToString()) (node.ToString()) "the line"))
          property "mix can be inverted" (fun value ->
              Keyed.unmix (Keyed.mix value) = value && Keyed.mix (Keyed.unmix value) = value)
          property
              "the place of a piece of a keyed stream can be computed from its bytes"
              (fun (NonNegativeInt offset) (PositiveInt length) ->
                  let bytes = Array.zeroCreate<byte>(length + 15)
                  Keyed.fill key (int64 offset) (Span<byte> bytes)

                  Expect.equal
                      bytes
                      (Array.init bytes.Length (fun index -> Keyed.byteAt key (int64 (offset + index))))
                      "filled"

                  Expect.equal (Keyed.find key (ReadOnlySpan<byte> bytes)) (int64 offset) "found"
                  bytes[bytes.Length - 1] <- bytes[bytes.Length - 1] ^^^ 1uy
                  Expect.equal (Keyed.find key (ReadOnlySpan<byte> bytes)) -1L "one bit changed")
          test "every bit of its input changes a hash" {
              let bytes = Array.init 77 byte
              let whole = Fingerprint.ofBytes (ReadOnlySpan<byte> bytes)

              for index in 0 .. 8 * bytes.Length - 1 do
                  let changed = Array.copy bytes
                  changed[index / 8] <- changed[index / 8] ^^^ (1uy <<< (index % 8))
                  Expect.notEqual (Fingerprint.ofBytes (ReadOnlySpan<byte> changed)) whole $"bit {index}"

              let zeroes =
                  set [ for length in 0..100 -> Fingerprint.ofBytes (ReadOnlySpan<byte>(Array.zeroCreate length)) ]

              Expect.equal zeroes.Count 101 "and so does the length"
          }
          test "the hash of a long payload takes its first, middle and last 32 bytes, and its length" {
              let hash (bytes: byte[]) = Fingerprint.ofPayload (ReadOnlySpan<byte> bytes)

              for length in [ 97; 98; 500; 1400 ] do
                  let payload = Array.init length byte

                  let sampled index =
                      [ 0; (length - 32) / 2; length - 32 ]
                      |> List.exists (fun from -> index >= from && index < from + 32)

                  for index in 0 .. length - 1 do
                      let changed = Array.copy payload
                      changed[index] <- changed[index] ^^^ 16uy
                      Expect.equal (hash changed <> hash payload) (sampled index) $"byte {index} of {length}"

                  Expect.notEqual
                      (hash (Array.append payload (Array.sub payload (length - 32) 32)))
                      (hash payload)
                      "longer"

              let short = Array.init 96 byte
              Expect.equal (hash short) (Fingerprint.ofBytes (ReadOnlySpan<byte> short)) "all of a short one"
          }
          property
              "lines that are not events are refused with the reason and the line"
              (fun (words: NonEmptyString list) ->
                  let fields = [| for NonEmptyString word in words -> word.Replace(' ', '_') |]

                  for kind in [ "recv"; "pkt"; "connect"; "write"; "idle"; "consumed"; "nonsense" ] do
                      let line = TraceLine(0L, "A", "in", kind, fields)
                      let text = line.ToString()

                      try
                          TraceText.parseEvents TracePayloads.Full [| line |] |> ignore
                          failtest "was read"
                      with :? LineException as error ->
                          Expect.stringContains error.Message (text.Substring(0, min 400 text.Length)) "the line") ]
