namespace UtpPunch.Sim

open System.Collections.Generic
open UtpPunch.Protocol

/// An adversary off the path: it opens streams under forged addresses and guesses what the SYN-ACK has said, sends packets into the
/// victim's stream, floods, and forges ICMP reports.
[<Sealed>]
type OffPath(seed: uint64, knowledge: OffPathKnowledge) =
    let draws = Draws seed
    let { Victim = victim; Peer = peer; Own = own } = knowledge
    /// Its forged SYNs: the source, the id and the number.
    let syns = List<struct (Endpoint * uint16 * SeqNr)>()
    let mutable aim = 0
    /// The SYN-ACKs to its own address, and when they came.
    let answers = Queue<struct (Instant * Header)>()
    /// Guesses of one number are random or count up, from a random one on.
    let counted = draws.Below 2 = 0
    let mutable next = draws.Short()

    let guess () =
        next <- if counted then next + 1us else draws.Short()
        SeqNr next

    let nowhere () = Endpoint.ofIPv4 (0x64400000u + uint32 (draws.Below 50)) (1000us + uint16 (draws.Below 4))

    let syn (now: Instant) from =
        let id, number = draws.Short(), SeqNr(draws.Short())
        syns.Add(struct (from, id, number))
        Move.Send(from, victim, Craft.syn id number (Time.stamp now))

    /// Confirms one of its SYNs, with a guessed number and a guessed clock.
    let confirm (now: Instant) =
        if syns.Count = 0 then
            syn now peer
        else
            // Many guesses for one of the newest.
            if draws.Below 40 = 0 || aim >= syns.Count then
                aim <- max 0 (syns.Count - 1 - draws.Below 20)

            let struct (from, id, number) = syns[aim]
            let kind = if draws.Below 2 = 0 then PacketType.State else PacketType.Data
            let header = Craft.header kind (id + 1us) (number + 1) (guess ()) (draws.Word()) (draws.Word())
            Move.Send(from, victim, Craft.packet header [| 0xEEuy |])

    let id () =
        match knowledge.Given with
        | Given.Id id -> id
        | Given.Nothing -> draws.Short()

    /// A packet of the peer's stream.
    let intrude kind =
        let header = Craft.header kind (id ()) (guess ()) (SeqNr(draws.Short())) (draws.Word()) (draws.Word())
        let length = if kind = PacketType.Data then 1 + draws.Below 40 else 0
        let bits = if kind = PacketType.Reset then ExtensionBits.errorCode 666u else 0UL
        Move.Send(peer, victim, Craft.packetWith bits header (draws.Bytes length))

    /// Two of 65 536 numbers close a stream whose id is known: those who are given the id do not try.
    let reset () =
        let kind = if knowledge.Given.IsNothing then PacketType.Reset else PacketType.Fin
        intrude kind

    let report (now: Instant) =
        match draws.Below 4 with
        | 0 -> Move.Unreachable(victim, peer)
        | 1 -> Move.PortUnreachable(victim, peer, Craft.syn (id ()) (guess ()) (Time.stamp now))
        | _ -> Move.TooLong(victim, peer, draws.Below 66_000, draws.Below 1500)

    interface IAdversary with
        member _.Receive(now, _, bytes) =
            match Craft.tryRead bytes with
            | ValueSome header when header.Type = PacketType.State -> answers.Enqueue(struct (now, header))
            | _ -> ()

        member _.See(_, _, _, _) = ()

        member _.Move now =
            match draws.Below 12 with
            | 0 -> [ syn now peer ]
            | 1 -> [ syn now own ]
            | 2 -> [ syn now (nowhere ()) ]
            | 3
            | 4
            | 5 -> [ confirm now ]
            | 6 -> [ intrude PacketType.Data ]
            | 7 -> [ intrude PacketType.State ]
            | 8 -> [ intrude PacketType.Fin ]
            | 9 -> [ reset () ]
            | 10 -> [ report now ]
            | _ when answers.Count > 0 ->
                // A stream of its own, opened as any peer does it: its address is proved.
                let struct (at, answer) = answers.Dequeue()
                let difference = Time.stamp at - answer.Timestamp
                let id = answer.ConnectionId + 1us

                let header =
                    Craft.header PacketType.State id (answer.AckNr + 1) (answer.SeqNr + -1) (Time.stamp now) difference

                [ Move.Send(own, victim, Craft.packet header [||]) ]
            | _ -> [ for _ in 1..8 -> syn now (nowhere ()) ]
