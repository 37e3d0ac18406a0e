// Written by `dotnet fsi build.fsx snapshot` from the types of the core; a test compares it with them.
/// The state of a node as bytes and back, field by field.
module internal UtpPunch.Tracing.SnapshotGenerated

open UtpPunch.Protocol

/// Tells builds apart: a hash of all types and fields below.
[<Literal>]
let Layout = 0x20DFF79300004ACDUL

let writeDialect (w: SnapshotWriter) (it: Dialect) : unit =
    match it with
    | Dialect.Bep29 -> w.Byte 0uy
    | Dialect.UtpPunch -> w.Byte 1uy

let readDialect (r: SnapshotReader) : Dialect =
    match r.Byte() with
    | 0uy -> Dialect.Bep29
    | 1uy -> Dialect.UtpPunch
    | _ -> r.Fail "there is no such Dialect"

let writeCongestionControl (w: SnapshotWriter) (it: CongestionControl) : unit =
    w.Text (it.Name)

let readCongestionControl (r: SnapshotReader) : CongestionControl =
    CongestionControls.named (r.Text())

let writeStreamOptions (w: SnapshotWriter) (it: StreamOptions) : unit =
    w.Int32 it.SendBuffer
    w.Int32 it.MaxSendBuffer
    w.Int32 it.ReceiveBuffer
    w.Int32 it.MaxReceiveBuffer
    w.Int32 it.PacketSize
    w.Int32 it.LargestPacket
    w.Int32 it.PacketWindow
    w.Int32 it.MaxPacketWindow
    w.Int32 it.ReorderWindow
    w.Int64 it.GiveUpAfter
    w.Int64 it.IdleTimeout
    w.Int64 it.KeepAlive
    w.Flag it.Migrates
    w.Int64 it.InitialRto
    w.Int64 it.MinRto
    w.Int64 it.MaxRto
    w.Int64 it.TargetDelay
    w.Reference(writeCongestionControl w, it.Congestion)
    w.Flag it.NoDelay

let readStreamOptions (r: SnapshotReader) : StreamOptions =
    { SendBuffer = r.Int32()
      MaxSendBuffer = r.Int32()
      ReceiveBuffer = r.Int32()
      MaxReceiveBuffer = r.Int32()
      PacketSize = r.Int32()
      LargestPacket = r.Int32()
      PacketWindow = r.Int32()
      MaxPacketWindow = r.Int32()
      ReorderWindow = r.Int32()
      GiveUpAfter = r.Int64()
      IdleTimeout = r.Int64()
      KeepAlive = r.Int64()
      Migrates = r.Flag()
      InitialRto = r.Int64()
      MinRto = r.Int64()
      MaxRto = r.Int64()
      TargetDelay = r.Int64()
      Congestion = r.Reference(fun () -> readCongestionControl r)
      NoDelay = r.Flag() }

let writeNodeOptions (w: SnapshotWriter) (it: NodeOptions) : unit =
    writeDialect w it.Dialect
    w.Int32 it.MaxConnections
    w.Int32 it.MaxPerAddress
    w.Int32 it.MaxHalfOpen
    w.Int64 it.ReceiveBudget
    w.Int64 it.HalfOpenTimeout
    writeStreamOptions w it.Bep29
    writeStreamOptions w it.UtpPunch

let readNodeOptions (r: SnapshotReader) : NodeOptions =
    { Dialect = readDialect r
      MaxConnections = r.Int32()
      MaxPerAddress = r.Int32()
      MaxHalfOpen = r.Int32()
      ReceiveBudget = r.Int64()
      HalfOpenTimeout = r.Int64()
      Bep29 = readStreamOptions r
      UtpPunch = readStreamOptions r }

let writeRandom (w: SnapshotWriter) (it: Random) : unit =
    w.Array(w.UInt32, it.Key)
    w.UInt64 it.Counter

let readRandom (r: SnapshotReader) : Random =
    let fieldKey = r.Array(1, (fun () -> r.UInt32()))
    let fieldCounter = r.UInt64()
    Random(fieldKey, fieldCounter)

let writeEndpoint (w: SnapshotWriter) (it: Endpoint) : unit =
    w.UInt64 it.High
    w.UInt64 it.Low
    w.UInt32 it.Scope
    w.UInt16 it.Port
    w.UInt16 it.Via
    w.UInt16 it.Local

let readEndpoint (r: SnapshotReader) : Endpoint =
    { High = r.UInt64()
      Low = r.UInt64()
      Scope = r.UInt32()
      Port = r.UInt16()
      Via = r.UInt16()
      Local = r.UInt16() }

let writeSeqNr (w: SnapshotWriter) (it: SeqNr) : unit =
    w.UInt16 it.Value

let readSeqNr (r: SnapshotReader) : SeqNr =
    let fieldValue = r.UInt16()
    SeqNr(fieldValue)

let writeIds (w: SnapshotWriter) (it: Ids) : unit =
    w.UInt16 it.Receive
    w.UInt16 it.Send
    writeSeqNr w it.Syn

let readIds (r: SnapshotReader) : Ids =
    { Receive = r.UInt16()
      Send = r.UInt16()
      Syn = readSeqNr r }

let writeStreamState (w: SnapshotWriter) (it: StreamState) : unit =
    match it with
    | StreamState.SynSent -> w.Byte 0uy
    | StreamState.SynReceived -> w.Byte 1uy
    | StreamState.Established -> w.Byte 2uy
    | StreamState.TimeWait -> w.Byte 3uy
    | StreamState.Closed -> w.Byte 4uy

let readStreamState (r: SnapshotReader) : StreamState =
    match r.Byte() with
    | 0uy -> StreamState.SynSent
    | 1uy -> StreamState.SynReceived
    | 2uy -> StreamState.Established
    | 3uy -> StreamState.TimeWait
    | 4uy -> StreamState.Closed
    | _ -> r.Fail "there is no such StreamState"

let writeAdmission (w: SnapshotWriter) (it: Admission) : unit =
    match it with
    | Admission.Granted -> w.Byte 0uy
    | Admission.Asked -> w.Byte 1uy
    | Admission.AskedLate -> w.Byte 2uy

let readAdmission (r: SnapshotReader) : Admission =
    match r.Byte() with
    | 0uy -> Admission.Granted
    | 1uy -> Admission.Asked
    | 2uy -> Admission.AskedLate
    | _ -> r.Fail "there is no such Admission"

let writeReceiveState (w: SnapshotWriter) (it: ReceiveState) : unit =
    match it with
    | ReceiveState.Open -> w.Byte 0uy
    | ReceiveState.FinReceived -> w.Byte 1uy
    | ReceiveState.Ended -> w.Byte 2uy

let readReceiveState (r: SnapshotReader) : ReceiveState =
    match r.Byte() with
    | 0uy -> ReceiveState.Open
    | 1uy -> ReceiveState.FinReceived
    | 2uy -> ReceiveState.Ended
    | _ -> r.Fail "there is no such ReceiveState"

let writeMark (w: SnapshotWriter) (it: Mark) : unit =
    match it with
    | Mark.InFlight -> w.Byte 0uy
    | Mark.Sacked -> w.Byte 1uy
    | Mark.Lost -> w.Byte 2uy

let readMark (r: SnapshotReader) : Mark =
    match r.Byte() with
    | 0uy -> Mark.InFlight
    | 1uy -> Mark.Sacked
    | 2uy -> Mark.Lost
    | _ -> r.Fail "there is no such Mark"

let writeDeparture (w: SnapshotWriter) (it: Departure) : unit =
    w.Int64 it.FirstSentAt
    w.Int64 it.DeliveredAt
    w.Int64 it.Delivered
    w.Int64 it.Lost
    w.Int32 it.Flight
    w.Flag it.IsAppLimited
    w.Flag it.IsAlone

let readDeparture (r: SnapshotReader) : Departure =
    let fieldFirstSentAt = r.Int64()
    let fieldDeliveredAt = r.Int64()
    let fieldDelivered = r.Int64()
    let fieldLost = r.Int64()
    let fieldFlight = r.Int32()
    let fieldIsAppLimited = r.Flag()
    let fieldIsAlone = r.Flag()
    Departure(fieldFirstSentAt, fieldDeliveredAt, fieldDelivered, fieldLost, fieldFlight, fieldIsAppLimited, fieldIsAlone)

let writeRun (w: SnapshotWriter) (it: Run) : unit =
    writeSeqNr w it.First
    w.Int32 it.Count
    w.Int32 it.Size
    w.Bytes it.Data.Span
    w.Int64 it.SentAt
    w.Int64 it.Order
    w.Int32 it.Transmissions
    writeMark w it.Mark
    w.Reference(writeDeparture w, it.Departure)

let readRun (r: SnapshotReader) : Run =
    let fieldFirst = readSeqNr r
    let fieldCount = r.Int32()
    let fieldSize = r.Int32()
    let fieldData = r.Bytes()
    let fieldSentAt = r.Int64()
    let fieldOrder = r.Int64()
    let fieldTransmissions = r.Int32()
    let fieldMark = readMark r
    let fieldDeparture = r.Reference(fun () -> readDeparture r)
    Run(fieldFirst, fieldCount, fieldSize, fieldData, fieldSentAt, fieldOrder, fieldTransmissions, fieldMark, fieldDeparture)

let writeLossDetection (w: SnapshotWriter) (it: LossDetection) : unit =
    w.Int64 it.ArrivedOrder
    w.Int64 it.RetransmissionsArrived
    writeSeqNr w it.Named
    w.Flag it.NamesAll
    w.Int32 it.Duplicates
    w.Flag it.PathReorders
    w.Int64 it.From
    w.Flag it.PeerSacks
    w.Option((writeSeqNr w), it.OvertakenTo)
    w.Int32 it.Unnamed
    w.Int64 it.OverdueAt

let readLossDetection (r: SnapshotReader) : LossDetection =
    { ArrivedOrder = r.Int64()
      RetransmissionsArrived = r.Int64()
      Named = readSeqNr r
      NamesAll = r.Flag()
      Duplicates = r.Int32()
      PathReorders = r.Flag()
      From = r.Int64()
      PeerSacks = r.Flag()
      OvertakenTo = r.Option((fun () -> readSeqNr r))
      Unnamed = r.Int32()
      OverdueAt = r.Int64() }

let writeLossProbe (w: SnapshotWriter) (it: LossProbe) : unit =
    writeSeqNr w it.Number
    w.Int64 it.At
    w.Int64 it.Order

let readLossProbe (r: SnapshotReader) : LossProbe =
    let fieldNumber = readSeqNr r
    let fieldAt = r.Int64()
    let fieldOrder = r.Int64()
    LossProbe(fieldNumber, fieldAt, fieldOrder)

let writeTrainLoss (w: SnapshotWriter) (it: TrainLoss) : unit =
    w.Flag it.IsUsed
    w.Int64 it.Arrived
    w.Int64 it.Lost
    w.Flag it.IsTimedOut
    w.Int32 it.Packets
    w.Int32 it.Times

let readTrainLoss (r: SnapshotReader) : TrainLoss =
    { IsUsed = r.Flag()
      Arrived = r.Int64()
      Lost = r.Int64()
      IsTimedOut = r.Flag()
      Packets = r.Int32()
      Times = r.Int32() }

let writeDeliveryRate (w: SnapshotWriter) (it: DeliveryRate) : unit =
    w.Flag it.IsUsed
    w.Int64 it.Delivered
    w.Int64 it.DeliveredAt
    w.Int64 it.FirstSentAt
    w.Int64 it.Lost
    w.Int64 it.LostRuns
    w.Int64 it.Spurious
    w.Int64 it.ReportedLost
    w.Int64 it.ReportedRuns
    w.Int64 it.ReportedSpurious
    w.Int64 it.Latest
    w.Int64 it.AppLimitedUntil
    w.Reference(writeDeparture w, it.Newest)
    w.Int64 it.NewestSentAt
    w.Int64 it.NewestOrder
    w.Int64 it.RoundTrip
    w.Int64 it.NextAt
    w.Int64 it.PacedUntil
    w.Flag it.IsWindowLimited
    w.Flag it.IsPeerLimited

let readDeliveryRate (r: SnapshotReader) : DeliveryRate =
    { IsUsed = r.Flag()
      Delivered = r.Int64()
      DeliveredAt = r.Int64()
      FirstSentAt = r.Int64()
      Lost = r.Int64()
      LostRuns = r.Int64()
      Spurious = r.Int64()
      ReportedLost = r.Int64()
      ReportedRuns = r.Int64()
      ReportedSpurious = r.Int64()
      Latest = r.Int64()
      AppLimitedUntil = r.Int64()
      Newest = r.Reference(fun () -> readDeparture r)
      NewestSentAt = r.Int64()
      NewestOrder = r.Int64()
      RoundTrip = r.Int64()
      NextAt = r.Int64()
      PacedUntil = r.Int64()
      IsWindowLimited = r.Flag()
      IsPeerLimited = r.Flag() }

let writeScoreboard (w: SnapshotWriter) (it: Scoreboard) : unit =
    w.Int32 it.Payload
    w.Deque((fun it -> w.Reference(writeRun w, it)), it.Runs)
    writeLossDetection w it.Detection
    writeSeqNr w it.Next
    writeSeqNr w it.Oldest
    writeSeqNr w it.LostFrom
    w.Int32 it.Outstanding
    w.Int32 it.Flight
    w.Int32 it.LostPackets
    w.Int32 it.SackedPackets
    w.Int32 it.RetransmittedInFlight
    w.Int32 it.Peak
    w.Int64 it.NextOrder
    w.Option((writeSeqNr w), it.RecoveryEnd)
    w.Option((writeSeqNr w), it.Recover)
    w.Int32 it.RetransmitLimit
    w.Flag it.ProbesWindow
    w.Reference(writeLossProbe w, it.LossProbe)
    w.Int64 it.Retransmissions
    w.Int64 it.LastRetransmitted
    writeTrainLoss w it.Trains
    writeDeliveryRate w it.Rate

let readScoreboard (r: SnapshotReader) : Scoreboard =
    { Payload = r.Int32()
      Runs = r.Deque(1, (fun () -> r.Reference(fun () -> readRun r)))
      Detection = readLossDetection r
      Next = readSeqNr r
      Oldest = readSeqNr r
      LostFrom = readSeqNr r
      Outstanding = r.Int32()
      Flight = r.Int32()
      LostPackets = r.Int32()
      SackedPackets = r.Int32()
      RetransmittedInFlight = r.Int32()
      Peak = r.Int32()
      NextOrder = r.Int64()
      RecoveryEnd = r.Option((fun () -> readSeqNr r))
      Recover = r.Option((fun () -> readSeqNr r))
      RetransmitLimit = r.Int32()
      ProbesWindow = r.Flag()
      LossProbe = r.Reference(fun () -> readLossProbe r)
      Retransmissions = r.Int64()
      LastRetransmitted = r.Int64()
      Trains = readTrainLoss r
      Rate = readDeliveryRate r }

let writeSendState (w: SnapshotWriter) (it: SendState) : unit =
    match it with
    | SendState.Open -> w.Byte 0uy
    | SendState.FinQueued -> w.Byte 1uy
    | SendState.FinWait -> w.Byte 2uy
    | SendState.FinAcked -> w.Byte 3uy
    | SendState.Finished -> w.Byte 4uy

let readSendState (r: SnapshotReader) : SendState =
    match r.Byte() with
    | 0uy -> SendState.Open
    | 1uy -> SendState.FinQueued
    | 2uy -> SendState.FinWait
    | 3uy -> SendState.FinAcked
    | 4uy -> SendState.Finished
    | _ -> r.Fail "there is no such SendState"

let writeSender (w: SnapshotWriter) (it: Sender) : unit =
    writeStreamOptions w it.Options
    writeScoreboard w it.Board
    writeSendState w it.State
    w.Int32 it.PacketWindow
    w.Int32 it.Buffer
    w.Int32 it.MaxBuffer
    w.Deque((fun (it: Owned) -> w.Bytes it.Span), it.Queue)
    w.Int32 it.Queued
    w.Int64 it.PeerWindow
    w.UInt32 it.WindowStamp
    w.Flag it.WindowKnown
    w.Option((writeSeqNr w), it.ShortPacket)

let readSender (r: SnapshotReader) : Sender =
    { Options = readStreamOptions r
      Board = readScoreboard r
      State = readSendState r
      PacketWindow = r.Int32()
      Buffer = r.Int32()
      MaxBuffer = r.Int32()
      Queue = r.Deque(1, (fun () -> r.Bytes()))
      Queued = r.Int32()
      PeerWindow = r.Int64()
      WindowStamp = r.UInt32()
      WindowKnown = r.Flag()
      ShortPacket = r.Option((fun () -> readSeqNr r)) }

let writeHeldRange (w: SnapshotWriter) (it: HeldRange) : unit =
    writeSeqNr w it.First
    w.AppendList((fun (it: Owned) -> w.Bytes it.Span), it.Packets)
    w.Int32 it.Changed

let readHeldRange (r: SnapshotReader) : HeldRange =
    { First = readSeqNr r
      Packets = r.AppendList(1, (fun () -> r.Bytes()))
      Changed = r.Int32() }

let writeHeldPackets (w: SnapshotWriter) (it: HeldPackets) : unit =
    w.Deque((writeHeldRange w), it.Ranges)
    w.Int32 it.Bytes
    w.Int32 it.Count
    w.Int32 it.Changes

let readHeldPackets (r: SnapshotReader) : HeldPackets =
    let fieldRanges = r.Deque(3, (fun () -> readHeldRange r))
    let fieldBytes = r.Int32()
    let fieldCount = r.Int32()
    let fieldChanges = r.Int32()
    HeldPackets(fieldRanges, fieldBytes, fieldCount, fieldChanges)

let writePassedMark (w: SnapshotWriter) (it: PassedMark) : unit =
    w.UInt32 it.Stamp
    w.Int64 it.At

let readPassedMark (r: SnapshotReader) : PassedMark =
    { Stamp = r.UInt32()
      At = r.Int64() }

let writePayloadBuilder (w: SnapshotWriter) (it: PayloadBuilder) : unit =
    ignore w
    ignore it

let readPayloadBuilder (r: SnapshotReader) : PayloadBuilder =
    ignore r
    PayloadBuilder()

let writeReceiver (w: SnapshotWriter) (it: Receiver) : unit =
    w.Int32 it.Capacity
    w.Int32 it.Limit
    w.Int32 it.Reach
    writeSeqNr w it.AckNr
    w.Int32 it.Unread
    w.UInt32 it.RoundAt
    w.Int32 it.RoundBytes
    w.Int32 it.RoundTrip
    w.Int32 it.LeastTrip
    w.Reference(writeHeldPackets w, it.Held)
    w.Option((writeSeqNr w), it.Fin)
    w.Array((writePassedMark w), it.Passed)
    w.Flag it.IsComplete
    writePayloadBuilder w it.Payloads

let readReceiver (r: SnapshotReader) : Receiver =
    { Capacity = r.Int32()
      Limit = r.Int32()
      Reach = r.Int32()
      AckNr = readSeqNr r
      Unread = r.Int32()
      RoundAt = r.UInt32()
      RoundBytes = r.Int32()
      RoundTrip = r.Int32()
      LeastTrip = r.Int32()
      Held = r.Reference(fun () -> readHeldPackets r)
      Fin = r.Option((fun () -> readSeqNr r))
      Passed = r.Array(2, (fun () -> readPassedMark r))
      IsComplete = r.Flag()
      Payloads = readPayloadBuilder r }

let writeRtt (w: SnapshotWriter) (it: Rtt) : unit =
    w.Int64 it.Smoothed
    w.Int64 it.Variance
    w.Int64 it.Least
    w.Int64 it.Latest
    w.Int32 it.Backoff

let readRtt (r: SnapshotReader) : Rtt =
    { Smoothed = r.Int64()
      Variance = r.Int64()
      Least = r.Int64()
      Latest = r.Int64()
      Backoff = r.Int32() }

let writeBbrPhase (w: SnapshotWriter) (it: BbrPhase) : unit =
    match it with
    | BbrPhase.Startup -> w.Byte 0uy
    | BbrPhase.Drain -> w.Byte 1uy
    | BbrPhase.Down -> w.Byte 2uy
    | BbrPhase.Cruise -> w.Byte 3uy
    | BbrPhase.Refill -> w.Byte 4uy
    | BbrPhase.Up -> w.Byte 5uy
    | BbrPhase.ProbeRtt -> w.Byte 6uy

let readBbrPhase (r: SnapshotReader) : BbrPhase =
    match r.Byte() with
    | 0uy -> BbrPhase.Startup
    | 1uy -> BbrPhase.Drain
    | 2uy -> BbrPhase.Down
    | 3uy -> BbrPhase.Cruise
    | 4uy -> BbrPhase.Refill
    | 5uy -> BbrPhase.Up
    | 6uy -> BbrPhase.ProbeRtt
    | _ -> r.Fail "there is no such BbrPhase"

let writeBbrState (w: SnapshotWriter) (it: BbrState) : unit =
    writeBbrPhase w it.Phase
    w.Int32 it.Packet
    w.Int32 it.Window
    w.Int64 it.Delivered
    w.Int64 it.RoundEnd
    w.Int64 it.Rounds
    w.Int64 it.RoundAcked
    w.Int64 it.RoundLost
    w.Int32 it.RoundRanges
    w.Int64 it.RoundRate
    w.Int64 it.RoundQueue
    w.Int64 it.LastRoundQueue
    w.Flag it.IsRoundEmpty
    w.Flag it.WasRoundEmpty
    w.Flag it.IsRoundPeerLimited
    w.Int64 it.CycleRate
    w.Int64 it.LastCycleRate
    w.Int64 it.LeastRtt
    w.Int64 it.LeastRttAt
    w.Int64 it.RecentRtt
    w.Int64 it.RecentRttAt
    w.Int64 it.ShortRate
    w.Int32 it.ShortFlight
    w.Int32 it.LongFlight
    w.Int32 it.ExtraAcked
    w.Int32 it.LastExtraAcked
    w.Int64 it.ExtraRound
    w.Int64 it.ExtraSince
    w.Int64 it.ExtraBytes
    w.Int32 it.PathLoss
    w.Int32 it.Judged
    w.Int64 it.FullRate
    w.Int32 it.FullRounds
    w.Flag it.IsFull
    w.Int32 it.Queues
    w.Int64 it.HeldRound
    w.Int64 it.Since
    w.Int64 it.SinceRound
    w.Int64 it.ProbeAt
    w.Int64 it.ProbeRound
    w.Int64 it.ProbedRate
    w.Int32 it.Growth
    w.Flag it.IsProbing
    w.Flag it.WasTooHigh
    w.Int64 it.ProbeRttSince
    w.Int64 it.ProbeRttRound
    w.Int32 it.WindowBefore
    w.UInt32 it.Random

let readBbrState (r: SnapshotReader) : BbrState =
    { Phase = readBbrPhase r
      Packet = r.Int32()
      Window = r.Int32()
      Delivered = r.Int64()
      RoundEnd = r.Int64()
      Rounds = r.Int64()
      RoundAcked = r.Int64()
      RoundLost = r.Int64()
      RoundRanges = r.Int32()
      RoundRate = r.Int64()
      RoundQueue = r.Int64()
      LastRoundQueue = r.Int64()
      IsRoundEmpty = r.Flag()
      WasRoundEmpty = r.Flag()
      IsRoundPeerLimited = r.Flag()
      CycleRate = r.Int64()
      LastCycleRate = r.Int64()
      LeastRtt = r.Int64()
      LeastRttAt = r.Int64()
      RecentRtt = r.Int64()
      RecentRttAt = r.Int64()
      ShortRate = r.Int64()
      ShortFlight = r.Int32()
      LongFlight = r.Int32()
      ExtraAcked = r.Int32()
      LastExtraAcked = r.Int32()
      ExtraRound = r.Int64()
      ExtraSince = r.Int64()
      ExtraBytes = r.Int64()
      PathLoss = r.Int32()
      Judged = r.Int32()
      FullRate = r.Int64()
      FullRounds = r.Int32()
      IsFull = r.Flag()
      Queues = r.Int32()
      HeldRound = r.Int64()
      Since = r.Int64()
      SinceRound = r.Int64()
      ProbeAt = r.Int64()
      ProbeRound = r.Int64()
      ProbedRate = r.Int64()
      Growth = r.Int32()
      IsProbing = r.Flag()
      WasTooHigh = r.Flag()
      ProbeRttSince = r.Int64()
      ProbeRttRound = r.Int64()
      WindowBefore = r.Int32()
      Random = r.UInt32() }

let writeBbr (w: SnapshotWriter) (it: Bbr) : unit =
    writeBbrState w it.State

let readBbr (r: SnapshotReader) : Bbr =
    let fieldState = readBbrState r
    Bbr(fieldState)

let writeCubicCurve (w: SnapshotWriter) (it: CubicCurve) : unit =
    w.Int64 it.Most
    w.Int64 it.Prior
    w.Int64 it.Epoch
    w.Int64 it.PlateauMs
    w.Int64 it.Reno

let readCubicCurve (r: SnapshotReader) : CubicCurve =
    { Most = r.Int64()
      Prior = r.Int64()
      Epoch = r.Int64()
      PlateauMs = r.Int64()
      Reno = r.Int64() }

let writeCubicState (w: SnapshotWriter) (it: CubicState) : unit =
    w.Int32 it.Packet
    w.Int64 it.Window
    w.Int64 it.Threshold
    w.Int64 it.RoundTrip
    w.Int64 it.At
    writeCubicCurve w it.Curve
    w.Int64 it.RecoveryEnds
    w.Int32 it.RecoveryFlight
    w.Int32 it.Unproven
    w.Int64 it.OldWindow
    w.Int64 it.OldThreshold
    writeCubicCurve w it.OldCurve
    w.Int64 it.RoundEnds
    w.Int64 it.Delay
    w.Int64 it.LastDelay
    w.Int32 it.Samples
    w.Int32 it.CarefulRounds
    w.Int64 it.CarefulDelay

let readCubicState (r: SnapshotReader) : CubicState =
    { Packet = r.Int32()
      Window = r.Int64()
      Threshold = r.Int64()
      RoundTrip = r.Int64()
      At = r.Int64()
      Curve = readCubicCurve r
      RecoveryEnds = r.Int64()
      RecoveryFlight = r.Int32()
      Unproven = r.Int32()
      OldWindow = r.Int64()
      OldThreshold = r.Int64()
      OldCurve = readCubicCurve r
      RoundEnds = r.Int64()
      Delay = r.Int64()
      LastDelay = r.Int64()
      Samples = r.Int32()
      CarefulRounds = r.Int32()
      CarefulDelay = r.Int64() }

let writeCubic (w: SnapshotWriter) (it: Cubic) : unit =
    writeCubicState w it.State

let readCubic (r: SnapshotReader) : Cubic =
    let fieldState = readCubicState r
    Cubic(fieldState)

let writeCongestionStart (w: SnapshotWriter) (it: CongestionStart) : unit =
    w.Int32 it.Packet
    w.Int64 it.TargetDelay
    w.Int32 it.Window
    w.Int64 it.RoundTrip

let readCongestionStart (r: SnapshotReader) : CongestionStart =
    { Packet = r.Int32()
      TargetDelay = r.Int64()
      Window = r.Int32()
      RoundTrip = r.Int64() }

let writeCubicStart (w: SnapshotWriter) (it: CubicStart) : unit =
    writeCongestionStart w it.From

let readCubicStart (r: SnapshotReader) : CubicStart =
    let fieldFrom = readCongestionStart r
    CubicStart(fieldFrom)

let writeEnded (w: SnapshotWriter) (it: Ended) : unit =
    w.Int32 it.Window
    w.Int64 it.PacingRate
    w.Text it.Phase

let readEnded (r: SnapshotReader) : Ended =
    let fieldWindow = r.Int32()
    let fieldPacingRate = r.Int64()
    let fieldPhase = r.Text()
    Ended(fieldWindow, fieldPacingRate, fieldPhase)

let writeLossTolerance (w: SnapshotWriter) (it: LossTolerance) : unit =
    w.Int32 it.Share
    w.Int32 it.Fresh
    w.Flag it.Scattered
    w.Flag it.QueueEmpty

let readLossTolerance (r: SnapshotReader) : LossTolerance =
    { Share = r.Int32()
      Fresh = r.Int32()
      Scattered = r.Flag()
      QueueEmpty = r.Flag() }

let writeLedbatState (w: SnapshotWriter) (it: LedbatState) : unit =
    w.Int32 it.Packet
    w.Int32 it.Smallest
    w.Int64 it.Target
    w.Int64 it.Earned
    w.Int32 it.Lent
    w.Int64 it.Threshold
    w.Int64 it.Full
    w.Int64 it.Settled
    w.Int64 it.RoundTrip
    w.Int64 it.RoundEnds
    w.Int64 it.RoundDelay
    w.Int64 it.LastRoundDelay
    w.Flag it.IsRoundUsed
    w.Int32 it.FreeRounds
    w.Int64 it.SlowdownAt
    w.Int64 it.SlowdownBegan
    w.Int32 it.Spacing
    writeLossTolerance w it.Tolerance
    w.Flag it.IsTolerated

let readLedbatState (r: SnapshotReader) : LedbatState =
    { Packet = r.Int32()
      Smallest = r.Int32()
      Target = r.Int64()
      Earned = r.Int64()
      Lent = r.Int32()
      Threshold = r.Int64()
      Full = r.Int64()
      Settled = r.Int64()
      RoundTrip = r.Int64()
      RoundEnds = r.Int64()
      RoundDelay = r.Int64()
      LastRoundDelay = r.Int64()
      IsRoundUsed = r.Flag()
      FreeRounds = r.Int32()
      SlowdownAt = r.Int64()
      SlowdownBegan = r.Int64()
      Spacing = r.Int32()
      Tolerance = readLossTolerance r
      IsTolerated = r.Flag() }

let writeLedbat (w: SnapshotWriter) (it: Ledbat) : unit =
    writeLedbatState w it.State

let readLedbat (r: SnapshotReader) : Ledbat =
    let fieldState = readLedbatState r
    Ledbat(fieldState)

let writeLedbatStart (w: SnapshotWriter) (it: LedbatStart) : unit =
    writeCongestionStart w it.From

let readLedbatStart (r: SnapshotReader) : LedbatStart =
    let fieldFrom = readCongestionStart r
    LedbatStart(fieldFrom)

let writeICongestionController (w: SnapshotWriter) (it: ICongestionController) : unit =
    match it with
    | :? Bbr as it ->
        w.Byte 0uy
        writeBbr w it
    | :? Cubic as it ->
        w.Byte 1uy
        writeCubic w it
    | :? CubicStart as it ->
        w.Byte 2uy
        writeCubicStart w it
    | :? Ended as it ->
        w.Byte 3uy
        writeEnded w it
    | :? Ledbat as it ->
        w.Byte 4uy
        writeLedbat w it
    | :? LedbatStart as it ->
        w.Byte 5uy
        writeLedbatStart w it
    | _ -> w.Byte 255uy

let readICongestionController (r: SnapshotReader) : ICongestionController =
    match r.Byte() with
    | 0uy -> readBbr r :> ICongestionController
    | 1uy -> readCubic r :> ICongestionController
    | 2uy -> readCubicStart r :> ICongestionController
    | 3uy -> readEnded r :> ICongestionController
    | 4uy -> readLedbat r :> ICongestionController
    | 5uy -> readLedbatStart r :> ICongestionController
    | 255uy -> r.Fail "there is an ICongestionController of the application's own, which is not in the trace"
    | _ -> r.Fail "there is no such ICongestionController"

let writeMtuState (w: SnapshotWriter) (it: MtuState) : unit =
    match it with
    | MtuState.Base -> w.Byte 0uy
    | MtuState.Searching -> w.Byte 1uy
    | MtuState.Complete -> w.Byte 2uy
    | MtuState.Error -> w.Byte 3uy

let readMtuState (r: SnapshotReader) : MtuState =
    match r.Byte() with
    | 0uy -> MtuState.Base
    | 1uy -> MtuState.Searching
    | 2uy -> MtuState.Complete
    | 3uy -> MtuState.Error
    | _ -> r.Fail "there is no such MtuState"

let writePathMtu (w: SnapshotWriter) (it: PathMtu) : unit =
    writeMtuState w it.State
    w.Int32 it.Size
    w.Int32 it.Start
    w.Int32 it.Most
    w.Int32 it.Largest
    w.Flag it.IsIPv4
    w.Int32 it.Ceiling
    w.Int32 it.Probed
    w.Byte it.ProbeId
    w.Int32 it.Count
    w.Int32 it.Left
    w.Int64 it.DueAt
    w.Int64 it.SearchAt

let readPathMtu (r: SnapshotReader) : PathMtu =
    { State = readMtuState r
      Size = r.Int32()
      Start = r.Int32()
      Most = r.Int32()
      Largest = r.Int32()
      IsIPv4 = r.Flag()
      Ceiling = r.Int32()
      Probed = r.Int32()
      ProbeId = r.Byte()
      Count = r.Int32()
      Left = r.Int32()
      DueAt = r.Int64()
      SearchAt = r.Int64() }

let writeSizes (w: SnapshotWriter) (it: Sizes) : unit =
    writePathMtu w it.Mtu
    w.Flag it.OffersProbes
    w.Flag it.KnowsProbes
    w.Flag it.KnowsReach
    w.UInt64 it.Reply
    w.UInt32 it.LargestWindow
    w.Int32 it.LargestPayload

let readSizes (r: SnapshotReader) : Sizes =
    { Mtu = readPathMtu r
      OffersProbes = r.Flag()
      KnowsProbes = r.Flag()
      KnowsReach = r.Flag()
      Reply = r.UInt64()
      LargestWindow = r.UInt32()
      LargestPayload = r.Int32() }

let writeDelay (w: SnapshotWriter) (it: Delay) : unit =
    w.UInt32 it.Reference
    w.Int32 it.Minute
    w.Int64 it.MinuteEnds
    w.Array(w.Int32, it.History)
    w.Int32 it.Base
    w.Int32 it.R0
    w.Int32 it.R1
    w.Int32 it.R2
    w.Int32 it.R3

let readDelay (r: SnapshotReader) : Delay =
    { Reference = r.UInt32()
      Minute = r.Int32()
      MinuteEnds = r.Int64()
      History = r.Array(1, (fun () -> r.Int32()))
      Base = r.Int32()
      R0 = r.Int32()
      R1 = r.Int32()
      R2 = r.Int32()
      R3 = r.Int32() }

let writePathStep (w: SnapshotWriter) (it: PathStep) : unit =
    w.Int64 it.At
    w.Int64 it.From
    w.Int64 it.Size
    w.Int32 it.Ours
    w.Int64 it.LeastRoundTrip
    w.UInt32 it.LeastThere
    w.Int32 it.Samples

let readPathStep (r: SnapshotReader) : PathStep =
    let fieldAt = r.Int64()
    let fieldFrom = r.Int64()
    let fieldSize = r.Int64()
    let fieldOurs = r.Int32()
    let fieldLeastRoundTrip = r.Int64()
    let fieldLeastThere = r.UInt32()
    let fieldSamples = r.Int32()
    PathStep(fieldAt, fieldFrom, fieldSize, fieldOurs, fieldLeastRoundTrip, fieldLeastThere, fieldSamples)

let writeDelays (w: SnapshotWriter) (it: Delays) : unit =
    w.Option((writeDelay w), it.Ours)
    w.Option((writeDelay w), it.Theirs)
    w.UInt32 it.Difference
    w.Flag it.IsMeasured
    w.Int32 it.InflatedRtts
    w.Int32 it.LeastUnexplained
    w.Int64 it.SampledAt
    w.UInt32 it.Sample
    w.UInt32 it.BackSample
    w.Reference(writePathStep w, it.Step)

let readDelays (r: SnapshotReader) : Delays =
    { Ours = r.Option((fun () -> readDelay r))
      Theirs = r.Option((fun () -> readDelay r))
      Difference = r.UInt32()
      IsMeasured = r.Flag()
      InflatedRtts = r.Int32()
      LeastUnexplained = r.Int32()
      SampledAt = r.Int64()
      Sample = r.UInt32()
      BackSample = r.UInt32()
      Step = r.Reference(fun () -> readPathStep r) }

let writeClocks (w: SnapshotWriter) (it: Clocks) : unit =
    w.Int64 it.HandshakeUntil
    w.Int64 it.Reach
    w.Int64 it.StrayAt
    w.Int64 it.PeerStampAt
    w.UInt32 it.PeerStamp
    w.Int32 it.Strays
    w.UInt32 it.Offset
    w.UInt32 it.HandshakeOffset
    w.Flag it.IsIncoming
    w.Flag it.Echoed

let readClocks (r: SnapshotReader) : Clocks =
    { HandshakeUntil = r.Int64()
      Reach = r.Int64()
      StrayAt = r.Int64()
      PeerStampAt = r.Int64()
      PeerStamp = r.UInt32()
      Strays = r.Int32()
      Offset = r.UInt32()
      HandshakeOffset = r.UInt32()
      IsIncoming = r.Flag()
      Echoed = r.Flag() }

let writeMeetingKey (w: SnapshotWriter) (it: MeetingKey) : unit =
    w.Array(w.Byte, it.Key)
    w.UInt64 it.Session

let readMeetingKey (r: SnapshotReader) : MeetingKey =
    let fieldKey = r.Array(1, (fun () -> r.Byte()))
    let fieldSession = r.UInt64()
    MeetingKey(fieldKey, fieldSession)

let writeLinkedStream (w: SnapshotWriter) (it: LinkedStream) : unit =
    w.UInt64 it.Session
    w.Reference(writeMeetingKey w, it.Key)
    w.Int64 it.SilentAt
    w.Int32 it.Silences
    w.Flag it.IsSuspended

let readLinkedStream (r: SnapshotReader) : LinkedStream =
    let fieldSession = r.UInt64()
    let fieldKey = r.Reference(fun () -> readMeetingKey r)
    let fieldSilentAt = r.Int64()
    let fieldSilences = r.Int32()
    let fieldIsSuspended = r.Flag()
    LinkedStream(fieldSession, fieldKey, fieldSilentAt, fieldSilences, fieldIsSuspended)

let writeTimers (w: SnapshotWriter) (it: Timers) : unit =
    w.Int64 it.Handshake
    w.Int64 it.Expiry
    w.Int64 it.Retransmit
    w.Int64 it.LossProbe
    w.Int64 it.WindowProbe
    w.Int64 it.Ack
    w.Int64 it.Echo

let readTimers (r: SnapshotReader) : Timers =
    { Handshake = r.Int64()
      Expiry = r.Int64()
      Retransmit = r.Int64()
      LossProbe = r.Int64()
      WindowProbe = r.Int64()
      Ack = r.Int64()
      Echo = r.Int64() }

let writeAttempts (w: SnapshotWriter) (it: Attempts) : unit =
    w.Int32 it.Handshake
    w.Int32 it.Refused
    w.Int32 it.Timeouts
    w.Int32 it.LossProbes
    w.Int32 it.WindowProbes

let readAttempts (r: SnapshotReader) : Attempts =
    { Handshake = r.Int32()
      Refused = r.Int32()
      Timeouts = r.Int32()
      LossProbes = r.Int32()
      WindowProbes = r.Int32() }

let writeActivity (w: SnapshotWriter) (it: Activity) : unit =
    w.Int64 it.HeardAt
    w.Int64 it.SentAt
    w.Int64 it.ProgressAt

let readActivity (r: SnapshotReader) : Activity =
    { HeardAt = r.Int64()
      SentAt = r.Int64()
      ProgressAt = r.Int64() }

let writeAcks (w: SnapshotWriter) (it: Acks) : unit =
    w.Int64 it.LossyUntil
    w.Int32 it.Pending
    w.Int32 it.Advertised
    w.Flag it.Immediate
    w.Flag it.IsChallenge

let readAcks (r: SnapshotReader) : Acks =
    { LossyUntil = r.Int64()
      Pending = r.Int32()
      Advertised = r.Int32()
      Immediate = r.Flag()
      IsChallenge = r.Flag() }

let writeSums (w: SnapshotWriter) (it: Sums) : unit =
    w.UInt32 it.TheirDifference
    w.Flag it.HasTheirDifference
    w.UInt32 it.Difference
    w.Int32 it.Bytes
    w.Int32 it.Packets
    w.Int32 it.Flight
    w.Int32 it.Lost
    w.Flag it.Congested

let readSums (r: SnapshotReader) : Sums =
    { TheirDifference = r.UInt32()
      HasTheirDifference = r.Flag()
      Difference = r.UInt32()
      Bytes = r.Int32()
      Packets = r.Int32()
      Flight = r.Int32()
      Lost = r.Int32()
      Congested = r.Flag() }

let writeParting (w: SnapshotWriter) (it: Parting) : unit =
    w.Flag it.PeerEnded
    w.Flag it.IsAsked
    w.Int64 it.EnquiresAfter
    w.Int32 it.Repetitions
    w.Int64 it.QuietAt
    w.Flag it.IsQuiet

let readParting (r: SnapshotReader) : Parting =
    { PeerEnded = r.Flag()
      IsAsked = r.Flag()
      EnquiresAfter = r.Int64()
      Repetitions = r.Int32()
      QuietAt = r.Int64()
      IsQuiet = r.Flag() }

let writeClosingState (w: SnapshotWriter) (it: ClosingState) : unit =
    w.Int64 it.ReleaseTimeout
    w.Int64 it.ReleaseBy
    writeParting w it.Parting
    w.Flag it.Released
    w.Flag it.ActiveClose
    w.Flag it.HasLostBytes

let readClosingState (r: SnapshotReader) : ClosingState =
    { ReleaseTimeout = r.Int64()
      ReleaseBy = r.Int64()
      Parting = readParting r
      Released = r.Flag()
      ActiveClose = r.Flag()
      HasLostBytes = r.Flag() }

let writeCounters (w: SnapshotWriter) (it: Counters) : unit =
    w.Int64 it.BytesAcknowledged
    w.Int64 it.BytesReceived
    w.Int64 it.PacketsSent
    w.Int64 it.PacketsReceived
    w.Int64 it.Timeouts
    w.Int64 it.Duplicates

let readCounters (r: SnapshotReader) : Counters =
    { BytesAcknowledged = r.Int64()
      BytesReceived = r.Int64()
      PacketsSent = r.Int64()
      PacketsReceived = r.Int64()
      Timeouts = r.Int64()
      Duplicates = r.Int64() }

let writeConnection (w: SnapshotWriter) (it: Connection) : unit =
    w.EnterStream()
    w.Int32 it.ConnId
    writeEndpoint w it.Remote
    writeDialect w it.Dialect
    writeStreamOptions w it.Options
    w.Flag it.Incoming
    w.Int64 it.Generation
    writeIds w it.Ids
    writeStreamState w it.State
    writeAdmission w it.Admission
    writeReceiveState w it.Receiving
    writeSender w it.Sender
    writeReceiver w it.Receiver
    writeRtt w it.Rtt
    w.Reference(writeICongestionController w, it.Congestion)
    writeSizes w it.Sizes
    writeDelays w it.Delays
    writeClocks w it.Clocks
    w.Reference(writeLinkedStream w, it.Linked)
    writeTimers w it.Timers
    writeAttempts w it.Attempts
    writeActivity w it.Activity
    writeAcks w it.Acks
    writeSums w it.Sums
    writeClosingState w it.Closing
    writeCounters w it.Counters
    w.Int64 it.WakeAt
    w.Int32 it.ReportedRoom
    w.Int32 it.CountedBytes
    w.Flag it.IsCounted
    w.Byte it.PrimingHops
    w.LeaveStream()

let readConnection (r: SnapshotReader) : Connection =
    r.EnterStream()
    let value: Connection = { ConnId = r.Int32()
                              Remote = readEndpoint r
                              Dialect = readDialect r
                              Options = readStreamOptions r
                              Incoming = r.Flag()
                              Generation = r.Int64()
                              Ids = readIds r
                              State = readStreamState r
                              Admission = readAdmission r
                              Receiving = readReceiveState r
                              Sender = readSender r
                              Receiver = readReceiver r
                              Rtt = readRtt r
                              Congestion = r.Reference(fun () -> readICongestionController r)
                              Sizes = readSizes r
                              Delays = readDelays r
                              Clocks = readClocks r
                              Linked = r.Reference(fun () -> readLinkedStream r)
                              Timers = readTimers r
                              Attempts = readAttempts r
                              Activity = readActivity r
                              Acks = readAcks r
                              Sums = readSums r
                              Closing = readClosingState r
                              Counters = readCounters r
                              WakeAt = r.Int64()
                              ReportedRoom = r.Int32()
                              CountedBytes = r.Int32()
                              IsCounted = r.Flag()
                              PrimingHops = r.Byte() }
    r.LeaveStream()
    value

let writeStored (w: SnapshotWriter) (it: Connection.Stored) : unit =
    writeConnection w (Connection.own it.Generation it)

let readStored (r: SnapshotReader) : Connection.Stored =
    Connection.store (readConnection r)

let writeResetLimiter (w: SnapshotWriter) (it: ResetLimiter) : unit =
    w.Int64 it.EmptyAt

let readResetLimiter (r: SnapshotReader) : ResetLimiter =
    { EmptyAt = r.Int64() }

let writeAbortCode (w: SnapshotWriter) (it: AbortCode) : unit =
    writeEndpoint w it.Remote
    w.UInt16 it.Receive
    w.UInt32 it.Code

let readAbortCode (r: SnapshotReader) : AbortCode =
    { Remote = readEndpoint r
      Receive = r.UInt16()
      Code = r.UInt32() }

let writeAbortedStreams (w: SnapshotWriter) (it: AbortedStreams) : unit =
    w.Radix((writeAbortCode w), it.Recent)
    w.Radix((writeAbortCode w), it.Older)
    w.Int64 it.TurnsAt

let readAbortedStreams (r: SnapshotReader) : AbortedStreams =
    { Recent = r.Radix(8, (fun () -> readAbortCode r))
      Older = r.Radix(8, (fun () -> readAbortCode r))
      TurnsAt = r.Int64() }

let writeNodeGuards (w: SnapshotWriter) (it: NodeGuards) : unit =
    w.Bytes it.CookieKey.Span
    w.Int64 it.StartedAt
    w.Int64 it.CookiesUntil
    w.Int64 it.StrayAt
    w.Int64 it.ReportedAt
    w.Int64 it.EvictsAt
    w.Radix((writeResetLimiter w), it.ResetLimiters)
    w.Int64 it.ResetAt
    writeResetLimiter w it.Refusals
    writeAbortedStreams w it.Aborted

let readNodeGuards (r: SnapshotReader) : NodeGuards =
    { CookieKey = r.Bytes()
      StartedAt = r.Int64()
      CookiesUntil = r.Int64()
      StrayAt = r.Int64()
      ReportedAt = r.Int64()
      EvictsAt = r.Int64()
      ResetLimiters = r.Radix(1, (fun () -> readResetLimiter r))
      ResetAt = r.Int64()
      Refusals = readResetLimiter r
      Aborted = readAbortedStreams r }

let writePrivateAddressPolicy (w: SnapshotWriter) (it: PrivateAddressPolicy) : unit =
    match it with
    | PrivateAddressPolicy.Shared -> w.Byte 0uy
    | PrivateAddressPolicy.Always -> w.Byte 1uy
    | PrivateAddressPolicy.Never -> w.Byte 2uy

let readPrivateAddressPolicy (r: SnapshotReader) : PrivateAddressPolicy =
    match r.Byte() with
    | 0uy -> PrivateAddressPolicy.Shared
    | 1uy -> PrivateAddressPolicy.Always
    | 2uy -> PrivateAddressPolicy.Never
    | _ -> r.Fail "there is no such PrivateAddressPolicy"

let writeMeetPlan (w: SnapshotWriter) (it: MeetPlan) : unit =
    w.Array((writeEndpoint w), it.Servers)
    w.Bytes it.Room.Span
    w.Array((writeEndpoint w), it.Hosts)
    w.Flag it.Stays
    w.Int64 it.Timeout
    w.Int64 it.PunchTimeout
    w.Flag it.Birthday
    w.Int32 it.PrimingHops
    writePrivateAddressPolicy w it.PrivateAddresses
    w.Int64 it.PathTimeout
    w.Flag it.Reports

let readMeetPlan (r: SnapshotReader) : MeetPlan =
    { Servers = r.Array(6, (fun () -> readEndpoint r))
      Room = r.Bytes()
      Hosts = r.Array(6, (fun () -> readEndpoint r))
      Stays = r.Flag()
      Timeout = r.Int64()
      PunchTimeout = r.Int64()
      Birthday = r.Flag()
      PrimingHops = r.Int32()
      PrivateAddresses = readPrivateAddressPolicy r
      PathTimeout = r.Int64()
      Reports = r.Flag() }

let writeRendezvousPhase (w: SnapshotWriter) (it: RendezvousPhase) : unit =
    match it with
    | RendezvousPhase.Knocking -> w.Byte 0uy
    | RendezvousPhase.Comparing -> w.Byte 1uy
    | RendezvousPhase.Registering -> w.Byte 2uy
    | RendezvousPhase.Left -> w.Byte 3uy

let readRendezvousPhase (r: SnapshotReader) : RendezvousPhase =
    match r.Byte() with
    | 0uy -> RendezvousPhase.Knocking
    | 1uy -> RendezvousPhase.Comparing
    | 2uy -> RendezvousPhase.Registering
    | 3uy -> RendezvousPhase.Left
    | _ -> r.Fail "there is no such RendezvousPhase"

let writeAvoidedPeer (w: SnapshotWriter) (it: AvoidedPeer) : unit =
    writeEndpoint w it.Remote
    w.Int64 it.Since
    w.Int64 it.For

let readAvoidedPeer (r: SnapshotReader) : AvoidedPeer =
    { Remote = readEndpoint r
      Since = r.Int64()
      For = r.Int64() }

let writePunchStage (w: SnapshotWriter) (it: PunchStage) : unit =
    match it with
    | PunchStage.Open -> w.Byte 0uy
    | PunchStage.ServerSilent -> w.Byte 1uy
    | PunchStage.ServerFull -> w.Byte 2uy
    | PunchStage.NoPeer -> w.Byte 3uy
    | PunchStage.NothingHeard -> w.Byte 4uy
    | PunchStage.NotHeard -> w.Byte 5uy
    | PunchStage.NotAgreed -> w.Byte 6uy
    | PunchStage.PeerGaveUp -> w.Byte 7uy
    | PunchStage.Cancelled -> w.Byte 8uy
    | PunchStage.Rejected -> w.Byte 9uy
    | PunchStage.RoomFull -> w.Byte 10uy
    | PunchStage.TooManyPunches -> w.Byte 11uy

let readPunchStage (r: SnapshotReader) : PunchStage =
    match r.Byte() with
    | 0uy -> PunchStage.Open
    | 1uy -> PunchStage.ServerSilent
    | 2uy -> PunchStage.ServerFull
    | 3uy -> PunchStage.NoPeer
    | 4uy -> PunchStage.NothingHeard
    | 5uy -> PunchStage.NotHeard
    | 6uy -> PunchStage.NotAgreed
    | 7uy -> PunchStage.PeerGaveUp
    | 8uy -> PunchStage.Cancelled
    | 9uy -> PunchStage.Rejected
    | 10uy -> PunchStage.RoomFull
    | 11uy -> PunchStage.TooManyPunches
    | _ -> r.Fail "there is no such PunchStage"

let writePathKind (w: SnapshotWriter) (it: PathKind) : unit =
    match it with
    | PathKind.Host -> w.Byte 0uy
    | PathKind.Observed -> w.Byte 1uy
    | PathKind.Predicted -> w.Byte 2uy
    | PathKind.Reflexive -> w.Byte 3uy
    | PathKind.Birthday -> w.Byte 4uy
    | PathKind.Mapped -> w.Byte 5uy

let readPathKind (r: SnapshotReader) : PathKind =
    match r.Byte() with
    | 0uy -> PathKind.Host
    | 1uy -> PathKind.Observed
    | 2uy -> PathKind.Predicted
    | 3uy -> PathKind.Reflexive
    | 4uy -> PathKind.Birthday
    | 5uy -> PathKind.Mapped
    | _ -> r.Fail "there is no such PathKind"

let writePortPrediction (w: SnapshotWriter) (it: PortPrediction) : unit =
    match it with
    | PortPrediction.Unknown -> w.Byte 0uy
    | PortPrediction.EndpointIndependent -> w.Byte 1uy
    | PortPrediction.Dependent(casestep) ->
        w.Byte 2uy
        w.Int32 casestep

let readPortPrediction (r: SnapshotReader) : PortPrediction =
    match r.Byte() with
    | 0uy -> PortPrediction.Unknown
    | 1uy -> PortPrediction.EndpointIndependent
    | 2uy ->
        let casestep = r.Int32()
        PortPrediction.Dependent(casestep)
    | _ -> r.Fail "there is no such PortPrediction"

let writePunchReport (w: SnapshotWriter) (it: PunchReport) : unit =
    writePunchStage w it.Stage
    writeEndpoint w it.Remote
    writePathKind w it.Kind
    w.Int64 it.RoundTrip
    w.Flag it.Dials
    writeEndpoint w it.Observed
    w.Option((writeEndpoint w), it.SeenAs)
    writePortPrediction w it.Mapping
    w.Option((writeEndpoint w), it.PeerObserved)
    writePortPrediction w it.PeerMapping
    w.Int32 it.Sent
    w.Int32 it.Heard
    w.Int64 it.Elapsed

let readPunchReport (r: SnapshotReader) : PunchReport =
    { Stage = readPunchStage r
      Remote = readEndpoint r
      Kind = readPathKind r
      RoundTrip = r.Int64()
      Dials = r.Flag()
      Observed = readEndpoint r
      SeenAs = r.Option((fun () -> readEndpoint r))
      Mapping = readPortPrediction r
      PeerObserved = r.Option((fun () -> readEndpoint r))
      PeerMapping = readPortPrediction r
      Sent = r.Int32()
      Heard = r.Int32()
      Elapsed = r.Int64() }

let writeRendezvousClient (w: SnapshotWriter) (it: RendezvousClient) : unit =
    w.Int32 it.TaskId
    w.Int32 it.Group
    writeMeetPlan w it.Plan
    writeEndpoint w it.Server
    w.Bytes it.Room.Span
    w.UInt64 it.Handle
    w.Bytes it.Peer.Span
    w.Bytes it.Nonce.Span
    writeRendezvousPhase w it.Phase
    w.Bytes it.Cookie.Span
    writeEndpoint w it.Observed
    w.Array((writeEndpoint w), it.Others)
    w.Array((fun it -> w.Option((writeEndpoint w), it)), it.Views)
    w.Byte it.Attempt
    w.Int64 it.SentAt
    w.Int32 it.Tries
    w.Int64 it.NextAt
    w.Flag it.IsRegistered
    w.Flag it.WasRegistered
    w.Flag it.IsRefused
    w.Flag it.IsRoomFull
    w.Int64 it.RoundTrip
    w.Int64 it.StartedAt
    w.Int64 it.GiveUpAt
    w.Bytes it.Introduction.Span
    w.Array((writeAvoidedPeer w), it.Avoided)
    w.Option((writePunchReport w), it.LastReport)

let readRendezvousClient (r: SnapshotReader) : RendezvousClient =
    { TaskId = r.Int32()
      Group = r.Int32()
      Plan = readMeetPlan r
      Server = readEndpoint r
      Room = r.Bytes()
      Handle = r.UInt64()
      Peer = r.Bytes()
      Nonce = r.Bytes()
      Phase = readRendezvousPhase r
      Cookie = r.Bytes()
      Observed = readEndpoint r
      Others = r.Array(6, (fun () -> readEndpoint r))
      Views = r.Array(1, (fun () -> r.Option((fun () -> readEndpoint r))))
      Attempt = r.Byte()
      SentAt = r.Int64()
      Tries = r.Int32()
      NextAt = r.Int64()
      IsRegistered = r.Flag()
      WasRegistered = r.Flag()
      IsRefused = r.Flag()
      IsRoomFull = r.Flag()
      RoundTrip = r.Int64()
      StartedAt = r.Int64()
      GiveUpAt = r.Int64()
      Introduction = r.Bytes()
      Avoided = r.Array(8, (fun () -> readAvoidedPeer r))
      LastReport = r.Option((fun () -> readPunchReport r)) }

let writePunchStart (w: SnapshotWriter) (it: PunchStart) : unit =
    match it with
    | PunchStart.Introduced -> w.Byte 0uy
    | PunchStart.Offered -> w.Byte 1uy
    | PunchStart.Answering -> w.Byte 2uy

let readPunchStart (r: SnapshotReader) : PunchStart =
    match r.Byte() with
    | 0uy -> PunchStart.Introduced
    | 1uy -> PunchStart.Offered
    | 2uy -> PunchStart.Answering
    | _ -> r.Fail "there is no such PunchStart"

let writeOffer (w: SnapshotWriter) (it: Offer) : unit =
    w.Bytes it.Nonce.Span
    w.Flag it.Birthday
    writePortPrediction w it.Mapping
    writeEndpoint w it.Observed
    writeEndpoint w it.Last
    w.Array((writeEndpoint w), it.Hosts)

let readOffer (r: SnapshotReader) : Offer =
    { Nonce = r.Bytes()
      Birthday = r.Flag()
      Mapping = readPortPrediction r
      Observed = readEndpoint r
      Last = readEndpoint r
      Hosts = r.Array(6, (fun () -> readEndpoint r)) }

let writePunchSetup (w: SnapshotWriter) (it: PunchSetup) : unit =
    w.Int32 it.TaskId
    w.Int32 it.Group
    w.Bytes it.Peer.Span
    writeMeetPlan w it.Plan
    writePunchStart w it.Start
    w.UInt64 it.Handle
    w.Bytes it.Introduction.Span
    w.Bytes it.Key.Span
    w.UInt64 it.Session
    w.Flag it.IsLower
    writeEndpoint w it.Observed
    writePortPrediction w it.Mapping
    writeEndpoint w it.PeerObserved
    writeOffer w it.PeerOffer
    w.UInt32 it.Random

let readPunchSetup (r: SnapshotReader) : PunchSetup =
    { TaskId = r.Int32()
      Group = r.Int32()
      Peer = r.Bytes()
      Plan = readMeetPlan r
      Start = readPunchStart r
      Handle = r.UInt64()
      Introduction = r.Bytes()
      Key = r.Bytes()
      Session = r.UInt64()
      IsLower = r.Flag()
      Observed = readEndpoint r
      Mapping = readPortPrediction r
      PeerObserved = readEndpoint r
      PeerOffer = readOffer r
      Random = r.UInt32() }

let writePunchPhase (w: SnapshotWriter) (it: PunchPhase) : unit =
    match it with
    | PunchPhase.Probing -> w.Byte 0uy
    | PunchPhase.Choosing(casepath, casekind, caseroundTrip, caseuntil) ->
        w.Byte 1uy
        writeEndpoint w casepath
        writePathKind w casekind
        w.Int64 caseroundTrip
        w.Int64 caseuntil
    | PunchPhase.Open(casepath, casefrom, caseuntil) ->
        w.Byte 2uy
        writeEndpoint w casepath
        writeEndpoint w casefrom
        w.Int64 caseuntil
    | PunchPhase.Failed(casereport, caseuntil) ->
        w.Byte 3uy
        writePunchReport w casereport
        w.Int64 caseuntil

let readPunchPhase (r: SnapshotReader) : PunchPhase =
    match r.Byte() with
    | 0uy -> PunchPhase.Probing
    | 1uy ->
        let casepath = readEndpoint r
        let casekind = readPathKind r
        let caseroundTrip = r.Int64()
        let caseuntil = r.Int64()
        PunchPhase.Choosing(casepath, casekind, caseroundTrip, caseuntil)
    | 2uy ->
        let casepath = readEndpoint r
        let casefrom = readEndpoint r
        let caseuntil = r.Int64()
        PunchPhase.Open(casepath, casefrom, caseuntil)
    | 3uy ->
        let casereport = readPunchReport r
        let caseuntil = r.Int64()
        PunchPhase.Failed(casereport, caseuntil)
    | _ -> r.Fail "there is no such PunchPhase"

let writeCandidate (w: SnapshotWriter) (it: Candidate) : unit =
    writeEndpoint w it.Remote
    writePathKind w it.Kind
    w.Int32 it.Tried
    w.Int64 it.NextAt
    w.Flag it.WasHeard
    w.UInt32 it.LastNumber
    w.Int64 it.LastSentAt

let readCandidate (r: SnapshotReader) : Candidate =
    { Remote = readEndpoint r
      Kind = readPathKind r
      Tried = r.Int32()
      NextAt = r.Int64()
      WasHeard = r.Flag()
      LastNumber = r.UInt32()
      LastSentAt = r.Int64() }

let writeReplayWindow (w: SnapshotWriter) (it: ReplayWindow) : unit =
    w.UInt32 it.Highest
    w.UInt64 it.Bits

let readReplayWindow (r: SnapshotReader) : ReplayWindow =
    { Highest = r.UInt32()
      Bits = r.UInt64() }

let writeBirthdayProbing (w: SnapshotWriter) (it: BirthdayProbing) : unit =
    w.Flag it.Opens
    w.Int32 it.FirstSocket
    w.Flag it.Searches
    w.UInt32 it.First
    w.UInt32 it.Stride
    w.Int32 it.Opened
    w.Int32 it.Tried
    w.Int64 it.NextAt

let readBirthdayProbing (r: SnapshotReader) : BirthdayProbing =
    { Opens = r.Flag()
      FirstSocket = r.Int32()
      Searches = r.Flag()
      First = r.UInt32()
      Stride = r.UInt32()
      Opened = r.Int32()
      Tried = r.Int32()
      NextAt = r.Int64() }

let writePunch (w: SnapshotWriter) (it: Punch) : unit =
    writePunchSetup w it.Setup
    w.Int64 it.StartedAt
    w.Int64 it.GoAt
    w.Flag it.HasPeerBegun
    w.Int64 it.GiveUpAt
    writePunchPhase w it.Phase
    w.Array((writeCandidate w), it.Candidates)
    w.Array((fun (struct (part1, part2)) -> w.UInt32 part1; writeEndpoint w part2), it.Asked)
    w.UInt32 it.Number
    writeReplayWindow w it.Received
    w.Int32 it.Sent
    w.Int32 it.SentUnverified
    w.Int32 it.Heard
    w.Option((writeEndpoint w), it.SeenAs)
    w.Option((writeBirthdayProbing w), it.BirthdayProbing)
    w.Int32 it.FirstSocket
    w.Int64 it.BirthdayAt
    w.Int64 it.KeepAliveAt

let readPunch (r: SnapshotReader) : Punch =
    { Setup = readPunchSetup r
      StartedAt = r.Int64()
      GoAt = r.Int64()
      HasPeerBegun = r.Flag()
      GiveUpAt = r.Int64()
      Phase = readPunchPhase r
      Candidates = r.Array(12, (fun () -> readCandidate r))
      Asked = r.Array(7, (fun () -> struct (r.UInt32(), readEndpoint r)))
      Number = r.UInt32()
      Received = readReplayWindow r
      Sent = r.Int32()
      SentUnverified = r.Int32()
      Heard = r.Int32()
      SeenAs = r.Option((fun () -> readEndpoint r))
      BirthdayProbing = r.Option((fun () -> readBirthdayProbing r))
      FirstSocket = r.Int32()
      BirthdayAt = r.Int64()
      KeepAliveAt = r.Int64() }

let writePunchTable (w: SnapshotWriter) (it: PunchTable) : unit =
    w.UInt64 it.HashKey
    w.Radix((writePunch w), it.All)
    w.TimerQueue it.Timers
    w.Radix(w.Int32, it.ByIntroduction)
    w.Radix((fun it -> w.Array(w.Int32, it)), it.ByPeer)
    w.Radix(w.Int32, it.UnderWay)
    w.TimerQueue it.Unheard
    w.Int32 it.UnheardCount
    w.Radix(w.Int32, it.UnheardOf)

let readPunchTable (r: SnapshotReader) : PunchTable =
    { HashKey = r.UInt64()
      All = r.Radix(74, (fun () -> readPunch r))
      Timers = r.TimerQueue()
      ByIntroduction = r.Radix(1, (fun () -> r.Int32()))
      ByPeer = r.Radix(1, (fun () -> r.Array(1, (fun () -> r.Int32()))))
      UnderWay = r.Radix(1, (fun () -> r.Int32()))
      Unheard = r.TimerQueue()
      UnheardCount = r.Int32()
      UnheardOf = r.Radix(1, (fun () -> r.Int32())) }

let writeLegacyPunch (w: SnapshotWriter) (it: LegacyPunch) : unit =
    w.Int32 it.TaskId
    writeEndpoint w it.Remote
    w.Int64 it.StartedAt
    w.Int32 it.Left
    w.Int64 it.NextAt
    w.Flag it.WasAsked
    w.Flag it.WasAnswered
    w.Int64 it.Until
    w.Flag it.IsOver
    w.Int32 it.Sent
    w.Int32 it.Heard
    w.Int64 it.LastSentAt
    w.Int64 it.RoundTrip

let readLegacyPunch (r: SnapshotReader) : LegacyPunch =
    { TaskId = r.Int32()
      Remote = readEndpoint r
      StartedAt = r.Int64()
      Left = r.Int32()
      NextAt = r.Int64()
      WasAsked = r.Flag()
      WasAnswered = r.Flag()
      Until = r.Int64()
      IsOver = r.Flag()
      Sent = r.Int32()
      Heard = r.Int32()
      LastSentAt = r.Int64()
      RoundTrip = r.Int64() }

let writeStunOptions (w: SnapshotWriter) (it: StunOptions) : unit =
    w.Array((writeEndpoint w), it.Servers)
    w.Option((writeEndpoint w), it.Local)
    w.Int64 it.Timeout
    w.Int64 it.TestTimeout
    w.Flag it.Behaviour

let readStunOptions (r: SnapshotReader) : StunOptions =
    { Servers = r.Array(6, (fun () -> readEndpoint r))
      Local = r.Option((fun () -> readEndpoint r))
      Timeout = r.Int64()
      TestTimeout = r.Int64()
      Behaviour = r.Flag() }

let writeStage (w: SnapshotWriter) (it: Stage) : unit =
    match it with
    | Stage.Asking -> w.Byte 0uy
    | Stage.Filtering -> w.Byte 1uy
    | Stage.Mapping -> w.Byte 2uy
    | Stage.Comparing -> w.Byte 3uy
    | Stage.Over -> w.Byte 4uy

let readStage (r: SnapshotReader) : Stage =
    match r.Byte() with
    | 0uy -> Stage.Asking
    | 1uy -> Stage.Filtering
    | 2uy -> Stage.Mapping
    | 3uy -> Stage.Comparing
    | 4uy -> Stage.Over
    | _ -> r.Fail "there is no such Stage"

let writeStunId (w: SnapshotWriter) (it: StunId) : unit =
    w.UInt32 it.First
    w.UInt32 it.Middle
    w.UInt32 it.Last

let readStunId (r: SnapshotReader) : StunId =
    { First = r.UInt32()
      Middle = r.UInt32()
      Last = r.UInt32() }

let writeReply (w: SnapshotWriter) (it: Reply) : unit =
    match it with
    | Reply.Pending -> w.Byte 0uy
    | Reply.Mapped(casemapped, caseother) ->
        w.Byte 1uy
        writeEndpoint w casemapped
        w.Option((writeEndpoint w), caseother)
    | Reply.Refused(casecode, casereason) ->
        w.Byte 2uy
        w.Int32 casecode
        w.Text casereason
    | Reply.Misplaced -> w.Byte 3uy
    | Reply.Silent -> w.Byte 4uy

let readReply (r: SnapshotReader) : Reply =
    match r.Byte() with
    | 0uy -> Reply.Pending
    | 1uy ->
        let casemapped = readEndpoint r
        let caseother = r.Option((fun () -> readEndpoint r))
        Reply.Mapped(casemapped, caseother)
    | 2uy ->
        let casecode = r.Int32()
        let casereason = r.Text()
        Reply.Refused(casecode, casereason)
    | 3uy -> Reply.Misplaced
    | 4uy -> Reply.Silent
    | _ -> r.Fail "there is no such Reply"

let writeAsk (w: SnapshotWriter) (it: Ask) : unit =
    writeStunId w it.Id
    writeEndpoint w it.Remote
    writeEndpoint w it.Source
    w.Bytes it.Datagram.Span
    w.Int32 it.Sends
    w.Int64 it.LastSentAt
    w.Int64 it.NextAt
    w.Int64 it.GivesUpAt
    writeReply w it.Reply
    w.Flag it.IsGarbled

let readAsk (r: SnapshotReader) : Ask =
    { Id = readStunId r
      Remote = readEndpoint r
      Source = readEndpoint r
      Datagram = r.Bytes()
      Sends = r.Int32()
      LastSentAt = r.Int64()
      NextAt = r.Int64()
      GivesUpAt = r.Int64()
      Reply = readReply r
      IsGarbled = r.Flag() }

let writeNatBehavior (w: SnapshotWriter) (it: NatBehavior) : unit =
    match it with
    | NatBehavior.EndpointIndependent -> w.Byte 0uy
    | NatBehavior.AddressDependent -> w.Byte 1uy
    | NatBehavior.AddressAndPortDependent -> w.Byte 2uy

let readNatBehavior (r: SnapshotReader) : NatBehavior =
    match r.Byte() with
    | 0uy -> NatBehavior.EndpointIndependent
    | 1uy -> NatBehavior.AddressDependent
    | 2uy -> NatBehavior.AddressAndPortDependent
    | _ -> r.Fail "there is no such NatBehavior"

let writeStunReport (w: SnapshotWriter) (it: StunReport) : unit =
    writeEndpoint w it.Server
    writeEndpoint w it.Mapped
    w.Option((writeEndpoint w), it.Local)
    w.Flag it.IsDirect
    w.Option((writeNatBehavior w), it.Mapping)
    w.Option((writeNatBehavior w), it.Filtering)
    w.Option(w.Int64, it.RoundTrip)

let readStunReport (r: SnapshotReader) : StunReport =
    { Server = readEndpoint r
      Mapped = readEndpoint r
      Local = r.Option((fun () -> readEndpoint r))
      IsDirect = r.Flag()
      Mapping = r.Option((fun () -> readNatBehavior r))
      Filtering = r.Option((fun () -> readNatBehavior r))
      RoundTrip = r.Option((fun () -> r.Int64())) }

let writeStunClient (w: SnapshotWriter) (it: StunClient) : unit =
    writeStunOptions w it.Options
    writeRandom w it.Random
    w.Int64 it.Now
    writeStage w it.Stage
    w.Int32 it.Server
    w.Array((writeAsk w), it.Asks)
    w.Option((writeStunReport w), it.Report)
    writeEndpoint w it.Other
    w.Option(w.Int64, it.RoundTrip)
    w.Int64 it.StartedAt

let readStunClient (r: SnapshotReader) : StunClient =
    { Options = readStunOptions r
      Random = readRandom r
      Now = r.Int64()
      Stage = readStage r
      Server = r.Int32()
      Asks = r.Array(22, (fun () -> readAsk r))
      Report = r.Option((fun () -> readStunReport r))
      Other = readEndpoint r
      RoundTrip = r.Option((fun () -> r.Int64()))
      StartedAt = r.Int64() }

let writeLinkPath (w: SnapshotWriter) (it: LinkPath) : unit =
    writeEndpoint w it.Remote
    w.Int64 it.HeardAt
    w.Int64 it.AnsweredAt
    w.Int64 it.AskedAt
    w.Int64 it.RoundTrip
    w.Int64 it.Least
    w.Int64 it.LeastAt
    writeEndpoint w it.Source
    w.Option((writeEndpoint w), it.SeenAs)

let readLinkPath (r: SnapshotReader) : LinkPath =
    { Remote = readEndpoint r
      HeardAt = r.Int64()
      AnsweredAt = r.Int64()
      AskedAt = r.Int64()
      RoundTrip = r.Int64()
      Least = r.Int64()
      LeastAt = r.Int64()
      Source = readEndpoint r
      SeenAs = r.Option((fun () -> readEndpoint r)) }

let writeLinkPhase (w: SnapshotWriter) (it: LinkPhase) : unit =
    match it with
    | LinkPhase.Live -> w.Byte 0uy
    | LinkPhase.Suspect(casesince, caseprobes) ->
        w.Byte 1uy
        w.Int64 casesince
        w.Int32 caseprobes
    | LinkPhase.Searching(casesince, caseprobes) ->
        w.Byte 2uy
        w.Int64 casesince
        w.Int32 caseprobes

let readLinkPhase (r: SnapshotReader) : LinkPhase =
    match r.Byte() with
    | 0uy -> LinkPhase.Live
    | 1uy ->
        let casesince = r.Int64()
        let caseprobes = r.Int32()
        LinkPhase.Suspect(casesince, caseprobes)
    | 2uy ->
        let casesince = r.Int64()
        let caseprobes = r.Int32()
        LinkPhase.Searching(casesince, caseprobes)
    | _ -> r.Fail "there is no such LinkPhase"

let writeExploration (w: SnapshotWriter) (it: Exploration) : unit =
    w.Array((writeEndpoint w), it.Hosts)
    w.Int32 it.Rounds
    w.Int64 it.StartedAt
    w.Int64 it.FollowedUntil
    w.Flag it.IsOutdated
    w.Int64 it.NextAt
    w.Option((writeEndpoint w), it.Choice)
    w.Int32 it.Tries
    w.Int64 it.ChosenAt
    w.Int64 it.TellAt
    w.Int32 it.Told
    w.UInt32 it.FirstTold

let readExploration (r: SnapshotReader) : Exploration =
    { Hosts = r.Array(6, (fun () -> readEndpoint r))
      Rounds = r.Int32()
      StartedAt = r.Int64()
      FollowedUntil = r.Int64()
      IsOutdated = r.Flag()
      NextAt = r.Int64()
      Choice = r.Option((fun () -> readEndpoint r))
      Tries = r.Int32()
      ChosenAt = r.Int64()
      TellAt = r.Int64()
      Told = r.Int32()
      FirstTold = r.UInt32() }

let writeLinkOutcome (w: SnapshotWriter) (it: LinkOutcome) : unit =
    match it with
    | LinkOutcome.Switched(casebefore, casepath, caseisSameAddress, caseroundTrip) ->
        w.Byte 0uy
        writeEndpoint w casebefore
        writeEndpoint w casepath
        w.Flag caseisSameAddress
        w.Int64 caseroundTrip
    | LinkOutcome.Explore -> w.Byte 1uy
    | LinkOutcome.Lost -> w.Byte 2uy
    | LinkOutcome.Search -> w.Byte 3uy
    | LinkOutcome.TimedOut -> w.Byte 4uy

let readLinkOutcome (r: SnapshotReader) : LinkOutcome =
    match r.Byte() with
    | 0uy ->
        let casebefore = readEndpoint r
        let casepath = readEndpoint r
        let caseisSameAddress = r.Flag()
        let caseroundTrip = r.Int64()
        LinkOutcome.Switched(casebefore, casepath, caseisSameAddress, caseroundTrip)
    | 1uy -> LinkOutcome.Explore
    | 2uy -> LinkOutcome.Lost
    | 3uy -> LinkOutcome.Search
    | 4uy -> LinkOutcome.TimedOut
    | _ -> r.Fail "there is no such LinkOutcome"

let writeLink (w: SnapshotWriter) (it: Link) : unit =
    w.Bytes it.Key.Span
    w.UInt64 it.Session
    w.Flag it.IsLower
    w.Flag it.IsAgreed
    writeMeetPlan w it.Plan
    writeEndpoint w it.Active
    w.Array((writeLinkPath w), it.Paths)
    writeLinkPhase w it.Phase
    w.Flag it.IsAnswered
    w.Flag it.HasMoved
    w.Int64 it.BrokenAfter
    w.UInt32 it.Number
    writeReplayWindow w it.Received
    w.Array((fun (struct (part1, part2, part3)) -> w.UInt32 part1; writeEndpoint w part2; w.Int64 part3), it.Asked)
    w.Array(w.Int32, it.Streams)
    w.Int64 it.NextAt
    writeExploration w it.Exploration
    w.Int64 it.SuspectedAt
    w.Int64 it.StrayAt
    w.Option((writeLinkOutcome w), it.Outcome)

let readLink (r: SnapshotReader) : Link =
    { Key = r.Bytes()
      Session = r.UInt64()
      IsLower = r.Flag()
      IsAgreed = r.Flag()
      Plan = readMeetPlan r
      Active = readEndpoint r
      Paths = r.Array(19, (fun () -> readLinkPath r))
      Phase = readLinkPhase r
      IsAnswered = r.Flag()
      HasMoved = r.Flag()
      BrokenAfter = r.Int64()
      Number = r.UInt32()
      Received = readReplayWindow r
      Asked = r.Array(8, (fun () -> struct (r.UInt32(), readEndpoint r, r.Int64())))
      Streams = r.Array(1, (fun () -> r.Int32()))
      NextAt = r.Int64()
      Exploration = readExploration r
      SuspectedAt = r.Int64()
      StrayAt = r.Int64()
      Outcome = r.Option((fun () -> readLinkOutcome r)) }

let writeKeyAgreement (w: SnapshotWriter) (it: KeyAgreement) : unit =
    w.Bytes it.Scalar.Span
    w.Bytes it.Share.Span
    w.Bytes it.Peer.Span
    w.Flag it.IsContested
    w.Int32 it.Attempts
    w.Int64 it.NextAt
    w.Int64 it.Until

let readKeyAgreement (r: SnapshotReader) : KeyAgreement =
    { Scalar = r.Bytes()
      Share = r.Bytes()
      Peer = r.Bytes()
      IsContested = r.Flag()
      Attempts = r.Int32()
      NextAt = r.Int64()
      Until = r.Int64() }

let writeMeetingPath (w: SnapshotWriter) (it: MeetingPath) : unit =
    writeEndpoint w it.Remote
    w.Int64 it.Until
    w.Reference(writeMeetingKey w, it.Meeting)
    w.Flag it.IsOpen

let readMeetingPath (r: SnapshotReader) : MeetingPath =
    { Remote = readEndpoint r
      Until = r.Int64()
      Meeting = r.Reference(fun () -> readMeetingKey r)
      IsOpen = r.Flag() }

let writeMeetingPaths (w: SnapshotWriter) (it: MeetingPaths) : unit =
    w.UInt64 it.HashKey
    w.Radix((writeMeetingPath w), it.Entries)
    w.TimerQueue it.Ends

let readMeetingPaths (r: SnapshotReader) : MeetingPaths =
    { HashKey = r.UInt64()
      Entries = r.Radix(9, (fun () -> readMeetingPath r))
      Ends = r.TimerQueue() }

let writeAlias (w: SnapshotWriter) (it: Alias) : unit =
    writeEndpoint w it.From
    writeEndpoint w it.Path
    w.Int64 it.Since

let readAlias (r: SnapshotReader) : Alias =
    { From = readEndpoint r
      Path = readEndpoint r
      Since = r.Int64() }

let writeAliases (w: SnapshotWriter) (it: Aliases) : unit =
    w.UInt64 it.HashKey
    w.Radix((writeAlias w), it.Entries)
    w.TimerQueue it.Ages

let readAliases (r: SnapshotReader) : Aliases =
    { HashKey = r.UInt64()
      Entries = r.Radix(13, (fun () -> readAlias r))
      Ages = r.TimerQueue() }

let writeSocketUse (w: SnapshotWriter) (it: SocketUse) : unit =
    match it with
    | SocketUse.Probing -> w.Byte 0uy
    | SocketUse.Path(caseuntil) ->
        w.Byte 1uy
        w.Int64 caseuntil
    | SocketUse.Closed(caseuntil) ->
        w.Byte 2uy
        w.Int64 caseuntil

let readSocketUse (r: SnapshotReader) : SocketUse =
    match r.Byte() with
    | 0uy -> SocketUse.Probing
    | 1uy ->
        let caseuntil = r.Int64()
        SocketUse.Path(caseuntil)
    | 2uy ->
        let caseuntil = r.Int64()
        SocketUse.Closed(caseuntil)
    | _ -> r.Fail "there is no such SocketUse"

let writeSocketRange (w: SnapshotWriter) (it: SocketRange) : unit =
    w.Int32 it.First
    w.Int32 it.Count
    writeSocketUse w it.Use

let readSocketRange (r: SnapshotReader) : SocketRange =
    { First = r.Int32()
      Count = r.Int32()
      Use = readSocketUse r }

let writeNodeTasks (w: SnapshotWriter) (it: NodeTasks) : unit =
    w.Radix((writeRendezvousClient w), it.Meetings)
    w.TimerQueue it.MeetingTimers
    writePunchTable w it.Punches
    w.Radix((writeLegacyPunch w), it.Legacy)
    w.Radix((writeStunClient w), it.Discoveries)
    w.Radix((writeLink w), it.Links)
    w.TimerQueue it.LinkTimers
    w.Radix((writeKeyAgreement w), it.Agreements)
    w.TimerQueue it.AgreementTimers
    w.Int64 it.AgreesAt
    w.Array(w.Int32, it.Changed)
    writeMeetingPaths w it.Paths
    writeAliases w it.Aliases
    w.Array((writeSocketRange w), it.Sockets)
    w.Int64 it.UnverifiedProbes
    w.Int64 it.DueAt

let readNodeTasks (r: SnapshotReader) : NodeTasks =
    { Meetings = r.Radix(47, (fun () -> readRendezvousClient r))
      MeetingTimers = r.TimerQueue()
      Punches = readPunchTable r
      Legacy = r.Radix(18, (fun () -> readLegacyPunch r))
      Discoveries = r.Radix(20, (fun () -> readStunClient r))
      Links = r.Radix(54, (fun () -> readLink r))
      LinkTimers = r.TimerQueue()
      Agreements = r.Radix(7, (fun () -> readKeyAgreement r))
      AgreementTimers = r.TimerQueue()
      AgreesAt = r.Int64()
      Changed = r.Array(1, (fun () -> r.Int32()))
      Paths = readMeetingPaths r
      Aliases = readAliases r
      Sockets = r.Array(3, (fun () -> readSocketRange r))
      UnverifiedProbes = r.Int64()
      DueAt = r.Int64() }

let writeNat64Prefix (w: SnapshotWriter) (it: Nat64Prefix) : unit =
    w.UInt64 it.High
    w.UInt64 it.Low
    w.Int32 it.Length

let readNat64Prefix (r: SnapshotReader) : Nat64Prefix =
    { High = r.UInt64()
      Low = r.UInt64()
      Length = r.Int32() }

let writeSimultaneous (w: SnapshotWriter) (it: Simultaneous) : unit =
    w.Int32 it.Own
    writeEndpoint w it.Remote
    w.Int32 it.Incoming

let readSimultaneous (r: SnapshotReader) : Simultaneous =
    { Own = r.Int32()
      Remote = readEndpoint r
      Incoming = r.Int32() }

let writeNode (w: SnapshotWriter) (it: Node) : unit =
    writeNodeOptions w it.Options
    w.UInt64 it.HashKey
    w.Int64 it.Now
    w.Int64 it.Generation
    writeRandom w it.Random
    w.Radix((writeStored w), it.Connections)
    w.Radix((writeStored w), it.Ended)
    w.Radix(w.Int32, it.Routes)
    w.Radix((fun it -> w.Array(w.Int32, it)), it.Collisions)
    w.Radix((fun it -> w.Array(w.Int32, it)), it.LinkedIds)
    w.Radix(w.Int32, it.Addresses)
    w.TimerQueue it.TimerQueue
    w.Option(w.Int32, it.Backlog)
    w.Flag it.IsSelective
    w.Radix(ignore, it.Waiting)
    w.Int32 it.NextAccepted
    w.Int64 it.Held
    w.Int32 it.Incoming
    w.Int32 it.Outgoing
    w.Int32 it.HalfOpen
    w.Int32 it.Lingering
    w.Int32 it.Parting
    writeNodeGuards w it.Guards
    writeNodeTasks w it.NodeTasks
    w.Array((writeNat64Prefix w), it.Nat64)
    w.Array((writeSimultaneous w), it.Simultaneous)

let readNode (r: SnapshotReader) : Node =
    { Options = readNodeOptions r
      HashKey = r.UInt64()
      Now = r.Int64()
      Generation = r.Int64()
      Random = readRandom r
      Connections = r.Radix(229, (fun () -> readStored r))
      Ended = r.Radix(229, (fun () -> readStored r))
      Routes = r.Radix(1, (fun () -> r.Int32()))
      Collisions = r.Radix(1, (fun () -> r.Array(1, (fun () -> r.Int32()))))
      LinkedIds = r.Radix(1, (fun () -> r.Array(1, (fun () -> r.Int32()))))
      Addresses = r.Radix(1, (fun () -> r.Int32()))
      TimerQueue = r.TimerQueue()
      Backlog = r.Option((fun () -> r.Int32()))
      IsSelective = r.Flag()
      Waiting = r.Radix(0, (fun () -> ()))
      NextAccepted = r.Int32()
      Held = r.Int64()
      Incoming = r.Int32()
      Outgoing = r.Int32()
      HalfOpen = r.Int32()
      Lingering = r.Int32()
      Parting = r.Int32()
      Guards = readNodeGuards r
      NodeTasks = readNodeTasks r
      Nat64 = r.Array(3, (fun () -> readNat64Prefix r))
      Simultaneous = r.Array(8, (fun () -> readSimultaneous r)) }
