namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Two nodes with two streams between them, and an adversary that moves as often as it can afford while they run. The rules of `World` are
/// checked in every step; `Siege.run` checks what the adversary must not reach.
[<Sealed>]
type Siege(seed: uint64, adversaryOf: uint16 -> IAdversary, startsAt: Duration) as this =
    /// It is created when it begins, with the id under which B receives the first stream: 0 if there is none yet.
    let mutable adversary: IAdversary voption = ValueNone
    let mutable firstId = 0us
    /// Bytes from, and to, each address that belongs to neither host.
    let drawn = Dictionary<Endpoint, struct (int64 * int64)>()
    let draw purpose below = Keyed.below below seed purpose 0L

    let content index =
        Array.init (2_000 + 20_000 * draw (3 + index) 5) (fun at -> Keyed.byteAt (seed + uint64 index) (int64 at))

    let contents = [| for index in 0..3 -> content index |]

    let scenario =
        let path =
            { Path.perfect with
                Delay = Time.milliseconds (1 + draw 1 80)
                Loss = if draw 2 2 = 0 then Loss.Never else Loss.Each 20 }

        { TwoNodes.scenario seed NodeOptions.standard 16 path path with HealAt = Time.seconds 3_600 }

    // Few half-open streams, so that SYN cookies are needed.
    let options =
        { NodeOptions.standard with
            MaxHalfOpen = 12
            Bep29 = { NodeOptions.standard.Bep29 with PacketSize = 1400; LargestPacket = 1400 } }

    let two = TwoNodes(scenario, options, options, this)
    let streams: struct (StreamView * StreamView) voption[] = Array.create 2 ValueNone
    let every = Time.microseconds (int64 (500 + draw 7 20_000))
    let mutable moves = 0
    let mutable opened = 0

    let isHost (endpoint: Endpoint) = endpoint.Equals two.A.Endpoint || endpoint.Equals two.B.Endpoint
    let sideAt (endpoint: Endpoint) = if endpoint.Equals two.A.Endpoint then two.A else two.B

    let count (address: Endpoint) sent received =
        let struct (before, answered) = drawn.GetValueOrDefault address
        drawn[address] <- struct (before + sent, answered + received)

    let perform move =
        moves <- moves + 1

        match move with
        | Move.Send(from, target, bytes) ->
            if not (isHost from) then count from (int64 bytes.Length) 0L

            two.Inject(sideAt target, from, bytes)
        | Move.TooLong(target, remote, size, limit) -> two.Tell(sideAt target, Event.TooLong(remote, size, limit))
        | Move.Unreachable(target, remote) -> two.Tell(sideAt target, Event.Unreachable remote)
        | Move.PortUnreachable(target, remote, quoted) ->
            two.Tell(sideAt target, Event.PortUnreachable(remote, Owned quoted))

    let rec strike (until: Instant) () =
        if two.Now < until then
            adversary |> ValueOption.iter (fun it -> List.iter perform (it.Move two.Now))
            two.World.At(two.Now + every, strike until)

    let ofPeer () = two.B.Accepted |> Seq.filter (fun it -> it.Remote.Equals two.A.Endpoint)

    let connect index =
        let dialled = two.Connect(two.A, Dialect.Bep29)
        opened <- opened + 1

        let accepted () = ofPeer () |> Seq.tryFind (fun it -> dialled.Opened && it.Id = dialled.Id + 1us)

        two.RunUntil(Time.seconds 60, Func<bool>(fun () -> accepted().IsSome || dialled.Closed.IsSome))
        |> ignore

        match accepted () with
        | Some it -> streams[index] <- ValueSome(struct (dialled, it))
        | None -> ()

    /// The ends in order: A's and B's of the first stream, then those of the second.
    let tryEnd place =
        match streams[place / 2] with
        | ValueSome(struct (a, b)) -> ValueSome(if place % 2 = 0 then struct (two.A, a) else struct (two.B, b))
        | ValueNone -> ValueNone

    /// Writes what there is room for at each end, and finishes behind the last byte.
    let write (written: int[]) =
        for place in 0..3 do
            match tryEnd place with
            | ValueSome(struct (side, view)) when view.Closed.IsNone && written[place] < contents[place].Length ->
                let rest = ReadOnlySpan<byte>(contents[place]).Slice written[place]
                written[place] <- written[place] + two.Write(side, view, rest)

                if written[place] = contents[place].Length then two.Tell(side, Event.Finish view.ConnId)
            | _ -> ()

    let areClosed () =
        Seq.forall
            (fun stream ->
                match stream with
                | ValueSome(struct (a: StreamView, b: StreamView)) -> a.Closed.IsSome && b.Closed.IsSome
                | ValueNone -> true)
            streams

    let start until =
        adversary <- ValueSome(adversaryOf firstId)
        strike until ()

    member _.Play =
        { Moves = moves
          Hash = two.World.Hash
          Rules = Seq.collect (fun (actor: Actor) -> actor.Rules.Keys) two.World.Actors }

    interface IWatcher with
        member _.Step(_, _, _, _, _, _, _) = ()
        member _.Threw(_, _, _, _, _, _) = ()

        member _.Delivered(now, from, datagram, _, _, _) =
            if firstId = 0us && datagram.Bytes[0] >>> 4 = byte PacketType.Syn then
                firstId <- (Craft.tryRead datagram.Bytes).Value.ConnectionId + 1us

            adversary |> ValueOption.iter (fun it -> it.See(now, from.Endpoint, datagram.To, datagram.Bytes))

        member _.Lost(now, from, datagram, _) =
            if not (isHost datagram.To) then
                count datagram.To 0L (int64 datagram.Bytes.Length)

                adversary |> ValueOption.iter (fun it -> it.Receive(now, from.Endpoint, datagram.Bytes))

    /// Opens two streams, and runs them to their end. The adversary moves for a time.
    member _.Run(strikesFor: Duration) =
        two.Tell(two.A, Event.Listen 64)
        two.Tell(two.B, Event.Listen 64)
        let strikeUntil = startsAt + strikesFor

        if startsAt = 0L<us> then
            start strikeUntil
        else
            two.World.At(startsAt, (fun () -> start strikeUntil))

        connect 0
        connect 1
        let written = Array.zeroCreate 4

        let isDone () =
            write written
            areClosed ()

        two.RunUntil(Time.seconds 300, Func<bool> isDone) |> ignore

        while two.Now < strikeUntil && two.World.Advance strikeUntil do
            ()

    /// S26: the bytes are those that the other side has written, and the stream ends in order if it must.
    member _.CheckStream(index: int, mustEnd: bool) =
        for place in 2 * index .. 2 * index + 1 do
            match tryEnd place with
            | ValueNone -> if mustEnd then Check.fail "S26" $"stream {index} does not open"
            | ValueSome(struct (side, view)) ->
                let content = contents[place ^^^ 1]
                let received = view.Received.ToArray()
                let isPrefix = received.Length <= content.Length && content.AsSpan().StartsWith(ReadOnlySpan received)

                if not isPrefix then
                    Check.fail "S26" $"stream {index}: {side.Name} is delivered bytes that were not written"

                if mustEnd && view.Code.IsSome then
                    Check.fail "S32" $"stream {index}: {side.Name} reads an error code that no peer has given"

                if mustEnd && (view.Closed <> ValueSome CloseReason.Finished || received.Length < content.Length) then
                    Check.fail
                        "S26"
                        $"stream {index}: {side.Name} reads {received.Length} of {content.Length} bytes and closes with {view.Closed}"

    /// S27: no stream is accepted from an address that has not received the SYN-ACK. An adversary on the path has seen those to the hosts.
    member _.CheckAccepted(own: Endpoint, isOnPath: bool) =
        let accepted = Seq.length (ofPeer ())

        if accepted > opened && not isOnPath then
            Check.fail "S27" $"{accepted} streams are accepted from a peer that has opened {opened}"

        for side in [ two.A; two.B ] do
            for view in side.Accepted do
                let isPeer = isHost view.Remote && (isOnPath || side.Name = "B")

                if not isPeer && not (view.Remote.Equals own) then
                    Check.fail
                        "S27"
                        $"{side.Name} accepts a stream from {Describe.endpoint view.Remote}, which has received no SYN-ACK"

    /// S28: an address that has not proved itself is sent at most three times what came from it.
    member _.CheckDrawn(own: Endpoint) =
        for KeyValue(address, struct (sent, received)) in drawn do
            if not (address.Equals own) && received > 3L * sent then
                Check.fail
                    "S28"
                    $"{received} bytes are sent to {Describe.endpoint address}, in whose name {sent} bytes came"

module Siege =
    let private a = Endpoint.ofIPv4 0x0A000001u 5000us
    let private b = Endpoint.ofIPv4 0x0A000002u 6000us
    let private own = Endpoint.ofIPv4 0x0A000009u 777us
    let private during = Time.seconds 12

    let private checkAll (siege: Siege) isOnPath =
        siege.Run during
        siege.CheckAccepted(own, isOnPath)
        siege.CheckDrawn own

    /// Off the path. Both streams must end in order.
    let offPath (seed: uint64) =
        let create given = OffPath(Keyed.mix seed, { Victim = b; Peer = a; Own = own; Given = given })

        let siege =
            if seed % 2UL = 0UL then
                Siege(seed, (fun _ -> create Given.Nothing), 0L<us>)
            else
                Siege(seed, (fun id -> create (Given.Id id)), Time.seconds 3)

        checkAll siege false
        siege.CheckStream(0, true)
        siege.CheckStream(1, true)
        siege.Play

    /// On the path. The stream that it attacks may break; the other must end in order.
    let onPath (seed: uint64) =
        let create _ = OnPath(Keyed.mix seed, { A = a; B = b; Own = own })
        let siege = Siege(seed, (fun id -> create id), 0L<us>)
        checkAll siege true
        siege.CheckStream(1, true)
        siege.Play
