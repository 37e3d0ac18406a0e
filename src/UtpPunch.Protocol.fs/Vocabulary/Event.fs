namespace UtpPunch.Protocol

/// What happened.
[<NoComparison>]
type Event =
    /// One receive call's worth of datagrams.
    | Received of from: Endpoint * datagrams: Datagrams
    /// Open a stream. It closes with `ConnectTimeout` when the peer does not answer within `timeout`.
    | Connect of connId: ConnId * remote: Endpoint * dialect: Dialect * timeout: Duration
    /// Open a stream to a peer that opens one at the same time (BEP 55), in the dialect of BEP 29. The first SYN has a hop limit, so that it opens
    /// this node's NATs and does not reach those of the peer; a RESET does not end it; and if the node does not listen, a stream that the peer
    /// opens meanwhile is accepted in its place (`Effect.Accepted` with `isMeeting`, then `Effect.Closed`).
    | ConnectSimultaneously of connId: ConnId * remote: Endpoint * timeout: Duration * primingHops: int
    /// Accept streams. At most `backlog` of them wait to be taken.
    | Listen of backlog: int
    /// As `Listen`, but the application decides about each stream, unless a task of the node awaits it: `Effect.Asked`, then `Decided`.
    | ListenSelectively of backlog: int
    /// Whether a peer that `Effect.Asked` has named may open its stream. If not, its SYN is answered with a RESET, as by a node that does not
    /// listen. Ignored if the half-open stream has expired meanwhile.
    | Decided of connId: ConnId * admits: bool
    /// Accept no more streams. Those that were not taken are reset.
    | Unlisten
    /// The application took an accepted stream out of the queue.
    | Taken of connId: ConnId
    /// Bytes to send. The core refers to them without copying. They must not be changed until they were acknowledged, which
    /// `Effect.Writable` tells, or until `Effect.Closed`.
    | Write of connId: ConnId * bytes: Owned
    /// The reader has taken `count` bytes: the receive window may open.
    | Consumed of connId: ConnId * count: int
    /// Nothing more will be written.
    | Finish of connId: ConnId
    /// The application has released the stream: finish, and abort after `timeout` without progress. Bytes that were not consumed, or that
    /// still arrive, draw a RESET once everything of this side was acknowledged. 0: the process is about to exit; then the stream waits for
    /// the acknowledgement of everything of this side, and from there on a few round trips for the peer's end.
    | Release of connId: ConnId * timeout: Duration
    /// Reset the stream now.
    | Abort of connId: ConnId
    /// Reset the stream now, and tell the peer why, if that is a node of this implementation: `Effect.ResetWithCode`.
    | AbortWithCode of connId: ConnId * code: uint32
    /// Set the time without any packet after which the stream ends; `Time.never` for none.
    | SetIdleTimeout of connId: ConnId * duration: Duration
    /// Set what follows the path's rate from here on. It begins with the window and the round trip of the one before.
    | SetCongestionControl of connId: ConnId * control: CongestionControl
    /// The system has no route to this remote endpoint.
    | Unreachable of remote: Endpoint
    /// The system (EMSGSIZE) or a router (ICMP) reports that a datagram of `size` bytes is too long; `limit` bytes of UDP payload pass, 0 if
    /// not given. Only a hint: a forged one makes packets smaller for a while.
    | TooLong of remote: Endpoint * size: int * limit: int
    /// The remote host reports that no socket is at that port (ICMP); `quoted` is the beginning of the datagram that it reports on. Only a hint,
    /// since a socket may be there a moment later: a stream fails when two SYNs in a row were answered so, and those that are quoted are its own.
    | PortUnreachable of remote: Endpoint * quoted: Owned
    /// Meet a peer at a rendezvous, then punch.
    | Meet of taskId: TaskId * plan: MeetPlan
    /// Meet at a further rendezvous, too: the meeting `first` goes on under the same name, so that the peers know an introduction by either server.
    /// Of the punches with one peer, the one whose path is chosen first stays.
    | MeetAlso of taskId: TaskId * first: TaskId * plan: MeetPlan
    /// Punch without a rendezvous: `own` and `peer` are the offers (`Offer.write`) that the peers have exchanged by a channel of the application's,
    /// and `plan.Room` is the key that follows from both. `answers`: the peer has this node's offer later than this node has the peer's, and
    /// so begins later. The time-out of the plan ends when the peer is heard, and that of the punch begins.
    | PunchOffered of taskId: TaskId * plan: MeetPlan * own: Owned * peer: Owned * answers: bool
    /// Punch as the npm package utp-punch does, `attempts` times every 500 ms.
    | PunchLegacy of taskId: TaskId * remote: Endpoint * attempts: int
    /// Ask STUN servers for the public endpoint and the NAT's behavior.
    | Discover of taskId: TaskId * options: StunOptions
    /// The rendezvous of a meeting has these addresses now, the best one first.
    | Servers of taskId: TaskId * servers: Endpoint[]
    /// The node's own addresses have changed; these are its addresses now, as in `MeetPlan.Hosts`.
    | NetworkChanged of hosts: Endpoint[]
    /// An own address (`Endpoint.Local`) is gone.
    | LocalGone of local: uint16
    /// The prefixes of the network's NAT64, the one to be used first; none if there is none, or the system reaches IPv4 addresses itself. From
    /// here on the node knows a peer by its IPv4 address, which stands behind the first prefix in the datagrams to it and from it.
    | Nat64 of prefixes: Nat64Prefix[]
    /// Cancel the task.
    | Cancel of taskId: TaskId
