namespace UtpPunch.Protocol

/// What a stream does when its events are absorbed: once a step, everything that is due, and nothing before it is.
module internal Settling =
    /// Acknowledge at least every second packet, and none later than this (RFC 5681, 4.2 allows 500 ms).
    let private delayedAck = Time.milliseconds 25

    /// Probes ahead of the retransmission timer, each after twice the wait of the one before (RFC 9002, 6.2.1).
    let private lossProbes = 3

    let private foldDelays turn connection =
        match connection.StepDifference with
        | ValueSome sample ->
            connection.OurDelay <- ValueSome(Delay.observe turn.Now sample connection.OurDelay)
            connection.StepDifference <- ValueNone
        | ValueNone -> ()

        match connection.StepTheirDifference, connection.TheirDelay with
        | ValueSome sample, ValueSome before ->
            let theirs = Delay.observe turn.Now sample connection.TheirDelay
            let fall = Delay.least before - Delay.least theirs

            // As in libutp: when the other direction's base falls, the clocks drift apart, and ours must rise by as much.
            if fall > 0 && fall <= 10_000 && connection.OurDelay.IsSome then
                connection.OurDelay <- ValueSome(Delay.shift fall connection.OurDelay.Value)

            connection.TheirDelay <- ValueSome theirs
            connection.StepTheirDifference <- ValueNone
        | ValueSome sample, ValueNone ->
            connection.TheirDelay <- ValueSome(Delay.observe turn.Now sample ValueNone)
            connection.StepTheirDifference <- ValueNone
        | ValueNone, _ -> ()

    /// So many packets were found lost; `isFirst` says that no answer to earlier ones is under way.
    let private lose turn lost isFirst connection =
        if lost > 0 then connection.Congestion <- connection.Congestion.Missed lost

        if isFirst then
            if connection.Congestion.Tolerates && Sender.isTolerant connection.Sender then
                Emission.note turn Rule.LossTolerated connection
                Sender.tolerate connection.Sender
            else
                connection.Congestion <- connection.Congestion.Lost()

    /// Delay and congestion, once for all packets of the step.
    let private fold turn connection =
        foldDelays turn connection

        if connection.StepBytes > 0 then
            connection.Congestion <-
                connection.Congestion.Acknowledged
                    { Bytes = connection.StepBytes
                      Packets = connection.StepPackets
                      Flight = connection.StepFlight
                      Queueing = Connection.queueing connection
                      Held = Connection.isHeld connection
                      Empty = Connection.isEmpty connection }

            connection.BytesAcknowledged <- connection.BytesAcknowledged + int64 connection.StepBytes
            connection.StepBytes <- 0

        connection.StepPackets <- 0
        lose turn connection.StepLost connection.StepCongested connection
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
        | ValueSome patience -> Time.after patience connection.LastProgressAt
        | ValueNone -> Time.never

    let private keepAliveAt connection = Time.after connection.Options.KeepAlive connection.LastSentAt

    /// A step that comes so much later than it was due: the machine slept.
    let private overslept = Time.seconds 1

    /// Its peer speaks at least that often (libutp's keep-alive: 29 s).
    let private hearing = Time.seconds 30

    /// A machine that slept has not listened; it gets the time to hear of its peers, but not more of it than they were given.
    let private listen turn connection =
        let missed at = if turn.Now - at >= overslept then turn.Now - at else 0L<us>
        let idle = missed (idleAt connection)

        if idle > 0L<us> then
            connection.LastHeardAt <- connection.LastHeardAt + idle + min hearing connection.IdleTimeout

        match connection.Released with
        | ValueSome patience when missed (releaseAt connection) > 0L<us> ->
            connection.LastProgressAt <- turn.Now - patience + min hearing patience
        | _ -> ()

    let private expire turn connection =
        listen turn connection

        if turn.Now >= giveUpAt connection then
            Ending.closeWithReset turn CloseReason.TimedOut connection
        elif turn.Now >= idleAt connection then
            Ending.closeWithReset turn CloseReason.IdleTimeout connection
        elif turn.Now >= releaseAt connection then
            Ending.closeWithReset turn CloseReason.Aborted connection

    let private retransmissionTimers turn connection =
        if turn.Now >= connection.RetransmitAt then
            let flight = Sender.flight connection.Sender
            let outstanding = Sender.timeOut connection.Sender
            connection.RetransmitAt <- Time.never
            connection.TimeoutsInARow <- connection.TimeoutsInARow + 1

            if Sender.peerWindow connection.Sender = 0L then
                // The peer drops what we send because its reader stands still: no congestion, and no longer waits.
                Emission.note turn Rule.WindowProbe connection
                connection.Rtt <- { connection.Rtt with Backoff = min 4 (connection.Rtt.Backoff + 1) }
            else
                Emission.note turn Rule.RetransmitTimeout connection
                connection.Timeouts <- connection.Timeouts + 1L
                connection.Rtt <- { connection.Rtt with Backoff = connection.Rtt.Backoff + 1 }

                // Packets that were too long tell of no congestion: one time-out's worth was paid already.
                if not (Probing.vanished turn connection) then
                    // RFC 5681 counts what is not acknowledged, held for lost or not: the repair of many losses is no small flight. But
                    // no more than was allowed to be in flight.
                    let flight = min outstanding (max flight connection.Congestion.Window)
                    connection.Congestion <- connection.Congestion.TimedOut flight

            connection.LossProbeAt <- Time.never
        else
            if turn.Now >= Sender.overdueAt connection.Sender then
                let struct (lost, isFirst) = Sender.findOverdue turn.Now connection.Rtt connection.Sender

                if isFirst then Emission.note turn Rule.FastRetransmit connection

                lose turn lost isFirst connection

            if turn.Now >= connection.LossProbeAt then
                connection.LossProbeAt <- Time.never
                // RFC 8985, 7.3: the highest packet, whose answer tells of all before it; the next time the oldest, in case that it told
                // nothing. The npm package never names what it holds, but goes on from what it waits for.
                let highest = connection.Dialect = Dialect.Bep29 && connection.LossProbes % 2 = 0
                connection.LossProbes <- connection.LossProbes + 1

                match Sender.probeLoss turn.Now highest connection.Sender with
                | null -> ()
                | run ->
                    Emission.note turn Rule.LossProbe connection
                    Emission.run turn run connection

    let private transmit turn connection =
        let wasIdle = Sender.packets connection.Sender = 0
        let window = connection.Congestion.Window
        let mutable sent = false
        let mutable run = Sender.sendAgain turn.Now window connection.Sender

        while not (isNull run) do
            Emission.run turn run connection
            sent <- true
            run <- Sender.sendAgain turn.Now window connection.Sender

        if not (Sender.hasLost connection.Sender) then
            run <- Sender.sendNew turn.Now window connection.Sender

            while not (isNull run) do
                Emission.run turn run connection
                sent <- true
                run <- Sender.sendNew turn.Now window connection.Sender

        // RFC 9293, 3.8.6.1: ask now and then whether a closed window is still closed.
        if not (Sender.isBlocked connection.Sender) then
            if Sender.packets connection.Sender = 0 || Sender.peerWindow connection.Sender > 0L then
                connection.WindowProbeAt <- Time.never
                connection.WindowProbes <- 0
        elif connection.WindowProbeAt = Time.never then
            let wait = Rtt.timeout connection.Options connection.Rtt * (1L <<< min connection.WindowProbes 4)
            connection.WindowProbeAt <- turn.Now + min (Time.seconds 15) wait
        elif turn.Now >= connection.WindowProbeAt then
            Emission.note turn Rule.WindowProbe connection
            connection.WindowProbeAt <- Time.never
            connection.WindowProbes <- connection.WindowProbes + 1
            Emission.run turn (Sender.probeWindow turn.Now connection.Sender) connection
            sent <- true

        if Sender.packets connection.Sender = 0 then
            connection.RetransmitAt <- Time.never
            connection.LossProbeAt <- Time.never
        else
            if wasIdle then connection.LastProgressAt <- turn.Now

            if connection.RetransmitAt = Time.never then
                connection.RetransmitAt <- turn.Now + Rtt.timeout connection.Options connection.Rtt

            if
                (sent || connection.LossProbeAt = Time.never)
                && connection.LossProbes < lossProbes
                && Rtt.isKnown connection.Rtt
                && connection.TimeoutsInARow = 0
            then
                let wait = Rtt.probeAfter Connection.peersDelayedAck connection.Rtt
                connection.LossProbeAt <- turn.Now + wait * (1L <<< connection.LossProbes)

    let private acknowledgeReceived turn connection =
        // RFC 9293, 3.8.6.2.2: tell of a window that opens, but not of every byte.
        let window = Receiver.window connection.Receiver
        let opened = window - connection.Advertised
        let least = min connection.Options.ReceiveBuffer (2 * connection.Sizes.LargestHeard)

        if opened >= connection.Options.ReceiveBuffer / 2 || (connection.Advertised < least && window >= least) then
            connection.AckNow <- true

        if connection.AckNow then
            Emission.state turn connection
        elif connection.Unacknowledged > 0 then
            if connection.AckAt = Time.never then connection.AckAt <- turn.Now + delayedAck
            elif turn.Now >= connection.AckAt then Emission.state turn connection

        if turn.Now >= connection.EchoAt then Emission.state turn connection

        if turn.Now >= connection.HandshakeAt then Handshake.confirmAgain turn connection

        if turn.Now >= keepAliveAt connection then
            Emission.note turn Rule.KeepAlive connection
            Emission.state turn connection

    let private settleOpen turn connection =
        expire turn connection

        if connection.Phase = Phase.Open then
            retransmissionTimers turn connection
            Ending.deliver turn connection
            Probing.tick turn connection
            transmit turn connection
            Probing.settle turn connection
            Ending.report turn connection
            acknowledgeReceived turn connection

            Ending.conclude turn connection

    let private settleLingering turn connection =
        if turn.Now >= connection.ExpiresAt then
            connection.Phase <- Phase.Dead
        elif connection.AckNow || turn.Now >= connection.EchoAt then
            Emission.state turn connection

    let settle turn connection =
        fold turn connection

        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> Handshake.settle turn connection
        | Phase.Open -> settleOpen turn connection
        | Phase.Lingering
        | Phase.Dead -> ()

        // Also when it has ended in this very step: its last acknowledgement may be due.
        if connection.Phase = Phase.Lingering then settleLingering turn connection

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
