/// Law 7: for any bytes in any state of a stream, nothing throws, and effects, streams and work stay bounded.
module UtpPunch.Protocol.Tests.AnyBytes

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

/// The state of the stream to which the bytes are sent.
type Stage =
    | NoStream
    | Dialling
    | HalfOpen
    | Established
    | Unread
    | Unacknowledged
    | WeFinished
    | TheyFinished
    | Lingers
    | Released

/// A datagram, by how it differs from a valid one.
type Hostile =
    | RandomBytes of byte[]
    | Near of packetType: int * idOffset: int * seqOffset: int * ackOffset: int * sack: byte[] * payload: int
    | Cut of original: Hostile * length: int
    | Flipped of original: Hostile * place: int

type Barrage = { Stage: Stage; Datagrams: (int * Hostile) list }

let private offset =
    Gen.frequency
        [ 5, Gen.choose (-3, 40)
          1, Gen.elements [ -32768; 32767; -1001; 1001 ]
          1, Gen.choose (-32768, 32767) ]

let private near =
    gen {
        let! packetType = Gen.choose (0, 4)
        let! idOffset = Gen.frequency [ 6, Gen.constant 0; 1, Gen.choose (-2, 2) ]
        let! seqOffset = offset
        let! ackOffset = offset
        let! sack = Gen.frequency [ 2, Gen.constant 0; 1, Gen.elements [ 4; 8; 252 ] ]
        let! bits = Gen.arrayOfLength sack (Gen.map byte (Gen.choose (0, 255)))
        let! payload = Gen.frequency [ 1, Gen.constant 0; 2, Gen.choose (1, 1400) ]
        return Near(packetType, idOffset, seqOffset, ackOffset, bits, payload)
    }

let private randomBytes =
    Gen.choose (0, 80)
    |> Gen.bind (fun length -> Gen.arrayOfLength length (Gen.map byte (Gen.choose (0, 255))))
    |> Gen.map RandomBytes

let private hostile =
    gen {
        let! original = Gen.frequency [ 6, near; 1, randomBytes ]
        let! place = Gen.choose (0, 60)
        return! Gen.elements [ original; original; original; Cut(original, place); Flipped(original, place) ]
    }

let private barrage =
    gen {
        let! stage =
            Gen.elements
                [ NoStream
                  Dialling
                  HalfOpen
                  Established
                  Unread
                  Unacknowledged
                  WeFinished
                  TheyFinished
                  Lingers
                  Released ]

        let! datagrams = Gen.listOf (Gen.zip (Gen.elements [ 0; 0; 0; 1; 30; 700 ]) hostile)
        return { Stage = stage; Datagrams = datagrams }
    }

let private shrink (barrage: Barrage) =
    seq {
        let count = barrage.Datagrams.Length

        if count > 1 then
            { barrage with Datagrams = List.take (count / 2) barrage.Datagrams }
            { barrage with Datagrams = List.skip (count / 2) barrage.Datagrams }

        for index in 0 .. count - 1 do
            { barrage with Datagrams = List.removeAt index barrage.Datagrams }
    }

type Arbitraries =
    static member Barrage() : Arbitrary<Barrage> = Arb.fromGenShrink (barrage, shrink)

/// A node in that state; the id of the stream's packets, and the next numbers that they would have.
let private arrange stage =
    let accepted () =
        let struct (scripted, peer) =
            acceptedWith (bep29 (fun options -> { options with ReceiveBuffer = 5_000 })) 65530us

        struct (scripted, peer, peer.SendId, peer.First, peer.TheirFirst)

    match stage with
    | NoStream ->
        let scripted = ScriptedPeer usual
        scripted.Tell(Event.Listen 4) |> ignore
        struct (scripted, 7us, SeqNr 1us, SeqNr 1us)
    | Dialling ->
        let scripted = ScriptedPeer usual
        scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
        let header = scripted.Head().Header
        struct (scripted, header.ConnectionId, SeqNr 9us, header.SeqNr)
    | HalfOpen ->
        let scripted = ScriptedPeer usual
        scripted.Tell(Event.Listen 4) |> ignore
        scripted.Receive(here, syn 100us 65535us) |> ignore
        struct (scripted, 101us, SeqNr 0us, scripted.Head().Header.SeqNr)
    | _ ->
        let struct (scripted, peer, id, first, theirs) = accepted ()

        match stage with
        | Unread -> peer.Data(0, content 1_000) |> ignore
        | Unacknowledged -> scripted.Tell(Event.Write(1, Owned(content 20_000))) |> ignore
        | WeFinished -> scripted.Tell(Event.Write(1, Owned(content 100)), Event.Finish 1) |> ignore
        | TheyFinished -> peer.Fin 0 |> ignore
        | Released -> scripted.Tell(Event.Release(1, Time.seconds 5)) |> ignore
        | Lingers ->
            peer.Fin 0 |> ignore
            scripted.Tell(Event.Finish 1) |> ignore
            peer.State(1, 1) |> ignore
            Expect.equal (Node.statistics scripted.Node).Lingering 1 "the stream lingers"
        | _ -> ()

        struct (scripted, id, first, theirs)

let private packetTypes =
    [| PacketType.Data; PacketType.Fin; PacketType.State; PacketType.Reset; PacketType.Syn |]

let rec private build now id (first: SeqNr) (theirs: SeqNr) it =
    match it with
    | RandomBytes bytes -> bytes
    | Near(packetType, idOffset, seqOffset, ackOffset, sack, payload) ->
        encoded
            { Type = packetTypes[packetType]
              ConnectionId = uint16 (int id + idOffset)
              Timestamp = Time.stamp now
              TimestampDifference = uint32 payload
              Window = uint32 (payload * 100)
              SeqNr = first + seqOffset
              AckNr = theirs + ackOffset }
            (Owned sack)
            (Owned(content payload))
    | Cut(original, length) ->
        let bytes = build now id first theirs original
        Array.truncate length bytes
    | Flipped(original, place) ->
        let bytes = build now id first theirs original

        if place < bytes.Length then bytes[place] <- bytes[place] ^^^ byte (1 + place)

        bytes

let private holds (barrage: Barrage) =
    let struct (scripted, id, first, theirs) = arrange barrage.Stage
    let before = scripted.Effects.Count

    for pause, it in barrage.Datagrams do
        scripted.Wait(Time.milliseconds pause)
        // The most effects of one step: what one packet can release, bounded by the buffers.
        let effects = scripted.Receive(here, build scripted.Now id first theirs it)
        Expect.isLessThanOrEqual effects.Length 40 "effects of one datagram"
        Expect.isTrue (Node.deadline scripted.Node > scripted.Now) "the deadline lies ahead"
        let statistics = Node.statistics scripted.Node
        Expect.isLessThanOrEqual (statistics.Incoming + statistics.Outgoing) 2 "streams"
        Expect.isLessThanOrEqual statistics.HalfOpen usual.MaxHalfOpen "half-open streams"

    scripted.Effects.Count - before <= 100 + 40 * barrage.Datagrams.Length

let tests =
    testList
        "any bytes"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  arbitrary = [ typeof<Arbitraries> ]
                  maxTest = 3_000
                  endSize = 60 }
              "7: any bytes in any state: no exception, bounded effects"
              holds ]
