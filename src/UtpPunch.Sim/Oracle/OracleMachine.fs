namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// What an oracle puts into the time stamps of its packets.
[<RequireQualifiedAccess>]
type OracleStamps =
    /// The time of each transmission, and the delay of the newest packet when that was received.
    | Fresh
    /// A retransmission has the stamps of the first transmission.
    | OfFirstTransmission
    /// `timestamp_difference` is computed when a packet is sent, however old the newest packet is (librqbit).
    | DelayAtSending
    /// `timestamp_difference` is 0 in streams that it has accepted.
    | NoneWhenDialled
    /// Its clock is set back by an hour then.
    | SetBack of at: Instant

/// The options of an oracle.
[<NoComparison>]
type OracleOptions =
    {
        /// The dialect of the streams that it accepts.
        Dialect: Dialect
        /// The most packets in flight.
        Window: int
        /// The most bytes of payload in a packet.
        PayloadSize: int
        Timeout: Duration
        Sacks: bool
        Stamps: OracleStamps
    }

module OracleOptions =
    let standard =
        { Dialect = Dialect.Bep29
          Window = 8
          PayloadSize = 1000
          Timeout = Time.seconds 1
          Sacks = true
          Stamps = OracleStamps.Fresh }

/// One stream of an oracle: its ids, its sender and its receiver.
[<Sealed; AllowNullLiteral>]
type private OracleStream
    (
        connId: ConnId,
        remote: Endpoint,
        isIncoming: bool,
        receiveId: uint16,
        sendId: uint16,
        synNr: SeqNr,
        sender: OracleSender
    ) =
    member _.ConnId = connId
    member _.Remote = remote
    member _.IsIncoming = isIncoming
    member _.ReceiveId = receiveId
    member _.SendId = sendId
    member _.SynNr = synNr
    member _.Sender = sender
    /// None while a dialled stream has no SYN-ACK.
    member val Receiver: OracleReceiver voption = ValueNone with get, set
    member val IsOpen = false with get, set
    member val IsClosed = false with get, set
    member val HasToldEnd = false with get, set
    member val HasToldFinished = false with get, set
    member val Difference = 0u with get, set
    /// The time stamp of the newest packet.
    member val PeerStamp = 0u with get, set
    /// The stamps of the first transmission of each packet.
    member val Stamps = Dictionary<SeqNr, struct (uint32 * uint32)>() with get
    /// When the SYN is due, first or repeated.
    member val SynAt = Time.never with get, set

/// A whole endpoint in its simplest form, written from BEP 29 and from the numbering of libutp and utp-punch, not from the core: a
/// conversation between it and the core must carry every byte. It never forgets a stream, and never gives one up.
[<Sealed>]
type OracleMachine(options: OracleOptions, seed: uint64) =
    let streams = ResizeArray<OracleStream>()
    let mutable draws = 0L
    let mutable nextAccepted = 1
    let mutable listens = false
    let sendBuffer = 1 <<< 20

    let draw () =
        draws <- draws + 1L
        uint16 (Keyed.bits seed 1 draws)

    /// The clock that its time stamps show.
    let clock (now: Instant) =
        match options.Stamps with
        | OracleStamps.SetBack at when now >= at -> Time.stamp now - 3_600_000_000u
        | _ -> Time.stamp now

    let stampsOf (now: Instant) (stream: OracleStream) packetType seqNr =
        let fresh = struct (clock now, stream.Difference)

        match options.Stamps with
        | OracleStamps.Fresh
        | OracleStamps.SetBack _ -> fresh
        | OracleStamps.OfFirstTransmission when packetType = PacketType.Data || packetType = PacketType.Fin ->
            if not (stream.Stamps.ContainsKey seqNr) then stream.Stamps[seqNr] <- fresh
            stream.Stamps[seqNr]
        | OracleStamps.OfFirstTransmission -> fresh
        | OracleStamps.DelayAtSending when stream.Difference <> 0u ->
            struct (Time.stamp now, Time.stamp now - stream.PeerStamp)
        | OracleStamps.DelayAtSending -> fresh
        | OracleStamps.NoneWhenDialled -> struct (Time.stamp now, (if stream.IsIncoming then 0u else stream.Difference))

    let senderFrom first = OracleSender(first, options.Window, options.PayloadSize, options.Timeout)

    let send
        (effects: ResizeArray<Effect>)
        (now: Instant)
        (stream: OracleStream)
        packetType
        id
        seqNr
        ackNr
        sack
        payload
        =
        let struct (timestamp, difference) = stampsOf now stream packetType seqNr

        let header =
            { Type = packetType
              ConnectionId = id
              Timestamp = timestamp
              TimestampDifference = difference
              Window = 1u <<< 30
              SeqNr = seqNr
              AckNr = ackNr }

        effects.Add(Effect.Send(stream.Remote, Train(header, sack, Owned payload, max 1 payload.Length)))

    /// BEP 29: "ST_STATE … used to transmit an ACK"; it does not increase the seq_nr.
    let state effects now (stream: OracleStream) =
        let receiver = stream.Receiver.Value
        send effects now stream PacketType.State stream.SendId stream.Sender.Next receiver.AckNr receiver.Sack [||]

    let dial now connId remote dialect =
        let id = draw ()

        // BEP 29: the dialler receives under the SYN's id and sends under the next one. The npm package sends under the SYN's
        // (even) id and receives under the next one.
        let struct (receiveId, sendId) =
            match dialect with
            | Dialect.Bep29 -> struct (id &&& 0x7FFFus, (id &&& 0x7FFFus) + 1us)
            | Dialect.UtpPunch -> struct ((id &&& 0xFFFEus) + 1us, id &&& 0xFFFEus)

        let synNr = SeqNr(draw ())
        let stream = OracleStream(connId, remote, false, receiveId, sendId, synNr, senderFrom (synNr + 1))
        stream.SynAt <- now
        streams.Add stream

    let find (remote: Endpoint) (condition: OracleStream -> bool) =
        match Seq.tryFind (fun (stream: OracleStream) -> stream.Remote = remote && condition stream) streams with
        | Some stream -> stream
        | None -> null

    let accept effects now remote (header: Header) =
        let id = header.ConnectionId

        let struct (receiveId, sendId) =
            match options.Dialect with
            | Dialect.Bep29 -> struct (id + 1us, id)
            | Dialect.UtpPunch -> struct (id, id + 1us)

        let known =
            find remote (fun stream -> stream.IsIncoming && stream.ReceiveId = receiveId && stream.SynNr = header.SeqNr)

        let stream =
            if isNull known then
                let fresh =
                    OracleStream(
                        nextAccepted,
                        remote,
                        true,
                        receiveId,
                        sendId,
                        header.SeqNr,
                        senderFrom (SeqNr(draw ()))
                    )

                fresh.Receiver <- ValueSome(OracleReceiver(header.SeqNr, options.Sacks))
                nextAccepted <- nextAccepted + 2
                streams.Add fresh
                fresh
            else
                known

        // The same SYN-ACK for every copy of the SYN: its number is that of the first data.
        if not stream.IsOpen && not stream.IsClosed then state effects now stream

    let close (effects: ResizeArray<Effect>) reason (stream: OracleStream) =
        if not stream.IsClosed then
            stream.IsClosed <- true
            effects.Add(Effect.Closed(stream.ConnId, reason))

    /// A packet for a stream that has a receiver.
    let converse (effects: ResizeArray<Effect>) now (packet: inref<Packet>) (stream: OracleStream) =
        let header = packet.Header
        let receiver = stream.Receiver.Value

        if stream.Sender.Accepts header.AckNr then
            if not stream.IsOpen then
                stream.IsOpen <- true
                effects.Add(Effect.Accepted(stream.ConnId, stream.Remote, stream.ReceiveId, false))

            let before = stream.Sender.Outstanding
            stream.Sender.Acknowledge(now, header.AckNr)

            if stream.Sender.Outstanding < before then
                let outstanding = stream.Sender.Outstanding
                effects.Add(Effect.Writable(stream.ConnId, sendBuffer - outstanding, outstanding))

            stream.Difference <- clock now - header.Timestamp
            stream.PeerStamp <- header.Timestamp

            if header.Type = PacketType.Data || header.Type = PacketType.Fin then
                let isFin = header.Type = PacketType.Fin

                for piece in receiver.Take(header.SeqNr, packet.Payload.Span.ToArray(), isFin) do
                    if piece.Length > 0 then
                        let length = piece.Length
                        let whole = { Buffer = piece; Offset = 0; Stride = length; Size = length; Length = length }
                        effects.Add(Effect.Deliver(stream.ConnId, whole))

                state effects now stream
            elif not stream.IsIncoming && header.AckNr = stream.SynNr && header.SeqNr = receiver.AckNr + 1 then
                // Repeats the SYN-ACK: the peer has not received it.
                state effects now stream

    let receive (effects: ResizeArray<Effect>) now remote (datagram: Borrowed) =
        let mutable packet = Unchecked.defaultof<Packet>

        if Packet.decode datagram &packet <> Malformed.None then
            effects.Add(Effect.Foreign(remote, datagram))
        else
            let header = packet.Header
            let stream = find remote (fun stream -> stream.ReceiveId = header.ConnectionId && not stream.IsClosed)
            let closed = find remote (fun stream -> stream.ReceiveId = header.ConnectionId)

            match header.Type with
            | PacketType.Syn -> if listens then accept effects now remote header
            | PacketType.Reset ->
                if isNull stream then ()
                elif stream.IsOpen then close effects CloseReason.Reset stream
                elif stream.IsIncoming then streams.Remove stream |> ignore
                else close effects CloseReason.Refused stream
            | _ when isNull stream ->
                // The last acknowledgement may have been lost: a closed stream still answers.
                if not (isNull closed) && header.Type <> PacketType.State then state effects now closed
            | _ when stream.Receiver.IsNone ->
                if header.Type = PacketType.State && header.AckNr = stream.SynNr then
                    // The SYN-ACK does not use up its number.
                    stream.Receiver <- ValueSome(OracleReceiver(header.SeqNr + -1, options.Sacks))
                    stream.IsOpen <- true
                    stream.SynAt <- Time.never
                    stream.Difference <- clock now - header.Timestamp
                    stream.PeerStamp <- header.Timestamp
                    effects.Add(Effect.Opened(stream.ConnId, stream.ReceiveId))
                    state effects now stream
            | _ -> converse effects now &packet stream

    let absorb (effects: ResizeArray<Effect>) now event =
        let withStream connId action =
            match Seq.tryFind (fun (stream: OracleStream) -> stream.ConnId = connId) streams with
            | Some stream when not stream.IsClosed -> action stream
            | _ -> ()

        match event with
        | Event.Received(from, datagrams) ->
            for index in 0 .. datagrams.Count - 1 do
                receive effects now from datagrams[index]
        | Event.Connect(connId, remote, dialect, _) -> dial now connId remote dialect
        | Event.Listen _
        | Event.ListenSelectively _ -> listens <- true
        | Event.Unlisten -> listens <- false
        | Event.Write(connId, bytes) -> withStream connId (fun stream -> stream.Sender.Write bytes)
        | Event.Finish connId -> withStream connId (fun stream -> stream.Sender.Finish())
        | Event.Abort connId
        | Event.AbortWithCode(connId, _) -> withStream connId (close effects CloseReason.Aborted)
        | Event.ConnectSimultaneously _
        | Event.Decided _
        | Event.Taken _
        | Event.Consumed _
        | Event.Release _
        | Event.SetIdleTimeout _
        | Event.SetCongestionControl _
        | Event.Unreachable _
        | Event.TooLong _
        | Event.PortUnreachable _
        | Event.Meet _
        | Event.MeetAlso _
        | Event.PunchOffered _
        | Event.PunchLegacy _
        | Event.Discover _
        | Event.Servers _
        | Event.NetworkChanged _
        | Event.LocalGone _
        | Event.Nat64 _
        | Event.Cancel _ -> ()

    let settle (effects: ResizeArray<Effect>) now (stream: OracleStream) =
        if now >= stream.SynAt then
            stream.SynAt <- now + options.Timeout
            let id = min stream.ReceiveId stream.SendId
            send effects now stream PacketType.Syn id stream.SynNr (SeqNr 0us) Owned.Empty [||]

        if stream.IsOpen && not stream.IsClosed then
            let receiver = stream.Receiver.Value

            for packet in stream.Sender.Send now do
                let kind = if packet.IsFin then PacketType.Fin else PacketType.Data
                send effects now stream kind stream.SendId packet.SeqNr receiver.AckNr Owned.Empty packet.Payload

            if receiver.HasEnded && not stream.HasToldEnd then
                stream.HasToldEnd <- true
                effects.Add(Effect.Ended stream.ConnId)

            if stream.Sender.IsFinished && not stream.HasToldFinished then
                stream.HasToldFinished <- true
                effects.Add(Effect.Finished stream.ConnId)

            if stream.HasToldEnd && stream.HasToldFinished then
                close effects CloseReason.Finished stream

    interface IMachine with
        member _.Step(now, events) =
            let effects = ResizeArray<Effect>()

            for event in events do
                absorb effects now event

            for stream in streams do
                settle effects now stream

            effects.ToArray()

        member _.Deadline =
            let mutable deadline = Time.never

            for stream in streams do
                if not stream.IsClosed then
                    deadline <- min deadline (min stream.SynAt stream.Sender.Deadline)

            deadline

        member _.Stream _ = ValueNone
