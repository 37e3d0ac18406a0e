/// Windows for long paths: what two nodes announce to each other, and what a foreign peer never sees.
module UtpPunch.Protocol.Tests.WindowStories

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.Story
open UtpPunch.Protocol.Tests.ScriptedPeer

/// Small packets, so that a window of bytes holds many.
let private small = bep29 (fixedAt 120)

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
          let silent = bep29 (fun options -> { fixedAt 120 options with ReorderWindow = 0 })
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
            bep29 (fun options -> { fixedAt 120 options with SendBuffer = 1 <<< 22; ReceiveBuffer = 1 <<< 22 })

        let pair = pairOf options path
        let struct (a, b) = connected pair
        let data = content 8_000_000
        let mutable written = 0
        let mutable lost = 0
        let mutable losing = false
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
        // The path has no rate: the packets of a round trip are sent at once, and none of them is retransmitted before the next one.
        while lost = 0 do
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

let tests = testList "windows" (negotiation @ [ withLosses ])
