namespace UtpPunch.Protocol

/// The state machine of a link.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Link =
    open LinkPaths

    /// How long a link without streams stays: further streams may follow.
    let private hold = Time.seconds 120

    /// A path without an answer for that long is broken; for the shorter time if an own address has changed, or if a busy peer has fallen
    /// silent before.
    let private brokenAfter = Time.milliseconds 1_500
    let private brokenSooner = Time.seconds 1

    /// While there is no path, all known ones are probed each second at first, then less often.
    let private searchEvery = Time.seconds 1
    let private searchSeldom = Time.seconds 5

    [<Literal>]
    let private Often = 5

    /// How long the active path may take to answer once that one has.
    let private headStart (other: LinkPath) (link: Link) : Duration =
        match (active link).RoundTrip with
        | 0L<us> -> timeoutOf other.RoundTrip
        | roundTrip -> timeoutOf roundTrip

    /// A link that answers the peer, and stays on its path.
    let private isPassive (link: Link) = link.Plan.PathTimeout <= 0L<us>

    // ---- Phases ----

    /// When the next round of probes is due, and when the path counts as broken.
    let private suspectTimes since probes (link: Link) =
        let pause = max leastPause (probeTimeout link)

        let next =
            match probes with
            | 0 -> since
            | 1 -> since + pause
            | 2 -> since + 2L * pause
            | 3 -> since + 4L * pause
            | _ -> Time.never

        let broken = since + max link.BrokenAfter (3L * pause)
        struct (next, broken)

    /// Another path that has answered since then, the latest first.
    let private answering since (link: Link) =
        link.Paths
        |> Array.filter (fun it -> it.AnsweredAt >= since && not (it.Remote.Equals link.Active))
        |> Array.sortByDescending (fun it -> it.AnsweredAt)
        |> Array.tryHead

    let private withNext (link: Link) : Link =
        let next =
            match link.Phase with
            | LinkPhase.Live -> link.NextAt
            | LinkPhase.Suspect(since, probes) ->
                let struct (next, broken) = suspectTimes since probes link

                let switch =
                    match answering since link with
                    | Some other -> since + headStart other link
                    | None -> Time.never

                min (min next broken) switch
            | LinkPhase.Searching(since, probes) ->
                let pause = if probes < Often then searchEvery else searchSeldom
                let next = if probes = 0 then since else (active link).AskedAt + pause
                min next (Time.after link.Plan.PathTimeout since)

        { link with NextAt = next }

    /// The active path answers. What has never answered and never spoken is forgotten: a forged packet may have named it.
    let private settled (now: Instant) (link: Link) : Link =
        let isOfUse (it: LinkPath) = max it.AnsweredAt it.HeardAt > LinkPath.never

        { link with
            Phase = LinkPhase.Live
            HasMoved = false
            Paths = Array.filter isOfUse link.Paths
            Asked = [||]
            NextAt = (if link.Streams.Length = 0 then now + hold else Time.never) }

    /// The path is there, although no probe was answered: packets of streams have come over it.
    let stay (now: Instant) (link: Link) : Link = settled now link

    let private switch (now: Instant) (path: LinkPath) (link: Link) : Link =
        let isSameAddress = Endpoint.isSameAddress path.Remote link.Active && not link.HasMoved

        { link with
            Active = path.Remote
            Outcome = ValueSome(LinkOutcome.Switched(link.Active, path.Remote, isSameAddress, path.RoundTrip)) }
        |> settled now

    let private doubt (now: Instant) limit (link: Link) : Link =
        match link.Phase with
        | LinkPhase.Live when not (isPassive link) ->
            { link with Phase = LinkPhase.Suspect(now, 0); SuspectedAt = now; BrokenAfter = limit } |> withNext
        | LinkPhase.Live
        | LinkPhase.Suspect _
        | LinkPhase.Searching _ -> link

    /// A link over a path that carries packets. Its first probe tells whether the peer knows links, and measures the path.
    let private over (now: Instant) key isLower isAgreed plan (path: LinkPath) : Link =
        let path = { path with AnsweredAt = now; HeardAt = now }

        { Key = key
          Session = Secrets.session key
          IsLower = isLower
          IsAgreed = isAgreed
          Plan = plan
          Active = path.Remote
          Paths = [| path |]
          Phase = LinkPhase.Live
          IsAnswered = false
          HasMoved = false
          BrokenAfter = brokenAfter
          Number = 0u
          Received = ReplayWindow.empty
          Asked = [||]
          Streams = [||]
          NextAt = now + hold
          Exploration = Exploration.none
          SuspectedAt = LinkPath.never
          StrayAt = LinkPath.never
          Outcome = ValueNone }
        |> doubt now brokenAfter

    /// A link over the path that a punch has found.
    let ofPunch (now: Instant) (setup: PunchSetup) (path: Endpoint) (source: Endpoint) seenAs : Link =
        let link =
            { LinkPath.create path with Source = source; SeenAs = seenAs }
            |> over now (Secrets.link setup.Key) setup.IsLower false setup.Plan

        { link with Exploration = BetterPath.ofPunch now setup }

    /// The plan of a link whose nodes know no rendezvous. Its streams end by themselves.
    let private noMeeting: MeetPlan =
        { Servers = [||]
          Room = Owned.Empty
          Hosts = [||]
          Stays = false
          Timeout = Time.never
          PunchTimeout = 0L<us>
          Birthday = false
          PrimingHops = 0
          PrivateAddresses = PrivateAddressPolicy.Never
          PathTimeout = Time.never
          Reports = false }

    /// The nodes of a stream without a meeting have agreed on a key.
    let ofAgreement (now: Instant) (key: Owned) isOpener (remote: Endpoint) : Link =
        over now key isOpener true noMeeting (LinkPath.create remote)

    /// Nothing comes back, or nothing comes: is the path still there? Asked at most once in the time that an answer takes.
    let suspect (now: Instant) isSilent (link: Link) : Link =
        if now < max link.SuspectedAt (active link).AnsweredAt + max leastPause (probeTimeout link) then
            link
        else
            doubt now (if isSilent then brokenSooner else brokenAfter) link

    /// An own address has changed: probe at once.
    let move (now: Instant) (hosts: Endpoint[]) (link: Link) : Link =
        let link =
            { link with HasMoved = true; Plan = { link.Plan with Hosts = hosts } } |> BetterPath.moved now

        match link.Phase with
        | LinkPhase.Searching(since, _) -> { link with Phase = LinkPhase.Searching(since, 0); NextAt = now }
        | LinkPhase.Live
        | LinkPhase.Suspect _ -> { link with Phase = LinkPhase.Live } |> doubt now brokenSooner

    /// An own address is gone.
    let forgetLocal (now: Instant) (local: uint16) (link: Link) : Link =
        let forget = Endpoint.forgetLocal local

        { link with
            Active = forget link.Active
            Paths = link.Paths |> Array.map (fun it -> { it with Remote = forget it.Remote; Source = forget it.Source }) }
        |> move now link.Plan.Hosts

    // ---- Paths ----

    /// Another path than the active one may be the better one, since the peer sends from there. While all paths are probed already, this one
    /// is probed at once.
    let private consider (context: StepContext) (remote: Endpoint) (link: Link) : Link =
        let link = if (find remote link).IsSome then link else add (LinkPath.create remote) link

        match link.Phase, find remote link with
        | LinkPhase.Live, _ -> doubt context.Now brokenAfter link
        | _, Some path when context.Now >= path.AskedAt + leastPause -> ask context path link |> withNext
        | _ -> link

    /// A packet of one of the streams has come from an address that is not known. Whether that is the peer, a probe shows.
    let stray (context: StepContext) (remote: Endpoint) (link: Link) : Link =
        if context.Now < link.StrayAt + max leastPause (probeTimeout link) then
            link
        else
            consider context remote { link with StrayAt = context.Now }

    // ---- Receiving ----

    /// Whether the peer sees this node at another address than before, over the same path.
    let private seesOther (observed: Endpoint) (before: LinkPath) (link: Link) =
        match before.SeenAs with
        | ValueSome before -> not (Endpoint.isSameAddress before observed)
        | ValueNone -> link.HasMoved

    let private isSearching (link: Link) =
        match link.Phase with
        | LinkPhase.Searching _ -> true
        | LinkPhase.Live
        | LinkPhase.Suspect _ -> false

    let private answered (context: StepContext) (from: Endpoint) (probe: Probe) (link: Link) : Link =
        match link.Asked |> Array.tryFind (fun (struct (number, _, _)) -> number = probe.Echo) with
        | None -> BetterPath.heard context.Now probe.Echo link
        | Some(struct (_, remote, at)) ->
            let known = find remote link
            let before = known |> Option.defaultValue (LinkPath.create remote)

            let path =
                { LinkPath.measure context.Now (context.Now - at) before with
                    Remote = Endpoint.local from.Local remote
                    AnsweredAt = context.Now
                    Source = from
                    SeenAs = ValueSome probe.Observed }

            let isKnown = known.IsSome
            let isActive = remote.Equals link.Active
            // The answer has come to another own address.
            let isAtOther = from.Local <> link.Active.Local && link.Active.Local <> 0us
            let hasMoved = isActive && (isAtOther || seesOther probe.Observed before link)
            let isLost = isSearching link
            let link = if isKnown then change path link else add path link

            if link.Phase = LinkPhase.Live && not hasMoved then link
            elif isActive && not hasMoved && not isLost then settled context.Now link
            elif isActive then switch context.Now path { link with HasMoved = hasMoved }
            elif isLost then switch context.Now path link
            else withNext link

    /// A packet of a stream has come over a path of the link: while one is searched, that is one.
    let hear (now: Instant) (from: Endpoint) (link: Link) : Link =
        match tryPathFrom from link with
        | Some path when isSearching link && path.AnsweredAt > LinkPath.never -> switch now path link
        | _ -> link

    /// How old an answer may be that shows that the peer is there.
    let private isFresh = Time.seconds 10

    /// The lower peer asks to use the path on which this arrives. If it has not answered yet, it will ask again.
    let private agree (context: StepContext) (from: Endpoint) (chosen: Probe) (link: Link) : Link =
        match tryPathFrom from link with
        | Some path when path.AnsweredAt >= context.Now - isFresh ->
            let link = sendPadded context ProbeKind.Chosen from chosen.Number link
            let isActive = path.Remote.Equals link.Active && not (isSearching link)
            if isActive then link else switch context.Now path link
        | _ -> probe context ProbeKind.Explore from link

    let private reject (context: StepContext) (from: Endpoint) (link: Link) : Link =
        context.Effects.Add(Effect.Noted(Rule.ProbeRejected, from))
        link

    let receive (context: StepContext) (from: Endpoint) (probe: Probe) (datagram: Borrowed) (link: Link) : Link =
        if probe.FromLower = link.IsLower || not (ProbeWire.isAuthentic link.Key datagram) then
            reject context from link
        else
            match ReplayWindow.accept probe.Number link.Received with
            | struct (false, _) -> reject context from link
            | struct (true, received) ->
                // Where no punch has proved it: the peer of the link is that of the stream.
                let isProof = not link.IsAgreed || from.Equals link.Active

                let link =
                    heard context.Now from { link with Received = received; IsAnswered = link.IsAnswered || isProof }

                match probe.Kind with
                | ProbeKind.Probe ->
                    let link = send context ProbeKind.Answer from probe.Number from link
                    let isActive = from.Equals link.Active || from.Equals (active link).Source
                    // The peer asks from another address than the one that it had: it has moved, or both of its addresses are alive. Or it is
                    // back at the one that was lost.
                    if isActive && not (isSearching link) then link else consider context from link
                | ProbeKind.Answer -> answered context from probe link
                | ProbeKind.Explore -> send context ProbeKind.Answer from probe.Number from link
                | ProbeKind.Choose when not link.IsLower -> agree context from probe link
                | ProbeKind.Chosen ->
                    match BetterPath.agreed context.Now from link with
                    | struct (ValueSome path, link) -> switch context.Now path link
                    | struct (ValueNone, link) -> link
                | ProbeKind.Choose
                | ProbeKind.Refuse -> link

    /// The peer tells its addresses.
    let receiveAddresses (context: StepContext) (from: Endpoint) (addresses: Addresses) (link: Link) : Link =
        match ProbeWire.openAddresses link.Key addresses with
        | ValueSome hosts when addresses.FromLower <> link.IsLower ->
            match ReplayWindow.accept addresses.Number link.Received with
            | struct (false, _) -> reject context from link
            | struct (true, received) ->
                heard context.Now from { link with Received = received }
                |> send context ProbeKind.Answer from addresses.Number from
                |> BetterPath.named
                    context.Now
                    (Array.filter (CandidateFilter.isBehindNat64 context.Nat64 >> not) hosts)
        | _ -> reject context from link

    /// A punch that the link has asked for has found a path.
    let join (now: Instant) (path: Endpoint) source seenAs roundTrip (link: Link) : Link =
        let known = find path link

        let path =
            { (known |> Option.defaultValue (LinkPath.create path)) with
                Remote = path
                AnsweredAt = now
                HeardAt = now
                RoundTrip = roundTrip
                Source = source
                SeenAs = seenAs }

        switch now path (if known.IsSome then change path link else add path link)

    // ---- Time ----

    let private tickPhase (context: StepContext) (link: Link) : Link =
        match link.Phase with
        | _ when context.Now < link.NextAt -> link
        | LinkPhase.Live -> { link with NextAt = Time.never }
        | LinkPhase.Suspect(since, probes) ->
            let struct (next, broken) = suspectTimes since probes link
            let other = answering since link

            if link.IsAnswered && other.IsSome && context.Now >= since + headStart other.Value link then
                switch context.Now other.Value link
            elif context.Now >= broken && not link.IsAnswered then
                settled context.Now link
            elif context.Now >= broken then
                { link with Phase = LinkPhase.Searching(context.Now, 0); Outcome = ValueSome LinkOutcome.Lost }
                |> withNext
            elif context.Now >= next then
                if probes = 0 && link.IsAnswered then
                    context.Effects.Add(Effect.Noted(Rule.PathSuspected, link.Active))

                askAll context { link with Phase = LinkPhase.Suspect(since, probes + 1) } |> withNext
            else
                withNext link
        | LinkPhase.Searching(since, probes) ->
            if context.Now >= Time.after link.Plan.PathTimeout since then
                { link with Outcome = ValueSome LinkOutcome.TimedOut; NextAt = Time.never }
            else
                let again = if probes % Often = Often - 1 then ValueSome LinkOutcome.Search else link.Outcome

                askAll context { link with Phase = LinkPhase.Searching(since, probes + 1); Outcome = again }
                |> withNext

    let tick (context: StepContext) (link: Link) : Link = tickPhase context link |> BetterPath.tick context

    // ---- Streams ----

    let enter (connId: ConnId) (link: Link) : Link =
        let next = if link.Phase = LinkPhase.Live then Time.never else link.NextAt
        { link with Streams = Array.append link.Streams [| connId |]; NextAt = next }

    let leave (now: Instant) (connId: ConnId) (link: Link) : Link =
        let link = { link with Streams = Array.filter ((<>) connId) link.Streams }

        if link.Streams.Length = 0 then
            { link with Phase = LinkPhase.Live; NextAt = now + hold }
        else
            link

    /// Nothing uses it any more.
    let isOver (now: Instant) (link: Link) =
        link.Streams.Length = 0 && now >= link.NextAt && link.Phase = LinkPhase.Live
