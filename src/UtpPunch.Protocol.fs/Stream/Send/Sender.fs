namespace UtpPunch.Protocol

open System

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Sender =
    /// Longer pieces are not joined: each time copies all of them.
    [<Literal>]
    let private JoinedAtMost = 2048

    let create (options: StreamOptions) (next: SeqNr) =
        { Options = options
          Board = Scoreboard.create (options.PacketSize - Packet.HeaderLength) next
          State = SendState.Open
          PacketWindow = options.PacketWindow
          Buffer = options.SendBuffer
          MaxBuffer = options.SendBuffer
          Queue = Deque<Owned>.Empty
          Queued = 0
          // Until the peer has advertised a window, one packet is admitted.
          PeerWindow = int64 options.PacketSize
          WindowStamp = 0u
          WindowKnown = false
          ShortPacket = ValueNone }

    let copy sender = { sender with Board = Scoreboard.copy sender.Board; Queue = sender.Queue.Copy() }

    let board (sender: Sender) = sender.Board
    let state (sender: Sender) = sender.State
    let peerWindow (sender: Sender) = sender.PeerWindow
    let unacknowledged sender = sender.Queued + Scoreboard.outstanding sender.Board
    let room sender = max 0 (sender.Buffer - unacknowledged sender)
    let hasQueued sender = sender.Queued > 0

    let lengthen packets (sender: Sender) =
        sender.PacketWindow <- packets
        sender.MaxBuffer <- max sender.Buffer sender.Options.MaxSendBuffer

    let grow window (sender: Sender) =
        if sender.Buffer < sender.MaxBuffer && room sender < sender.Buffer / 4 then
            let flight = max (min (int64 window) sender.PeerWindow) (int64 (Scoreboard.outstanding sender.Board))
            let wanted = int (min (int64 sender.MaxBuffer) (2L * flight))
            sender.Buffer <- max sender.Buffer wanted

    let shrink (sender: Sender) = sender.Buffer <- min sender.Buffer sender.Options.SendBuffer

    let isOnlyFinOutstanding (sender: Sender) = sender.State = SendState.FinWait && Scoreboard.packets sender.Board = 1

    let wantsLarger (sender: Sender) =
        match sender.State with
        | SendState.Open
        | SendState.FinQueued -> sender.Queued + Scoreboard.outstanding sender.Board >= Scoreboard.payload sender.Board
        | SendState.FinWait
        | SendState.FinAcked
        | SendState.Finished -> false

    // ---- Commands of the application ----

    let write (bytes: Owned) (sender: Sender) =
        if sender.State <> SendState.Open then
            invalidOp "The stream was finished; nothing may be written behind its end."

        if bytes.Length > sender.MaxBuffer - unacknowledged sender then
            invalidArg (nameof bytes) "More was written than the send buffer has room for."

        if not bytes.IsEmpty then
            sender.Queued <- sender.Queued + bytes.Length
            let last = sender.Queue.Count - 1

            // Small writes are joined, so that the queue has no more pieces than its bytes warrant.
            if
                last >= 0
                && sender.Queue[last].Length + bytes.Length <= min JoinedAtMost (Scoreboard.payload sender.Board)
            then
                let before = sender.Queue[last]
                let joined = Array.zeroCreate (before.Length + bytes.Length)
                before.Span.CopyTo(Span<byte>(joined))
                bytes.Span.CopyTo(Span<byte>(joined, before.Length, bytes.Length))
                sender.Queue[last] <- Owned joined
            else
                sender.Queue.Add bytes

    let finish (sender: Sender) = if sender.State = SendState.Open then sender.State <- SendState.FinQueued

    let setFinished (sender: Sender) = sender.State <- SendState.Finished

    // ---- Packets of the peer ----

    let acknowledge now sentBy rtt ackNr sack isRanges isBare (sender: Sender) =
        let acknowledged = Recovery.acknowledge now sentBy rtt ackNr sack isRanges isBare sender.Board

        match sender.ShortPacket with
        | ValueSome short when Scoreboard.oldest sender.Board - short > 0 -> sender.ShortPacket <- ValueNone
        | _ -> ()

        if sender.State = SendState.FinWait && Scoreboard.packets sender.Board = 0 then
            sender.State <- SendState.FinAcked

        acknowledged

    let advertiseUnstamped (window: int64) sender =
        sender.PeerWindow <- window
        if window > 0L then Scoreboard.endWindowProbe sender.Board

    let advertise (window: int64) (stamp: uint32) advanced sender =
        // An older packet that was overtaken must not shrink the window again.
        if
            advanced
            || not sender.WindowKnown
            || window > sender.PeerWindow
            || int32 (stamp - sender.WindowStamp) >= 0
        then
            sender.PeerWindow <- window
            sender.WindowStamp <- stamp
            sender.WindowKnown <- true

            if window > 0L then Scoreboard.endWindowProbe sender.Board

    // ---- Sending ----

    /// The next `length` bytes of the queue in one piece: a slice where one write covers them, a copy where they straddle two.
    let private take length sender =
        let head = sender.Queue[0]
        sender.Queued <- sender.Queued - length

        if head.Length > length then
            sender.Queue[0] <- head.Skip length
            head.Slice(0, length)
        elif head.Length = length then
            sender.Queue.Pop()
        else
            let gathered = Array.zeroCreate<byte> length
            let mutable filled = 0

            while filled < length do
                let head = sender.Queue[0]
                let count = min head.Length (length - filled)
                head.Slice(0, count).Span.CopyTo(Span<byte>(gathered, filled, count))
                filled <- filled + count

                if count = head.Length then
                    sender.Queue.Pop() |> ignore
                else
                    sender.Queue[0] <- head.Skip count

            Owned gathered

    let private launch now length count size sender = Scoreboard.launch now (take length sender) count size sender.Board

    let private launchShort now length sender =
        let run = launch now length 1 length sender

        if length < Scoreboard.payload sender.Board then sender.ShortPacket <- ValueSome run.First

        run

    let private sendFin now (sender: Sender) =
        if sender.State = SendState.FinQueued then
            sender.State <- SendState.FinWait
            Scoreboard.launch now Owned.Empty 1 0 sender.Board
        else
            null

    /// The bytes that the congestion window and the peer's both admit.
    let private admitted window sender =
        int (
            min
                (int64 (window - Scoreboard.flight sender.Board))
                (sender.PeerWindow - int64 (Scoreboard.outstanding sender.Board))
        )

    let sendNew now window quantum sender : Run =
        let board = sender.Board
        let packets = Scoreboard.packets board
        let places = sender.PacketWindow - packets

        if places <= 0 then
            null
        elif sender.Queued = 0 then
            sendFin now sender
        else
            let room = admitted window sender
            let payload = Scoreboard.payload board
            let head = sender.Queue[0]

            if head.Length >= payload && room >= payload then
                let count =
                    min
                        (min places (max 1 (quantum / (payload + Packet.HeaderLength))))
                        (min room head.Length / payload)

                launch now (count * payload) count payload sender
            elif sender.Queued >= payload then
                // Against silly windows: a full packet, or, with nothing outstanding, what the window takes.
                if room >= payload then launch now payload 1 payload sender
                elif room > 0 && packets = 0 then launchShort now room sender
                else null
            elif room < min sender.Queued (if packets = 0 then 1 else sender.Queued) then
                null
            elif sender.Options.NoDelay || sender.State = SendState.FinQueued || sender.ShortPacket.IsNone then
                launchShort now (min room sender.Queued) sender
            else
                null

    /// Whether something waits that both windows admit.
    let hasDue window sender =
        let board = sender.Board

        if Scoreboard.hasLost board then
            Scoreboard.flight board < window
        else
            sender.Queued > 0
            && Scoreboard.packets board < sender.PacketWindow
            && admitted window sender >= min sender.Queued (Scoreboard.payload board)

    /// Whether the peer's window, or its reach, holds back a full packet.
    let isHeldByPeer sender =
        let board = sender.Board

        sender.Queued > 0
        && (Scoreboard.packets board >= sender.PacketWindow
            || sender.PeerWindow - int64 (Scoreboard.outstanding board) <
                int64 (min sender.Queued (Scoreboard.payload board)))

    let isBlocked sender = Scoreboard.packets sender.Board = 0 && sender.Queued > 0 && sender.PeerWindow <= 0L

    let probeWindow now sender : Run =
        if isBlocked sender then
            Scoreboard.beginWindowProbe sender.Board
            launchShort now (min (Scoreboard.payload sender.Board) sender.Queued) sender
        else
            null
