namespace UtpPunch.Protocol

/// When an established stream is closed because time has passed: the peer acknowledges nothing, or is silent, or the application has
/// released the stream and nothing moves any more.
module internal Expiry =
    /// Time-outs in a row that giving up takes: as many as fit into the time, four at most.
    let private timeoutsBeforeGivingUp (options: StreamOptions) =
        let fits = options.GiveUpAfter / options.MinRto

        if fits >= 15L then 4
        elif fits >= 7L then 3
        elif fits >= 3L then 2
        else 1

    /// When to give up (RFC 9293, 3.8.3: R2). A peer that advertises a closed window is alive; only its silence counts against it. Time
    /// alone is not enough, since a machine that slept has not asked: a few time-outs must have fired, and the last must have had time
    /// to be answered.
    let private giveUpAt (connection: Connection) =
        if connection.IsHeldOpen || Scoreboard.packets connection.Board = 0 then
            Time.never
        elif connection.IsSuspended then
            // The probes of its link ask.
            Time.after connection.Options.GiveUpAfter connection.Activity.ProgressAt
        elif connection.Attempts.Timeouts < timeoutsBeforeGivingUp connection.Options then
            Time.never
        else
            let since =
                if Sender.peerWindow connection.Sender = 0L then
                    connection.Activity.HeardAt
                else
                    connection.Activity.ProgressAt

            let lastAskedAt = connection.Timers.Retransmit - Rtt.timeout connection.Options connection.Rtt
            max (lastAskedAt + connection.Options.MinRto) (Time.after connection.Options.GiveUpAfter since)

    let private idleAt (connection: Connection) =
        if connection.IsHeldOpen then
            Time.never
        else
            Time.after connection.Options.IdleTimeout connection.Activity.HeardAt

    let private releaseAt (connection: Connection) =
        let timeout = connection.Closing.ReleaseTimeout

        if not connection.Closing.Released then
            Time.never
        elif timeout > 0L<us> then
            min connection.Closing.ReleaseBy (Time.after timeout connection.Activity.ProgressAt)
        elif Sender.state connection.Sender = SendState.Finished then
            connection.Activity.ProgressAt + Farewell.grace connection
        else
            Time.never

    /// When `expire` has something to do.
    let at connection = min (giveUpAt connection) (min (idleAt connection) (releaseAt connection))

    /// A step that is later than it was due by this much: the machine slept.
    let private overslept = Time.seconds 1

    /// Any peer sends something within this time (libutp's keep-alive: 29 s).
    let private hearing = Time.seconds 30

    /// A machine that slept has not listened: it gets the time to hear of its peers, but at most as much as they were given.
    let private excuseSleep context (connection: Connection) =
        // `Time.never` is not missed: the difference to a negative time would overflow.
        let missed at = if at < context.Now && context.Now - at >= overslept then context.Now - at else 0L<us>
        let idle = missed (idleAt connection)

        if idle > 0L<us> then
            connection.Activity.HeardAt <-
                connection.Activity.HeardAt + idle + min hearing connection.Options.IdleTimeout

        let unasked = if connection.IsSuspended then missed (giveUpAt connection) else 0L<us>

        if unasked > 0L<us> then
            connection.Activity.ProgressAt <-
                connection.Activity.ProgressAt + unasked + min hearing connection.Options.GiveUpAfter

        let late = missed (releaseAt connection)

        if late > 0L<us> then
            let timeout = connection.Closing.ReleaseTimeout
            connection.Activity.ProgressAt <- context.Now - timeout + min hearing timeout
            connection.Closing.ReleaseBy <- Time.after (late + min hearing timeout) connection.Closing.ReleaseBy

    let expire context (connection: Connection) =
        excuseSleep context connection

        if context.Now >= giveUpAt connection then
            Closing.closeWithReset context CloseReason.TimedOut connection
        elif context.Now >= idleAt connection then
            Closing.closeWithReset context CloseReason.IdleTimeout connection
        elif context.Now >= releaseAt connection then
            Closing.abandon context connection
