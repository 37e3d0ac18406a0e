/// Floods of random, forged and mutated packets: no exception, bounded state, bounded answers, and valid streams continue.
module UtpPunch.Protocol.Tests.Hostile

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

/// All datagrams of a stream over a bad path, from the first SYN to the last acknowledgement.
let private recorded =
    lazy
        (let bad =
            { Path.perfect with
                Loss = Loss.Each 100
                Lateness = Lateness.Uniform(Time.milliseconds 30)
                Duplication = 50
                CopiesLate = Time.milliseconds 30 }

         let scenario = { Scenario.calm with AB = bad; BA = bad; HealAt = Time.seconds 600 }
         let datagrams = ResizeArray<byte[]>()

         let sent =
             StepWatcher(fun _ _ _ effects ->
                 for effect in effects do
                     match effect with
                     | Effect.Send(_, train) ->
                         for index in 0 .. train.Count - 1 do
                             let datagram = Array.zeroCreate (train.LengthOf index)
                             train.Write(index, Span<byte> datagram) |> ignore
                             datagrams.Add datagram
                     | _ -> ())

         Simulation.runOn (Simulation.machines scenario) sent scenario |> ignore
         datagrams.ToArray())

/// Generates bad datagrams: random bytes, mutated real packets, plausible headers with random numbers.
[<Sealed>]
type private Forger(seed: int) =
    let random = System.Random seed
    let pick (items: 'T[]) = items[random.Next items.Length]

    let randomBytes () =
        let datagram = Array.zeroCreate<byte>(random.Next 80)
        random.NextBytes datagram
        datagram

    let mutated () =
        let datagram = Array.copy (pick recorded.Value)

        for _ in 0 .. random.Next 4 do
            // Mostly in the header.
            let place = random.Next(min datagram.Length (if random.Next 4 = 0 then 2000 else 26))
            datagram[place] <- byte (random.Next 256)

        match random.Next 8 with
        | 0 -> Array.truncate (random.Next(datagram.Length + 1)) datagram
        | 1 -> Array.append datagram (randomBytes ())
        | _ -> datagram

    let plausible () =
        let header =
            { Type = LanguagePrimitives.EnumOfValue(byte (random.Next 5))
              ConnectionId = uint16 (random.Next 65536)
              Timestamp = uint32 (random.Next())
              TimestampDifference = pick [| 0u; 1u; 0x7FFFFFFFu; 0xFFFFFFFFu; uint32 (random.Next()) |]
              Window = pick [| 0u; 1u; 1000u; 1u <<< 20; UInt32.MaxValue |]
              SeqNr = SeqNr(uint16 (random.Next 65536))
              AckNr = SeqNr(uint16 (random.Next 65536)) }

        let sack = Array.zeroCreate<byte>(4 * random.Next 10)
        random.NextBytes sack
        encoded header (Owned sack) (Owned(randomBytes ()))

    member _.Next() =
        match random.Next 3 with
        | 0 -> randomBytes ()
        | 1 -> mutated ()
        | _ -> plausible ()

    /// A header with random ids and numbers.
    member _.Plausible() = plausible ()
    member _.Below(limit: int) = random.Next limit

    /// One of a few hundred addresses.
    member _.Source() = Endpoint.ofIPv4 (0xC0A80000u + uint32 (random.Next 300)) (uint16 (1 + random.Next 3))

let private floods =
    [ test "a hundred thousand bad datagrams: no exception, bounded streams and answers, then a real client is served" {
          let mutable injected = 0
          let mutable syns = 0
          let mutable strays = 0
          let mutable received = 0
          let mutable isFlooded = true

          let bounds =
              StepWatcher(fun actor _ events effects ->
                  if actor.Name = "B" && events.Length > 0 && isFlooded then
                      received <- received + 1
                      let statistics = Node.statistics (actor.Machine :?> CoreMachine).Node
                      Expect.isLessThanOrEqual statistics.HalfOpen actor.Options.MaxHalfOpen "half-open streams"
                      Expect.isLessThanOrEqual statistics.Incoming actor.Options.MaxConnections "streams"
                      Expect.isLessThanOrEqual statistics.Lingering actor.Options.MaxConnections "lingering streams"
                      // A new half-open stream takes the place of an old one, and every one of them may be due.
                      Expect.isLessThanOrEqual
                          effects.Length
                          (4 + 2 * actor.Options.MaxHalfOpen)
                          "effects of one datagram")

          let scenario = TwoNodes.scenario 7UL usual 1 Path.perfect Path.perfect
          let pair = TwoNodes(scenario, usual, usual, bounds)
          pair.Tell(pair.B, Event.Listen 16)
          let forger = Forger 1

          while injected < 100_000 do
              for _ in 1..100 do
                  let datagram = forger.Next()
                  let mutable packet = Unchecked.defaultof<Packet>

                  if Packet.decode (Borrowed datagram) &packet = Malformed.None then
                      match packet.Header.Type with
                      | PacketType.Syn -> syns <- syns + 1
                      | PacketType.Reset -> ()
                      | _ -> strays <- strays + 1

                  pair.Inject(pair.B, forger.Source(), datagram)
                  injected <- injected + 1

              pair.Tell pair.A
              wait (Time.milliseconds (forger.Below 20)) pair

          wait (Time.milliseconds 20) pair
          Expect.isGreaterThan received 99_000 "datagrams that were processed"
          // One RESET for a stray packet, as far as the rate allows, and three SYN-ACKs for a SYN that nothing confirms. A few stray packets
          // match a half-open stream by chance.
          let strayAnswers = pair.B.Resets + pair.B.Count Rule.ResetSuppressed
          Expect.isLessThanOrEqual strayAnswers strays "RESETs"
          Expect.isGreaterThan strayAnswers (strays * 9 / 10) "RESETs for stray packets"
          Expect.isLessThanOrEqual (pair.B.Sent - pair.B.Resets) (3 * syns) "answers to SYNs"
          Expect.isGreaterThan (pair.B.Sent - pair.B.Resets) 100 "answers to SYNs"

          isFlooded <- false
          let before = pair.B.Accepted.Count
          let a = pair.Connect(pair.A, Dialect.Bep29)

          run (Time.seconds 20) pair "the client is accepted" (fun () ->
              a.Opened && pair.B.Accepted.Exists(fun stream -> stream.Remote.Equals pair.A.Endpoint))

          Expect.isGreaterThan pair.B.Accepted.Count before "accepted"
          let b = pair.B.Accepted.Find(fun stream -> stream.Remote.Equals pair.A.Endpoint)
          write pair pair.A a (content 100_000)
          finish pair pair.A a
          finish pair pair.B b
          run (Time.seconds 20) pair "both close" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
          Story.received b (content 100_000) "what the server received"

          // No state of the flood is left.
          wait (Time.seconds 300) pair
          let left = Node.statistics pair.B.Node
          Expect.equal (left.HalfOpen, left.Lingering) (0, 0) "streams left behind"
      }
      test "random packets from the peer's own address does not harm an open stream" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          let forger = Forger 2
          let bytes = content 500_000
          write pair pair.A a bytes
          write pair pair.B b bytes
          finish pair pair.A a
          finish pair pair.B b

          for _ in 1..300 do
              for _ in 1..50 do
                  pair.Inject(pair.B, pair.A.Endpoint, forger.Plausible())
                  pair.Inject(pair.A, pair.B.Endpoint, forger.Plausible())

              wait (Time.milliseconds 2) pair

          run (Time.seconds 300) pair "both close" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
          Expect.equal (a.Closed, b.Closed) (ValueSome CloseReason.Finished, ValueSome CloseReason.Finished) "reasons"
          received a bytes "what A received"
          received b bytes "what B received"
      }
      test "real packets of the stream itself, replayed from another address, do not harm it" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          let bytes = content 300_000
          let stranger = Endpoint.ofIPv4 0xC0A80001u 1us

          pair.Filter <-
              Func<_, _, _>(fun side datagram ->
                  let target = if side.Name = "A" then pair.B else pair.A
                  pair.Inject(target, stranger, Array.copy datagram)
                  true)

          write pair pair.A a bytes
          finish pair pair.A a
          finish pair pair.B b
          run (Time.seconds 60) pair "both close" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
          received b bytes "what B received"
          Expect.equal pair.B.Accepted.Count 1 "streams"
      }
      test "mutated copies of its own packets may end a stream, but never with wrong state or an exception" {
          for seed in 1..40 do
              let pair = pairOf usual { Path.perfect with Corruption = 300; Harm = Harm.Anywhere }
              pair.Tell(pair.B, Event.Listen 16)
              let a = pair.Connect(pair.A, Dialect.Bep29)
              let random = System.Random seed

              pair.Filter <-
                  Func<_, _, _>(fun side datagram ->
                      if random.Next 3 = 0 then
                          let copy = Array.copy datagram
                          copy[random.Next(min 26 copy.Length)] <- byte (random.Next 256)
                          let target, from = if side.Name = "A" then pair.B, pair.A else pair.A, pair.B
                          pair.Inject(target, from.Endpoint, copy)

                      true)

              write pair pair.A a (content 50_000)

              for _ in 1..50 do
                  wait (Time.milliseconds 20) pair

                  for side in [ pair.A; pair.B ] do
                      if Node.deadline side.Node <> Time.never then
                          Expect.isGreaterThan (Node.deadline side.Node) 0L<us> "a deadline"
      } ]

/// A stream in each state, by name.
let private phases =
    [ "half-open",
      fun () ->
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Listen 16) |> ignore
          scripted.Receive(here, syn 100us 65530us) |> ignore
          struct (scripted, Peer(scripted, here, 101us, SeqNr 65531us, scripted.Head().Header.SeqNr))
      "dialling",
      fun () ->
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
          let dialled = scripted.Head().Header
          struct (scripted, Peer(scripted, here, dialled.ConnectionId, SeqNr 65531us, dialled.SeqNr + 1))
      "open and idle", fun () -> acceptedWith usual 65530us
      "open with data in flight",
      fun () ->
          let struct (scripted, peer) = acceptedWith usual 65530us
          scripted.Tell(Event.Write(1, Owned(content 20_000))) |> ignore
          struct (scripted, peer)
      "open with a gap",
      fun () ->
          let struct (scripted, peer) = acceptedWith usual 65530us
          peer.Data(2, content 10) |> ignore
          peer.Data(40, content 10) |> ignore
          struct (scripted, peer)
      "finished by us",
      fun () ->
          let struct (scripted, peer) = acceptedWith usual 65530us
          scripted.Tell(Event.Write(1, Owned(content 20_000)), Event.Finish 1) |> ignore
          struct (scripted, peer)
      "finished by the peer",
      fun () ->
          let struct (scripted, peer) = acceptedWith usual 65530us
          peer.Data(0, content 10) |> ignore
          peer.Fin 1 |> ignore
          struct (scripted, peer)
      "released",
      fun () ->
          let struct (scripted, peer) = acceptedWith usual 65530us
          scripted.Tell(Event.Write(1, Owned(content 20_000)), Event.Release(1, Time.seconds 5)) |> ignore
          struct (scripted, peer)
      "lingering",
      fun () ->
          let struct (scripted, peer) = acceptedWith usual 65530us
          peer.Fin 0 |> ignore
          scripted.Tell(Event.Finish 1) |> ignore
          peer.State(1, 1) |> ignore
          struct (scripted, peer)
      "gone",
      fun () ->
          let struct (scripted, peer) = acceptedWith usual 65530us
          scripted.Tell(Event.Abort 1) |> ignore
          struct (scripted, peer) ]

let private table =
    [ for name, prepare in phases ->
          test $"any packet to a stream that is {name}: no exception, and nothing more is due at that instant" {
              let struct (scripted, peer) = prepare ()
              let now = scripted.Now

              for packetType in [ PacketType.Data; PacketType.Fin; PacketType.State; PacketType.Reset; PacketType.Syn ] do
                  for index in [ -32768; -1100; -1; 0; 1; 2; 3; 500; 1023; 1024; 1100; 32767 ] do
                      for acked in [ -32768; -100; -4; -3; -1; 0; 1; 2; 5; 15; 16; 17; 100; 32767 ] do
                          for sack in [ 0; 4; 252 ] do
                              peer.Acked <- acked
                              peer.Sack <- Owned(Array.create sack 0xAAuy)
                              let payload = if sack = 0 then content 10 else [||]
                              let datagram = Owned(peer.Make(packetType, index, payload))
                              let event = Event.Received(here, Datagrams.One(datagram.AsBorrowed, now))
                              let struct (node, effects) = Node.step now [| event |] scripted.Node
                              Expect.isLessThanOrEqual effects.Length 24 "effects"
                              Expect.isTrue (Node.deadline node > now) "the deadline lies ahead"
                              let struct (_, more) = Node.step now [||] node
                              Expect.isEmpty more "effects of a second step"
                              // Once more, as a duplicate.
                              let struct (node, _) = Node.step now [| event |] node
                              let struct (_, more) = Node.step now [||] node
                              Expect.isEmpty more "effects of a step after the duplicate"
          } ]

/// Peers, each with the id of its SYN, whose streams have one hash in the node's table, whose key is drawn first from the
/// seed.
let private colliding count =
    let struct (high, random) = Random.next (Random.create (Owned(Array.init 32 byte)))
    let struct (low, _) = Random.next random
    let key = (uint64 high <<< 32) ||| uint64 low
    let factor = 0x9E3779B1u
    // Newton's method: each round doubles the number of correct bits.
    let inverse = Seq.fold (fun x _ -> x * (2u - factor * x)) factor (seq { 1..5 })
    let first = Endpoint.ofIPv4 0x0B000000u 7000us
    let target = first.Hash key ^^^ (101u * factor)

    Seq.initInfinite (fun index -> Endpoint.ofIPv4 (0x0B000001u + uint32 index) 7000us)
    |> Seq.choose (fun remote ->
        let receiveId = (target ^^^ remote.Hash key) * inverse

        if receiveId > 0u && receiveId < 0x10000u then
            Some(struct (remote, uint16 receiveId - 1us))
        else
            None)
    |> Seq.take (count - 1)
    |> Seq.append [ struct (first, 100us) ]
    |> Seq.toList

let private collisions =
    test "streams whose hashes collide get their own packets, in whatever order they end" {
        for leaving in 0..2 do
            let scripted = ScriptedPeer NodeOptions.standard
            scripted.Tell(Event.Listen 16) |> ignore

            let peers =
                [ for struct (remote, id) in colliding 3 do
                      scripted.Receive(remote, syn id 1000us) |> ignore
                      let synAck = scripted.Head().Header
                      let peer = Peer(scripted, remote, id + 1us, SeqNr 1001us, synAck.SeqNr)
                      peer.State(0, 0) |> ignore
                      peer ]

            let say index packet =
                for place, peer in List.indexed peers do
                    if place <> leaving || packet = 0 then
                        peer.Data(packet, [| byte index; byte place |]) |> ignore
                        let connId = 1 + 2 * place
                        let last = Array.skip (2 * packet) (scripted.Delivered connId)
                        Expect.equal last [| byte index; byte place |] "the last bytes"

            say 1 0
            scripted.Tell(Event.Abort(1 + 2 * leaving)) |> ignore
            Expect.equal (Node.statistics scripted.Node).Incoming 2 "two are left"
            say 2 1

            let others =
                [ for place in 0..2 do
                      if place <> leaving then place ]

            scripted.Tell(Event.Abort(1 + 2 * others[0])) |> ignore
            peers[others[1]].Data(2, [| 9uy |]) |> ignore
            Expect.equal (scripted.Delivered(1 + 2 * others[1])).Length 5 "the last one's bytes"

            // And in the opposite order.
            let struct (remote, id) = (colliding 3)[leaving]
            scripted.Receive(remote, syn id 5000us) |> ignore
            Expect.equal (Node.statistics scripted.Node).HalfOpen 1 "a new stream"
            peers[others[1]].Data(3, [| 9uy |]) |> ignore
            Expect.equal (scripted.Delivered(1 + 2 * others[1])).Length 6 "the last one's bytes"
    }

let tests = testList "hostile" (floods @ table @ [ collisions ])
