namespace UtpPunch.Protocol

/// What happened.
[<NoComparison>]
type Event =
    /// One receive call's worth of datagrams.
    | Received of from: Endpoint * datagrams: Datagrams
    /// Open a stream. It gives up with `ConnectTimeout` when nobody answered in `timeout`.
    | Connect of connId: ConnId * remote: Endpoint * dialect: Dialect * timeout: Duration
    /// Accept streams, with at most `backlog` opened ones waiting to be taken.
    | Listen of backlog: int
    /// Accept no more. Streams that nobody took are reset.
    | Unlisten
    /// The application took an accepted stream out of the queue.
    | Taken of connId: ConnId
    /// Bytes to send. The core refers to them without copying, and nobody may change them until they were acknowledged, which
    /// `Effect.Writable` tells, or until `Effect.Closed`.
    | Write of connId: ConnId * bytes: Owned
    /// The reader took that many: the window may open.
    | Consumed of connId: ConnId * count: int
    /// Nothing more will be written.
    | Finish of connId: ConnId
    /// The application is gone: finish, and abort after `timeout` without progress. Bytes that were not consumed, or that still arrive,
    /// draw a RESET once everything of ours was acknowledged. 0: the process is about to exit; then the stream waits for the
    /// acknowledgement of everything of ours, and from there on a few round trips for the peer's end.
    | Release of connId: ConnId * timeout: Duration
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
