namespace UtpPunch.Sim

open System.Collections.Generic
open UtpPunch.Protocol

/// An adversary on the path between two hosts: it sends copies of what it has seen, early and late, changed copies, and packets of its own.
/// It attacks one stream, the first whose SYN it sees, so that the others show whether the node still serves them.
[<Sealed>]
type OnPath(seed: uint64, knowledge: OnPathKnowledge) =
    let draws = Draws seed
    let seen = List<struct (Endpoint * Endpoint * byte[])>()
    let mutable id = -1

    let ofChosen (header: Header) =
        if id < 0 && header.Type = PacketType.Syn then id <- int header.ConnectionId

        let distance = int header.ConnectionId - id
        id >= 0 && (distance = 0 || distance = 1)

    let change (bytes: byte[]) =
        let copy = Array.copy bytes

        for _ in 0 .. draws.Below 3 do
            // All but the id, the bytes 2 and 3: another stream is not touched.
            let place = draws.Below(bytes.Length - 2)
            let place = if place < 2 then place else place + 2
            copy[place] <- byte (draws.Bits())

        // Types 0 to 3: a SYN would open streams under its own ids.
        copy[0] <- (byte (draws.Below 4) <<< 4) ||| 1uy
        copy

    let recent () = seen[max 0 (seen.Count - 1 - draws.Below 8)]

    /// A packet of its own under the peer's name, whose numbers and clocks are those of the last one.
    let continued kind =
        let struct (from, target, bytes) = recent ()

        match Craft.tryRead bytes with
        | ValueSome header ->
            let seqNr = header.SeqNr + (draws.Below 5 - 1)
            let length = if kind = PacketType.Data then 1 + draws.Below 60 else 0
            let forged = { header with Type = kind; SeqNr = seqNr; AckNr = header.AckNr + (draws.Below 5 - 2) }
            [ Move.Send(from, target, Craft.packet forged (draws.Bytes length)) ]
        | ValueNone -> []

    let copied from =
        let struct (_, target, bytes) = recent ()
        [ Move.Send(from, target, Array.copy bytes) ]

    interface IAdversary with
        member _.Receive(_, _, _) = ()

        member _.See(_, from, target, bytes) =
            match Craft.tryRead bytes with
            | ValueSome header when ofChosen header && seen.Count < 10_000 -> seen.Add(struct (from, target, bytes))
            | _ -> ()

        member _.Move _ =
            if seen.Count = 0 then
                []
            else
                match draws.Below 10 with
                | 0
                | 1 ->
                    let struct (from, target, bytes) = recent ()
                    [ Move.Send(from, target, Array.copy bytes) ]
                | 2 ->
                    let struct (from, target, bytes) = seen[draws.Below seen.Count]
                    [ Move.Send(from, target, Array.copy bytes) ]
                | 3 -> copied knowledge.Own
                | 4 -> copied (Endpoint.ofIPv4 (0x64400000u + uint32 (draws.Below 50)) 1000us)
                | 5
                | 6 ->
                    let struct (from, target, bytes) = recent ()
                    [ Move.Send(from, target, change bytes) ]
                | 7 -> continued PacketType.Data
                | 8 -> continued PacketType.State
                | _ when draws.Below 20 = 0 -> continued PacketType.Reset
                | _ ->
                    // To the sender itself: a reflection.
                    let struct (from, target, bytes) = recent ()
                    [ Move.Send(target, from, Array.copy bytes) ]
