namespace UtpPunch.Protocol

/// A stream that the peer opens at the same time.
[<NoComparison>]
type internal Simultaneous =
    {
        Own: ConnId
        Remote: Endpoint
        /// The peer's, if it has come first and the node does not listen; 0 if not.
        Incoming: ConnId
    }

/// A stream that was aborted here with an error code.
[<Struct; NoComparison>]
type internal AbortCode = { Remote: Endpoint; Receive: uint16; Code: uint32 }

/// The error codes of streams that were aborted here lately, by route: see `AbortCodes`.
[<NoComparison; NoEquality>]
type internal AbortedStreams =
    {
        Recent: Radix<AbortCode>
        /// Those of the time before.
        Older: Radix<AbortCode>
        /// When `Recent` becomes `Older`.
        TurnsAt: Instant
    }

/// What keeps packets of strangers in bounds. An object of its own, since few steps change it, and all of them copy the node.
[<NoComparison; NoEquality>]
type internal NodeGuards =
    {
        /// The key of `SynCookie`, and when its periods began.
        CookieKey: Owned
        StartedAt: Instant
        /// Until when a packet that belongs to no stream may confirm a SYN that was not remembered.
        CookiesUntil: Instant
        /// When a packet from an unknown endpoint may draw the next probe.
        StrayAt: Instant
        /// When the network last reported something of an endpoint.
        ReportedAt: Instant
        /// When the node may look again for streams that have never carried data.
        EvictsAt: Instant
        ResetLimiters: Radix<ResetLimiter>
        /// When a packet last asked for a RESET.
        ResetAt: Instant
        /// The limit of how many peers the application may be asked about that have proved nothing: those that it refuses count.
        Refusals: ResetLimiter
        Aborted: AbortedStreams
    }

/// The state of one UDP socket: its streams, what it accepts, and what is due when. A value: nothing reachable from it ever changes, and
/// any thread may read an old one. What it does is in the files below this one.
/// The fields are mutable for the step that made the copy, and for it alone.
[<NoComparison; NoEquality>]
type Node =
    internal
        {
            Options: NodeOptions
            /// Keys the hash of the routes, so that peers cannot aim for collisions.
            HashKey: uint64
            mutable Now: Instant
            /// How many steps have led here: tells a step's own copies of streams from older ones.
            mutable Generation: int64
            mutable Random: Random
            mutable Connections: Radix<Connection.Stored>
            /// Those in TIME-WAIT. A table of their own: a busy node has thousands, and each step copies the way to what it changes.
            mutable Ended: Radix<Connection.Stored>
            /// The stream that receives from an endpoint under an id, by hash; `StreamTable.collision` where several do.
            mutable Routes: Radix<ConnId>
            mutable Collisions: Radix<ConnId[]>
            /// The streams of links by the id under which they receive, whatever endpoint the peer is at.
            mutable LinkedIds: Radix<ConnId[]>
            /// How many accepted streams each address has, by its hash; see `Endpoint.network`.
            mutable Addresses: Radix<int>
            /// When streams are due. An entry counts only if the stream's `WakeAt` is the same.
            mutable TimerQueue: TimerQueue
            mutable Backlog: int voption
            /// Whether the application decides about each stream.
            mutable IsSelective: bool
            /// Accepted streams that the application has not taken.
            mutable Waiting: Radix<unit>
            /// The name of the next accepted stream, unless it is in use.
            mutable NextAccepted: ConnId
            /// Bytes of received data that all streams hold.
            mutable Held: int64
            mutable Incoming: int
            mutable Outgoing: int
            mutable HalfOpen: int
            mutable Lingering: int
            /// How many of them the process must not leave yet.
            mutable Parting: int
            mutable Guards: NodeGuards
            mutable NodeTasks: NodeTasks
            /// The prefixes of the network's NAT64; the first one is used.
            mutable Nat64: Nat64Prefix[]
            /// The streams that their peers open at the same time. Entries of those that are open, or have failed, do not count.
            mutable Simultaneous: Simultaneous[]
        }

/// What one step works on: its own copy of the node, and the streams that it has touched, in that order.
[<NoComparison; NoEquality>]
type internal NodeStep = { Node: Node; Context: StepContext; Touched: ResizeArray<Connection> }
