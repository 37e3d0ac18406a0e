namespace UtpPunch.Protocol

/// What a stream does when its events are absorbed: once a step, everything that is due, and nothing before it is.
module internal Output =
    /// Acknowledge at least every second packet, and none later than this (RFC 5681, 4.2 allows 500 ms).
    let private delayedAck = Time.milliseconds 25

    /// Probes ahead of the retransmission timer, each after twice the wait of the one before (RFC 9002, 6.2.1).
    let private lossProbes = 3

    let private foldDelays context connection =
        match connection.StepDifference with
        | ValueSome sample ->
            connection.OurDelay <- ValueSome(Delay.observe context.Now sample connection.OurDelay)
            connection.StepDifference <- ValueNone
        | ValueNone -> ()

        match connection.StepTheirDifference, connection.TheirDelay with
        | ValueSome sample, ValueSome before ->
            let theirs = Delay.observe context.Now sample connection.TheirDelay
            let fall = Delay.least before - Delay.least theirs

            // As in libutp: when the other direction's base falls, the clocks drift apart, and ours must rise by as much.
            if fall > 0 && fall <= 10_000 && connection.OurDelay.IsSome then
                connection.OurDelay <- ValueSome(Delay.shift fall connection.OurDelay.Value)

            connection.TheirDelay <- ValueSome theirs
            connection.StepTheirDifference <- ValueNone
        | ValueSome sample, ValueNone ->
            connection.TheirDelay <- ValueSome(Delay.observe context.Now sample ValueNone)
            connection.StepTheirDifference <- ValueNone
        | ValueNone, _ -> ()

    /// So many packets were found lost; `isFirst` says that no answer to earlier ones is under way.
    let private lose context lost isFirst connection =
        if lost > 0 then connection.Congestion <- connection.Congestion.Missed lost

        if isFirst then
            if connection.Congestion.Tolerates && Sender.isTolerant connection.Sender then
                PacketBuilder.note context Rule.LossTolerated connection
                Sender.tolerate connection.Sender
            else
                connection.Congestion <- connection.Congestion.Lost()

    /// Delay and congestion, once for all packets of the step.
    let private fold context connection =
        foldDelays context connection

        if connection.StepBytes > 0 then
            connection.Congestion <-
                connection.Congestion.Acknowledged
                    { Bytes = connection.StepBytes
                      Packets = connection.StepPackets
                      Flight = connection.StepFlight
                      Queueing = Connection.queueing connection
                      RttInflated = Connection.isRttInflated connection
                      QueueEmpty = Connection.isQueueEmpty connection }

            connection.BytesAcknowledged <- connection.BytesAcknowledged + int64 connection.StepBytes
            connection.StepBytes <- 0

        connection.StepPackets <- 0
        lose context connection.StepLost connection.StepCongested connection
        connection.StepLost <- 0
        connection.StepCongested <- false

    /// Time-outs in a row without which no stream is given up: as many as fit into the time, four at most.
    let private triesBeforeGivingUp (options: StreamOptions) =
        let fits = options.GiveUpAfter / options.MinRto

        if fits >= 15L then 4
        elif fits >= 7L then 3
        elif fits >= 3L then 2
        else 1

    /// When to give up. A peer that says that its window is closed is alive; only its silence counts against it. Time alone is not
    /// enough: a machine that slept has not asked. So it comes after a few time-outs, and the last of them had time to be answered.
    let private giveUpAt (connection: Connection) =
        if
            Sender.packets connection.Sender = 0
            || connection.TimeoutsInARow < triesBeforeGivingUp connection.Options
        then
            Time.never
        else
            let since =
                if Sender.peerWindow connection.Sender = 0L then
                    connection.LastHeardAt
                else
                    connection.LastProgressAt

            let lastAskedAt = connection.RetransmitAt - Rtt.timeout connection.Options connection.Rtt
            max (lastAskedAt + connection.Options.MinRto) (Time.after connection.Options.GiveUpAfter since)

    let private idleAt connection = Time.after connection.IdleTimeout connection.LastHeardAt

    let private releaseAt connection =
        match connection.Released with
        | ValueSome timeout -> Time.after timeout connection.LastProgressAt
        | ValueNone -> Time.never

    let private keepAliveAt connection = Time.after connection.Options.KeepAlive connection.LastSentAt

    /// A step that comes so much later than it was due: the machine slept.
    let private overslept = Time.seconds 1

    /// Its peer speaks at least that often (libutp's keep-alive: 29 s).
    let private hearing = Time.seconds 30

    /// A machine that slept has not listened; it gets the time to hear of its peers, but not more of it than they were given.
    let private listen context connection =
        let missed at = if context.Now - at >= overslept then context.Now - at else 0L<us>
        let idle = missed (idleAt connection)

        if idle > 0L<us> then
            connection.LastHeardAt <- connection.LastHeardAt + idle + min hearing connection.IdleTimeout

        match connection.Released with
        | ValueSome timeout when missed (releaseAt connection) > 0L<us> ->
            connection.LastProgressAt <- context.Now - timeout + min hearing timeout
        | _ -> ()

    let private expire context connection =
        listen context connection

        if context.Now >= giveUpAt connection then
            Closing.closeWithReset context CloseReason.TimedOut connection
        elif context.Now >= idleAt connection then
            Closing.closeWithReset context CloseReason.IdleTimeout connection
        elif context.Now >= releaseAt connection then
            Closing.closeWithReset context CloseReason.Aborted connection

    let private retransmissionTimers context connection =
        if context.Now >= connection.RetransmitAt then
            let flight = Sender.flight connection.Sender
            let outstanding = Sender.timeOut connection.Sender
            connection.RetransmitAt <- Time.never
            connection.TimeoutsInARow <- connection.TimeoutsInARow + 1

            if Sender.peerWindow connection.Sender = 0L then
                // The peer drops what we send because its reader stands still: no congestion, and no longer waits.
                PacketBuilder.note context Rule.WindowProbe connection
                connection.Rtt <- { connection.Rtt with Backoff = min 4 (connection.Rtt.Backoff + 1) }
            else
                PacketBuilder.note context Rule.RetransmitTimeout connection
                connection.Timeouts <- connection.Timeouts + 1L
                connection.Rtt <- { connection.Rtt with Backoff = connection.Rtt.Backoff + 1 }

                // Packets that were too long tell of no congestion: one time-out's worth was paid already.
                if not (MtuProbing.vanished context connection) then
                    // RFC 5681 counts what is not acknowledged, held for lost or not: the repair of many losses is no small flight. But
                    // no more than was allowed to be in flight.
                    let flight = min outstanding (max flight connection.Congestion.Window)
                    connection.Congestion <- connection.Congestion.TimedOut flight

            connection.LossProbeAt <- Time.never
        else
            if context.Now >= Sender.overdueAt connection.Sender then
                let struct (lost, isFirst) = Sender.findOverdue context.Now connection.Rtt connection.Sender

                if isFirst then PacketBuilder.note context Rule.FastRetransmit connection

                lose context lost isFirst connection

            if context.Now >= connection.LossProbeAt then
                connection.LossProbeAt <- Time.never
                // RFC 8985, 7.3: the highest packet, whose answer tells of all before it; the next time the oldest, in case that it told
                // nothing. The npm package never names what it holds, but goes on from what it waits for.
                let highest = connection.Dialect = Dialect.Bep29 && connection.LossProbes % 2 = 0
                connection.LossProbes <- connection.LossProbes + 1

                match Sender.probeLoss context.Now highest connection.Sender with
                | null -> ()
                | run ->
                    PacketBuilder.note context Rule.LossProbe connection
                    PacketBuilder.run context run connection

    let private transmit context connection =
        let wasIdle = Sender.packets connection.Sender = 0
        let window = connection.Congestion.Window
        let mutable sent = false
        let mutable run = Sender.retransmit context.Now window connection.Sender

        while not (isNull run) do
            PacketBuilder.run context run connection
            sent <- true
            run <- Sender.retransmit context.Now window connection.Sender

        if not (Sender.hasLost connection.Sender) then
            run <- Sender.sendNew context.Now window connection.Sender

            while not (isNull run) do
                PacketBuilder.run context run connection
                sent <- true
                run <- Sender.sendNew context.Now window connection.Sender

        // RFC 9293, 3.8.6.1: ask now and then whether a closed window is still closed.
        if not (Sender.isBlocked connection.Sender) then
            if Sender.packets connection.Sender = 0 || Sender.peerWindow connection.Sender > 0L then
                connection.WindowProbeAt <- Time.never
                connection.WindowProbes <- 0
        elif connection.WindowProbeAt = Time.never then
            let wait = Rtt.timeout connection.Options connection.Rtt * (1L <<< min connection.WindowProbes 4)
            connection.WindowProbeAt <- context.Now + min (Time.seconds 15) wait
        elif context.Now >= connection.WindowProbeAt then
            PacketBuilder.note context Rule.WindowProbe connection
            connection.WindowProbeAt <- Time.never
            connection.WindowProbes <- connection.WindowProbes + 1
            PacketBuilder.run context (Sender.probeWindow context.Now connection.Sender) connection
            sent <- true

        if Sender.packets connection.Sender = 0 then
            connection.RetransmitAt <- Time.never
            connection.LossProbeAt <- Time.never
        else
            if wasIdle then connection.LastProgressAt <- context.Now

            if connection.RetransmitAt = Time.never then
                connection.RetransmitAt <- context.Now + Rtt.timeout connection.Options connection.Rtt

            if
                (sent || connection.LossProbeAt = Time.never)
                && connection.LossProbes < lossProbes
                && Rtt.isKnown connection.Rtt
                && connection.TimeoutsInARow = 0
            then
                let wait = Rtt.probeAfter Connection.peersDelayedAck connection.Rtt
                connection.LossProbeAt <- context.Now + wait * (1L <<< connection.LossProbes)

    let private acknowledgeReceived context connection =
        // RFC 9293, 3.8.6.2.2: tell of a window that opens, but not of every byte.
        let window = Receiver.window connection.Receiver
        let opened = window - connection.Advertised
        let least = min connection.Options.ReceiveBuffer (2 * connection.Sizes.LargestHeard)

        if opened >= connection.Options.ReceiveBuffer / 2 || (connection.Advertised < least && window >= least) then
            connection.AckNow <- true

        if connection.AckNow then
            PacketBuilder.state context connection
        elif connection.Unacknowledged > 0 then
            if connection.AckAt = Time.never then connection.AckAt <- context.Now + delayedAck
            elif context.Now >= connection.AckAt then PacketBuilder.state context connection

        if context.Now >= connection.EchoAt then PacketBuilder.state context connection

        if context.Now >= connection.HandshakeAt then
            Handshake.repeatConfirmation context connection

        if context.Now >= keepAliveAt connection then
            PacketBuilder.note context Rule.KeepAlive connection
            PacketBuilder.state context connection

    let private settleOpen context connection =
        expire context connection

        if connection.Phase = Phase.Open then
            retransmissionTimers context connection
            Delivery.deliver context connection
            MtuProbing.tick context connection
            transmit context connection
            MtuProbing.settle context connection
            Delivery.report context connection
            acknowledgeReceived context connection

            Closing.conclude context connection

    let private settleLingering context connection =
        if context.Now >= connection.ExpiresAt then
            connection.Phase <- Phase.Dead
        elif connection.AckNow || context.Now >= connection.EchoAt then
            PacketBuilder.state context connection

    let settle context connection =
        fold context connection

        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> Handshake.settle context connection
        | Phase.Open -> settleOpen context connection
        | Phase.Lingering
        | Phase.Dead -> ()

        // Also when it has ended in this very step: its last acknowledgement may be due.
        if connection.Phase = Phase.Lingering then settleLingering context connection

    let deadline connection =
        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> min connection.HandshakeAt connection.ExpiresAt
        | Phase.Open ->
            min connection.RetransmitAt connection.LossProbeAt
            |> min (Sender.overdueAt connection.Sender)
            |> min connection.WindowProbeAt
            |> min connection.AckAt
            |> min connection.EchoAt
            |> min connection.HandshakeAt
            |> min (PathMtu.dueAt connection.Sizes.Mtu)
            |> min (giveUpAt connection)
            |> min (idleAt connection)
            |> min (releaseAt connection)
            |> min (keepAliveAt connection)
        | Phase.Lingering -> min connection.ExpiresAt connection.EchoAt
        | Phase.Dead -> Time.never
