namespace UtpPunch.Protocol

/// A stream of a link loses its path, and goes on over another one (RFC 9000, 9).
module internal Migration =
    /// Nothing is sent from here on, and nothing times out.
    let suspend (connection: Connection) = connection.Linked <- LinkedStream.suspend true connection.Linked

    /// Nothing is known of the path (RFC 9000, 9.4), but the round trip of a probe; 0 if it was not measured.
    let private forget context roundTrip (connection: Connection) =
        connection.Rtt <- if roundTrip > 0L<us> then Rtt.observe roundTrip Rtt.none else Rtt.none

        connection.Delays <-
            { Unchecked.defaultof<Delays> with
                SampledAt = Time.never
                LeastUnexplained = System.Int32.MaxValue
                Difference = connection.Delays.Difference
                IsMeasured = connection.Delays.IsMeasured }

        MtuProbing.restart context connection
        let payload = Scoreboard.payload connection.Board
        connection.Congestion <- CongestionSampling.start connection.Options 0 connection.Rtt.Smoothed payload

    /// What is out went to where the peer is no more: it is lost, and that is no congestion.
    let private loseAll (connection: Connection) =
        if Scoreboard.packets connection.Board > 0 then
            Scoreboard.timeOut connection.Board |> ignore
            connection.Board.Trains <- TrainLoss.Initial

        connection.Timers.Retransmit <- Time.never
        connection.Timers.LossProbe <- Time.never
        connection.Timers.WindowProbe <- Time.never
        connection.Attempts.Timeouts <- 0
        connection.Attempts.LossProbes <- 0
        connection.Attempts.WindowProbes <- 0

    /// Goes on over that path. `isSameAddress`: only a port has changed, so that the path is what it was.
    let resume context (path: Endpoint) isSameAddress roundTrip (connection: Connection) =
        connection.Remote <- path
        connection.Linked <- LinkedStream.suspend false connection.Linked

        if connection.State = StreamState.Established then
            loseAll connection
            connection.Rtt <- { connection.Rtt with Backoff = 0 }
            if not isSameAddress then forget context roundTrip connection
            connection.Activity.HeardAt <- context.Now
            connection.Activity.ProgressAt <- context.Now
            // The peer learns what has arrived here, and that this stream is back.
            connection.Acks.Immediate <- true
            context.Effects.Add(Effect.PathChanged(connection.ConnId, path))
