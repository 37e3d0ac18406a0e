namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// Checks every step of every host: the events that the core received and the effects that it returned. It uses nothing but these and
/// the core's public functions.
[<Sealed>]
type Inspector(scenario: Scenario, actors: Actor[], marks: Marks) =
    let dialect = Scenario.dialectOf scenario
    let isTrusted = not (Expectation.isUnprotected scenario)
    /// Whether packets were injected that the peer has not sent; their ids may be those of a stream.
    let mutable isDistrusted = false
    let options (actor: Actor) = NodeOptions.forDialect dialect actor.Options
    let isPeer (actor: Actor) (endpoint: Endpoint) = endpoint.Equals actors[1 - actor.Index].Endpoint

    let isUndisturbed = Expectation.isUndisturbed scenario
    let mutable isIntact = isUndisturbed

    /// BEP 29's extension bits of a datagram that one of our nodes sent.
    let kindOf (bytes: byte[]) =
        let mutable packet = Unchecked.defaultof<Packet>

        if Packet.decode (Borrowed bytes) &packet = Malformed.None then
            ExtensionBits.kindOf packet.Bits
        else
            ExtensionBits.Kind.None

    /// The ids of SYNs whose sender has announced support for probes.
    let greet isForged (greeted: HashSet<uint16>) (header: Header) bits =
        if ExtensionBits.kindOf bits = ExtensionBits.Kind.Hello then
            greeted.Add header.ConnectionId |> ignore
        elif header.Type = PacketType.Syn && not isForged then
            greeted.Remove header.ConnectionId |> ignore

    let isMet (actor: Actor) (tap: Wiretap) = actor.SaidHello.Contains tap.SynId && actor.HeardHello.Contains tap.SynId

    /// The size that the path never exceeds; 0 if it is unlimited at some time.
    let everNarrow (actor: Actor) =
        let path = if actor.Index = 0 then scenario.AB else scenario.BA

        path.Mtu
        |> List.filter (fun narrow -> narrow.From = 0L<us> && narrow.Until = Time.never)
        |> List.fold (fun least narrow -> if least = 0 then narrow.Size else min least narrow.Size) 0

    /// S23: foreign peers get no packet larger than the initial size, and no peer one larger than its limit. Data with DF is never larger
    /// than the path, if that always had the same limit, nor smaller than the initial size.
    let checkSize (actor: Actor) (tap: Wiretap) (train: Train) (seqNr: SeqNr) (length: int) =
        let fail why = Check.fail "S23" $"{actor.Name}, stream {tap.ConnId}: {why}"
        let own = options actor
        let kind = ExtensionBits.kindOf train.Bits
        let isMet = isMet actor tap

        if kind = ExtensionBits.Kind.Probe then
            marks.Hit "probe"

            if not isMet then fail "a probe to a foreign peer"

            if ExtensionBits.sizeOf train.Bits <> length then
                fail $"a probe of {length} bytes announces {ExtensionBits.sizeOf train.Bits}"

            tap.Probe(length, train.Header.Timestamp)
        elif kind = ExtensionBits.Kind.KeyShare then
            marks.Hit "key share"

            if not isMet then fail "a share of a key to a foreign peer"
        elif kind = ExtensionBits.Kind.Answer && length > Packet.lengthOf (4 * SackRanges.Most) train.Bits 0 then
            fail $"an answer to a probe has {length} bytes"

        let most =
            if isMet then
                max own.PacketSize (min own.LargestPacket ExtensionBits.Most)
            else
                own.PacketSize

        if train.Header.Type = PacketType.Data && length > most || length > ExtensionBits.Most then
            fail $"{length} bytes, at most {most} may be sent"

        if train.MayFragment then
            marks.Hit "may fragment"

            if not (tap.IsAgain seqNr) then fail "new data without DF"
        elif kind <> ExtensionBits.Kind.Probe && length > own.PacketSize then
            marks.Hit "packets have grown"
            let narrow = everNarrow actor

            if narrow > 0 && length > narrow then
                fail $"{length} bytes with DF, on a path that never carried more than {narrow}"

    /// Whether the step being checked has a forged packet.
    member val Forging = false with get, set

    /// Packets are injected that the peer has not sent: from then on, the packets of streams are not checked.
    member _.Distrust() =
        isDistrusted <- true

        for actor in actors do
            for tap in actor.ByConnId.Values do
                tap.Trusted <- false
                tap.Loose <- true

    /// A stream has opened.
    member _.Open(actor: Actor, connId: ConnId, receiveId: uint16, isDialler: bool) =
        match actor.ByReceiveId.TryGetValue receiveId with
        | true, other when isDialler && other.SynId = receiveId && not other.Closed ->
            Check.fail "S15" $"{actor.Name}: two open streams have the id {receiveId}"
        | _ -> ()

        // An oracle does not verify the peer's address.
        let isStrict = isTrusted && not isDistrusted && actor.Machine :? CoreMachine
        let tap = Wiretap(actor.Name, connId, options actor, marks, Loose = not isStrict, Trusted = isStrict)
        let up = (dialect = Dialect.Bep29) = isDialler
        tap.SynId <- (if isDialler then receiveId else receiveId - 1us)
        tap.IsIntact <- isIntact

        // A packet ahead of the one that has opened it.
        if actor.HasRefused then
            tap.Loose <- true
            tap.Refused <- true

        actor.ByReceiveId[receiveId] <- tap
        actor.BySendId[if up then receiveId + 1us else receiveId - 1us] <- tap
        actor.ByConnId[connId] <- tap

        if not isDialler then
            match
                actor.Syns.TryGetValue(
                    if up then receiveId else (if dialect = Dialect.Bep29 then receiveId - 1us else receiveId)
                )
            with
            | true, seqNr -> tap.ReceiveFrom seqNr
            | _ -> tap.Loose <- true

    /// A rule fired: after some rules the core may have less than it was given.
    member this.Note(actor: Actor, rule: Rule, remote: Endpoint) =
        actor.Count rule

        match rule with
        | Rule.WindowOverrun
        | Rule.MemoryExhausted
        | Rule.OldDuplicate
        | Rule.TimestampOutOfRange
        | Rule.SeqOutOfRange
        | Rule.AckOutOfRange
        | Rule.BeyondFin
        | Rule.DataAfterRelease
        | Rule.UnexpectedPacket
        | Rule.MalformedExtension when not this.Forging && isPeer actor remote ->
            actor.HasRefused <- true

            for tap in actor.ByConnId.Values do
                tap.Loose <- true
                tap.Refused <- true
        | _ -> ()

    /// The events of a step.
    member this.Given(actor: Actor, events: Event[]) =
        for event in events do
            match event with
            | Event.Received(from, datagrams) when isPeer actor from ->
                for index in 0 .. datagrams.Count - 1 do
                    let mutable packet = Unchecked.defaultof<Packet>

                    if Packet.decode datagrams[index] &packet = Malformed.None then
                        let header = packet.Header

                        // A forged SYN may open the stream, with any contents.
                        greet this.Forging actor.HeardHello header packet.Bits

                        if header.Type = PacketType.Syn then
                            actor.Syns[header.ConnectionId] <- header.SeqNr
                        elif not this.Forging then
                            match actor.ByReceiveId.TryGetValue header.ConnectionId with
                            | true, tap when tap.IsReceiving ->
                                let kind = ExtensionBits.kindOf packet.Bits
                                let isProbe = kind = ExtensionBits.Kind.Probe

                                if kind = ExtensionBits.Kind.Answer then tap.Answer(ExtensionBits.sizeOf packet.Bits)

                                tap.IsLong <- isMet actor tap
                                tap.Receive(header, packet.Sack, packet.HasRanges, isProbe, datagrams.ArrivedAt)
                            | true, tap when header.Type = PacketType.State -> tap.ReceiveFrom(header.SeqNr + -1)
                            | _ -> ()
            | _ -> ()

    member private this.CheckWindows(actor: Actor, connId: ConnId, tap: Wiretap) =
        if tap.Touched then
            match actor.Machine.Stream connId with
            | ValueSome stream ->
                if not this.Forging then tap.Measure stream

                if tap.Fresh && stream.InFlight > max stream.CongestionWindow stream.MaxPayload then
                    Check.fail
                        "S7"
                        $"{actor.Name}, stream {connId}: {stream.InFlight} bytes in flight, cwnd {stream.CongestionWindow}"

                if stream.CongestionWindow <= stream.MaxPayload then marks.Hit "cwnd at minimum"

                if tap.Fresh && stream.QueueingDelay > stream.TargetDelay then marks.Hit "delay > target"
            | ValueNone -> ()

    /// A datagram is lost. After the end of the faults there is no random loss.
    member _.Lost(from: Actor, datagram: Datagram, cause: string, now: Instant) =
        if (cause = "loss" || cause = "checksum") && now >= scenario.HealAt then
            Check.fail "M5" $"a datagram is lost at random {now - scenario.HealAt} us after the end of the faults"

        marks.Hit("lost: " + cause)

        if isUndisturbed || cause = "mtu" || cause = "emsgsize" then
            if kindOf datagram.Bytes = ExtensionBits.Kind.Probe then
                marks.Hit "probe lost"
            elif isIntact then
                isIntact <- false

                for actor in actors do
                    for tap in actor.ByConnId.Values do
                        tap.IsIntact <- false

        if datagram.Bytes.Length >= Packet.HeaderLength then
            let id = (uint16 datagram.Bytes[2] <<< 8) ||| uint16 datagram.Bytes[3]

            match int datagram.Bytes[0] >>> 4 with
            | 4 -> marks.Hit "SYN lost"
            | 1 -> marks.Hit "FIN lost"
            | 2 when not (from.BySendId.ContainsKey id) -> marks.Hit "SYN-ACK lost"
            | _ -> ()

    /// A packet that the core sent: its hash with numbers relative to the first ones, for runs that differ only in these, and its length.
    member _.Sent(actor: Actor, remote: Endpoint, train: Train, index: int, bytes: byte[]) : uint64 =
        let tap = actor.BySendId.GetValueOrDefault train.Header.ConnectionId

        if dialect = Dialect.Bep29 then greet false actor.SaidHello train.Header train.Bits

        if isDistrusted || isNull (box tap) || not (isPeer actor remote) then
            uint64 bytes.Length
        else
            let header = { train.Header with SeqNr = train.Header.SeqNr + index }

            let size =
                if train.Payload.IsEmpty then
                    0
                else
                    min train.PacketSize (train.Payload.Length - index * train.PacketSize)

            // Where bytes are corrupted on the path, an announcement may be received that was not sent.
            if isTrusted then checkSize actor tap train header.SeqNr bytes.Length

            tap.IsLong <- isMet actor tap
            let payload = ReadOnlySpan<byte>(bytes, bytes.Length - size, size)
            tap.Send(actor.Now, header, train.Sack.AsBorrowed, train.HasRanges, payload)

            // RESETs have numbers of their own.
            if header.Type = PacketType.Reset then
                uint64 bytes.Length
            else
                uint64 (uint16 (header.SeqNr - tap.FirstSent))
                ||| (uint64 (uint16 (header.AckNr - tap.FirstReceived)) <<< 16)
                ||| (uint64 bytes.Length <<< 32)

    /// Checks a step at its end.
    member this.Stepped(actor: Actor, local: Instant, batch: Event[], effects: Effect[]) =
        let clock = actor.Host.Clock

        let slack =
            if clock.Freezes.IsEmpty && clock.Steps.IsEmpty then
                clock.Granularity + clock.Late + actor.Host.Socket.Wake + Time.milliseconds 1
            else
                Time.never / 2L

        actor.HasRefused <- false

        for tap in actor.ByConnId.Values do
            this.CheckWindows(actor, tap.ConnId, tap)
            tap.EndStep(local, slack)

        // Each half-open stream may repeat its SYN-ACK and note it.
        let halfOpen = 2 * NodeOptions.standard.MaxHalfOpen

        if effects.Length > 64 + halfOpen + 64 * batch.Length + 16_500 * actor.ByConnId.Count then
            Check.fail "S13" $"{actor.Name}: {effects.Length} effects of {batch.Length} events"

        if actor.StrangeOut > 3L * actor.StrangeIn then
            Check.fail "S13" $"{actor.Name}: {actor.StrangeOut} bytes to unknown addresses that sent {actor.StrangeIn}"

    /// The state that a forged packet must not change (S10): compared before and after.
    member _.Streams(actor: Actor) =
        [| for connId in actor.ByConnId.Keys -> struct (connId, actor.Machine.Stream connId) |]

    member _.Unchanged(actor: Actor, before: struct (ConnId * StreamStatistics voption)[]) =
        for struct (connId, was) in before do
            match was, actor.Machine.Stream connId with
            | ValueSome was, ValueSome is ->
                if
                    was.BytesAcknowledged <> is.BytesAcknowledged
                    || was.BytesReceived <> is.BytesReceived
                    || was.CongestionWindow <> is.CongestionWindow
                    || was.PacketsReceived <> is.PacketsReceived
                then
                    Check.fail "S10" $"{actor.Name}: a forged packet changes stream {connId}"
            | ValueSome _, ValueNone -> Check.fail "S10" $"{actor.Name}: a forged packet closes stream {connId}"
            | ValueNone, _ -> ()
