namespace UtpPunch.Protocol

/// A better path than the active one: an overlay has connected two nodes that are in one network as well, or an address was added. Both nodes
/// probe where the other one says that it is, so that the firewalls on the way let the probes of both pass; the lower one chooses.
module internal BetterPath =
    open LinkPaths

    let private firstAfter = Time.seconds 1
    let private every = Time.seconds 60

    /// The peer may name addresses as often as it likes: it is followed once in that time, but a few times in a row.
    let private followEvery = Time.seconds 10
    let private inRow = Time.seconds 40
    let private notSooner = Time.seconds 1

    [<Literal>]
    let private Rounds = 4

    let private roundEvery = Time.milliseconds 50

    /// What a peer names may be a third party's. It gets two probes.
    let private isForNamed round = round % 2 = 0

    /// What another path must gain, and how long there is no further change.
    let private leastGain = Time.milliseconds 5
    let private leastShare = 5L
    let private calm = Time.seconds 30

    [<Literal>]
    let private MaxTries = 3

    [<Literal>]
    let private MaxTold = 4

    // ---- Hosts ----

    let private with' exploration (link: Link) : Link = { link with Exploration = exploration }

    /// What is known of the peer when a punch has found a path.
    let ofPunch (now: Instant) (setup: PunchSetup) : Exploration =
        if setup.Plan.PathTimeout > 0L<us> then
            Exploration.create setup.PeerOffer.Hosts (now + firstAfter)
        else
            Exploration.none

    /// Where the peer says that it is, as far as a node probes what its peer names, without what is known.
    let private unknownHosts (link: Link) =
        let own = (active link).SeenAs |> ValueOption.defaultValue Endpoint.nowhere

        link.Exploration.Hosts
        |> Array.filter (fun host ->
            (find host link).IsNone && CandidateFilter.mayBeNamed link.Plan own link.Active host)

    let private soonAt (now: Instant) (it: Exploration) : Instant =
        let free = if it.FollowedUntil > now + inRow then it.FollowedUntil - inRow else now
        max free (it.StartedAt + notSooner)

    let private soon (now: Instant) (link: Link) : Link =
        let it = link.Exploration

        if it.Rounds > 0 || it.Choice.IsSome then
            with' { it with IsOutdated = true } link
        else
            with' { it with NextAt = soonAt now it } link

    /// Nothing is to be done until the next exploration.
    let private rest (now: Instant) (it: Exploration) : Exploration =
        { it with
            Rounds = 0
            Choice = ValueNone
            IsOutdated = false
            NextAt = (if it.IsOutdated then soonAt now it else now + every) }

    /// The peer is at these addresses now.
    let named (now: Instant) (hosts: Endpoint[]) (link: Link) : Link =
        soon now (with' { link.Exploration with Hosts = Array.truncate Offer.MaxHosts hosts } link)

    /// The own addresses have changed, which the peer is to be told. Only the peer of a meeting is: they are private.
    let moved (now: Instant) (link: Link) : Link =
        if link.IsAgreed || link.Plan.Hosts.Length = 0 then
            link
        else
            with' { link.Exploration with TellAt = now; Told = 0 } link

    let private tell (context: StepContext) (link: Link) : Link =
        let it = link.Exploration

        match link.Phase with
        | LinkPhase.Searching _ -> with' { it with TellAt = context.Now + Time.seconds 1 } link
        | _ when it.Told = MaxTold || link.Streams.Length = 0 -> with' { it with TellAt = Time.never } link
        | _ ->
            let number = link.Number + 1u
            let packet = ProbeWire.encodeAddresses link.Key link.Session link.IsLower number link.Plan.Hosts
            context.Effects.Add(Effect.SendDatagram(link.Active, packet, 0))

            { link with Number = number }
            |> with'
                { it with
                    TellAt = context.Now + leastPause * (1L <<< it.Told)
                    FirstTold = (if it.Told = 0 then number else it.FirstTold)
                    Told = it.Told + 1 }

    /// The peer has answered a packet that was no probe: it knows the addresses, and probes them.
    let heard (now: Instant) (echo: uint32) (link: Link) : Link =
        let it = link.Exploration

        if it.Told > 0 && echo >= it.FirstTold && echo <= link.Number then
            with' { it with TellAt = Time.never; Told = 0 } link |> soon now
        else
            link

    // ---- Cost ----

    /// Addresses of overlays: those of RFC 6598, which they have taken over.
    let private isOverlay (endpoint: Endpoint) =
        Endpoint.isIPv4 endpoint && (uint32 endpoint.Low ^^^ 0x64400000u) >>> 22 = 0u

    /// IPv6 needs no NAT, whose state could be lost. An overlay within one network costs packet size and processor time, though hardly time.
    let private cost (path: LinkPath) : Duration =
        let family = if Endpoint.isIPv4 path.Remote then 0 else -3
        let tunnel = if isOverlay path.Remote then 5 else 0
        path.Least + Time.milliseconds (family + tunnel)

    let private isBetter (other: LinkPath) (than: LinkPath) =
        let gain = max leastGain (cost than / leastShare)
        cost other + gain <= cost than

    // ---- Exploring ----

    let private isWorthwhile (link: Link) =
        let isMeasured = (active link).Least > 0L<us>

        link.IsAnswered
        && link.Streams.Length > 0
        && (link.Paths.Length > 1 || (unknownHosts link).Length > 0)
        && isMeasured
        && cost (active link) > leastGain

    let private round (context: StepContext) (link: Link) : Link =
        let it = link.Exploration
        let named = if isForNamed it.Rounds then unknownHosts link else [||]
        let known = link.Paths |> Array.map (fun path -> path.Remote)

        let pause = if it.Rounds + 1 = Rounds then probeTimeout link else roundEvery

        Array.append known named
        |> Array.fold (fun link remote -> probe context ProbeKind.Explore remote link) link
        |> with' { it with Rounds = it.Rounds + 1; NextAt = context.Now + pause }

    /// A stream is busy: a better path is worth its probes.
    let start (context: StepContext) (link: Link) : Link =
        let it = link.Exploration
        let until = max it.FollowedUntil context.Now + followEvery
        with' { it with StartedAt = context.Now; FollowedUntil = until } link |> round context

    let private choose (context: StepContext) (path: Endpoint) tries (link: Link) : Link =
        let pause = max leastPause (probeTimeout link)

        sendPadded context ProbeKind.Choose path 0u link
        |> with' { link.Exploration with Choice = ValueSome path; Tries = tries; NextAt = context.Now + pause }

    /// All that answer in time have answered.
    let private decide (context: StepContext) (link: Link) : Link =
        let it = link.Exploration
        let current = active link

        let isCandidate (path: LinkPath) =
            path.AnsweredAt >= it.StartedAt && not (path.Remote.Equals link.Active) && isBetter path current

        let link = { link with Asked = [||] } |> with' (rest context.Now it)

        let mayChoose = link.IsLower && link.Phase = LinkPhase.Live && context.Now >= it.ChosenAt + calm

        match link.Paths |> Array.filter isCandidate with
        | [||] -> link
        | _ when not mayChoose -> link
        | better -> choose context (Array.minBy (fun path -> int64 (cost path)) better).Remote 1 link

    /// The peer uses the path that it was asked to use, if that is it.
    let agreed (now: Instant) (from: Endpoint) (link: Link) : struct (LinkPath voption * Link) =
        let it = link.Exploration

        match it.Choice with
        | ValueSome choice ->
            match find choice link with
            | Some path when path.Remote.Equals from || path.Source.Equals from ->
                struct (ValueSome path, with' { rest now it with ChosenAt = now } link)
            | _ -> struct (ValueNone, link)
        | ValueNone -> struct (ValueNone, link)

    let private explore (context: StepContext) (link: Link) : Link =
        let it = link.Exploration

        match it.Choice with
        | ValueSome path when it.Tries < MaxTries -> choose context path (it.Tries + 1) link
        // It does not carry packets of full size, or is gone.
        | ValueSome _ -> with' (rest context.Now it) link
        | ValueNone when it.Rounds = 0 && link.Phase <> LinkPhase.Live ->
            with' { it with NextAt = context.Now + leastPause } link
        | ValueNone when it.Rounds = 0 && isWorthwhile link && link.Outcome.IsNone ->
            { link with Outcome = ValueSome LinkOutcome.Explore } |> with' (rest context.Now it)
        | ValueNone when it.Rounds = 0 -> with' (rest context.Now it) link
        | ValueNone when it.Rounds < Rounds -> round context link
        | ValueNone -> decide context link

    let tick (context: StepContext) (link: Link) : Link =
        let link = if context.Now >= link.Exploration.TellAt then tell context link else link
        if context.Now >= link.Exploration.NextAt then explore context link else link
