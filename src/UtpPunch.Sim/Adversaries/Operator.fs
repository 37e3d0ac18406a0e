namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// The operator of a rendezvous, or an eavesdropper with the same knowledge: it opens streams in the name of either peer at every moment of
/// a meeting, answers their SYNs, confirms, probes, and repeats and changes what it has seen. The server itself is honest.
[<Sealed>]
type Operator(seed: uint64, knowledge: OperatorKnowledge, every: Duration, perform: Move -> unit) =
    let draws = Draws seed
    let mutable dueAt: Instant = every
    let mutable moves = 0
    /// What it has seen, with both endpoints: messages of the server, and what the peers send each other.
    let messages = List<struct (Endpoint * Endpoint * byte[])>()
    let packets = List<struct (Endpoint * Endpoint * byte[])>()
    /// Its SYNs: to whom, in whose name, the id and the number.
    let syns = List<struct (Endpoint * Endpoint * uint16 * SeqNr)>()
    let codeLength = 16
    let most = 600

    let pair () =
        let index = draws.Below 2
        struct (knowledge.Peers[index], knowledge.Peers[1 - index])

    let any (list: List<'a>) = list[draws.Below list.Count]
    let newest (list: List<'a>) = list[max 0 (list.Count - 1 - draws.Below 6)]

    let changed (bytes: byte[]) =
        let copy = Array.copy bytes
        copy[draws.Below copy.Length] <- byte (draws.Bits())
        copy

    let code () =
        match draws.Below 3 with
        | 0 -> [||]
        | 1 -> draws.Bytes codeLength
        | _ -> Array.zeroCreate codeLength

    let synFor (now: Instant) (victim: Endpoint) (peer: Endpoint) =
        let id, number = draws.Short(), SeqNr(draws.Short())
        syns.Add(struct (victim, peer, id, number))
        let header = Craft.header PacketType.Syn id number (SeqNr 0us) (Time.stamp now) 0u
        Move.Send(peer, victim, Craft.withCode header (code ()))

    let syn (now: Instant) =
        let struct (victim, peer) = pair ()
        synFor now victim peer

    /// The last packet of a type that it has seen, if it sees the path.
    let lastOf kind target =
        let mutable found = ValueNone

        for struct (from, toward, bytes) in packets do
            match Craft.tryRead bytes with
            | ValueSome header when header.Type = kind && (toward: Endpoint).Equals target ->
                found <- ValueSome(struct (from, header))
            | _ -> ()

        found

    let synAckFor (now: Instant) (victim: Endpoint) (peer: Endpoint) id number =
        let header = Craft.header PacketType.State id (SeqNr(draws.Short())) number (Time.stamp now) 0u
        Move.Send(peer, victim, Craft.withCode header (code ()))

    /// A SYN-ACK to a host that has sent, or might have sent, a SYN.
    let synAck (now: Instant) =
        let struct (victim, peer) = pair ()

        let id, number =
            match lastOf PacketType.Syn peer with
            | ValueSome(struct (_, header)) -> header.ConnectionId, header.SeqNr
            | ValueNone -> draws.Short(), SeqNr(draws.Short())

        synAckFor now victim peer id number

    /// Confirms one of its SYNs by a guess.
    let confirm (now: Instant) =
        if syns.Count = 0 then
            syn now
        else
            let struct (victim, peer, id, number) = newest syns
            let guess = SeqNr(draws.Short())
            let header = Craft.header PacketType.Data (id + 1us) (number + 1) guess (draws.Word()) (draws.Word())
            Move.Send(peer, victim, Craft.packet header [| 0xEEuy |])

    /// A RESET for a SYN. Whether it is on the path or not, the peer of a meeting does not refuse.
    let refuse (now: Instant) (victim: Endpoint) (peer: Endpoint) id number =
        let header = Craft.header PacketType.Reset id (SeqNr 0us) number (Time.stamp now) 0u
        Move.Send(peer, victim, Craft.packet header [||])

    let probe () =
        let struct (victim, peer) = pair ()

        if packets.Count > 0 && draws.Below 2 = 0 then
            let struct (from, target, bytes) = any packets
            Move.Send(from, target, changed bytes)
        else
            let bytes = Array.concat [ "UPN1"B; [| 0x40uy + byte (draws.Below 5) |]; draws.Bytes 51 ]
            Move.Send(peer, victim, bytes)

    let replay () =
        if messages.Count = 0 then
            probe ()
        else
            let struct (from, target, bytes) = any messages
            let bytes = if draws.Below 2 = 0 then Array.copy bytes else changed bytes

            // The server's messages to either peer, and in the name of the other one.
            match draws.Below 3 with
            | 0 -> Move.Send(from, target, bytes)
            | 1 -> Move.Send(knowledge.Server, knowledge.Peers[draws.Below 2], bytes)
            | _ ->
                let struct (victim, peer) = pair ()
                Move.Send(peer, victim, bytes)

    let unreachable () =
        let struct (victim, peer) = pair ()
        Move.Unreachable(victim, peer)

    let act move =
        moves <- moves + 1
        perform move

    let isOwn (syn: Header) =
        syns.Exists(fun (struct (_, _, id, number)) -> id = syn.ConnectionId && number = syn.SeqNr)

    /// Confirms one of its SYNs by the SYN-ACK that it has seen.
    let confirmSeen (now: Instant) (victim: Endpoint) (peer: Endpoint) (answer: Header) =
        for struct (_, _, id, number) in syns do
            if id = answer.ConnectionId && number = answer.AckNr then
                let stamp = Time.stamp now
                let ackNr = answer.SeqNr + -1
                let header = Craft.header PacketType.Data (id + 1us) (number + 1) ackNr stamp (stamp - answer.Timestamp)
                act (Move.Send(peer, victim, Craft.packet header [| 0xEEuy |]))

    member _.Moves = moves

    member _.See(now: Instant, from: Endpoint, target: Endpoint, bytes: byte[]) =
        let isServers =
            Endpoint.isSameAddress from knowledge.Server || Endpoint.isSameAddress target knowledge.Server

        if isServers then
            if messages.Count < 200 then messages.Add(struct (from, target, bytes))
        elif knowledge.SeesPath then
            if packets.Count < 400 then packets.Add(struct (from, target, bytes))

            match Craft.tryRead bytes with
            // Ahead of the SYN-ACK: a refusal, or another one. And while the victim expects its peer: another SYN.
            | ValueSome header when header.Type = PacketType.Syn && not (isOwn header) ->
                if draws.Below 2 = 0 then
                    act (refuse now from target header.ConnectionId header.SeqNr)
                else
                    act (synAckFor now from target header.ConnectionId header.SeqNr)

                act (synFor now target from)
            // Ahead of the RESET of the host that has never sent the SYN.
            | ValueSome header when header.Type = PacketType.State -> confirmSeen now from target header
            | _ -> ()

    member _.Strike now =
        for _ in 0 .. draws.Below 4 do
            match draws.Below 9 with
            | 0 -> syn now
            | 1
            | 2 -> confirm now
            | 3
            | 4 -> synAck now
            | 5 -> probe ()
            | 6 -> replay ()
            | 7 ->
                let struct (victim, peer) = pair ()
                refuse now victim peer (draws.Short()) (SeqNr(draws.Short()))
            | _ -> unreachable ()
            |> act

    /// Its host: it strikes when it is due, a limited number of times.
    interface IInternetHost with
        member this.Step(now, _) =
            if now >= dueAt then
                dueAt <- now + every
                this.Strike now

            [||]

        member _.Deadline = if moves < most then dueAt else Time.never
        member _.IsOpen _ = true

/// Two peers that meet while the operator strikes.
module OperatedMeeting =
    /// N10: a stream over the path of the meeting is between the two peers.
    let private checkHost (host: NodeHost) (other: NodeHost) seesPath =
        for struct (remote, id, isMeeting) in host.Accepted do
            if isMeeting && not (other.SynIds.Contains(id - 1us)) then
                Check.fail
                    "N10"
                    $"{Describe.endpoint host.Socket} accepts a stream of a meeting whose SYN the peer has not sent"

            if not isMeeting && not seesPath then
                Check.fail
                    "S27"
                    $"{Describe.endpoint host.Socket} accepts a stream in the name of {Describe.endpoint remote}"

        // The peer does not refuse, and the punch has proved that there is a way.
        for reason in host.Reasons do
            if reason = CloseReason.Refused || reason = CloseReason.Unreachable then
                Check.fail
                    "N10"
                    $"the stream of a meeting is closed by a forged packet: {TraceNames.reasons.Name reason}"

        for id in host.OpenedIds do
            let isPeers =
                match other.FirstStates.TryGetValue id, host.FirstAcks.TryGetValue(id + 1us) with
                | (true, seqNr), (true, ackNr) -> ackNr = seqNr + -1
                | _ -> false

            if not isPeers then
                Check.fail "N10" $"{Describe.endpoint host.Socket} opens a stream whose SYN-ACK the peer has not sent"

    /// Every byte of the dialler is delivered to its peer.
    let private checkBytes (internet: Internet) (a: NodeHost) (b: NodeHost) (outcome: PunchOutcome) =
        let struct (dialler, acceptor) = if outcome.A.Value.Dials then struct (a, b) else struct (b, a)
        let before = acceptor.Delivered
        dialler.Tell(internet, Event.Write(2, Owned(Array.create 5 1uy)))
        internet.RunUntil(internet.Now + Time.seconds 10)

        if acceptor.Delivered - before <> 5L then
            Check.fail "N10" $"of 5 bytes that a peer writes {acceptor.Delivered - before} are delivered to the other"

    /// Whether the peers have met, and the run.
    let meet (seed: uint64) : struct (bool * Play) =
        let draw purpose below = Keyed.below below seed purpose 0L
        let mutable strikes: Operator voption = ValueNone
        let mutable hosts: NodeHost list = []

        let watcher =
            { new IInternetWatcher with
                member _.Saw(now, _, datagram, what) =
                    match strikes with
                    | ValueSome it when what = DatagramEvent.Delivered && datagram.Ttl <> 1 ->
                        it.See(now, datagram.Source, datagram.Destination, datagram.Bytes)
                    | _ -> () }

        let internet = Internet(seed, NetworkConfig.openInternet, watcher)
        let server = PunchScenario.addServer internet (Keyed.mix (seed + 1UL))
        let late = Time.milliseconds (draw 1 1500)
        let scenario = { PunchScenario.between [] [] with Seed = seed; Late = late }
        let struct (a, b) = PunchScenario.addPeers internet scenario
        hosts <- [ a; b ]
        let seesPath = draw 2 2 = 0

        let perform move =
            match move with
            | Move.Send(from, target, bytes) -> internet.Forge { Socket = from; To = target; Ttl = 64; Bytes = bytes }
            | Move.TooLong(target, remote, size, limit) ->
                for host in hosts |> List.filter _.Socket.Equals(target) do
                    host.Tell(internet, Event.TooLong(remote, size, limit))
            | Move.Unreachable(target, remote) ->
                for host in hosts |> List.filter _.Socket.Equals(target) do
                    host.Tell(internet, Event.Unreachable remote)
            | Move.PortUnreachable(target, remote, quoted) ->
                for host in hosts |> List.filter _.Socket.Equals(target) do
                    host.Tell(internet, Event.PortUnreachable(remote, Owned quoted))

        let knowledge = { Server = server.Sockets[0]; Peers = [| a.Socket; b.Socket |]; SeesPath = seesPath }

        // Two or three moves at a time, from before the registration until the stream is open for a while.
        let every = (late + Time.milliseconds 1500) / 250L
        let player = Operator(Keyed.mix seed, knowledge, every, perform)
        strikes <- ValueSome player
        internet.AddHost(internet.Open, [| internet.Open.NewAddress() |], player)

        // Applications that take streams of any peer as well.
        if draw 3 2 = 0 then
            for host in hosts do
                host.Tell(internet, Event.Listen 16)

        let outcome = PunchScenario.meet internet server scenario a b
        let hasMet = outcome.IsUsable && PunchOutcome.isMet outcome && a.OpenedIds.Count + b.OpenedIds.Count = 1
        checkHost a b seesPath
        checkHost b a seesPath
        // Once a stream is open, an adversary that sees it may end it.
        if hasMet && not seesPath then checkBytes internet a b outcome
        struct (hasMet, { Moves = player.Moves; Hash = internet.Hash; Rules = [] })

    let play (seed: uint64) : Play =
        let struct (_, it) = meet seed
        it
