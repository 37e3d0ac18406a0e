namespace UtpPunch.Protocol

/// An endpoint of the peer, as far as this node knows it.
[<NoComparison>]
type internal LinkPath =
    {
        Remote: Endpoint
        /// When an authentic packet came from there last, when a probe to it was answered last, and when it was last probed;
        /// `LinkPath.never` before.
        HeardAt: Instant
        AnsweredAt: Instant
        AskedAt: Instant
        /// 0 when it was not measured.
        RoundTrip: Duration
        /// The least of the last minutes, and when it was measured.
        Least: Duration
        LeastAt: Instant
        /// Where the answers come from, which differs from `Remote` where the peer's NAT uses a port per destination.
        Source: Endpoint
        /// The endpoint at which the peer has seen this node, once it has answered.
        SeenAs: Endpoint voption
    }

module internal LinkPath =
    /// Before anything has happened.
    let never: Instant = -Time.never

    let create remote =
        { Remote = remote
          HeardAt = never
          AnsweredAt = never
          AskedAt = never
          RoundTrip = 0L<us>
          Least = 0L<us>
          LeastAt = never
          Source = remote
          SeenAs = ValueNone }

    /// The least round trip is that of minutes: a path may become longer.
    let private leastHolds = Time.seconds 300

    let measure (now: Instant) (roundTrip: Duration) (path: LinkPath) : LinkPath =
        let isLeast = path.Least = 0L<us> || roundTrip <= path.Least || now >= path.LeastAt + leastHolds

        if isLeast then
            { path with RoundTrip = roundTrip; Least = roundTrip; LeastAt = now }
        else
            { path with RoundTrip = roundTrip }

[<RequireQualifiedAccess; NoComparison>]
type internal LinkPhase =
    | Live
    /// Something speaks against the active path, and all paths are probed. `probes` is how often.
    | Suspect of since: Instant * probes: int
    /// The active path does not answer. Streams wait.
    | Searching of since: Instant * probes: int

/// What the streams of a link must know.
[<RequireQualifiedAccess; NoComparison>]
type internal LinkOutcome =
    /// Packets go to `path` from here on. `isSameAddress`: only a port has changed, on either side. `roundTrip` is 0 when it was not
    /// measured.
    | Switched of before: Endpoint * path: Endpoint * isSameAddress: bool * roundTrip: Duration
    /// It is time to look for a better path, if a stream is busy.
    | Explore
    /// There is no path, and one is searched.
    | Lost
    /// It goes on: a meeting that has failed begins anew.
    | Search
    /// None was found in time.
    | TimedOut

/// The search for a better path than the active one, which lives.
[<NoComparison>]
type internal Exploration =
    {
        /// Where the peer says that it is.
        Hosts: Endpoint[]
        /// How many rounds of probes were sent since it has begun, and when.
        Rounds: int
        StartedAt: Instant
        /// Increases with each one, to limit them.
        FollowedUntil: Instant
        /// Whether the peer has named other hosts since it has begun.
        IsOutdated: bool
        /// When the next step is due.
        NextAt: Instant
        /// The path that the peer is asked to use, and how often it was.
        Choice: Endpoint voption
        Tries: int
        /// When a path was chosen last.
        ChosenAt: Instant
        /// When the own addresses are told to the peer, how often they were, and the number of the first packet that did.
        TellAt: Instant
        Told: int
        FirstTold: uint32
    }

module internal Exploration =
    /// No other path is known, as long as there are no hosts.
    let create hosts nextAt =
        { Hosts = hosts
          Rounds = 0
          StartedAt = LinkPath.never
          FollowedUntil = LinkPath.never
          IsOutdated = false
          NextAt = nextAt
          Choice = ValueNone
          Tries = 0
          ChosenAt = LinkPath.never
          TellAt = Time.never
          Told = 0
          FirstTold = 0u }

    let none = create [||] Time.never

/// Two of our nodes that a punch has brought together, under a key that both derive from it. All streams between them move together to another
/// path when the active one is gone. A node sends data to an endpoint only after that has answered a probe (RFC 9000, 8.2 and 9).
[<NoComparison>]
type internal Link =
    {
        Key: Owned
        Session: uint64
        IsLower: bool
        /// Whether the nodes of a stream have agreed on the key, and not a punch.
        IsAgreed: bool
        /// That of the meeting.
        Plan: MeetPlan
        /// Where packets go. It is among the paths.
        Active: Endpoint
        Paths: LinkPath[]
        Phase: LinkPhase
        /// Whether the peer has answered once. If not, it does not know links, and its silence means nothing.
        IsAnswered: bool
        /// Whether an own address has changed since the active path has answered.
        HasMoved: bool
        /// How long a suspected path may take to answer.
        BrokenAfter: Duration
        /// The number of the last packet sent, and those that were received.
        Number: uint32
        Received: ReplayWindow
        /// The last probes, the newest first: number, destination, and when.
        Asked: struct (uint32 * Endpoint * Instant)[]
        Streams: ConnId[]
        /// When there is something to do but to explore.
        NextAt: Instant
        Exploration: Exploration
        /// When the active path was last suspected, and when a packet from an unknown address was last the reason.
        SuspectedAt: Instant
        StrayAt: Instant
        /// To be told to the streams.
        Outcome: LinkOutcome voption
    }

    /// When there is something to do.
    member link.DueAt = min link.NextAt (min link.Exploration.NextAt link.Exploration.TellAt)
