namespace UtpPunch.Protocol

/// Tells the congestion control of a stream what a step has shown.
module internal CongestionSampling =
    let start (options: StreamOptions) window roundTrip packet =
        options.Congestion.Start
            { Packet = packet; TargetDelay = options.TargetDelay; Window = window; RoundTrip = roundTrip }

    let private sampleOf context lost isFirst (connection: Connection) : CongestionSample =
        let board = connection.Board
        let rate = board.Rate
        let sums = &connection.Sums
        let rtt = connection.Rtt
        let delivery = DeliveryRate.sample rtt.Least rate
        let newest = rate.Newest
        let queueing = Queueing.delay connection

        { Now = if sums.Bytes > 0 then rate.DeliveredAt else context.Now
          Bytes = sums.Bytes
          Packets = sums.Packets
          LostBytes = int (rate.Lost - rate.ReportedLost)
          LostPackets = lost
          LostRanges = int (rate.LostRuns - rate.ReportedRuns)
          IsFirstLoss = isFirst
          SpuriousPackets = int (rate.Spurious - rate.ReportedSpurious)
          FlightBefore = if sums.Bytes > 0 then sums.Flight else Scoreboard.flight board
          Flight = Scoreboard.flight board
          Delivered = rate.Delivered
          PriorDelivered = if isNull newest then rate.Delivered else newest.Delivered
          DeliveryRate = delivery
          IsAppLimited = not (isNull newest) && newest.IsAppLimited
          SentFlight = if isNull newest then 0 else newest.Flight
          LostSince = if isNull newest then 0 else int (rate.Lost - newest.Lost)
          RoundTrip = rate.RoundTrip
          Smoothed = rtt.Smoothed
          Least = rtt.Least
          HasQueueing = queueing.IsSome
          Queueing = queueing |> ValueOption.defaultValue 0L<us>
          IsQueueEmpty = Queueing.isEmpty connection
          IsRttInflated = Queueing.isRttInflated connection
          IsWindowLimited = rate.IsWindowLimited
          IsPeerLimited = rate.IsPeerLimited
          HasSack = Scoreboard.peerSacks board
          Salt = connection.Remote.Hash(uint64 connection.ConnId) }

    /// `lost` packets were found lost; `isFirst` if there was no congestion event yet in this round trip.
    let observe context lost isFirst (connection: Connection) =
        let sample = sampleOf context lost isFirst connection
        connection.Congestion <- connection.Congestion.Observe &sample

        if isFirst && sample.HasSack && connection.Congestion.IsLossTolerated then
            PacketBuilder.note context Rule.LossTolerated connection
            Scoreboard.tolerate connection.Board

        DeliveryRate.report connection.Board.Rate
