namespace UtpPunch.Protocol

/// What the application asks of a stream. A command for a stream that has ended meanwhile does nothing.
module internal Commands =
    let write context bytes (connection: Connection) =
        if connection.State <> StreamState.TimeWait then
            let isIdle = Sender.unacknowledged connection.Sender = 0
            Sender.write bytes connection.Sender

            // RFC 5681, 4.1: what was known of the path is old once nothing was sent for longer than a time-out.
            if
                isIdle
                && context.Now - connection.Activity.ProgressAt > Rtt.timeout connection.Options connection.Rtt
            then
                Sender.shrink connection.Sender

    /// The application took that many of the bytes delivered to it.
    let consume count (connection: Connection) =
        if connection.State <> StreamState.TimeWait && not connection.Closing.Released then
            Receiver.consume count connection.Receiver

    /// A FIN follows what was written (RFC 9293, 3.10.4: CLOSE).
    let finish (connection: Connection) =
        if connection.State <> StreamState.TimeWait then Sender.finish connection.Sender

    /// RFC 9293, 3.10.5: ABORT.
    let abort context (connection: Connection) = Closing.closeWithReset context CloseReason.Aborted connection

    /// A released stream whose peer acknowledges less than this ends: bytes a second, on average.
    let private leastRate = 4096L

    /// The application neither reads nor writes any more. What was written is still sent, as long as the peer acknowledges something
    /// within `timeout`, and not too slowly. Bytes that were not consumed, or that still arrive, turn the end into a RESET (RFC 9293, 3.6.1: SHLD-3).
    let release context timeout (connection: Connection) =
        match connection.State with
        | StreamState.SynSent
        | StreamState.SynReceived -> abort context connection
        | StreamState.Established ->
            Delivery.deliver context connection
            Sender.finish connection.Sender
            connection.Closing.Released <- true
            connection.Closing.ReleaseTimeout <- timeout
            connection.Activity.ProgressAt <- context.Now
            let unsent = int64 (Sender.unacknowledged connection.Sender)
            let longest = Time.microseconds (unsent * 1_000_000L / leastRate)
            connection.Closing.ReleaseBy <- Time.after timeout (context.Now + longest)

            if Receiver.unread connection.Receiver > 0 then connection.Closing.HasLostBytes <- true
        | StreamState.TimeWait
        | StreamState.Closed -> ()

    /// What is known of the path goes over.
    let setCongestionControl (control: CongestionControl) (connection: Connection) =
        connection.Congestion <-
            control.Start
                { Packet = Scoreboard.payload connection.Board
                  TargetDelay = connection.Options.TargetDelay
                  Window = connection.Congestion.Window
                  RoundTrip = connection.Rtt.Smoothed }

    let setIdleTimeout duration (connection: Connection) =
        connection.Options <- { connection.Options with IdleTimeout = duration }
