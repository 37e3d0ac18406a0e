namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// What a stream has measured: a `chk stream` line. The fields are those of `StreamStatistics`.
[<NoComparison>]
type TraceSample =
    { Stream: ConnId
      CongestionWindow: int64
      PacingRate: int64
      DeliveryRate: int64
      Phase: string
      InFlight: int64
      RoundTrip: Duration
      RetransmitTimeout: Duration
      QueueingDelay: Duration
      TargetDelay: Duration
      PeerWindow: int64
      BytesAcknowledged: int64
      BytesReceived: int64
      Retransmissions: int64
      Timeouts: int64 }

module TraceSample =
    [<CompiledName "Of">]
    let ofStatistics (stream: ConnId) (it: StreamStatistics) : TraceSample =
        { Stream = stream
          CongestionWindow = int64 it.CongestionWindow
          PacingRate = it.PacingRate
          DeliveryRate = it.DeliveryRate
          Phase = it.Phase
          InFlight = int64 it.InFlight
          RoundTrip = it.RoundTrip
          RetransmitTimeout = it.RetransmitTimeout
          QueueingDelay = it.QueueingDelay
          TargetDelay = it.TargetDelay
          PeerWindow = it.PeerWindow
          BytesAcknowledged = it.BytesAcknowledged
          BytesReceived = it.BytesReceived
          Retransmissions = it.Retransmissions
          Timeouts = it.Timeouts }
