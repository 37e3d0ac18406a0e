namespace UtpPunch.Sim

open UtpPunch.Protocol

/// S12: repeating a step from the same state gives the same effects, whatever was done meanwhile.
module Purity =
    let private sameTrain (one: Train) (other: Train) =
        let a, b = one.Header, other.Header

        a.Type = b.Type
        && a.ConnectionId = b.ConnectionId
        && a.SeqNr = b.SeqNr
        && a.AckNr = b.AckNr
        && a.Window = b.Window
        && a.Timestamp = b.Timestamp
        && a.TimestampDifference = b.TimestampDifference
        && one.PacketSize = other.PacketSize
        && one.Bits = other.Bits
        && one.MayFragment = other.MayFragment
        && one.HasRanges = other.HasRanges
        && one.Sack.Equals other.Sack
        && one.Payload.Equals other.Payload

    let private same (one: Effect) (other: Effect) =
        match one, other with
        | Effect.Send(remote, train), Effect.Send(remote', train') -> remote.Equals remote' && sameTrain train train'
        | Effect.Deliver(connId, payload), Effect.Deliver(connId', payload') ->
            connId = connId'
            && payload.Length = payload'.Length
            && ((payload.Offset = payload'.Offset && obj.ReferenceEquals(payload.Buffer, payload'.Buffer))
                || Describe.effect one = Describe.effect other)
        | Effect.Writable(connId, room), Effect.Writable(connId', room') -> connId = connId' && room = room'
        | Effect.Noted(rule, remote), Effect.Noted(rule', remote') -> rule = rule' && remote.Equals remote'
        | _ -> Describe.effect one = Describe.effect other

    let check (actor: Actor) (now: Instant) (events: Event[]) (effects: Effect[]) =
        match actor.Machine with
        | :? CoreMachine as core ->
            let struct (_, again) = Node.step now events core.Before

            if again.Length <> effects.Length || not (Array.forall2 same again effects) then
                Check.fail "S12" $"{actor.Name}: the repeated step has other effects"
        | _ -> ()
