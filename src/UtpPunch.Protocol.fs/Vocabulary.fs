namespace UtpPunch.Protocol

/// Names a stream on both sides of the boundary: even when opened here (the caller picks it), odd when accepted, counting up,
/// never used again.
type ConnId = int

/// How ids travel. Nothing guesses: a node accepts one dialect, and each connect says which it dials.
[<Struct; RequireQualifiedAccess>]
type Dialect =
    /// BEP 29 as libutp speaks it.
    | Bep29
    /// The npm package utp-punch: the client sends an even id, the server answers with that id plus one.
    | UtpPunch

/// Datagrams from one source, one behind the other in one buffer: each `SegmentSize` bytes, the last perhaps shorter.
[<Sealed; NoComparison>]
type Datagrams(buffer: byte[], offset: int, length: int, segmentSize: int, arrivedAt: Instant) =
    let count = if length = 0 then 1 else (length + segmentSize - 1) / segmentSize

    member _.Buffer = buffer
    member _.Offset = offset
    member _.Length = length
    member _.SegmentSize = segmentSize
    member _.ArrivedAt = arrivedAt
    member _.Count = count

    /// The datagram at an index.
    member _.Item
        with get index =
            let start = index * segmentSize
            Bytes(buffer, offset + start, min segmentSize (length - start))

    static member One(datagram: Bytes, arrivedAt: Instant) =
        Datagrams(datagram.Array, datagram.Offset, datagram.Length, max 1 datagram.Length, arrivedAt)

/// Bytes for the reader, in order: pieces of `Size` bytes that start `Stride` apart in `Buffer`, the last perhaps shorter.
/// They lie where they were received, and nobody writes them any more.
[<Struct; NoComparison>]
type Payload =
    {
        Buffer: byte[]
        Offset: int
        Stride: int
        Size: int
        /// Of all pieces together.
        Length: int
    }

    /// Copies from `start` on what fits into the target and returns how much that was.
    member this.CopyTo(start: int, target: System.Span<byte>) =
        let wanted = min target.Length (this.Length - start)
        let mutable copied = 0

        while copied < wanted do
            let at = start + copied
            let piece = at / this.Size
            let within = at - piece * this.Size
            let count = min (this.Size - within) (wanted - copied)

            System
                .ReadOnlySpan<byte>(this.Buffer, this.Offset + piece * this.Stride + within, count)
                .CopyTo(target.Slice copied)

            copied <- copied + count

        wanted

/// Packets to one peer that differ in `seq_nr` and payload only: the first carries `Header.SeqNr`, each further one the next
/// number, and each takes the next `PacketSize` bytes of `Payload` (the last perhaps fewer). One without payload is one packet.
[<Sealed; NoComparison>]
type Train(header: Header, sack: Bytes, bits: uint64, payload: Bytes, packetSize: int, mayFragment: bool) =
    let count = if payload.IsEmpty then 1 else (payload.Length + packetSize - 1) / packetSize

    /// One without extension bits, whose packets must not be fragmented.
    new(header, sack, payload, packetSize) = Train(header, sack, 0UL, payload, packetSize, false)

    /// The most bytes of packets: one system call carries a train, and takes 64 KiB.
    static member Limit = 65000

    member _.Header = header
    member _.Sack = sack
    /// BEP 29's extension bits; 0 for none.
    member _.Bits = bits
    member _.Payload = payload
    member _.PacketSize = packetSize

    /// Its packets got their numbers when the path took larger ones, and cannot be cut any more: the network may (RFC 8899, 4.3 leaves
    /// that open). Everything else goes out with DF, or no probe would tell anything.
    member _.MayFragment = mayFragment

    member _.Count = count

    member private _.PieceLength(index: int) =
        if payload.IsEmpty then 0 else min packetSize (payload.Length - index * packetSize)

    /// The length in bytes of the packet at an index.
    member this.LengthOf(index: int) = Wire.lengthOf sack.Length bits (this.PieceLength index)

    /// The part of the payload that the packet at an index carries.
    member this.Piece(index: int) =
        if payload.IsEmpty then
            payload
        else
            payload.Slice(index * packetSize, this.PieceLength index)

    /// Writes what stands before the payload of the packet at an index, and returns its length, which is that of every packet.
    member _.WriteHeader(index: int, target: System.Span<byte>) =
        let header = { header with SeqNr = header.SeqNr + index }
        Wire.encode &header sack bits Bytes.Empty target

    /// Writes the packet at an index and returns its length.
    member this.Write(index: int, target: System.Span<byte>) =
        let header = { header with SeqNr = header.SeqNr + index }
        Wire.encode &header sack bits (this.Piece index) target

/// Why a stream came to its end.
[<RequireQualifiedAccess>]
type CloseReason =
    /// Both sides finished, every byte of both arrived.
    | Finished
    /// We aborted it.
    | Aborted
    /// The peer never answered the SYN.
    | ConnectTimeout
    /// The peer answered the SYN with a RESET.
    | Refused
    /// The peer reset it.
    | Reset
    /// Data was sent again and again, and nothing was acknowledged.
    | TimedOut
    /// Nothing at all was heard for the idle time-out.
    | IdleTimeout
    /// The network has no way to the peer.
    | Unreachable
    /// The node already has as many streams as it may have.
    | TooManyConnections

/// What an uncommon packet or moment ran into. Counter, log line and coverage mark in one.
[<RequireQualifiedAccess>]
type Rule =
    /// The chain of extensions ran over the end of the packet.
    | MalformedExtension
    /// A packet for no stream of ours.
    | UnknownConnection
    /// A SYN while nobody listens.
    | NotListening
    /// A SYN beyond the total cap.
    | TooManyConnections
    /// A half-open stream made room for a newer one.
    | HalfOpenEvicted
    /// The accept queue was full.
    | AcceptQueueFull
    /// A half-open stream was never confirmed.
    | HalfOpenExpired
    /// A SYN that named the ids of another stream.
    | IdCollision
    /// A SYN came again; it got the same SYN-ACK again.
    | RepeatedSyn
    /// The SYN or SYN-ACK was sent again.
    | HandshakeRetransmit
    /// A packet acknowledged what was never sent, or lay too far back.
    | AckOutOfRange
    /// A packet's sequence number lay outside the reorder window.
    | SeqOutOfRange
    /// A packet that had been received already.
    | Duplicate
    /// A packet that arrived ahead of its turn.
    | OutOfOrder
    /// The peer sent more than the advertised window.
    | WindowOverrun
    /// A packet behind the peer's FIN, or a second, different FIN.
    | BeyondFin
    /// A packet that makes no sense in the state of its stream.
    | UnexpectedPacket
    /// A RESET that did not fit the window.
    | ResetOutOfRange
    /// A RESET closed the stream.
    | ResetAccepted
    /// A RESET that would have been due was not sent: too many already.
    | ResetSuppressed
    /// Packets were declared lost by (selective) acknowledgements.
    | FastRetransmit
    /// Packets were lost without a queue, and few of many: they are sent again, and the congestion window stays what it is.
    | LossTolerated
    /// The retransmission timer fired.
    | RetransmitTimeout
    /// The oldest packet was sent again ahead of the retransmission timer, to provoke an acknowledgement.
    | LossProbe
    /// The peer's window is zero; one packet asks whether it still is.
    | WindowProbe
    /// A keep-alive was sent.
    | KeepAlive
    /// A packet without data asked whether the path carries its size.
    | PathProbe
    /// A probe, or an answer to one, from a peer that never said that it knows of them, or that fits nothing that was asked.
    | PathProbeIgnored
    /// What was larger than every path carries vanished time after time: packets are smaller from here on.
    | BlackHole
    /// The system or the path said that packets are too long, and they are smaller from here on.
    | PathShrunk
    /// A packet of a punch that its key did not sign, or that had come before.
    | ProbeRejected
    /// The address of a punch's packet was new: it is tried as well.
    | PathLearnt
    /// An introduction whose offer the room's key did not seal.
    | OfferRejected

/// What happened.
[<NoComparison>]
type Event =
    /// One receive call's worth of datagrams.
    | Received of from: Endpoint * datagrams: Datagrams
    /// Open a stream. It gives up with `ConnectTimeout` when nobody answered in `patience`.
    | Connect of connId: ConnId * remote: Endpoint * dialect: Dialect * patience: Duration
    /// Accept streams, with at most `backlog` opened ones waiting to be taken.
    | Listen of backlog: int
    /// Accept no more. Streams that nobody took are reset.
    | Unlisten
    /// The application took an accepted stream out of the queue.
    | Taken of connId: ConnId
    /// The bytes are the machine's from now on.
    | Write of connId: ConnId * bytes: Bytes
    /// The reader took that many: the window may open.
    | Consumed of connId: ConnId * count: int
    /// Nothing more will be written.
    | Finish of connId: ConnId
    /// The application is gone: finish, throw away what still arrives, and abort after `patience` without progress.
    | Release of connId: ConnId * patience: Duration
    /// Reset the stream now.
    | Abort of connId: ConnId
    /// Set the time without any packet after which the stream ends; `Time.never` for none.
    | SetIdleTimeout of connId: ConnId * duration: Duration
    /// The network refused to carry a packet there.
    | Unreachable of remote: Endpoint
    /// The system or the path said that a datagram of `size` bytes to there is too long; `limit` bytes (UDP payload) pass, 0 when it
    /// did not say. A hint: whoever forges it makes packets smaller for a while, and nothing else.
    | TooLong of remote: Endpoint * size: int * limit: int
    /// Meet a peer at a rendezvous, and punch.
    | Meet of taskId: TaskId * plan: MeetPlan
    /// Punch as the npm package utp-punch does, `attempts` times every 500 ms.
    | PunchLegacy of taskId: TaskId * remote: Endpoint * attempts: int
    /// Ask STUN servers how they see us.
    | Discover of taskId: TaskId * options: StunOptions
    /// Call it off.
    | Cancel of taskId: TaskId

/// What to do now.
[<NoComparison>]
type Effect =
    | Send of remote: Endpoint * train: Train
    /// In order, each byte once.
    | Deliver of connId: ConnId * payload: Payload
    /// A peer opened a stream, and its address has proved that it receives.
    | Accepted of connId: ConnId * remote: Endpoint * connectionId: uint16
    /// A stream that we dialled is open.
    | Opened of connId: ConnId * connectionId: uint16
    /// The send buffer has room for so many bytes; for all of it when every byte was acknowledged.
    | Writable of connId: ConnId * room: int
    /// From here on a full packet of this stream carries so many bytes.
    | PacketSized of connId: ConnId * payload: int
    /// The peer will send no more; every byte was delivered.
    | Ended of connId: ConnId
    /// Our end was acknowledged, and with it every byte.
    | Finished of connId: ConnId
    /// The last effect that names this stream.
    | Closed of connId: ConnId * reason: CloseReason
    /// A datagram that is not uTP, nor for one of the node's own tasks.
    | Foreign of from: Endpoint * datagram: Bytes
    /// One that is not uTP is to go out, over at most so many hops; 0 for as many as usual.
    | SendDatagram of remote: Endpoint * datagram: Bytes * hops: int
    /// So many more sockets are to be opened, which are `Via` 1, 2 and so on.
    | OpenSockets of count: int
    /// Of these, all are to be closed but one; all for 0.
    | CloseSockets of keep: int
    /// The rendezvous has us on its list.
    | Registered of taskId: TaskId * observed: Endpoint * mapping: PortMapping
    /// A peer is there, and the punch has begun.
    | Introduced of taskId: TaskId * peer: Endpoint
    /// What came of a punch. The last effect that names this task, unless it stays in its room.
    | Punched of taskId: TaskId * report: PunchReport
    /// What STUN servers said. The last effect that names this task.
    | Discovered of taskId: TaskId * outcome: StunOutcome
    /// An uncommon rule fired.
    | Noted of rule: Rule * remote: Endpoint
