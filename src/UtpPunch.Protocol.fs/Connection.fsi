namespace UtpPunch.Protocol

/// Where a stream stands.
[<Struct; RequireQualifiedAccess>]
type Phase =
    /// We sent a SYN.
    | SynSent
    /// We answered a SYN; its sender has not yet proved that it receives. Nothing but the SYN-ACK goes there.
    | SynReceived
    | Open
    /// Both sides have ended; a repeated FIN is still acknowledged, in case our last acknowledgement was lost.
    | Lingering
    | Dead

/// What a step hands to the streams that it touches, and where their effects go.
[<NoComparison; NoEquality>]
type internal Turn =
    { Now: Instant
      Effects: ResizeArray<Effect> }

/// One stream, of the same shape as `Node`: events are absorbed (which decides everything and sends nothing), then `settle`
/// does what is due, once a step. A step works on a `copy`; whoever holds the original never sees a change.
[<Sealed; NoComparison; NoEquality>]
type internal Connection

module internal Connection =
    /// A stream that we open: `id` goes into the SYN, `isn` is the SYN's own sequence number.
    val dial:
        connId: ConnId ->
        remote: Endpoint ->
        dialect: Dialect ->
        options: StreamOptions ->
        patience: Duration ->
        id: uint16 ->
        isn: SeqNr ->
        now: Instant ->
            Connection

    /// A half-open stream, from a SYN: `first` will be the number of our first data.
    val admit:
        connId: ConnId ->
        remote: Endpoint ->
        dialect: Dialect ->
        options: StreamOptions ->
        patience: Duration ->
        syn: Header ->
        first: SeqNr ->
        now: Instant ->
            Connection

    /// The id under which the peer's packets come, for a SYN that carries `id`.
    val receiveIdOf: dialect: Dialect -> incoming: bool -> id: uint16 -> uint16

    val copy: generation: int64 -> connection: Connection -> Connection
    /// The step that made this copy.
    val generation: connection: Connection -> int64
    val connId: connection: Connection -> ConnId
    val remote: connection: Connection -> Endpoint
    val dialect: connection: Connection -> Dialect
    val receiveId: connection: Connection -> uint16
    val sendId: connection: Connection -> uint16
    val isIncoming: connection: Connection -> bool
    val phase: connection: Connection -> Phase
    val statistics: connection: Connection -> StreamStatistics

    /// Whether the stream that we open waits for fresh ids before it sends another SYN: libutp answers a SYN once, and a second
    /// one with the same ids never.
    val wantsIds: connection: Connection -> bool
    /// Gives it fresh ids and sends the SYN. The peer is told to forget the old ones.
    val redial: turn: Turn -> id: uint16 -> isn: SeqNr -> connection: Connection -> unit

    /// Whether the packet proves that the sender of the SYN received our SYN-ACK.
    val confirms: header: Header -> connection: Connection -> bool
    /// The proof came: the stream is open.
    val confirm: turn: Turn -> connection: Connection -> unit
    /// Whether this SYN opened this very stream.
    val isOpenedBy: syn: Header -> connection: Connection -> bool
    val repeatSynAck: turn: Turn -> connection: Connection -> unit

    /// Takes a DATA, FIN or STATE packet.
    val receive: turn: Turn -> arrivedAt: Instant -> packet: inref<Packet> -> connection: Connection -> unit
    /// Takes a RESET that carries one of the stream's ids.
    val receiveReset: turn: Turn -> header: Header -> connection: Connection -> unit

    val write: bytes: Bytes -> connection: Connection -> unit
    val consume: count: int -> connection: Connection -> unit
    val finish: connection: Connection -> unit
    val release: turn: Turn -> patience: Duration -> connection: Connection -> unit
    val abort: turn: Turn -> connection: Connection -> unit
    val setIdleTimeout: duration: Duration -> connection: Connection -> unit
    /// Ends the stream without a packet to the peer.
    val close: turn: Turn -> reason: CloseReason -> connection: Connection -> unit

    /// A lingering stream answers no more.
    val forget: connection: Connection -> unit

    /// Does what is due. Afterwards `deadline` lies in the future.
    val settle: turn: Turn -> connection: Connection -> unit
    val deadline: connection: Connection -> Instant
    /// Until when the peer may still need us to repeat our last acknowledgement.
    val quietAt: connection: Connection -> Instant
