namespace UtpPunch.Protocol

open System

/// The state of a meeting.
[<RequireQualifiedAccess>]
type internal RendezvousPhase =
    /// Registering without a cookie, to be given one.
    | Knocking
    /// Asking the server's other sockets for the observed endpoint.
    | Comparing
    /// Registering with an offer, and renewing that.
    | Registering
    /// Introduced and no longer registered. Repeated introductions are acknowledged.
    | Left

/// A client of a rendezvous: it proves its address, compares the endpoints that the server's sockets observe, registers its offer, and waits
/// for a peer.
[<NoComparison>]
type internal RendezvousClient =
    {
        TaskId: TaskId
        /// The first of the meetings that go on at the same time at several servers: itself, if it is alone.
        Group: TaskId
        Plan: MeetPlan
        /// The address of the rendezvous that has answered; the best one before.
        Server: Endpoint
        Room: Owned
        Handle: uint64
        Peer: Owned
        Nonce: Owned
        Phase: RendezvousPhase
        Cookie: Owned
        Observed: Endpoint
        Others: Endpoint[]
        /// The endpoint that each of the other sockets observed.
        Views: Endpoint voption[]
        /// The number of the last registration, whose answer gives the round-trip time.
        Attempt: byte
        SentAt: Instant
        Tries: int
        NextAt: Instant
        IsRegistered: bool
        /// Whether it has been registered, which is reported once.
        WasRegistered: bool
        IsRefused: bool
        /// Whether it was refused because of its room.
        IsRoomFull: bool
        RoundTrip: Duration
        StartedAt: Instant
        GiveUpAt: Instant
        /// The last introduction, to recognize repetitions.
        Introduction: Owned
        /// Endpoints of peers with which it has met in vain, the latest first, and the times.
        Avoided: struct (Endpoint * Instant)[]
        /// The last punch that has failed without ending the meeting.
        LastReport: PunchReport voption
    }

/// What follows from the state of a meeting.
module internal RendezvousClientState =
    /// How long a peer with which a client has met in vain is avoided.
    let private avoidFor = Time.seconds 60

    /// As many endpoints of one address are avoided singly; then all of its ports are.
    [<Literal>]
    let private MaxPorts = 2

    /// What a registration asks to avoid: the latest endpoints, and the whole address of those that have come with several ports.
    let avoided (now: Instant) (meeting: RendezvousClient) : Endpoint[] =
        let recent =
            [| for struct (endpoint, since) in meeting.Avoided do
                   if now - since < avoidFor then endpoint |]

        let portsOf endpoint = recent |> Array.filter (Endpoint.isSameAddress endpoint) |> Array.length

        recent
        |> Array.map (fun it -> if portsOf it > MaxPorts then Endpoint.withPort 0us it else it)
        |> Array.distinct
        |> Array.truncate PunchWire.MaxAvoided

    let private isOneFamily (a: Endpoint) (b: Endpoint) = Endpoint.isIPv4 a = Endpoint.isIPv4 b

    /// The observed endpoints, in the order in which the sockets were asked.
    let views (meeting: RendezvousClient) : Endpoint[] =
        meeting.Views
        |> Array.choose ValueOption.toOption
        |> Array.filter (isOneFamily meeting.Observed)
        |> Array.append [| meeting.Observed |]

    /// The endpoint of the other address family, if the rendezvous has an address there.
    let viewsOfOtherFamily (meeting: RendezvousClient) : Endpoint[] =
        meeting.Views
        |> Array.choose ValueOption.toOption
        |> Array.filter (fun it -> not (isOneFamily meeting.Observed it))
        |> Array.truncate 1

    /// Whether all sockets of the first family have answered: the meeting does not wait for the other one.
    let isCompared (meeting: RendezvousClient) =
        Array.forall2
            (fun (other: Endpoint) (view: Endpoint voption) -> view.IsSome || not (isOneFamily meeting.Server other))
            meeting.Others
            meeting.Views

    /// An address of the rendezvous in the other family.
    let otherFamily (meeting: RendezvousClient) : Endpoint[] =
        meeting.Plan.Servers
        |> Array.filter (fun it -> not (isOneFamily meeting.Server it))
        |> Array.truncate 1

    let mapping (meeting: RendezvousClient) = Offer.mappingOf (views meeting)
