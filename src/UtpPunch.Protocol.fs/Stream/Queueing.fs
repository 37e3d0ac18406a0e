namespace UtpPunch.Protocol

/// What delays and round trips show about the queues on the path.
module internal Queueing =
    /// The lesser of two samples that may wrap.
    let private least (known: uint32) (sample: uint32) = if int32 (sample - known) >= 0 then known else sample

    /// Takes the delays that a packet shows; `there` is that of our packets, as the peer has measured it; 0 for none.
    let measure (header: inref<Header>) there (arrivedAt: Instant) (connection: Connection) =
        let difference = Time.stamp arrivedAt - header.Timestamp
        connection.Delays.Difference <- difference
        connection.Delays.IsMeasured <- true

        // The clock of a SYN-ACK, which echoes nothing, has another offset than that of later packets.
        if header.TimestampDifference <> 0u || connection.Dialect = Dialect.UtpPunch then
            let sums = &connection.Sums

            if not sums.HasTheirDifference then
                sums.HasTheirDifference <- true
                sums.TheirDifference <- difference
            else
                sums.TheirDifference <- least sums.TheirDifference difference

        if there <> 0u then
            connection.Sums.Difference <-
                if connection.Sums.Difference = 0u then there else least connection.Sums.Difference there

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
