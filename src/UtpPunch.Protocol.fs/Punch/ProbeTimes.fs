namespace UtpPunch.Protocol

/// When the candidates of a punch are probed, and how often.
module internal ProbeTimes =
    /// How often a candidate is probed that has never answered. The server has verified the observed endpoint, which has no such limit. A node
    /// that stays in a room is introduced to many peers, each of which may name addresses of others.
    let triesOf (plan: MeetPlan) kind =
        match kind with
        | PathKind.Host -> if plan.Stays then 3 else 5
        | PathKind.Predicted -> 8
        // For as long as a peer with a mapping waits, and only one is named.
        | PathKind.Mapped -> 10
        | PathKind.Observed
        | PathKind.Reflexive
        | PathKind.Birthday -> System.Int32.MaxValue

    /// How long priming lasts if the rendezvous does not report that both peers have begun, or there is none.
    let private priming = Time.milliseconds 400

    /// The same of a node whose peer begins later, when the answer has come by the application's channel: at most this, and not to the end, for
    /// the case that this node's NATs are farther away than the hop limit.
    let private primingOfAnswer = Time.seconds 60

    /// How long the first packets of a punch have a small hop limit, unless both peers are known to have begun.
    let primingOf (setup: PunchSetup) =
        match setup.Start with
        | PunchStart.Introduced
        | PunchStart.Offered -> priming
        | PunchStart.Answering ->
            match setup.Mapping with
            // Packets to the peer come from a port that the peer does not send to, so they cannot occupy the one that its packets need. And only
            // they can open the way to a peer that admits them: it cannot reach this node's NAT.
            | PortPrediction.Dependent 0 -> priming
            | PortPrediction.Dependent _
            | PortPrediction.EndpointIndependent
            | PortPrediction.Unknown -> min primingOfAnswer (max priming (setup.Plan.Timeout - setup.Plan.PunchTimeout))

    /// The pause between further probes to a host that has not answered, where the peer may begin much later.
    let seldom = Time.seconds 5

    /// The pause between two rounds of birthday probing in such a punch.
    let birthdayEvery = Time.seconds 10

    /// How long a node whose router maps its port waits for the peer's packets, once both have begun, before it sends to the peer's NAT. Its own
    /// packets may leave by another port than the mapped one; then its NAT drops what the peer sends to the mapped port, because one pair of
    /// endpoints would have two translations (netfilter's clash).
    let private mappedFirst = Time.seconds 2

    /// When a candidate is probed first, if both peers begin at `goAt`.
    let firstAt (setup: PunchSetup) kind (now: Instant) (goAt: Instant) =
        match kind with
        | PathKind.Host
        | PathKind.Mapped
        | PathKind.Reflexive -> now
        | PathKind.Observed
        | PathKind.Predicted
        | PathKind.Birthday ->
            if setup.Plan.Hosts |> Array.exists (Offer.isMapped setup.Observed) then
                goAt + mappedFirst
            else
                now

    /// The pause before the next probe: 50 ms at first, at most half a second.
    let pauseAfter (tried: int) =
        match tried with
        | 1
        | 2 -> Time.milliseconds 50
        | 3
        | 4 -> Time.milliseconds 100
        | 5
        | 6 -> Time.milliseconds 200
        | _ -> Time.milliseconds 500
