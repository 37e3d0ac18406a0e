namespace UtpPunch.Protocol

/// Sends everything that is due in an established stream, once the events of a step are absorbed, and nothing before it is due.
module internal Output =
    /// Acknowledge at least every second packet, and none later than this (RFC 5681, 4.2 allows 500 ms).
    let private delayedAck = Time.milliseconds 25

    /// Loss probes ahead of the retransmission timer, each after twice the wait of the one before (RFC 9002, 6.2.1).
    let private lossProbes = 3

    let private foldDelays context (connection: Connection) =
        if connection.Sums.Difference <> 0u then
            connection.Delays.Ours <-
                ValueSome(Delay.observe context.Now connection.Sums.Difference connection.Delays.Ours)

            connection.Sums.Difference <- 0u

        if connection.Sums.HasTheirDifference then
            let sample = connection.Sums.TheirDifference
            connection.Sums.HasTheirDifference <- false

            match connection.Delays.Theirs with
            | ValueSome before ->
                let theirs = Delay.observe context.Now sample connection.Delays.Theirs
                let fall = Delay.least before - Delay.least theirs

                // As in libutp: when the other direction's base falls, the clocks drift apart, and ours must rise by as much.
                if fall > 0 && fall <= 10_000 && connection.Delays.Ours.IsSome then
                    connection.Delays.Ours <- ValueSome(Delay.shift fall connection.Delays.Ours.Value)

                connection.Delays.Theirs <- ValueSome theirs
            | ValueNone -> connection.Delays.Theirs <- ValueSome(Delay.observe context.Now sample ValueNone)

    /// Takes delay and congestion, once for all packets of the step.
    let fold context (connection: Connection) =
        foldDelays context connection
        PathChange.settle context.Now connection

        if connection.Sums.Bytes > 0 || connection.Sums.Lost > 0 || connection.Sums.Congested then
            CongestionSampling.observe context connection.Sums.Lost connection.Sums.Congested connection
            connection.Counters.BytesAcknowledged <- connection.Counters.BytesAcknowledged + int64 connection.Sums.Bytes

        connection.Sums.Bytes <- 0
        connection.Sums.Packets <- 0
        connection.Sums.Lost <- 0
        connection.Sums.Congested <- false

    let keepAliveAt (connection: Connection) = Time.after connection.Options.KeepAlive connection.Activity.SentAt

    let private retransmissionTimers context (connection: Connection) =
        if context.Now >= connection.Timers.Retransmit then
            let flight = Scoreboard.flight connection.Board
            let outstanding = Scoreboard.timeOut connection.Board
            connection.Timers.Retransmit <- Time.never
            connection.Attempts.Timeouts <- connection.Attempts.Timeouts + 1

            if Sender.peerWindow connection.Sender = 0L then
                // The peer drops what we send because its reader does not read: this is not congestion, and the waits stay short.
                PacketBuilder.note context Rule.WindowProbe connection
                connection.Rtt <- { connection.Rtt with Backoff = min 4 (connection.Rtt.Backoff + 1) }
            else
                PacketBuilder.note context Rule.RetransmitTimeout connection
                connection.Counters.Timeouts <- connection.Counters.Timeouts + 1L
                connection.Rtt <- { connection.Rtt with Backoff = connection.Rtt.Backoff + 1 }

                // Packets that were too long for the path do not mean congestion.
                if not (MtuProbing.vanished context connection) then
                    // RFC 5681's FlightSize is what is not acknowledged, lost or not: the repair of many losses is no small flight. But no
                    // more than was allowed to be in flight.
                    let flight = min outstanding (max flight connection.Congestion.Window)
                    connection.Congestion <- connection.Congestion.TimedOut flight

            connection.Timers.LossProbe <- Time.never
        else
            if context.Now >= Scoreboard.overdueAt connection.Board then
                let struct (lost, isFirst) = Recovery.findOverdue context.Now connection.Rtt connection.Board

                if isFirst then PacketBuilder.note context Rule.FastRetransmit connection

                if lost > 0 || isFirst then CongestionSampling.observe context lost isFirst connection

            if context.Now >= connection.Timers.LossProbe then
                connection.Timers.LossProbe <- Time.never
                // RFC 8985, 7.3: the highest packet, whose acknowledgement covers all before it; the next time the oldest. The npm
                // package sends no selective acknowledgements: always the oldest.
                let highest = connection.Dialect = Dialect.Bep29 && connection.Attempts.LossProbes % 2 = 0
                connection.Attempts.LossProbes <- connection.Attempts.LossProbes + 1

                match Scoreboard.probeLoss context.Now highest connection.Board with
                | null -> ()
                | run ->
                    PacketBuilder.note context Rule.LossProbe connection
                    PacketBuilder.run context run connection

    /// Packets in flight to an address that might be forged: RFC 6928's first window.
    let private packetsUnproven = 10

    /// What may be in flight. The npm package echoes no clock and proves nothing.
    let private window (connection: Connection) =
        if connection.Dialect = Dialect.Bep29 && TimestampCheck.isUnproven &connection.Clocks then
            min connection.Congestion.Window (packetsUnproven * connection.Options.PacketSize)
        else
            connection.Congestion.Window

    /// Sends what the windows and the pace admit: what was lost before what is new. Whether there was anything.
    let private sendDue context (connection: Connection) =
        let window = window connection
        let mutable allowance = Pacing.start context.Now connection
        let mutable sent = false
        let mutable isDone = false

        while not isDone && allowance.IsOpen context.Now do
            let run =
                if Scoreboard.hasLost connection.Board then
                    Scoreboard.retransmit context.Now window allowance.Quantum connection.Board
                else
                    Sender.sendNew context.Now window allowance.Quantum connection.Sender

            if isNull run then
                isDone <- true
            else
                PacketBuilder.run context run connection
                allowance.Charge run.Data.Length
                sent <- true

        Pacing.finish context.Now window sent &allowance connection
        sent

    /// For how long packets are given to the system one by one.
    let private alone = Time.seconds 600

    /// Some devices and routers drop what they get as one piece: a train that is cut into packets behind them, or never.
    let private avoidTrains context (connection: Connection) =
        if TrainLoss.isFound connection.Board.Trains then
            context.Effects.Add(Effect.SendAlone(connection.Remote, alone))
            PacketBuilder.note context Rule.TrainsLost connection

    let private transmit context (connection: Connection) =
        let wasIdle = Scoreboard.packets connection.Board = 0

        if wasIdle && Sender.hasQueued connection.Sender then
            connection.Congestion <- connection.Congestion.Restarted(context.Now, connection.Rtt.Smoothed)

        let sent = sendDue context connection

        // RFC 9293, 3.8.6.1: probe a closed window regularly.
        if not (Sender.isBlocked connection.Sender) then
            if Scoreboard.packets connection.Board = 0 || Sender.peerWindow connection.Sender > 0L then
                connection.Timers.WindowProbe <- Time.never
                connection.Attempts.WindowProbes <- 0
        elif connection.Timers.WindowProbe = Time.never then
            let wait =
                Rtt.timeout connection.Options connection.Rtt * (1L <<< min connection.Attempts.WindowProbes 4)

            connection.Timers.WindowProbe <- context.Now + min (Time.seconds 15) wait
        elif context.Now >= connection.Timers.WindowProbe then
            PacketBuilder.note context Rule.WindowProbe connection
            connection.Timers.WindowProbe <- Time.never
            connection.Attempts.WindowProbes <- connection.Attempts.WindowProbes + 1
            PacketBuilder.run context (Sender.probeWindow context.Now connection.Sender) connection

        if Scoreboard.packets connection.Board = 0 then
            connection.Timers.Retransmit <- Time.never
            connection.Timers.LossProbe <- Time.never
        else
            if wasIdle then connection.Activity.ProgressAt <- context.Now

            if connection.Timers.Retransmit = Time.never then
                connection.Timers.Retransmit <- context.Now + Rtt.timeout connection.Options connection.Rtt

            if
                (sent || connection.Timers.LossProbe = Time.never)
                && connection.Attempts.LossProbes < lossProbes
                && Rtt.isKnown connection.Rtt
                && connection.Attempts.Timeouts = 0
            then
                let wait = Rtt.probeAfter Peer.delayedAck connection.Rtt
                connection.Timers.LossProbe <- context.Now + wait * (1L <<< connection.Attempts.LossProbes)

    let private acknowledgeReceived context (connection: Connection) =
        // RFC 9293, 3.8.6.2.2: advertise a window that opens, but not every byte of it.
        let window = Receiver.window connection.Receiver
        let opened = window - connection.Acks.Advertised
        let least = min connection.Options.ReceiveBuffer (2 * connection.Sizes.LargestPayload)

        if
            opened >= connection.Options.ReceiveBuffer / 2
            || (connection.Acks.Advertised < least && window >= least)
        then
            connection.Acks.Immediate <- true

        if connection.Acks.Immediate then
            PacketBuilder.state context connection
        elif connection.Acks.Pending > 0 then
            if connection.Timers.Ack = Time.never then
                connection.Timers.Ack <- context.Now + delayedAck
            elif context.Now >= connection.Timers.Ack then
                PacketBuilder.state context connection

        if context.Now >= connection.Timers.Echo then PacketBuilder.state context connection

        if context.Now >= connection.Timers.Handshake then
            Handshake.repeatConfirmation context connection

        if context.Now >= keepAliveAt connection then
            PacketBuilder.note context Rule.KeepAlive connection
            PacketBuilder.state context connection

    /// Does everything that is due in an established stream.
    let settle context (connection: Connection) =
        Expiry.expire context connection

        if connection.State <> StreamState.Established then
            ()
        elif connection.IsSuspended then
            Delivery.deliver context connection
            Delivery.report context connection
        else
            retransmissionTimers context connection
            avoidTrains context connection
            Delivery.deliver context connection
            MtuProbing.tick context connection
            transmit context connection
            MtuProbing.settle context connection
            Delivery.report context connection
            Closing.conclude context connection

            if connection.State = StreamState.Established then acknowledgeReceived context connection
