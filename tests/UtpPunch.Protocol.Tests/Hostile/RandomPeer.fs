/// A peer and an application that do anything in any order: the laws must hold in all states.
module UtpPunch.Protocol.Tests.RandomPeer

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private connId = 1

/// What application and peer can observe of a run: the bytes, the end and the reason, regardless of their grouping.
let private outcome (effects: Effect seq) =
    let bytes = ResizeArray<byte>()
    let marks = ResizeArray<string>()

    for effect in effects do
        match effect with
        | Effect.Deliver(_, payload) -> bytes.AddRange(Describe.flatten payload)
        | Effect.Ended _ -> marks.Add "ended"
        | Effect.Closed(_, reason) -> marks.Add $"closed: %A{reason}"
        | _ -> ()

    let ends = String.concat ", " marks
    $"{Convert.ToHexString(bytes.ToArray())} {ends}"

/// One random run against an accepted stream whose numbers begin at `seqNr`.
[<Sealed>]
type private RandomPeer(seed: int, seqNr: uint16) =
    let random = System.Random seed

    let options =
        bep29 (fun options -> { options with ReceiveBuffer = 3_000; SendBuffer = 20_000; NoDelay = seed % 2 = 0 })

    let start = acceptedWith options seqNr
    let mutable unread = 0
    let mutable room = 20_000
    let mutable finished = false
    let mutable ended = false
    let mutable closed = false
    /// The number of packets with a sequence number that the node has sent.
    let mutable sent = 0

    member _.ScriptedPeer = (let struct (scripted, _) = start in scripted)
    member _.Peer = (let struct (_, peer) = start in peer)
    member _.Closed = closed

    /// A packet that is nearly valid.
    member private this.Packet() =
        let packetType =
            match random.Next 40 with
            | 0 -> PacketType.Reset
            | 1 -> PacketType.Fin
            | 2 -> PacketType.Syn
            | n when n < 15 -> PacketType.State
            | _ -> PacketType.Data

        // Packets that were sent, or far off: what is at the edge depends on what the same step has sent already.
        this.Peer.Acked <-
            match random.Next 20 with
            | 0 -> sent + 2_000
            | 1 -> sent - 2_000
            | _ -> max -3 (sent - random.Next 4)

        this.Peer.Window <- [| 0u; 500u; 3_000u; 1u <<< 20 |][random.Next 4]
        this.Peer.Difference <- uint32 (random.Next 3) * 1_000u
        let sack = Array.zeroCreate<byte>(if random.Next 4 = 0 then 4 else 0)
        random.NextBytes sack
        this.Peer.Sack <- Owned sack
        let index = random.Next 14 - 2
        // The contents of a sequence number never change: a FIN has its own number in each run.
        let payload = Array.create (1 + (index + 50) % 7 * 90) (byte (index + 2))
        this.Peer.Make(packetType, index, (if packetType = PacketType.Data then payload else [||]))

    member private this.Application() =
        match random.Next 60 with
        | 0 when not finished ->
            finished <- true
            Event.Finish connId
        | 1 when not finished ->
            finished <- true
            unread <- 0
            Event.Release(connId, Time.seconds (random.Next 20))
        | 2 when random.Next 4 = 0 -> Event.AbortWithCode(connId, 9u)
        | 3 -> Event.SetIdleTimeout(connId, Time.seconds (1 + random.Next 60))
        | n when n < 30 && not finished ->
            let count = random.Next(room + 1) / 4
            room <- room - count
            Event.Write(connId, Owned(content count))
        | _ ->
            let count = random.Next(unread + 1)
            unread <- unread - count
            Event.Consumed(connId, count)

    /// The events of the next step: a few packets at random, or one of the application's, or none.
    member this.Events() =
        match random.Next 4 with
        | 0 -> [| this.Application() |]
        | 1 -> [||]
        | _ ->
            [| for _ in 0 .. random.Next 5 ->
                   Event.Received(here, Datagrams.One(Borrowed(this.Packet()), this.ScriptedPeer.Now)) |]

    member _.Pause() =
        match random.Next 10 with
        | 0 -> Time.seconds (random.Next 5)
        | 1 -> 0L<us>
        | _ -> Time.milliseconds (random.Next 60)

    member this.See(effects: Effect[]) =
        for packet in this.ScriptedPeer.Fresh() do
            if packet.Type = PacketType.Data || packet.Type = PacketType.Fin then
                sent <- max sent (packet.Header.SeqNr - this.Peer.TheirFirst + 1)

        for effect in effects do
            match Describe.connIdOf effect with
            | ValueSome name when name = connId -> Expect.isFalse closed $"after Closed: {Describe.effect effect}"
            | _ -> ()

            match effect with
            | Effect.Deliver(_, payload) ->
                Expect.isFalse ended "bytes behind the end"
                unread <- unread + payload.Length
            | Effect.Writable(_, free, _) -> room <- free
            | Effect.Ended _ -> ended <- true
            | Effect.Closed _ -> closed <- true
            | _ -> ()

        Expect.isLessThanOrEqual unread 3_000 "unread bytes"

let private eachSeed count check =
    for seed in 1..count do
        // A failure names its seed.
        try
            check (RandomPeer(seed, [| 0us; 1us; 32767us; 65530us; 65535us |][seed % 5]))
        with error ->
            failtest $"seed {seed}: {error.Message}"

let tests =
    testList
        "monkey"
        [ test "laws 4, 5, 9 and 10 hold whatever the peer and the application do" {
              eachSeed 400 (fun monkey ->
                  let scripted = monkey.ScriptedPeer

                  for _ in 1..120 do
                      monkey.See(scripted.Tell(monkey.Events()))
                      Expect.isTrue (Node.deadline scripted.Node > scripted.Now) "the deadline lies ahead"
                      let struct (_, more) = Node.step scripted.Now [||] scripted.Node
                      Expect.isEmpty more "effects of a second step"
                      let before = scripted.Effects.Count
                      scripted.Wait(monkey.Pause())
                      monkey.See(scripted.Effects.GetRange(before, scripted.Effects.Count - before).ToArray())

                  // At the end no state is left.
                  scripted.Tell(Event.Abort connId) |> ignore
                  scripted.Wait(Time.seconds 400)
                  let left = Node.statistics scripted.Node
                  Expect.equal (left.Incoming, left.HalfOpen, left.Lingering) (0, 0, 0) "streams left"
                  Expect.equal (Node.deadline scripted.Node) Time.never "deadline")
          }
          test "law 11 holds whatever the peer sends: regrouping changes neither the bytes, the end nor the reason" {
              eachSeed 400 (fun monkey ->
                  let scripted = monkey.ScriptedPeer

                  for _ in 1..60 do
                      let events = monkey.Events()
                      let mutable node = scripted.Node
                      let apart = ResizeArray<Effect>()

                      for event in events do
                          let struct (next, effects) = Node.step scripted.Now [| event |] node
                          node <- next
                          apart.AddRange effects

                      let together = scripted.Tell events
                      Expect.equal (outcome together) (outcome apart) "together, and one by one"
                      monkey.See together
                      let before = scripted.Effects.Count
                      scripted.Wait(monkey.Pause())
                      monkey.See(scripted.Effects.GetRange(before, scripted.Effects.Count - before).ToArray()))
          }
          test "law 8 holds whatever the peer sends: what is delivered is what the numbers carry, in order" {
              eachSeed 200 (fun monkey ->
                  let scripted = monkey.ScriptedPeer

                  for _ in 1..120 do
                      monkey.See(scripted.Tell(monkey.Events()))
                      scripted.Wait(Time.milliseconds 10)

                  // Each number's bytes name it, so a run of equal bytes is one packet.
                  let bytes = scripted.Delivered connId
                  let mutable at = 0
                  let mutable index = 0

                  while at < bytes.Length do
                      let number = int bytes[at] - 2
                      let length = 1 + (number + 50) % 7 * 90
                      Expect.equal number index "the number of the next packet"
                      Expect.all bytes[at .. at + length - 1] (fun value -> value = byte (number + 2)) "one packet"
                      index <- number + 1
                      at <- at + length

                  Expect.equal at bytes.Length "whole packets")
          } ]
