/// Path MTU discovery between two nodes, and with foreign peers.
module UtpPunch.Protocol.Tests.MtuStories

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private decodedOf (datagram: byte[]) =
    let mutable packet = Unchecked.defaultof<Packet>

    if Packet.decode (Borrowed datagram) &packet = Malformed.None then
        packet
    else
        Unchecked.defaultof<Packet>

let private kindOf (datagram: byte[]) = ExtensionBits.kindOf (decodedOf datagram).Bits

/// The packets that a side has sent: size and kind.
[<Sealed>]
type private Log(pair: TwoNodes) =
    let sent = ResizeArray<struct (string * byte[])>()

    do
        let before = pair.Filter

        pair.Filter <-
            Func<_, _, _>(fun side datagram ->
                sent.Add(struct (side.Name, datagram))
                isNull before || before.Invoke(side, datagram))

    member _.Of(side: Side) =
        [ for struct (name, datagram) in sent do
              if name = side.Name then datagram ]

    member this.Probes(side: Side) =
        this.Of side |> List.filter (fun datagram -> kindOf datagram = ExtensionBits.Kind.Probe)

    member _.Clear() = sent.Clear()

/// Longer datagrams pass only in fragments; with DF they are lost.
let private pathOf width telling =
    { Path.perfect with Mtu = [ { Path.narrow width with Fragments = true; Telling = telling } ] }

let private searching widthA widthB =
    pairOver NodeOptions.standard (pathOf widthA Telling.Nobody) (pathOf widthB Telling.Nobody)

/// Sets the MTU of both directions.
let private widen width (pair: TwoNodes) =
    for carrier in pair.World.Carriers do
        carrier.Path <- pathOf width Telling.Nobody

/// A path that a test may change.
let private changing width =
    let pair = pairOf NodeOptions.standard Path.perfect
    widen width pair
    pair

let private maxPayload (side: Side) (stream: StreamView) = (Node.stream stream.ConnId side.Node).Value.MaxPayload

/// Writes as there is room, until that much has arrived.
let private pump (pair: TwoNodes) (side: Side) (stream: StreamView) (target: StreamView) (total: int) =
    let until = target.Received.Count + total
    let rest = content total
    let mutable written = 0

    let condition () =
        if written < total then
            let count = min 200_000 (total - written)
            written <- written + pair.Write(side, stream, ReadOnlySpan<byte>(rest, written, count))

        target.Received.Count >= until

    run (Time.seconds 300) pair $"{total} bytes arrive" condition

/// Runs until the search is over.
let private pumpUntilFound (pair: TwoNodes) (side: Side) (stream: StreamView) (target: StreamView) =
    let mutable asked = -1

    while side.Count Rule.PathProbe <> asked do
        asked <- side.Count Rule.PathProbe

        for _ in 1..6 do
            pump pair side stream target 300_000
            wait (Time.milliseconds 60) pair

let private undisturbed (side: Side) (stream: StreamView) =
    let statistics = (Node.stream stream.ConnId side.Node).Value
    Expect.equal statistics.Retransmissions 0L "retransmissions"
    Expect.equal (side.Count Rule.FastRetransmit) 0 "losses"
    Expect.equal (side.Count Rule.LossProbe) 0 "loss probes"
    Expect.equal statistics.Timeouts 0L "time-outs"

let private finds name width says expected =
    test $"{name}: packets of {expected} bytes, and nothing but probes is lost" {
        let pair = pairOf NodeOptions.standard (pathOf width (if says then Telling.System else Telling.Nobody))
        let log = Log pair
        let struct (a, b) = connected pair
        pumpUntilFound pair pair.A a b
        Expect.equal (maxPayload pair.A a) (expected - 20) "what a packet carries"

        if expected > 1200 then
            Expect.equal a.Sizes[a.Sizes.Count - 1] (expected - 20) "the size of the last effect"

        undisturbed pair.A a
        let probes = log.Probes pair.A |> List.map Array.length
        Expect.isLessThanOrEqual probes.Length PathMtu.MaxSearchProbes "probes"
        Expect.all (List.countBy id probes) (fun (_, count) -> count <= 3) "probes of each size"
        log.Clear()
        pump pair pair.A a b 1_000_000
        let longest = log.Of pair.A |> List.map Array.length |> List.max
        Expect.equal longest expected "the longest packet"
        Expect.isEmpty (log.Probes pair.A) "the search is over"
        Expect.isEmpty (log.Probes pair.B) "probes of a side that only receives"
        Expect.isEmpty b.Sizes "effects of a side that only receives"
    }

/// The SYN of one of our nodes, with these bits.
let private greeting bits = synWith bits 100us 7us

/// Of a node with the default options.
let private hello = ExtensionBits.hello 16384

let private answerTo bits =
    let scripted = ScriptedPeer NodeOptions.standard
    scripted.Tell(Event.Listen 16) |> ignore
    scripted.Receive(here, greeting bits) |> ignore
    scripted.Head().Packet.Bits

let private hellos =
    [ test "the SYN and the SYN-ACK say hello, and repeat it to the byte" {
          let pair = pairOf NodeOptions.standard { Path.perfect with Delay = Time.milliseconds 1_200 }
          let log = Log pair
          connected pair |> ignore
          let named packetType side = log.Of side |> List.filter (isType packetType)

          Expect.all (List.truncate 2 (named PacketType.Syn pair.A)) (fun syn -> (decodedOf syn).Bits = hello) "SYNs"

          let synAcks = named PacketType.State pair.B
          Expect.isGreaterThan synAcks.Length 1 "more than one SYN-ACK"

          for datagram in synAcks do
              Expect.equal (decodedOf datagram).Bits hello "the hello"
              // Except for the timestamp.
              Expect.sequenceEqual (Seq.skip 8 datagram) (Seq.skip 8 synAcks[0]) "the bytes"
      }
      test "the third SYN, with fresh ids, has no hello, so that no probe is sent to the peer that answers it" {
          let scripted = ScriptedPeer NodeOptions.standard
          scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
          scripted.Wait(Time.seconds 20)
          let syns = scripted.Fresh() |> Seq.filter (fun seen -> seen.Type = PacketType.Syn) |> Seq.toArray
          let hello = syns |> Array.map (fun syn -> syn.Packet.Bits = hello)
          Expect.equal hello[..3] [| true; true; false; false |] "hellos"
      }
      test "in the npm package's dialect no packet has a hello" {
          let options = { NodeOptions.standard with Dialect = Dialect.UtpPunch }
          let pair = pairOf options Path.perfect
          let log = Log pair
          let struct (a, b) = connectedIn Dialect.UtpPunch pair
          pump pair pair.A a b 500_000
          Expect.all (log.Of pair.A @ log.Of pair.B) (fun datagram -> (decodedOf datagram).Bits = 0UL) "bits"
          Expect.equal (maxPayload pair.A a) 1000 "its size"
      }
      test "other extension bits are no hello: the SYN-ACK has none" {
          Expect.equal (answerTo hello) hello "ours"
          Expect.equal (answerTo (ExtensionBits.hello 0)) hello "one that says nothing of its reach"
          Expect.equal (answerTo 0UL) 0UL "none"

          for shift in [ 32; 40; 48; 56 ] do
              Expect.equal (answerTo (hello ^^^ (1UL <<< shift))) 0UL $"another bit {shift}"

          Expect.equal (answerTo (hello &&& ~~~(0xFFFFUL <<< 16))) 0UL "a size that no host has"
          Expect.equal (answerTo (ExtensionBits.probe 1uy 1472)) 0UL "a probe"
      } ]

let private foreignPeers =
    [ test "a foreign peer gets packets of 1200 bytes, and no probes, accepted or dialled" {
          for start in [ acceptedWith; dialledWith ] do
              let struct (scripted, peer) = start NodeOptions.standard 1000us
              let connId = if peer.SendId = 101us then 1 else 0
              scripted.Tell(Event.Write(connId, Owned(content 1_000_000))) |> ignore
              let mutable acknowledged = 0

              for _ in 1..40 do
                  let data = scripted.Fresh() |> Seq.filter (fun seen -> seen.Type = PacketType.Data) |> Seq.length
                  acknowledged <- acknowledged + data
                  scripted.Wait(Time.milliseconds 20)
                  peer.State(acknowledged, 0) |> ignore

              Expect.isGreaterThan acknowledged 300 "packets"

              Expect.all
                  scripted.Sent
                  (fun seen -> seen.Length <= 1200 && seen.Packet.Bits = 0UL || seen.Type = PacketType.Syn)
                  "sizes"

              Expect.equal (Node.stream connId scripted.Node).Value.MaxPayload 1180 "the payload in the statistics"
      }
      test "probes and answers of a foreign peer are noted, and not answered" {
          let struct (scripted, peer) = acceptedWith NodeOptions.standard 1000us

          for bits in [ ExtensionBits.probe 1uy 1472; ExtensionBits.answer 1uy 1472 ] do
              peer.Bits <- bits
              peer.Send(PacketType.State, 0, Array.zeroCreate (1472 - 30)) |> ignore
              Expect.isEmpty (scripted.Fresh()) "silence"

          Expect.equal (scripted.Count Rule.PathProbeIgnored) 2 "noted"
      } ]

let private changes =
    [ test "both directions at once, each with its own width" {
          let pair = searching 1472 8972
          let struct (a, b) = connected pair
          let bytes = content 900_000

          for _ in 1..3 do
              write pair pair.A a bytes
              write pair pair.B b bytes
              let countA, countB = a.Received.Count, b.Received.Count

              let target = 1 <<< 20

              run (Time.seconds 60) pair "all arrives" (fun () ->
                  a.Received.Count = countA + bytes.Length
                  && b.Received.Count = countB + bytes.Length
                  && a.Room >= target
                  && b.Room >= target)

          Expect.equal (maxPayload pair.A a) 1452 "one way"
          Expect.equal (maxPayload pair.B b) 8952 "the other"
          undisturbed pair.A a
          undisturbed pair.B b
      }
      test "a forged report makes packets smaller for a while, and closes no stream" {
          let pair = searching 1472 1472
          let struct (a, b) = connected pair
          pump pair pair.A a b 2_000_000

          for size, limit in [ 1472, 100; 1472, 548; 1472, 1300; 1200, 1199; 60_000, 1250; 1472, 0; 1, 0; 65535, 65534 ] do
              pair.Tell(pair.A, Event.TooLong(pair.B.Endpoint, size, limit))
              Expect.isGreaterThanOrEqual (maxPayload pair.A a) 1180 "never below the base"
              pump pair pair.A a b 500_000

          pair.Tell(pair.A, Event.TooLong(pair.B.Endpoint, 1472, 1300))
          Expect.equal (pair.A.Count Rule.PathShrunk > 0) true "uses of the report"
          let foreign = Endpoint.ofIPv4 0x0A0000FFu 9us
          pair.Tell(pair.A, Event.TooLong(foreign, 1472, 1300))
          finish pair pair.A a
          finish pair pair.B b
          run (Time.seconds 10) pair "the stream finishes" (fun () -> a.Closed = ValueSome CloseReason.Finished)
          Expect.equal (Node.stream a.ConnId pair.A.Node).Value.Timeouts 0L "time-outs"
      }
      test "after a false report the search returns to the former size" {
          let pair = searching 1472 1472
          let struct (a, b) = connected pair
          pump pair pair.A a b 2_000_000
          pair.Tell(pair.A, Event.TooLong(pair.B.Endpoint, 1472, 1300))
          Expect.equal (maxPayload pair.A a) 1280 "at once"
          pumpUntilFound pair pair.A a b
          Expect.equal (maxPayload pair.A a) 1452 "soon"
      }
      test
          "a black hole in mid-stream: the base after two time-outs, 548 after three more, and packets that have their numbers may be fragmented" {
          for width in [ 548; 1000; 1300; 8000 ] do
              let pair = changing 65507
              let struct (a, b) = connected pair
              pump pair pair.A a b 2_000_000
              Expect.equal (maxPayload pair.A a) 65487 "before"
              widen width pair
              pump pair pair.A a b 3_000_000
              Expect.isLessThanOrEqual (maxPayload pair.A a + 20) (max width 1200) "the packet size afterwards"
              Expect.isGreaterThanOrEqual (pair.A.Count Rule.BlackHole) (if width < 1200 then 2 else 1) "falls"
              // The search continues from there.
              received b (Array.concat [ content 2_000_000; content 3_000_000 ]) "every byte"
              wait (Time.seconds 11) pair
              pumpUntilFound pair pair.A a b
              Expect.isLessThan (abs (maxPayload pair.A a + 20 - width)) 16 $"what a path of {width} carries"
      }
      test "the collapse costs what one time-out costs" {
          let after width =
              let pair = changing 1472
              let struct (a, b) = connected pair
              pump pair pair.A a b 2_000_000
              // All packets of one flight are lost.
              widen width pair
              let rest = content 400_000
              write pair pair.A a rest

              run (Time.seconds 60) pair "a first time-out" (fun () ->
                  if pair.A.Count Rule.RetransmitTimeout >= 1 then widen (max 1300 width) pair

                  b.Received.Count = 2_400_000)

              let start = pair.Now
              pump pair pair.A a b 1_000_000
              pair.Now - start

          Expect.isLessThan (after 1300) (2L * after 0) "how long the next megabyte takes"
      }
      test "600 s later the search finds a path that has become wider" {
          let pair = changing 1472
          let struct (a, b) = connected pair
          pumpUntilFound pair pair.A a b
          widen 8972 pair
          wait (Time.seconds 400) pair
          pump pair pair.A a b 500_000
          Expect.equal (maxPayload pair.A a) 1452 "too early"
          wait (Time.seconds 200) pair
          pumpUntilFound pair pair.A a b
          Expect.equal (maxPayload pair.A a) 8952 "then"
          undisturbed pair.A a
      }
      test "with a fixed size there is no search, though the peer sends a hello" {
          let options = bep29 (fixedAt 1300)
          let pair = pairOf options Path.perfect
          let log = Log pair
          let struct (a, b) = connected pair
          pump pair pair.A a b 1_000_000
          Expect.isEmpty (log.Probes pair.A) "probes"
          Expect.equal (maxPayload pair.A a) 1280 "the size"
      }
      test "a stream with little data sends no probes" {
          let pair = searching 65507 65507
          let log = Log pair
          let struct (a, b) = connected pair

          for _ in 1..50 do
              pump pair pair.A a b 100
              wait (Time.milliseconds 50) pair

          Expect.isEmpty (log.Probes pair.A) "probes"
      } ]

/// The packets of A and their times, without probes, and its congestion window.
let private flowOf (path: Path) (loses: bool) (largest: int) =
    let options = { NodeOptions.standard with Bep29 = { StreamOptions.bep29 with LargestPacket = largest } }

    let pair = pairOver options path Path.perfect
    let sent = ResizeArray<string>()

    pair.Filter <-
        Func<_, _, _>(fun side datagram ->
            let packet = decodedOf datagram
            let isProbe = ExtensionBits.kindOf packet.Bits = ExtensionBits.Kind.Probe

            if Object.ReferenceEquals(side, pair.A) && not isProbe then
                let window =
                    match Node.stream 0 pair.A.Node with
                    | ValueSome stream -> stream.CongestionWindow
                    | ValueNone -> 0

                sent.Add $"{int64 pair.Now} {packet.Header.SeqNr.Value} {datagram.Length} {window}"

            not (isProbe && loses))

    let struct (a, b) = connected pair
    pump pair pair.A a b 700_000
    sent.ToArray(), pair

let private losses =
    [ testPropertyWithConfig
          { FsCheckConfig.defaultConfig with maxTest = 20 }
          "the loss of probes changes nothing: the same packets at the same times, and the same window"
          (fun () ->
              let paths = Gen.zip (Gen.choose (0, 60)) (Gen.choose (1, 100))

              Prop.forAll (Arb.fromGen paths) (fun (loss, delay) ->
                  let path = { Path.perfect with Loss = Loss.Each loss; Delay = Time.milliseconds delay }
                  let without, _ = flowOf path false 1200
                  let lost, pair = flowOf path true 65507
                  Expect.isGreaterThan (pair.A.Count Rule.PathProbe) 0 "probes"
                  Expect.equal lost without "what A has sent")) ]

let tests =
    testList
        "path MTU discovery"
        ([ finds "loopback" 65507 false 65507
           finds "Ethernet" 1472 false 1472
           finds "Ethernet whose system refuses more" 1472 true 1472
           finds "PPPoE, by halves" 1464 false 1464
           finds "jumbo frames" 8972 false 8972
           finds "a tunnel that reports nothing" 1420 false 1416
           finds "no more than the base" 1200 false 1200 ]
         @ hellos
         @ foreignPeers
         @ changes
         @ losses)
