namespace UtpPunch.Protocol

/// One stream as a state machine.
///
/// A stream as a whole is in a `StreamState`; while it is established, each direction has a state of its own, as in RFC 9293, whose
/// ten states are the combinations (docs/states.md is generated from the table that the tests compare with what really happens):
///
///     SYN-SENT      a SYN is repeated, from the third on under fresh ids, until a SYN-ACK, a RESET or the end of its time comes
///     SYN-RECEIVED  the SYN-ACK is repeated until a packet proves that its receiver exists; nothing else is sent, and not even that before
///                   the application has decided, if it is to (`Admission`)
///     ESTABLISHED   both directions are open
///     FIN-WAIT-1    our FIN was sent: `SendState.FinWait`
///     FIN-WAIT-2    it was acknowledged: `SendState.Finished`
///     CLOSE-WAIT    the peer's FIN was received: `ReceiveState.Ended`
///     CLOSING, LAST-ACK   both FINs were sent, and ours is not acknowledged; which of the two, `ClosingState.ActiveClose` tells
///     TIME-WAIT     both directions have ended: repeated FINs are acknowledged for 60 s, and `Farewell` finds out whether the peer
///                   has our last acknowledgement
///     CLOSED        the node forgets the stream at the end of the step
///
/// Four kinds of things move it, each in a file of its own, below the state itself (`StreamState`, `Timers`):
///
///     packets       `Handshake` and `Input` take them, `Closing.receiveReset` RESETs
///     commands      `Commands`: what the application asks
///     time          `Expiry` closes; `Output` and `Handshake` repeat
///     the node      `Closing.close`, to make room or because the peer is unreachable
///
/// A step does two things with a stream. First the step's events are absorbed, which changes the state. Then the stream is settled,
/// once, and everything that is due is sent: by `Handshake.settle` until it is established, then by `Output.settle`, and by
/// `Closing.settleTimeWait` in the end. SYN, DATA and FIN, and STATE but for the SYN-ACK, are sent while settling only, so that one
/// acknowledgement answers all packets of a step (a law checks that: `AbsorbingLaws.fs`). While absorbing, a stream sends nothing but
///
///     a RESET       when `Commands.abort` ends it: there is nothing left to settle
///     a SYN-ACK     in answer to each repeated SYN: a stream in SYN-RECEIVED has nothing else to acknowledge
///
/// and tells the application what follows from the event itself: that it is established (`Accepted`, `Opened`), that packets have
/// another size (`PacketSized`), and, when it closes or is released, what the application has not been told yet.
///
/// The application is told in this order: `Opened` or `Accepted`, then `Deliver` and `Writable`, `Ended` after the last `Deliver`,
/// `Finished` when the peer has acknowledged everything, and `Closed` last, exactly once. It is told nothing of a stream in
/// SYN-RECEIVED, neither that it exists nor that it closes.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Connection =
    /// A stream in the node's table. It can be read, and copied into a step; nothing can be written through it.
    [<Struct; NoComparison; NoEquality>]
    type Stored =
        private
            { Connection: Connection }

        member ConnId: ConnId
        member Remote: Endpoint
        member Incoming: bool
        member Ids: Ids
        /// Whether it is between the two peers of a meeting.
        member IsMeeting: bool
        /// The number of its link; 0 for a stream without one.
        member Session: uint64
        /// When a packet of the peer was received last.
        member HeardAt: Instant
        /// Whether a packet from another endpoint may be of this stream, by its numbers.
        member Fits: header: inref<Header> -> bool
        member State: StreamState
        /// Whether the peer opens a stream at the same time.
        member IsSimultaneous: bool
        member Generation: int64
        member WakeAt: Instant
        /// Whether it was accepted, and has carried no data, since that instant at least.
        member IsUnusedSince: since: Instant -> bool

    /// A stream that is opened here; `isn` is its SYN's number.
    val dial: setup: ConnectionSetup -> isn: SeqNr -> Connection
    /// A stream that a SYN with this number asks for; `first` is the number of our first data.
    val admit: setup: ConnectionSetup -> syn: SeqNr -> first: SeqNr -> Connection

    /// For the node's table.
    val store: connection: Connection -> Stored
    /// What the step of that generation may write: a copy, or the stream itself if that step has made it.
    val own: generation: int64 -> stored: Stored -> Connection

    /// Does everything that is due. Whether the SYN must be repeated under fresh ids.
    val settle: context: StepContext -> connection: Connection -> bool
    /// When to settle next if nothing happens before.
    val deadline: connection: Connection -> Instant

    val statistics: stored: Stored -> StreamStatistics
