/// Windows for long paths: what two nodes announce to each other, and what a foreign peer never sees.
module UtpPunch.Protocol.Tests.WindowStories

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.Story
open UtpPunch.Protocol.Tests.ScriptedPeer

/// Small packets, so that a window of bytes holds many.
/// CUBIC takes a path without a queue sooner than LEDBAT++.
let private small =
    bep29 (fun options -> { fixedAt 120 options with Congestion = CongestionControls.cubic })

/// A peer has dialled the node with these extension bits in its SYN.
let private acceptedSaying bits options =
    let scripted = ScriptedPeer options
    scripted.Tell(Event.Listen 16) |> ignore
    scripted.Receive(here, synWith bits 100us 1000us) |> ignore
    let synAck = scripted.Head()
    let peer = Peer(scripted, here, 101us, SeqNr 1001us, synAck.Header.SeqNr)
    scripted.Wait(Time.milliseconds 50)
    peer.State(0, 0) |> ignore
    scripted.Tell(Event.Taken 1) |> ignore
    scripted.Fresh() |> ignore
    struct (scripted, peer, synAck.Packet.Bits)

/// How many packets the node has in flight when it was acknowledged everything for some time, and then nothing.
let private mostInFlight (scripted: ScriptedPeer) (peer: Peer) =
    let mutable acknowledged = 0

    let send () =
        let mutable room = 1

        while room > 0 do
            room <-
                match Node.stream 1 scripted.Node with
                | ValueSome stream -> min 50_000 ((1 <<< 20) - int stream.InFlight - 60_000)
                | ValueNone -> 0

            if room > 0 then
                try
                    scripted.Tell(Event.Write(1, Owned(content room))) |> ignore
                with :? ArgumentException ->
                    room <- 0

        let data =
            scripted.Fresh() |> Seq.filter (fun seen -> seen.Type = PacketType.Data) |> Seq.sumBy (fun _ -> 1)

        acknowledged <- acknowledged + data
        data

    let mutable most = 0

    for _ in 1..60 do
        scripted.Wait(Time.milliseconds 20)
        most <- max most (send ())
        peer.State(acknowledged, 0) |> ignore

    most

let private sackAfterGap (scripted: ScriptedPeer) (peer: Peer) =
    scripted.Fresh() |> ignore
    peer.Data(1, [| 1uy |]) |> ignore
    let answer = (scripted.Head()).Packet
    answer.HasRanges, Convert.ToHexString answer.Sack.Span

let private negotiation =
    [ test "a peer that takes 16384 packets ahead gets more than 1000, and selective acknowledgements of ranges" {
          let struct (scripted, peer, bits) = acceptedSaying (ExtensionBits.hello 16384) small
          Expect.equal bits (ExtensionBits.hello 16384) "the SYN-ACK announces the same"
          Expect.equal (sackAfterGap scripted peer) (true, "00020001") "the range"
          Expect.isGreaterThan (mostInFlight scripted peer) 2_000 "packets"
      }
      test "a peer that takes 100 gets 76" {
          let struct (scripted, peer, _) = acceptedSaying (ExtensionBits.hello 100) small
          Expect.equal (mostInFlight scripted peer) 76 "packets"
      }
      for bits in [ 0UL; ExtensionBits.hello 0 ] do
          test $"a peer that announces nothing gets at most 1000, and bits: extension bits {bits:X}" {
              let struct (scripted, peer, answer) = acceptedSaying bits small
              Expect.equal answer (if bits = 0UL then 0UL else ExtensionBits.hello 16384) "the SYN-ACK's extension bits"
              Expect.equal (sackAfterGap scripted peer) (false, "01000000") "the bits"
              Expect.equal (mostInFlight scripted peer) 1_000 "packets"
          }
      test "a node that announces nothing gets at most 1000, and sends bits" {
          let silent =
              bep29 (fun options ->
                  { fixedAt 120 options with Congestion = CongestionControls.cubic; ReorderWindow = 0 })

          let struct (scripted, peer, answer) = acceptedSaying (ExtensionBits.hello 16384) silent
          Expect.equal answer (ExtensionBits.hello 0) "the SYN-ACK's extension bits"
          Expect.equal (sackAfterGap scripted peer) (false, "01000000") "the bits"
          Expect.equal (mostInFlight scripted peer) 1_000 "packets"
      }
      test "a packet 1024 ahead is out of range of a foreign peer, and one 16384 ahead of one that was told" {
          for bits, reach in [ 0UL, 1024; ExtensionBits.hello 16384, 16384 ] do
              let struct (scripted, peer, _) = acceptedSaying bits small
              peer.Data(reach, [| 1uy |]) |> ignore
              Expect.equal (scripted.Count Rule.SeqOutOfRange) 1 "out of range"
              peer.Data(reach - 1, [| 1uy |]) |> ignore
              Expect.equal (scripted.Count Rule.OutOfOrder) 1 "in range"
      }
      test "ranges of a foreign peer are ignored: it may mean something else by that extension" {
          let struct (scripted, peer) = acceptedWith small 1000us
          scripted.Tell(Event.Write(1, Owned(content 900))) |> ignore
          let before = (Node.stream 1 scripted.Node).Value.InFlight
          peer.Sack <- Owned [| 0uy; 2uy; 0uy; 5uy |]
          let state = peer.Make(PacketType.State, 0, [||])
          state[1] <- 86uy
          scripted.Receive(here, state) |> ignore
          Expect.equal (Node.stream 1 scripted.Node).Value.InFlight before "in flight"
      } ]

/// Loses every twentieth packet of data once, within a time.
let private withLosses =
    test
        "one packet in twenty is lost of a window of more than 2016: each is retransmitted once, and everything arrives" {
        let path = { Path.perfect with Delay = Time.milliseconds 100 }

        let options =
            bep29 (fun options ->
                { fixedAt 120 options with
                    Congestion = CongestionControls.cubic
                    SendBuffer = 1 <<< 22
                    ReceiveBuffer = 1 <<< 22 })

        let pair = pairOf options path
        let struct (a, b) = connected pair
        let data = content 8_000_000
        let mutable written = 0
        let mutable lost = 0
        let mutable losing = false
        let dropped = HashSet<SeqNr>()
        let mutable ranges = 0
        let mutable most = 0

        pair.Filter <-
            Func<_, _, _>(fun from datagram ->
                let packet = decoded datagram

                if Object.ReferenceEquals(from, pair.B) && packet.HasRanges then
                    ranges <- max ranges (SackRanges.count packet.Sack)

                if
                    losing
                    && Object.ReferenceEquals(from, pair.A)
                    && packet.Header.Type = PacketType.Data
                    && packet.Header.SeqNr.Value % 20us = 7us
                    && dropped.Add packet.Header.SeqNr
                then
                    lost <- lost + 1
                    false
                else
                    true)

        let pump () =
            while written < data.Length && a.Room > 0 do
                let count = min a.Room (min 100_000 (data.Length - written))
                written <- written + pair.Write(pair.A, a, ReadOnlySpan<byte>(data, written, count))

        let inFlight () = (Node.stream a.ConnId pair.A.Node).Value.InFlight / 100

        while inFlight () < 5_000 do
            pump ()
            wait (Time.milliseconds 5) pair

        most <- inFlight ()
        losing <- true

        while lost <= 100 do
            pump ()
            wait (Time.milliseconds 5) pair

        losing <- false

        while b.Received.Count < data.Length do
            pump ()
            wait (Time.milliseconds 20) pair

        received b data "the bytes"
        Expect.isGreaterThan most 2_016 "packets in flight"
        Expect.isGreaterThan lost 100 "lost packets"
        Expect.equal ranges SackRanges.Most "the most ranges of an acknowledgement"
        Expect.equal (int (Node.stream a.ConnId pair.A.Node).Value.Retransmissions) lost "retransmissions"
        Expect.equal (pair.A.Count Rule.RetransmitTimeout) 0 "time-outs"
    }

// ---- Buffers that grow ----

/// 80 Mbit/s at a round trip of 200 ms hold 2 MB.
let private longFat =
    { Path.perfect with
        Delay = Time.milliseconds 100
        Rate = Rate.Constant 10_000_000
        Queue = Queue.Tail 4_000_000 }

let private bulk = bep29 id

let private fill (pair: TwoNodes) (stream: StreamView) (data: byte[]) =
    let mutable more = true

    while more do
        let count = min stream.Room data.Length
        if count > 0 then pair.Write(pair.A, stream, ReadOnlySpan<byte>(data, 0, count)) |> ignore
        more <- count > 0

/// Keeps the send buffer full for some time.
let private pumpFor (time: Duration) (pair: TwoNodes) (stream: StreamView) =
    let data = content 100_000
    let until = pair.Now + time

    while pair.Now < until do
        fill pair stream data
        wait (Time.milliseconds 5) pair

let private statistics (side: Side) (stream: StreamView) = (Node.stream stream.ConnId side.Node).Value

/// The most bytes that were outstanding, or that the peer's window admitted, within half a minute.
let private largest options reads =
    let pair = pairOf options longFat
    let struct (a, b) = connected pair
    b.Reads <- reads
    let mutable window = 0L
    let mutable flight = 0

    for _ in 1..300 do
        pumpFor (Time.milliseconds 100) pair a
        window <- max window (statistics pair.A a).PeerWindow
        flight <- max flight (statistics pair.A a).InFlight

    window, flight, b.Received.Count

let private growing =
    [ test "both buffers grow on a long path, so that it is full: 80 Mbit/s at 200 ms" {
          let window, flight, arrived = largest bulk true
          Expect.isGreaterThan window 4_000_000L "the window"
          Expect.isLessThanOrEqual window (32L <<< 20) "the window"
          Expect.isGreaterThan flight 2_000_000 "in flight"
          Expect.isGreaterThan arrived 200_000_000 "bytes in half a minute"
      }
      test "without larger limits they do not, and the path is half empty" {
          let fixedBuffers =
              bep29 (fun options -> { fixedAt 1400 options with MaxSendBuffer = 1 <<< 20; MaxReceiveBuffer = 1 <<< 20 })

          let window, flight, arrived = largest fixedBuffers true
          Expect.isLessThanOrEqual window (1L <<< 20) "the window"
          Expect.isLessThanOrEqual flight (1 <<< 20) "in flight"
          Expect.isLessThan arrived 170_000_000 "bytes in half a minute"
      }
      test "the window does not grow while the application reads nothing" {
          let window, _, arrived = largest bulk false
          Expect.isLessThanOrEqual window (1L <<< 20) "the window"
          Expect.isLessThanOrEqual arrived (1 <<< 20) "bytes"
      }
      test "an application that writes little leaves the send buffer as it is" {
          let pair = pairOf bulk longFat
          let struct (a, _) = connected pair

          for _ in 1..200 do
              write pair pair.A a (content 10_000)
              wait (Time.milliseconds 50) pair

          wait (Time.seconds 1) pair
          Expect.equal a.Room StreamOptions.bep29.SendBuffer "room"
      }
      test "the send buffer is small again after everything was acknowledged, and what was told may still be written" {
          let pair = pairOf bulk longFat
          let struct (a, b) = connected pair
          pumpFor (Time.seconds 20) pair a
          wait (Time.seconds 10) pair
          let large = a.Room
          Expect.isGreaterThan large (2 * StreamOptions.bep29.SendBuffer) "room after bulk data"
          let before = b.Received.Count
          write pair pair.A a (content 1_000)
          write pair pair.A a (content (large - 1_000))
          wait (Time.milliseconds 1) pair
          run (Time.seconds 60) pair "all arrives" (fun () -> b.Received.Count = before + large)
          wait (Time.seconds 1) pair
          Expect.isLessThanOrEqual a.Room large "room"
          write pair pair.A a (content 1_000)
          wait (Time.seconds 2) pair
          wait (Time.seconds 2) pair
          write pair pair.A a (content 1_000)
          wait (Time.seconds 2) pair
          Expect.equal a.Room StreamOptions.bep29.SendBuffer "room of a stream that has been idle"
      }
      test "twenty streams whose windows have grown do not hold more than the node's budget" {
          let budget = 10_000_000L
          let options = { bulk with ReceiveBudget = budget }
          let pair = pairOf options { longFat with Rate = Rate.Unlimited; Delay = Time.milliseconds 20 }
          pair.Tell(pair.B, Event.Listen 50)
          let streams = [ for _ in 1..20 -> pair.Connect(pair.A, Dialect.Bep29) ]
          run (Time.seconds 10) pair "all are open" (fun () -> pair.B.Accepted.Count = 20)
          let data = content 50_000
          let mutable most = 0L

          let turn () =
              for stream in streams do
                  fill pair stream data

              wait (Time.milliseconds 5) pair
              most <- max most (Node.statistics pair.B.Node).HeldBytes

          for _ in 1..120 do
              turn ()

          let grown = streams |> List.map (fun stream -> (statistics pair.A stream).PeerWindow) |> List.max
          Expect.isGreaterThan grown (1L <<< 20) "a window has grown"

          // Now no application reads.
          for stream in pair.B.Accepted do
              stream.Reads <- false

          for _ in 1..100 do
              turn ()

          Expect.isLessThanOrEqual most budget "bytes held"
          Expect.isGreaterThan most (budget / 2L) "bytes held"

          let before = pair.B.Accepted |> Seq.map _.Received.Count |> Seq.toArray

          for stream in pair.B.Accepted do
              stream.Reads <- true
              pair.Tell(pair.B, Event.Consumed(stream.ConnId, stream.Unread))
              stream.Unread <- 0

          let isStuck index = pair.B.Accepted[index].Received.Count = before[index]
          let mutable turns = 0

          while turns < 4_000 && Seq.exists isStuck (seq { 0..19 }) do
              turn ()
              turns <- turns + 1

          Expect.isFalse (Seq.exists isStuck (seq { 0..19 })) "every stream goes on"
      }
      test
          "streams that are not read do not hold more than the budget, however many; once they are read, everything arrives" {
          // UTP_STREAMS=10000 takes three minutes.
          let count =
              match Environment.GetEnvironmentVariable "UTP_STREAMS" with
              | null -> 500
              | count -> int count

          let budget, length = 6_400L * int64 count, 20_000
          let path = { Path.perfect with Delay = Time.milliseconds 20; Loss = Loss.Each 10 }

          let options = { usual with ReceiveBudget = budget; MaxPerAddress = 16_384; MaxHalfOpen = 16_384 }

          let pair = TwoNodes.over 7UL options path path
          pair.Tell(pair.B, Event.Listen 16_384)
          let streams = [| for _ in 1..count -> pair.Connect(pair.A, Dialect.Bep29) |]
          let isOpen (stream: StreamView) = stream.Opened

          run (Time.seconds 30) pair "all are open" (fun () ->
              pair.B.Accepted.Count = count && Array.forall isOpen streams)

          let accepted = pair.B.Accepted.ToArray()

          for stream in accepted do
              stream.Reads <- false

          let data = content length
          let mutable most = 0L

          let run until =
              let last = pair.Now + until

              while pair.Now < last && pair.Advance() do
                  most <- max most (Node.statistics pair.B.Node).HeldBytes

          for stream in streams do
              write pair pair.A stream data
              run 0L<us>

          run (Time.seconds 5)
          Expect.isLessThanOrEqual most budget "bytes held"
          Expect.isGreaterThan most (budget / 2L) "bytes held"

          for stream in accepted do
              stream.Reads <- true
              pair.Tell(pair.B, Event.Consumed(stream.ConnId, stream.Unread))
              stream.Unread <- 0

          let isThere (stream: StreamView) = stream.Received.Count = length
          let mutable turns = 0

          while turns < 60 && not (Array.forall isThere accepted) do
              run (Time.seconds 1)
              turns <- turns + 1

          Expect.isTrue (Array.forall isThere accepted) "everything has arrived"
          Expect.isLessThanOrEqual most budget "bytes held, while they are read"
      } ]

// ---- Numbers that wrap ----

/// The peer's `index`-th packet carries one byte, which differs from that of the packet 65536 before or behind.
let private byteOf index = byte (index + index / 65536)

let private wrapped =
    test "copies of packets of 65536 numbers before, 0.4 to 2 s late, are dropped: no byte is wrong" {
        let struct (scripted, peer, _) = acceptedSaying (ExtensionBits.hello 16384) small
        let mutable next = 0
        let mutable unread = 0
        let old = System.Collections.Generic.Dictionary<int, byte[]>()

        /// 8 packets each 100 µs: 65536 take 0.8 s.
        let send count =
            for _ in 1 .. count / 8 do
                scripted.Wait(Time.microseconds 100L)

                let packets =
                    [| for index in next .. next + 7 -> peer.Make(PacketType.Data, index, [| byteOf index |]) |]

                for index in next .. next + 7 do
                    if index % 64 = 5 then old[index] <- packets[index - next]

                next <- next + 8
                scripted.Receive(here, packets) |> ignore
                unread <- unread + 8

            scripted.Tell(Event.Consumed(1, unread)) |> ignore
            unread <- 0

        send 65536

        for _ in 1..8 do
            // Those that the receiver takes for packets ahead.
            for index in old.Keys |> Seq.filter (fun index -> index + 65536 > next && index + 65536 < next + 16384) do
                scripted.Receive(here, old[index]) |> ignore

            send 8192

        let bytes = scripted.Delivered 1
        Expect.equal bytes.Length next "bytes"
        Expect.isTrue (Array.forall2 (=) bytes (Array.init next byteOf)) "each byte is right"
        Expect.isGreaterThan (scripted.Count Rule.OldDuplicate) 1_000 "dropped"
        Expect.equal (scripted.Count Rule.TimestampOutOfRange) 0 "packets that only the check of the clocks rejects"
    }

let tests = testList "windows" (negotiation @ [ withLosses; wrapped ] @ growing)
