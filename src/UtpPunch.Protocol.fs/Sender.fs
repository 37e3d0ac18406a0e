namespace UtpPunch.Protocol

open System

[<Struct; NoComparison>]
type Acknowledged =
    { Freed: int
      Bytes: int
      RoundTrip: Duration voption
      Congested: bool }

module private Limits =
    /// RFC 5681's three duplicates.
    [<Literal>]
    let threshold = 3

    /// A train goes out with one system call, which carries 64 KiB at most.
    [<Literal>]
    let trainLimit = 65000

    /// Earlier than anything was sent.
    [<Literal>]
    let unmeasured: Instant = -0x7FFF_FFFF_FFFF_FFFFL<us>

open Limits

[<Sealed>]
type Sender
    private (options: StreamOptions, queue: Deque<Bytes>, runs: Deque<Run>, next: SeqNr, oldest: SeqNr) =

    let payload = options.PacketSize - Wire.HeaderLength
    let mutable runs = runs
    let mutable next = next
    let mutable oldest = oldest

    new(options, next) =
        Sender(options, Deque<Bytes>(), Deque<Run>(), next, next)

    member val Queued = 0 with get, set
    member val Outstanding = 0 with get, set
    member val Flight = 0 with get, set
    member val LostPackets = 0 with get, set
    member val SackedPackets = 0 with get, set
    /// Packets sent more than once that are in flight.
    member val AgainInFlight = 0 with get, set
    member val Peak = 0 with get, set
    member val NextOrder = 0L with get, set
    /// The latest transmission that certainly arrived.
    member val ArrivedOrder = -1L with get, set
    member val Duplicates = 0 with get, set
    /// Packets have overtaken each other: three that arrived behind a missing one prove nothing any more.
    member val PathReorders = false with get, set
    member val OverdueAt = Time.never with get, set
    member val PeerSacks = false with get, set
    /// Until `oldest` gets here, further losses belong to the same congestion.
    member val RecoveryEnd: SeqNr voption = ValueNone with get, set
    member val PeerWindow = 0L with get, set
    member val WindowStamp = 0u with get, set
    member val WindowKnown = false with get, set
    /// Whether a packet was sent against a closed window.
    member val Probing = false with get, set
    member val LossProbe: struct (SeqNr * Instant) voption = ValueNone with get, set
    /// The last packet that was not full (Minshall's variant of Nagle: only one of them may be under way).
    member val ShortPacket: SeqNr voption = ValueNone with get, set
    member val FinWanted = false with get, set
    member val FinSent = false with get, set
    member val Retransmissions = 0L with get, set

    member _.Next = next
    member _.Oldest = oldest

    member _.Renumber(first: SeqNr) =
        if next <> oldest then
            invalidOp "Packets are under way; their numbers stand."

        next <- first
        oldest <- first

    member _.Packets = next - oldest
    member this.Room = options.SendBuffer - this.Queued - this.Outstanding
    member this.IsFinished = this.FinSent && next = oldest
    member this.IsFinishing = this.FinSent && next = oldest + 1

    member this.Copy() =
        Sender(
            options,
            queue.Copy(),
            runs.Copy(),
            next,
            oldest,
            Queued = this.Queued,
            Outstanding = this.Outstanding,
            Flight = this.Flight,
            LostPackets = this.LostPackets,
            SackedPackets = this.SackedPackets,
            AgainInFlight = this.AgainInFlight,
            Peak = this.Peak,
            NextOrder = this.NextOrder,
            ArrivedOrder = this.ArrivedOrder,
            Duplicates = this.Duplicates,
            PathReorders = this.PathReorders,
            OverdueAt = this.OverdueAt,
            PeerSacks = this.PeerSacks,
            RecoveryEnd = this.RecoveryEnd,
            PeerWindow = this.PeerWindow,
            WindowStamp = this.WindowStamp,
            WindowKnown = this.WindowKnown,
            Probing = this.Probing,
            LossProbe = this.LossProbe,
            ShortPacket = this.ShortPacket,
            FinWanted = this.FinWanted,
            FinSent = this.FinSent,
            Retransmissions = this.Retransmissions
        )

    // ---- What the application says ----

    member this.Write(bytes: Bytes) =
        if this.FinWanted then
            invalidOp "The stream was finished; nothing may be written behind its end."

        if bytes.Length > this.Room then
            invalidArg (nameof bytes) "More was written than the send buffer has room for."

        if not bytes.IsEmpty then
            this.Queued <- this.Queued + bytes.Length
            let last = queue.Count - 1

            // Small writes are joined, so that the queue is never longer than its bytes warrant.
            if last >= 0 && queue[last].Length + bytes.Length <= payload then
                let joined = Array.zeroCreate (queue[last].Length + bytes.Length)
                queue[last].Span.CopyTo(Span<byte>(joined))
                bytes.Span.CopyTo(Span<byte>(joined, queue[last].Length, bytes.Length))
                queue[last] <- Bytes joined
            else
                queue.Add bytes

    // ---- What the peer says ----

    /// Bookkeeping for packets that are acknowledged for the first time.
    member private this.Arrive(part: Run, youngest: byref<Instant>) =
        match part.Mark with
        | Mark.InFlight ->
            this.Flight <- this.Flight - part.Data.Length

            if part.Transmissions > 1 then
                this.AgainInFlight <- this.AgainInFlight - part.Count
        | Mark.Lost -> this.LostPackets <- this.LostPackets - part.Count
        | Mark.Sacked -> ()

        if part.Transmissions = 1 then
            // Sent once, so it was late, not lost.
            if part.Mark = Mark.Lost || this.ArrivedOrder - part.Order >= int64 threshold then
                this.PathReorders <- true

            youngest <- max youngest part.SentAt
            this.ArrivedOrder <- max this.ArrivedOrder (part.Order + int64 (part.Count - 1))

        part.Data.Length

    member private this.Free(ackNr: SeqNr, youngest: byref<Instant>) =
        let mutable remaining = ackNr - oldest + 1
        let mutable bytes = 0
        let mutable ambiguous = false

        while remaining > 0 do
            let run = runs[0]
            let part = run.Slice(0, min remaining run.Count)
            ambiguous <- ambiguous || part.Transmissions > 1

            if part.Mark = Mark.Sacked then
                this.SackedPackets <- this.SackedPackets - part.Count
            else
                bytes <- bytes + this.Arrive(part, &youngest)

            this.Outstanding <- this.Outstanding - part.Data.Length
            remaining <- remaining - part.Count

            if part.Count = run.Count then
                runs.Pop() |> ignore
            else
                runs[0] <- run.Slice(part.Count, run.Count - part.Count)

        oldest <- ackNr + 1

        if oldest = next then
            this.Probing <- false

        // Behind a packet that was sent again the others have waited for it: their age is no round trip.
        if ambiguous then
            youngest <- unmeasured

        bytes

    /// Marks what the bits cover. Bit 0 is `ackNr + 2`.
    member private this.Select(ackNr: SeqNr, sack: Bytes, youngest: byref<Instant>) =
        let bits = 8 * sack.Length

        let isSet bit =
            bit >= 0
            && bit < bits
            && sack.Array[sack.Offset + (bit >>> 3)] &&& (1uy <<< (bit &&& 7)) <> 0uy

        let fresh = Deque<Run>()
        let mutable bytes = 0

        for index in 0 .. runs.Count - 1 do
            let run = runs[index]
            let start = run.First - ackNr - 2

            if run.Mark = Mark.Sacked || start + run.Count <= 0 || start >= bits then
                fresh.Add run
            else
                let mutable from = 0

                while from < run.Count do
                    let covered = isSet (start + from)
                    let mutable until = from + 1

                    while until < run.Count && isSet (start + until) = covered do
                        until <- until + 1

                    let part = run.Slice(from, until - from)

                    if covered then
                        bytes <- bytes + this.Arrive(part, &youngest)
                        this.SackedPackets <- this.SackedPackets + part.Count
                        fresh.Add(part.Marked Mark.Sacked)
                    else
                        fresh.Add part

                    from <- until

        runs <- fresh
        bytes

    member private this.Lose(index: int) =
        let run = runs[index]
        this.Flight <- this.Flight - run.Data.Length
        this.LostPackets <- this.LostPackets + run.Count

        if run.Transmissions > 1 then
            this.AgainInFlight <- this.AgainInFlight - run.Count

        runs[index] <- run.Marked Mark.Lost

    /// Splits the oldest run so that its first packet stands alone.
    member private _.SplitHead() =
        let head = runs[0]

        if head.Count > 1 then
            runs[0] <- head.Slice(0, 1)
            runs.Insert(1, head.Slice(1, head.Count - 1))

    /// Whether a run is lost, given that something sent behind it has arrived: by number, as long as the path has kept the order
    /// (RFC 6675 for a first transmission, the order of sending for a later one), and in any case by age (RFC 8985).
    member private this.IsLost(run: Run, behind: int, now: Instant, rtt: Rtt) =
        let later = this.ArrivedOrder - (run.Order + int64 (run.Count - 1))
        let seen = if run.Transmissions = 1 then int64 behind else later

        if later <= 0L then
            false
        elif seen >= int64 threshold && not this.PathReorders then
            true
        else
            let overdueAt = run.SentAt + Rtt.overdueAfter rtt
            let isOverdue = Rtt.isKnown rtt && now >= overdueAt

            if not isOverdue && Rtt.isKnown rtt then
                this.OverdueAt <- min this.OverdueAt overdueAt

            isOverdue

    member private this.FindLost(now: Instant, rtt: Rtt) =
        let mutable found = false
        let mutable behind = 0

        for index = runs.Count - 1 downto 0 do
            let run = runs[index]

            match run.Mark with
            | Mark.Sacked -> behind <- behind + run.Count
            | Mark.InFlight when this.IsLost(run, behind, now, rtt) ->
                this.Lose index
                found <- true
            | Mark.InFlight
            | Mark.Lost -> ()

        found

    /// Without selective acknowledgements each repeated cumulative one tells of a packet behind the oldest: three of them
    /// (RFC 5681), a partial one in recovery (RFC 6582), or one and the oldest packet's age mean that it is lost.
    member private this.FindHeadLost(freed: int, now: Instant, rtt: Rtt) =
        let head = runs[0]
        let overdueAt = head.SentAt + Rtt.overdueAfter rtt
        let isOverdue = this.Duplicates > 0 && Rtt.isKnown rtt && now >= overdueAt
        let isRepeated = this.Duplicates >= threshold && not this.PathReorders
        let isPartial = freed > 0 && this.RecoveryEnd.IsSome

        if head.Mark <> Mark.InFlight then
            false
        elif isOverdue || (head.Transmissions = 1 && (isRepeated || isPartial)) then
            this.SplitHead()
            this.Lose 0
            true
        else
            if this.Duplicates > 0 && Rtt.isKnown rtt then
                this.OverdueAt <- min this.OverdueAt overdueAt

            false

    member private this.Find(freed: int, now: Instant, rtt: Rtt) =
        this.OverdueAt <- Time.never

        // What is sent against a closed window is dropped there and acknowledged with the old number: no loss.
        if this.Packets = 0 || this.Probing then
            false
        else
            let head = not this.PeerSacks && this.FindHeadLost(freed, now, rtt)

            if this.SackedPackets > 0 || this.AgainInFlight > 0 then
                this.FindLost(now, rtt) || head
            else
                head

    /// Several losses within one round trip are one congestion.
    member private this.Congest(lost: bool) =
        let congested = lost && this.RecoveryEnd.IsNone

        if congested then
            this.RecoveryEnd <- ValueSome next

        congested

    member this.FindOverdue(now: Instant, rtt: Rtt) =
        this.Congest(this.Find(0, now, rtt))

    member this.Acknowledge(now: Instant, rtt: Rtt, ackNr: SeqNr, sack: Bytes, isBare: bool) =
        let freed = ackNr - oldest + 1
        let mutable youngest = unmeasured
        let mutable bytes = 0

        if freed > 0 then
            bytes <- this.Free(ackNr, &youngest)

            match this.RecoveryEnd with
            | ValueSome until when oldest - until >= 0 -> this.RecoveryEnd <- ValueNone
            | _ -> ()

            match this.ShortPacket with
            | ValueSome short when oldest - short > 0 -> this.ShortPacket <- ValueNone
            | _ -> ()

        if not sack.IsEmpty then
            this.PeerSacks <- true

            if this.Packets > 1 then
                bytes <- bytes + this.Select(ackNr, sack, &youngest)

        if freed > 0 then this.Duplicates <- 0
        elif isBare && this.Packets > 0 then this.Duplicates <- this.Duplicates + 1

        let mutable lost = this.Find(freed, now, rtt)

        // A loss probe that was answered no sooner than its own round trip allows has repaired a loss (RFC 8985, 7.4).
        match this.LossProbe with
        | ValueSome(struct (probed, at)) when oldest - probed > 0 ->
            this.LossProbe <- ValueNone
            lost <- lost || now - at >= rtt.Least / 2L
        | _ -> ()

        { Freed = freed
          Bytes = bytes
          RoundTrip =
            if youngest > unmeasured then
                ValueSome(now - youngest)
            else
                ValueNone
          Congested = this.Congest lost }

    member this.Advertise(window: int64, stamp: uint32, advanced: bool) =
        // An older packet that was overtaken must not shrink the window again.
        if
            advanced
            || not this.WindowKnown
            || window > this.PeerWindow
            || int32 (stamp - this.WindowStamp) >= 0
        then
            let opened = this.Probing && window > 0L
            this.PeerWindow <- window
            this.WindowStamp <- stamp
            this.WindowKnown <- true

            if opened then
                // What was sent against the closed window was dropped there; no sign of congestion.
                this.Probing <- false

                for index in 0 .. runs.Count - 1 do
                    if runs[index].Mark = Mark.InFlight then
                        this.Lose index

    // ---- What goes out ----

    member private this.Sent(run: Run) =
        this.NextOrder <- this.NextOrder + int64 run.Count
        this.Flight <- this.Flight + run.Data.Length
        run

    member private this.Again(index: int, count: int, now: Instant) =
        let run = runs[index]
        let part = run.Slice(0, count).SentAgain(now, this.NextOrder)
        runs[index] <- part

        if count < run.Count then
            runs.Insert(index + 1, run.Slice(count, run.Count - count))

        this.AgainInFlight <- this.AgainInFlight + count
        this.Retransmissions <- this.Retransmissions + int64 count
        this.Sent part

    member this.SendAgain(now: Instant, window: int) : Run =
        if this.LostPackets = 0 then
            null
        else
            let mutable index = 0

            while runs[index].Mark <> Mark.Lost do
                index <- index + 1

            let run = runs[index]
            // What everything else waits for goes out whatever the window says (RFC 5681, 3.2: fast retransmit).
            let least = if this.Flight = 0 || index = 0 then 1 else 0

            let count =
                if run.IsFin then
                    1
                else
                    run.Count
                    |> min (max least ((window - this.Flight) / run.Size))
                    |> min (max 1 (trainLimit / options.PacketSize))

            if count <= 0 then
                null
            else
                this.LostPackets <- this.LostPackets - count
                this.Again(index, count, now)

    /// The next `length` bytes of the queue in one piece: a slice where one write covers them, a copy where they straddle two.
    member private this.Take(length: int) =
        let head = queue[0]
        this.Queued <- this.Queued - length

        if head.Length > length then
            queue[0] <- head.Skip length
            head.Slice(0, length)
        elif head.Length = length then
            queue.Pop()
        else
            let gathered = Array.zeroCreate<byte> length
            let mutable filled = 0

            while filled < length do
                let head = queue[0]
                let count = min head.Length (length - filled)
                head.Slice(0, count).Span.CopyTo(Span<byte>(gathered, filled, count))
                filled <- filled + count

                if count = head.Length then
                    queue.Pop() |> ignore
                else
                    queue[0] <- head.Skip count

            Bytes gathered

    member private this.Launch(data: Bytes, count: int, size: int, now: Instant) =
        let run = Run(next, count, size, data, now, this.NextOrder, 1, Mark.InFlight)
        runs.Add run
        next <- next + count
        this.Outstanding <- this.Outstanding + data.Length
        this.Peak <- max this.Peak this.Packets
        this.Sent run

    member private this.LaunchShort(length: int, now: Instant) =
        let run = this.Launch(this.Take length, 1, length, now)

        if length < payload then
            this.ShortPacket <- ValueSome run.First

        run

    member this.SendNew(now: Instant, window: int) : Run =
        let places = options.PacketWindow - this.Packets

        if places <= 0 then
            null
        elif this.Queued = 0 then
            if this.FinWanted && not this.FinSent then
                this.FinSent <- true
                this.Launch(Bytes.Empty, 1, 0, now)
            else
                null
        else
            let room =
                int (min (int64 (window - this.Flight)) (this.PeerWindow - int64 this.Outstanding))

            let head = queue[0]

            if head.Length >= payload && room >= payload then
                let count =
                    min (min places (trainLimit / options.PacketSize)) (min room head.Length / payload)

                this.Launch(this.Take(count * payload), count, payload, now)
            elif this.Queued >= payload then
                // Against silly windows: a full packet, or, with nothing outstanding, what the window takes.
                if room >= payload then
                    this.Launch(this.Take payload, 1, payload, now)
                elif room > 0 && this.Packets = 0 then
                    this.LaunchShort(room, now)
                else
                    null
            elif room < min this.Queued (if this.Packets = 0 then 1 else this.Queued) then
                null
            elif options.NoDelay || this.FinWanted || this.ShortPacket.IsNone then
                this.LaunchShort(min room this.Queued, now)
            else
                null

    member this.IsBlocked =
        this.Packets = 0 && this.Queued > 0 && this.PeerWindow <= 0L

    member this.ProbeWindow(now: Instant) : Run =
        if this.IsBlocked then
            this.Probing <- true
            this.LaunchShort(min payload this.Queued, now)
        else
            null

    member this.ProbeLoss(now: Instant) : Run =
        if this.Packets = 0 || this.Probing || runs[0].Mark <> Mark.InFlight then
            null
        else
            this.SplitHead()
            let head = runs[0]
            this.Flight <- this.Flight - head.Data.Length

            if head.Transmissions > 1 then
                this.AgainInFlight <- this.AgainInFlight - 1

            this.LossProbe <- ValueSome(struct (head.First, now))
            this.Again(0, 1, now)

    member this.TimeOut() =
        let flight = this.Flight

        for index in 0 .. runs.Count - 1 do
            if runs[index].Mark = Mark.InFlight then
                this.Lose index

        this.RecoveryEnd <- ValueSome next
        this.LossProbe <- ValueNone
        this.Duplicates <- 0
        this.OverdueAt <- Time.never
        flight

module Sender =
    // Until the peer has said otherwise, one packet is taken to be welcome.
    let create (options: StreamOptions) (next: SeqNr) =
        Sender(options, next, PeerWindow = int64 options.PacketSize)

    let copy (sender: Sender) = sender.Copy()
    let renumber next (sender: Sender) = sender.Renumber next
    let next (sender: Sender) = sender.Next
    let oldest (sender: Sender) = sender.Oldest
    let packets (sender: Sender) = sender.Packets
    let peakPackets (sender: Sender) = sender.Peak
    let flight (sender: Sender) = sender.Flight
    let room (sender: Sender) = sender.Room
    let hasQueued (sender: Sender) = sender.Queued > 0
    let hasLost (sender: Sender) = sender.LostPackets > 0
    let isFinished (sender: Sender) = sender.IsFinished
    let isFinishing (sender: Sender) = sender.IsFinishing
    let peerWindow (sender: Sender) = sender.PeerWindow
    let retransmissions (sender: Sender) = sender.Retransmissions
    let write bytes (sender: Sender) = sender.Write bytes
    let finish (sender: Sender) = sender.FinWanted <- true

    let acknowledge now rtt ackNr sack isBare (sender: Sender) =
        sender.Acknowledge(now, rtt, ackNr, sack, isBare)

    let advertise window stamp advanced (sender: Sender) =
        sender.Advertise(window, stamp, advanced)

    let sendAgain now window (sender: Sender) = sender.SendAgain(now, window)
    let sendNew now window (sender: Sender) = sender.SendNew(now, window)
    let probeWindow now (sender: Sender) = sender.ProbeWindow now
    let isBlocked (sender: Sender) = sender.IsBlocked
    let probeLoss now (sender: Sender) = sender.ProbeLoss now
    let overdueAt (sender: Sender) = sender.OverdueAt
    let findOverdue now rtt (sender: Sender) = sender.FindOverdue(now, rtt)
    let timeOut (sender: Sender) = sender.TimeOut()
