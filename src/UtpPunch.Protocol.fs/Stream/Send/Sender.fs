namespace UtpPunch.Protocol

open System

[<Sealed>]
type Sender internal (options: StreamOptions, queue: Deque<Owned>, board: Scoreboard) =
    let mutable queue = queue
    /// Longer pieces are not joined: each time copies all of them.
    let joinedAtMost = 2048

    member val Queued = 0 with get, set
    member val PeerWindow = 0L with get, set
    member val WindowStamp = 0u with get, set
    member val WindowKnown = false with get, set
    /// The last packet that was not full (Minshall's variant of Nagle: only one of them may be under way).
    member val ShortPacket: SeqNr voption = ValueNone with get, set
    member val FinWanted = false with get, set
    member val FinSent = false with get, set

    /// What a full packet carries.
    member _.Payload
        with get () = board.Payload
        and set value = board.Payload <- value

    member internal _.Board = board
    member this.Room = options.SendBuffer - this.Queued - board.Outstanding
    member this.IsFinished = this.FinSent && board.Packets = 0
    member this.IsFinishing = this.FinSent && board.Packets = 1

    member this.Copy() =
        Sender(
            options,
            queue.Copy(),
            board.Copy(),
            Queued = this.Queued,
            PeerWindow = this.PeerWindow,
            WindowStamp = this.WindowStamp,
            WindowKnown = this.WindowKnown,
            ShortPacket = this.ShortPacket,
            FinWanted = this.FinWanted,
            FinSent = this.FinSent
        )

    // ---- What the application says ----

    member this.Write(bytes: Owned) =
        if this.FinWanted then
            invalidOp "The stream was finished; nothing may be written behind its end."

        if bytes.Length > this.Room then
            invalidArg (nameof bytes) "More was written than the send buffer has room for."

        if not bytes.IsEmpty then
            this.Queued <- this.Queued + bytes.Length
            let last = queue.Count - 1

            // Small writes are joined, so that the queue is never longer than its bytes warrant.
            if last >= 0 && queue[last].Length + bytes.Length <= min joinedAtMost board.Payload then
                let joined = Array.zeroCreate (queue[last].Length + bytes.Length)
                queue[last].Span.CopyTo(Span<byte>(joined))
                bytes.Span.CopyTo(Span<byte>(joined, queue[last].Length, bytes.Length))
                queue[last] <- Owned joined
            else
                queue.Add bytes

    // ---- What the peer says ----

    member this.Acknowledge(now: Instant, rtt: Rtt, ackNr: SeqNr, sack: Borrowed, isBare: bool) =
        let acknowledged = board.Acknowledge(now, rtt, ackNr, sack, isBare)

        match this.ShortPacket with
        | ValueSome short when board.Oldest - short > 0 -> this.ShortPacket <- ValueNone
        | _ -> ()

        acknowledged

    member this.Advertise(window: int64, stamp: uint32, advanced: bool) =
        // An older packet that was overtaken must not shrink the window again.
        if
            advanced
            || not this.WindowKnown
            || window > this.PeerWindow
            || int32 (stamp - this.WindowStamp) >= 0
        then
            let opened = board.Probing && window > 0L
            this.PeerWindow <- window
            this.WindowStamp <- stamp
            this.WindowKnown <- true

            if opened then
                // What was sent against the closed window was dropped there; no sign of congestion.
                board.Probing <- false

                board.LoseAll()

    // ---- What goes out ----

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

                if count = head.Length then queue.Pop() |> ignore else queue[0] <- head.Skip count

            Owned gathered

    member private this.LaunchShort(length: int, now: Instant) =
        let run = board.Launch(this.Take length, 1, length, now)

        if length < board.Payload then this.ShortPacket <- ValueSome run.First

        run

    member this.SendNew(now: Instant, window: int) : Run =
        let places = options.PacketWindow - board.Packets

        if places <= 0 then
            null
        elif this.Queued = 0 then
            if this.FinWanted && not this.FinSent then
                this.FinSent <- true
                board.Launch(Owned.Empty, 1, 0, now)
            else
                null
        else
            let room = int (min (int64 (window - board.Flight)) (this.PeerWindow - int64 board.Outstanding))

            let payload = board.Payload
            let head = queue[0]

            if head.Length >= payload && room >= payload then
                let count =
                    min
                        (min places (max 1 (Train.Limit / (payload + Packet.HeaderLength))))
                        (min room head.Length / payload)

                board.Launch(this.Take(count * payload), count, payload, now)
            elif this.Queued >= payload then
                // Against silly windows: a full packet, or, with nothing outstanding, what the window takes.
                if room >= payload then board.Launch(this.Take payload, 1, payload, now)
                elif room > 0 && board.Packets = 0 then this.LaunchShort(room, now)
                else null
            elif room < min this.Queued (if board.Packets = 0 then 1 else this.Queued) then
                null
            elif options.NoDelay || this.FinWanted || this.ShortPacket.IsNone then
                this.LaunchShort(min room this.Queued, now)
            else
                null

    member this.IsBlocked = board.Packets = 0 && this.Queued > 0 && this.PeerWindow <= 0L

    member this.ProbeWindow(now: Instant) : Run =
        if this.IsBlocked then
            board.Probing <- true
            this.LaunchShort(min board.Payload this.Queued, now)
        else
            null

module Sender =
    // Until the peer has said otherwise, one packet is taken to be welcome.
    let create (options: StreamOptions) (next: SeqNr) =
        let board = Scoreboard(options.PacketSize - Packet.HeaderLength, next)
        Sender(options, Deque<Owned>.Empty, board, PeerWindow = int64 options.PacketSize)

    let copy (sender: Sender) = sender.Copy()
    let renumber next (sender: Sender) = sender.Board.Renumber next
    let next (sender: Sender) = sender.Board.Next
    let oldest (sender: Sender) = sender.Board.Oldest
    let packets (sender: Sender) = sender.Board.Packets
    let peakPackets (sender: Sender) = sender.Board.Peak
    let flight (sender: Sender) = sender.Board.Flight
    let room (sender: Sender) = sender.Room
    let hasQueued (sender: Sender) = sender.Queued > 0
    let hasLost (sender: Sender) = sender.Board.LostPackets > 0
    let isFinished (sender: Sender) = sender.IsFinished
    let isFinishing (sender: Sender) = sender.IsFinishing
    let setPayload payload (sender: Sender) = sender.Payload <- payload
    let oldestSize (sender: Sender) = sender.Board.OldestSize
    let longest (sender: Sender) = sender.Board.Longest

    let wantsLarger (sender: Sender) = not sender.FinSent && sender.Queued + sender.Board.Outstanding >= sender.Payload

    let peerWindow (sender: Sender) = sender.PeerWindow
    let retransmissions (sender: Sender) = sender.Board.Retransmissions
    let write bytes (sender: Sender) = sender.Write bytes
    let finish (sender: Sender) = sender.FinWanted <- true

    let acknowledge now rtt ackNr sack isBare (sender: Sender) = sender.Acknowledge(now, rtt, ackNr, sack, isBare)

    let advertise window stamp advanced (sender: Sender) = sender.Advertise(window, stamp, advanced)

    let retransmit now window (sender: Sender) = sender.Board.SendAgain(now, window)
    let sendNew now window (sender: Sender) = sender.SendNew(now, window)
    let probeWindow now (sender: Sender) = sender.ProbeWindow now
    let isBlocked (sender: Sender) = sender.IsBlocked
    let probeLoss now highest (sender: Sender) = sender.Board.ProbeLoss(now, highest)
    let overdueAt (sender: Sender) = sender.Board.OverdueAt
    let isTolerant (sender: Sender) = sender.Board.PeerSacks
    let tolerate (sender: Sender) = sender.Board.Tolerate()
    let findOverdue now rtt (sender: Sender) = sender.Board.FindOverdue(now, rtt)
    let timeOut (sender: Sender) = sender.Board.TimeOut()
