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

/// A peer with which a client has met in vain.
[<Struct; NoComparison>]
type internal AvoidedPeer = { Remote: Endpoint; Since: Instant; For: Duration }

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
        /// Peers with which it has met in vain, the latest first.
        Avoided: AvoidedPeer[]
        /// The last punch that has failed without ending the meeting.
        LastReport: PunchReport voption
    }

/// What follows from the state of a meeting.
module internal RendezvousClientState =
    /// How long a peer with which a client has met in vain is avoided: no path to it was found, or its offer was not one of the room's.
    let private avoidFor = Time.seconds 60

    /// How long it is avoided at first if its introduction was torn: the peer has not acknowledged it, since messages were lost or an instance of the
    /// rendezvous was killed, and may be there. Twice as long each time, as a peer that never acknowledges may be hostile.
    let private avoidTornFor = Time.seconds 2

    /// As many endpoints of one address are avoided singly; then all of its ports are.
    [<Literal>]
    let private MaxPorts = 2

    /// One peer more. The latest ones are remembered, also after their time, for the next one of a peer that was met in vain again.
    let avoidAlso (now: Instant) (remote: Endpoint) isTorn (avoided: AvoidedPeer[]) : AvoidedPeer[] =
        let isOther (it: AvoidedPeer) = not (it.Remote.Equals remote)

        let earlier =
            avoided |> Array.filter (isOther >> not) |> Array.fold (fun most it -> max most it.For) 0L<us>

        let time = if isTorn then min avoidFor (max avoidTornFor (2L * earlier)) else avoidFor
        let others = avoided |> Array.filter isOther |> Array.truncate (4 * PunchWire.MaxAvoided - 1)
        Array.append [| { Remote = remote; Since = now; For = time } |] others

    /// What a registration asks to avoid: the latest endpoints, and the whole address of those that have come with several ports.
    let avoided (now: Instant) (meeting: RendezvousClient) : Endpoint[] =
        let recent = meeting.Avoided |> Array.filter (fun it -> now - it.Since < avoidFor)

        let hasManyPorts (it: AvoidedPeer) =
            let ports = recent |> Array.filter (fun other -> Endpoint.isSameAddress it.Remote other.Remote)
            ports.Length > MaxPorts

        recent
        |> Array.filter (fun it -> now - it.Since < it.For || hasManyPorts it)
        |> Array.map (fun it -> if hasManyPorts it then Endpoint.withPort 0us it.Remote else it.Remote)
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
