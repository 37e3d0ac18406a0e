namespace UtpPunch.Protocol

/// What delays and round trips show about the queues on the path.
module internal Queueing =
    /// The queueing delay of our packets; none before the peer has measured one.
    let delay connection =
        match connection.Delays.Ours with
        | ValueSome delay ->
            // What waits in a queue shows in the round trip too; a larger figure is a clock that jumped, or one that runs faster.
            let queueing = Delay.queueing delay
            let rtt = connection.Rtt
            ValueSome(if Rtt.isKnown rtt then min queueing (rtt.Latest - rtt.Least) else queueing)
        | ValueNone -> ValueNone

    /// Round trips that must agree before they are believed (RFC 9406: N_RTT_SAMPLE).
    let private inflatedSamples = 8

    /// RFC 9406, 4.2: an eighth of the round trip, but from 4 to 16 ms.
    let private inflationThreshold (rtt: Rtt) = max (Time.milliseconds 4) (min (Time.milliseconds 16) (rtt.Least / 8L))

    /// Whether no queue shows: half of RFC 9406's threshold and no more than 4 ms, for a short queue overflows early, and CoDel keeps
    /// one of 5. Samples of the round trip are rare while losses are repaired, so the delay alone must not show much either.
    let isEmpty connection =
        match connection.Delays.Ours, delay connection with
        | ValueSome ours, ValueSome queueing ->
            connection.Delays.InflatedRtts = 0
            && queueing <= min (Time.milliseconds 4) (connection.Rtt.Least / 16L)
            && Delay.queueing ours <= inflationThreshold connection.Rtt
        | _ -> false

    /// Takes a round trip and the delays of its packets, there and back. A receive call that comes late makes the round trip longer,
    /// but no delay that is measured from when the system has received a packet.
    let observeRoundTrip roundTrip there back connection =
        match connection.Delays.Ours, connection.Delays.Theirs with
        | ValueSome ours, ValueSome theirs when there <> 0u ->
            let growth = roundTrip - connection.Rtt.Least
            let unexplained = growth - Delay.excess there ours - Delay.excess back theirs
            // The least of each may be of another time: a queue that was there before the first packet was measured is no wait.
            let least = min connection.Delays.LeastUnexplained (Time.inInt unexplained)
            connection.Delays.LeastUnexplained <- least
            let unexplained = unexplained - Time.microseconds (int64 (max 0 least))

            connection.Delays.InflatedRtts <-
                if unexplained >= inflationThreshold connection.Rtt then
                    connection.Delays.InflatedRtts + 1
                else
                    0
        | _ -> connection.Delays.InflatedRtts <- 0

    let isRttInflated connection = connection.Delays.InflatedRtts >= inflatedSamples
