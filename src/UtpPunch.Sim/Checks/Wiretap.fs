namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

[<AutoOpen>]
module private Reach =
    /// The most packets that lie ahead of a missing one.
    [<Literal>]
    let Longest = 16384

/// A packet that was sent: a retransmission must be equal.
[<Struct; NoComparison>]
type private Numbered =
    {
        Type: PacketType
        Hash: uint64
        /// The stream offset after its payload.
        End: int64
    }

/// Observes one stream at one host: every packet that the core received and every packet that it sent. From these alone it derives
/// what each packet must contain: S3 to S8, S16 and L6 of docs/simulation.md.
[<Sealed>]
type Wiretap(name: string, connId: ConnId, options: StreamOptions, marks: Marks) =
    // Packets received: a bit for each number ahead of the contiguous ones.
    let ahead = Array.zeroCreate<uint64> 1024
    let mutable aheadCount = 0
    let mutable contiguous: SeqNr voption = ValueNone
    let mutable unansweredSince = Time.never
    let mutable mustAnswer = false
    let mutable difference = 0u
    // Nothing was measured, or only the SYN-ACK, which came before the stream was open.
    let mutable differenceKnown = false
    // Packets sent.
    let sent = Dictionary<uint16, Numbered>()
    let mutable next: SeqNr voption = ValueNone
    let mutable oldest = SeqNr 0us
    let mutable offset = 0L
    let mutable acknowledged = 0L
    let mutable edge = 0L
    /// The next number when an acknowledgement arrived that is not taken into account, since the same step rejected a packet. The window may
    /// end beyond `edge` until a later packet is acknowledged.
    let mutable edgeUnknownUntil: SeqNr voption = ValueNone
    let mutable finished = false
    let mutable lastAck: SeqNr voption = ValueNone
    let mutable timestamp = 0u
    /// A bit for each outstanding number that was selectively acknowledged.
    let named = Array.zeroCreate<uint64> 1024
    let mutable nextBefore = SeqNr 0us
    let mutable peersEnd: SeqNr voption = ValueNone
    let mutable clocksApart = false
    let pace = Pace(name, connId, options, marks)
    /// The size of the last probe, how often it was sent in a row, and when it was sent last.
    let mutable probed = 0
    let mutable probes = 0
    let mutable probedAt = 0u

    let bit (seqNr: SeqNr) = 1UL <<< (int seqNr.Value &&& 63)
    let isAhead (seqNr: SeqNr) = ahead[int seqNr.Value >>> 6] &&& bit seqNr <> 0UL
    let isNamed (seqNr: SeqNr) = named[int seqNr.Value >>> 6] &&& bit seqNr <> 0UL
    let flip (seqNr: SeqNr) = ahead[int seqNr.Value >>> 6] <- ahead[int seqNr.Value >>> 6] ^^^ bit seqNr
    let fail property why = Check.fail property $"{name}, stream {connId}: {why}"

    member _.ConnId = connId
    /// The core has rejected a packet: it may have less than this observer assumes, until the two agree again.
    member val Loose = false with get, set
    /// Whether packets reach the core unchanged.
    member val Trusted = true with get, set
    /// Whether it rejected one in this step.
    member val Refused = false with get, set
    member val Closed = false with get, set
    /// Whether new data was sent in this step.
    member val Fresh = false with get, set
    /// Whether a packet was received or sent in this step.
    member val Touched = false with get, set
    /// Whether both sides have announced that they take more packets ahead of a missing one than libutp.
    member val IsLong = false with get, set
    /// The id of the stream's SYN, which identifies it during the handshake.
    member val SynId = 0us with get, set

    /// Whether nothing but path MTU probes was ever lost in this world.
    member _.IsIntact
        with get () = pace.IsIntact
        and set value = pace.IsIntact <- value

    member _.IsReceiving = contiguous.IsSome
    /// The first numbers of both directions.
    member val FirstSent = SeqNr 0us with get, set
    member val FirstReceived = SeqNr 0us with get, set

    /// The number before the peer's first packet.
    member this.ReceiveFrom(seqNr: SeqNr) =
        contiguous <- ValueSome seqNr
        this.FirstReceived <- seqNr

    member private _.TakeAcknowledgement(header: Header, sack: Borrowed, hasRanges: bool) =
        match next with
        | ValueSome next when header.AckNr - oldest >= -1 && header.AckNr - next < 0 ->
            while header.AckNr - oldest >= 0 do
                acknowledged <- sent[oldest.Value].End
                sent.Remove oldest.Value |> ignore
                named[int oldest.Value >>> 6] <- named[int oldest.Value >>> 6] &&& ~~~(bit oldest)
                oldest <- oldest + 1

            if header.AckNr + 1 = oldest then edge <- max edge (acknowledged + int64 header.Window)

            let name (seqNr: SeqNr) =
                if seqNr - oldest > 0 && seqNr - next < 0 then
                    named[int seqNr.Value >>> 6] <- named[int seqNr.Value >>> 6] ||| bit seqNr

            if hasRanges then
                for index in 0 .. SackRanges.count sack - 1 do
                    let first = SackRanges.first index sack

                    for distance in first .. first + SackRanges.length index sack - 1 do
                        name (header.AckNr + distance)
            else
                for index in 0 .. 8 * sack.Length - 1 do
                    if sack.Array[sack.Offset + (index >>> 3)] >>> (index &&& 7) &&& 1uy = 1uy then
                        name (header.AckNr + 2 + index)
        | _ -> ()

    member private this.TakeNumber(header: Header, arrivedAt: Instant) =
        let last = contiguous.Value
        let distance = header.SeqNr - last

        if distance <= 0 then
            mustAnswer <- mustAnswer || distance > -(if this.IsLong then Longest else 1000)
        elif distance < (if this.IsLong then Longest else 2000) then
            if isAhead header.SeqNr || distance > 1 || aheadCount > 0 || header.Type = PacketType.Fin then
                mustAnswer <- true

            if header.Type = PacketType.Fin then
                peersEnd <- ValueSome header.SeqNr

                if distance > 1 then marks.Hit "FIN before its data"

            if distance > 1 then
                if not (isAhead header.SeqNr) then
                    flip header.SeqNr
                    aheadCount <- aheadCount + 1
            else
                unansweredSince <- min unansweredSince arrivedAt
                let mutable at = header.SeqNr + 1

                while isAhead at do
                    flip at
                    aheadCount <- aheadCount - 1
                    at <- at + 1

                contiguous <- ValueSome(at + -1)

                if (at + -1).Value < last.Value then marks.Hit "ack wrap"

    /// The core has received a packet of this stream.
    member this.Receive(header: Header, sack: Borrowed, hasRanges: bool, isProbe: bool, arrivedAt: Instant) =
        this.Touched <- true

        if header.Type <> PacketType.Syn && header.Type <> PacketType.Reset then
            if not isProbe then
                difference <- Time.stamp arrivedAt - header.Timestamp
                differenceKnown <- not this.Refused

            if not clocksApart && int32 difference < 0 then
                clocksApart <- true
                marks.Hit "clocks apart"

            if this.Refused then
                edgeUnknownUntil <- next
            else
                this.TakeAcknowledgement(header, sack, hasRanges)

                match edgeUnknownUntil with
                | ValueSome until when oldest - until > 0 -> edgeUnknownUntil <- ValueNone
                | _ -> ()

            if header.Window = 0u then marks.Hit "zero window"

            if header.Type <> PacketType.State && contiguous.IsSome then
                this.TakeNumber(header, arrivedAt)

    /// Ranges name what lies ahead, each as much as there is, and all of it unless there are too many.
    member private this.CheckRanges(header: Header, ranges: Borrowed) =
        let mutable named = 0
        let mutable behind = 0

        if not this.IsLong then
            fail "S4" "ranges are sent to a peer that has not announced how far it reaches"

        for index in 0 .. SackRanges.count ranges - 1 do
            let first, length = SackRanges.first index ranges, SackRanges.length index ranges
            named <- named + length

            if first <= behind || isAhead (header.AckNr + first + -1) || isAhead (header.AckNr + first + length) then
                fail
                    "S4"
                    $"the range from {first} behind ack_nr {header.AckNr.Value} on, {length} packets, is not whole"

            for distance in first .. first + length - 1 do
                if not (isAhead (header.AckNr + distance)) then
                    fail "S4" $"packet {distance} behind ack_nr {header.AckNr.Value} is claimed"

            behind <- first + length

        if SackRanges.count ranges = SackRanges.Most then
            marks.Hit "most ranges"
        elif named <> aheadCount then
            fail "S4" $"{named} packets are named, and {aheadCount} lie ahead"

    member private this.CheckAcknowledgement(header: Header, sack: Borrowed, hasRanges: bool) =
        match contiguous with
        | ValueSome last ->
            if header.AckNr - last > 0 || (header.AckNr <> last && not this.Loose) then
                fail "S3" $"ack_nr is {header.AckNr.Value}, but everything up to {last.Value} was received"

            match lastAck with
            | ValueSome before when header.AckNr - before < 0 ->
                fail "S5" $"ack_nr goes back from {before.Value} to {header.AckNr.Value}"
            | _ -> lastAck <- ValueSome header.AckNr

            if header.AckNr = last && aheadCount = 0 && not this.Refused && this.Trusted then
                this.Loose <- false

            if header.Type = PacketType.State && aheadCount > 0 && sack.IsEmpty && not this.Loose then
                fail "S4" $"no selective acknowledgement, and {aheadCount} packets lie ahead"
        | ValueNone -> ()

        if hasRanges then
            marks.Hit "SACK emitted"
            marks.Hit "ranges emitted"
            if not this.Loose then this.CheckRanges(header, sack)
        elif not sack.IsEmpty then
            marks.Hit "SACK emitted"

            if sack.Length &&& 3 <> 0 || (aheadCount = 0 && not this.Loose) then
                fail "S4" $"a selective acknowledgement of {sack.Length} bytes, {aheadCount} packets lie ahead"

            for index in 0 .. 8 * sack.Length - 1 do
                let claimed = sack.Array[sack.Offset + (index >>> 3)] >>> (index &&& 7) &&& 1uy = 1uy
                let true' = isAhead (header.AckNr + 2 + index)

                if claimed <> true' && not this.Loose then
                    fail "S4" $"bit {index} behind ack_nr {header.AckNr.Value} is {claimed}"

    member private this.CheckNumber(header: Header, payload: ReadOnlySpan<byte>) =
        let isNew =
            match next with
            | ValueSome next -> header.SeqNr = next
            | ValueNone -> true

        let hash = Fingerprint.ofBytes payload

        if header.Type = PacketType.State then
            if not isNew && not this.Loose then
                fail "S8" $"a STATE carries {header.SeqNr.Value}, but the next number is {next.Value.Value}"

            if next.IsNone then
                next <- ValueSome header.SeqNr
                oldest <- header.SeqNr
                this.FirstSent <- header.SeqNr
        elif isNew then
            if finished then fail "S14" $"new data, number {header.SeqNr.Value}, after the FIN"

            if next.IsNone then
                oldest <- header.SeqNr
                this.FirstSent <- header.SeqNr

            if header.SeqNr.Value = 0us then marks.Hit "seq wrap"

            if
                payload.Length > 0
                && offset + int64 payload.Length > edge
                && sent.Count > 0
                && edge > 0L
                && edgeUnknownUntil.IsNone
                && not this.Loose
            then
                fail "S7" $"bytes up to {offset + int64 payload.Length}, but the peer's window ends at {edge}"

            finished <- header.Type = PacketType.Fin
            offset <- offset + int64 payload.Length
            sent[header.SeqNr.Value] <- { Type = header.Type; Hash = hash; End = offset }
            next <- ValueSome(header.SeqNr + 1)
            this.Fresh <- this.Fresh || payload.Length > 0

            if payload.Length > 0 && peersEnd.IsSome && peersEnd = contiguous then
                marks.Hit "data behind the peer's end"

            if sent.Count > (if this.IsLong then Longest else 1024) then
                fail "S8" $"{sent.Count} packets are outstanding"
        else
            if header.Type = PacketType.Fin then marks.Hit "FIN again"

            match sent.TryGetValue header.SeqNr.Value with
            | true, _ when isNamed header.SeqNr && not this.Loose ->
                fail "S6" $"number {header.SeqNr.Value} is retransmitted, though it was selectively acknowledged"
            | true, first ->
                if first.Type <> header.Type || first.Hash <> hash then
                    fail "S6" $"number {header.SeqNr.Value} was a {first.Type}, and its retransmission differs"
            | _ ->
                if not this.Loose then
                    fail "S6" $"number {header.SeqNr.Value} is sent, which is neither new nor outstanding"

    /// The core sends a path MTU probe: at most three times per size in one search, and searches are far apart.
    member _.Probe(size: int, stamp: uint32) =
        let isAgain = size = probed && stamp - probedAt < 9_000_000u
        probes <- if isAgain then probes + 1 else 1
        probed <- size
        probedAt <- stamp

        if probes > 3 then fail "S24" $"{size} bytes are tried {probes} times in a row"

    /// A report that a datagram was too long: the core may probe that size again.
    member _.Answer(size: int) = if size = probed then probes <- 0

    /// Whether a number was used before.
    member _.IsAgain(seqNr: SeqNr) = sent.ContainsKey seqNr.Value

    /// The core sends a packet of this stream at `at`, by its own clock.
    member this.Send(at: Instant, header: Header, sack: Borrowed, hasRanges: bool, payload: ReadOnlySpan<byte>) =
        this.Touched <- true

        if header.Type <> PacketType.Reset && header.Type <> PacketType.Syn then
            if this.Closed && header.Type <> PacketType.State then
                fail "S14" $"{header.Type} after it has closed"

            this.CheckNumber(header, payload)

            // A SYN-ACK never changes, also when it answers a SYN that was repeated ahead of the first data.
            let isSynAck =
                header.Type = PacketType.State
                && header.AckNr = this.FirstReceived
                && header.TimestampDifference = 0u

            if not isSynAck then
                this.CheckAcknowledgement(header, sack, hasRanges)

                // Both fields have the same secret offset.
                let echoed = Time.stamp at - (header.Timestamp - header.TimestampDifference)

                if echoed <> difference && differenceKnown && this.Trusted then
                    fail "S16" $"the delay of the last packet was {difference}, but {echoed} is echoed"

            if header.Timestamp < timestamp && timestamp - header.Timestamp > 0x80000000u then
                marks.Hit "ts wrap"

            timestamp <- header.Timestamp
            mustAnswer <- false
            unansweredSince <- Time.never

    /// The state of the stream in the core after a step.
    member this.Measure(stream: StreamStatistics) =
        if this.Loose || this.Refused then
            pace.Forget()
        else
            pace.Step(stream, oldest, nextBefore)

    /// Checks a step at its end; `slack` is how late the host's timers may be.
    member this.EndStep(now: Instant, slack: Duration) =
        if not this.Closed then
            if mustAnswer && not this.Loose then
                fail "L6" "a gap, a repetition or the end was not acknowledged at once"

            if this.Loose then unansweredSince <- Time.never

            if unansweredSince <> Time.never && now - unansweredSince > Time.milliseconds 25 + slack then
                fail "L6" $"data that came in order was not acknowledged for {int64 (now - unansweredSince)} us"

        mustAnswer <- false
        nextBefore <- ValueOption.defaultValue nextBefore next
        this.Touched <- false
        this.Fresh <- false
        this.Refused <- false
