/// What one address, one peer and all peers together may take of a node.
module UtpPunch.Protocol.Tests.Limits

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedPeer

let private addressed number = Endpoint.ofIPv4 (0xC0000000u + uint32 number) 4000us

/// A node that accepts, with these options.
let private listening options =
    let scripted = ScriptedPeer options
    scripted.Tell(Event.Listen 100_000) |> ignore
    scripted

/// A peer asks for a stream: it answers the SYN-ACK, if there is one.
let private dials (scripted: ScriptedPeer) (remote: Endpoint) (id: uint16) : Peer voption =
    scripted.Fresh() |> ignore
    scripted.Receive(remote, syn id 1000us) |> ignore

    match scripted.Fresh() |> Array.tryFind (fun seen -> seen.Type = PacketType.State) with
    | Some synAck ->
        let peer = Peer(scripted, remote, id + 1us, SeqNr 1001us, synAck.Header.SeqNr)
        peer.State(0, 0) |> ignore
        ValueSome peer
    | None -> ValueNone

let private opened (scripted: ScriptedPeer) remote id = (dials scripted remote id).Value

let private cookies =
    [ test "a node that is full of half-open streams answers further SYNs, and their peers connect" {
          let scripted = listening usual

          for number in 0 .. usual.MaxHalfOpen - 1 do
              scripted.Receive(addressed number, syn 7us 1us) |> ignore

          Expect.equal (Node.statistics scripted.Node).HalfOpen usual.MaxHalfOpen "half-open streams"
          let peer = opened scripted here 100us
          Expect.equal (Node.statistics scripted.Node).Incoming 1 "the stream is open"
          Expect.equal (scripted.Count Rule.SynCookieAccepted) 1 "by a cookie"
          peer.Data(0, [| 5uy |]) |> ignore
          Expect.equal (Node.statistics scripted.Node).HalfOpen usual.MaxHalfOpen "half-open streams"
      }
      test "a cookie does not open a stream without the clock, for another address, or after a minute" {
          for spoil in [ "clock"; "address"; "time" ] do
              let scripted = listening { usual with MaxHalfOpen = 1 }
              scripted.Receive(addressed 1, syn 7us 1us) |> ignore
              scripted.Fresh() |> ignore
              scripted.Receive(here, syn 100us 1000us) |> ignore
              let remote = if spoil = "address" then addressed 2 else here
              let peer = Peer(scripted, remote, 101us, SeqNr 1001us, scripted.Head().Header.SeqNr)

              match spoil with
              | "clock" -> peer.IsMute <- true
              | "time" -> scripted.Wait(Time.seconds 65)
              | _ -> ()

              peer.State(0, 0) |> ignore
              Expect.equal (Node.statistics scripted.Node).Incoming 0 spoil
      } ]

let private places =
    [ test "one address gets its number of streams, and others still connect; loopback has no limit" {
          let scripted = listening { usual with MaxPerAddress = 5 }

          for number in 1..20 do
              dials scripted (Endpoint.withPort (uint16 (5000 + number)) here) 100us |> ignore

          Expect.equal (Node.statistics scripted.Node).Incoming 5 "streams of one address"
          Expect.equal (scripted.Count Rule.TooManyFromAddress) 15 "turned away"
          opened scripted (addressed 1) 100us |> ignore
          let loopback = Endpoint.ofIPv4 0x7F000001u 9000us

          for number in 1..20 do
              opened scripted loopback (uint16 (100 * number)) |> ignore

          Expect.equal (Node.statistics scripted.Node).Incoming 26 "streams"
      }
      test "the place of a stream that has ended is free again" {
          let scripted = listening { usual with MaxPerAddress = 1 }
          let peer = opened scripted here 100us
          Expect.isTrue (dials scripted here 200us).IsNone "a second one"
          scripted.Tell(Event.Abort 1) |> ignore
          scripted.Wait(Time.seconds 1)
          opened scripted here 300us |> ignore
          peer.State(0, 0) |> ignore
      }
      test "IPv6: the first 64 bits are one address" {
          let scripted = listening { usual with MaxPerAddress = 1 }
          let within low : Endpoint = Endpoint.ofIPv6 0x20010DB8_00000001UL low 4000us
          opened scripted (within 1UL) 100us |> ignore
          Expect.isTrue (dials scripted (within 2UL) 100us).IsNone "another host of the network"
          opened scripted { within 1UL with High = 0x20010DB8_00000002UL } 100us |> ignore
      }
      test "when the node is full, streams that have carried nothing for half a minute make room, and no others" {
          let scripted = listening { usual with MaxConnections = 4 }
          let used = opened scripted (addressed 1) 100us
          used.Data(0, [| 1uy |]) |> ignore

          for number in 2..4 do
              opened scripted (addressed number) 100us |> ignore

          Expect.isTrue (dials scripted (addressed 5) 100us).IsNone "at once"
          scripted.Wait(Time.seconds 31)
          opened scripted (addressed 6) 100us |> ignore
          Expect.equal (scripted.Closed 1) None "the stream that was used"
          Expect.equal (scripted.Closed 3) (Some CloseReason.TooManyConnections) "one that was not"
      } ]

let private names =
    [ test "a name that is in use is refused, and one that was used is not" {
          let scripted = listening usual
          let connect connId = scripted.Tell(Event.Connect(connId, here, Dialect.Bep29, Time.seconds 5)) |> ignore
          connect 10
          Expect.throws (fun () -> connect 10) "in use"
          Expect.throws (fun () -> connect 3) "odd"
          connect 8
          scripted.Tell(Event.Abort 10) |> ignore
          connect 10
      } ]

let private time =
    [ test "a window that opens and closes keeps no released stream" {
          let scripted = listening usual
          let peer = opened scripted here 100us

          scripted.Tell(Event.Taken 1, Event.Write(1, Owned(Array.zeroCreate 50_000)), Event.Release(1, Time.seconds 5))
          |> ignore

          for round in 1..100 do
              scripted.Wait(Time.milliseconds 500)
              peer.Window <- if round % 2 = 0 then 0u else 1u
              peer.State(0, 0) |> ignore

          Expect.isSome (scripted.Closed 1) "closed"
      }
      test "a peer that acknowledges a packet now and then keeps a released stream for its bytes at 4 KiB/s, no longer" {
          let scripted =
              listening { usual with Bep29 = { usual.Bep29 with PacketSize = 150; LargestPacket = 150 } }

          let peer = opened scripted here 100us

          scripted.Tell(
              Event.Taken 1,
              Event.Write(1, Owned(Array.zeroCreate 100_000)),
              Event.Release(1, Time.seconds 5)
          )
          |> ignore

          let start = scripted.Now
          let mutable acked = 0

          while scripted.Closed 1 = None && scripted.Now - start < Time.seconds 300 do
              scripted.Wait(Time.seconds 2)
              acked <- acked + 1
              peer.State(acked, 0) |> ignore

          Expect.isLessThan (scripted.Now - start) (Time.seconds 35) "5 s and 25 s"
      } ]

/// `count` peers that each send `bytes` behind a gap, in packets of 1000.
let private budget = 1_000_000L

let private hoard (scripted: ScriptedPeer) count bytes =
    let peers = [| for number in 1..count -> opened scripted (addressed number) 100us |]

    for index in 1 .. bytes / 1000 do
        for peer in peers do
            peer.Data(index, Array.zeroCreate 1000) |> ignore

            Expect.isLessThanOrEqual
                (Node.statistics scripted.Node).HeldBytes
                (64L + budget)
                "bytes that the node holds"

let private memory =
    [ test "peers with data behind a gap stay within the budget together, and an honest peer is served" {
          let scripted = listening { usual with ReceiveBudget = budget }
          hoard scripted 60 200_000
          Expect.isGreaterThan (scripted.Count Rule.MemoryExhausted) 1000 "packets that were dropped"
          let before = scripted.Effects.Count
          let honest = opened scripted here 100us
          let connId = 121
          scripted.Tell(Event.Taken connId) |> ignore

          for index in 0..99 do
              honest.Data(index, Array.create 1000 7uy) |> ignore
              scripted.Tell(Event.Consumed(connId, 1000)) |> ignore

          let delivered =
              scripted.Effects
              |> Seq.skip before
              |> Seq.sumBy (fun effect ->
                  match effect with
                  | Effect.Deliver(_, payload) -> payload.Length
                  | _ -> 0)

          Expect.equal delivered 100_000 "bytes of the honest peer"
      }
      test "what streams held is free when they end" {
          let scripted = listening { usual with ReceiveBudget = budget }
          hoard scripted 20 100_000
          Expect.isGreaterThan (Node.statistics scripted.Node).HeldBytes 100_000L "held"
          scripted.Tell(Event.Unlisten) |> ignore
          scripted.Wait(Time.seconds 400)
          Expect.equal (Node.statistics scripted.Node).HeldBytes 0L "in the end"
      } ]

let private unproven =
    [ test "an address that has not echoed the clock of the stream has ten packets in flight, whatever the window" {
          let control (options: StreamOptions) = { options with Congestion = CongestionControls.bbr }
          let struct (scripted, peer) = acceptedWith (bep29 control) 1000us
          scripted.Tell(Event.Write(1, Owned(Array.zeroCreate 60_000))) |> ignore

          /// The packets so far, without those that repeat others.
          let sent () =
              scripted.Wait(Time.milliseconds 200)

              scripted.Sent
              |> Seq.filter (fun seen -> seen.Type = PacketType.Data)
              |> Seq.map _.Header.SeqNr
              |> Seq.distinct
              |> Seq.length

          Expect.equal (sent ()) 10 "the first ones"
          // Its acknowledgement echoes the last of them.
          peer.State(5, 0) |> ignore
          Expect.isGreaterThan (sent ()) 20 "with five acknowledged"
      } ]

let private resets =
    [ test "what one address draws says nothing of what another one does" {
          let scripted = ScriptedPeer usual

          let stray =
              encoded { (decoded (syn 1us 1us)).Header with Type = PacketType.Data } Owned.Empty Owned.Empty

          for _ in 1..500 do
              scripted.Receive(addressed 1, stray) |> ignore

          scripted.Fresh() |> ignore
          // Most addresses have another of the 256 limits.
          let answered =
              [ for number in 2..21 do
                    scripted.Receive(addressed number, stray) |> ignore
                    (scripted.Fresh()).Length ]

          Expect.isGreaterThan (List.sum answered) 15 "RESETs to twenty others"
      } ]

let tests = testList "limits" (cookies @ places @ names @ time @ memory @ unproven @ resets)
