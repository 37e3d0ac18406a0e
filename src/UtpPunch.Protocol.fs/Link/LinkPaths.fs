namespace UtpPunch.Protocol

/// The paths of a link, and the packets that test them.
module internal LinkPaths =
    [<Literal>]
    let private MaxPaths = 8

    [<Literal>]
    let private MaxAsked = 64

    let leastPause = Time.milliseconds 250

    let find (remote: Endpoint) (link: Link) = link.Paths |> Array.tryFind (fun it -> it.Remote.Equals remote)

    let active (link: Link) =
        match find link.Active link with
        | Some path -> path
        | None -> LinkPath.create link.Active

    /// How long an answer takes at most, as a rule (RFC 9002, 6.2.1: PTO). 0 for a round trip that was not measured.
    let timeoutOf (roundTrip: Duration) : Duration =
        if roundTrip = 0L<us> then
            Time.milliseconds 500
        else
            2L * roundTrip + Time.milliseconds 50 |> min (Time.seconds 1)

    let probeTimeout (link: Link) : Duration = timeoutOf (active link).RoundTrip

    // ---- Sending ----

    let private write encode (context: StepContext) kind remote echo observed (link: Link) : Link =
        let number = link.Number + 1u

        let packet: Owned =
            encode
                link.Key
                { Kind = kind
                  Session = link.Session
                  FromLower = link.IsLower
                  Number = number
                  Echo = echo
                  Observed = observed }

        context.Effects.Add(Effect.SendDatagram(remote, packet, 0))
        { link with Number = number }

    let send context kind remote echo observed link = write ProbeWire.encode context kind remote echo observed link

    /// As long as packets of every path may be: what arrives shows that the path carries them.
    let sendPadded context kind remote echo link =
        write ProbeWire.encodePadded context kind remote echo Endpoint.nowhere link

    let change (path: LinkPath) (link: Link) : Link =
        { link with
            Paths = link.Paths |> Array.map (fun it -> if it.Remote.Equals path.Remote then path else it) }

    /// Sends a packet that is to be answered.
    let probe (context: StepContext) kind remote (link: Link) : Link =
        let link = send context kind remote 0u Endpoint.nowhere link
        let known = Array.truncate (MaxAsked - 1) link.Asked
        { link with Asked = Array.append [| struct (link.Number, remote, context.Now) |] known }

    let ask (context: StepContext) (path: LinkPath) (link: Link) : Link =
        probe context ProbeKind.Probe path.Remote link |> change { path with AskedAt = context.Now }

    let askAll context (link: Link) = Array.fold (fun link path -> ask context path link) link link.Paths

    // ---- Paths ----

    /// Whether packets of streams count that come from there: an authentic packet has.
    let isKnown (remote: Endpoint) (link: Link) =
        link.Paths
        |> Array.exists (fun it -> it.HeardAt > LinkPath.never && (it.Remote.Equals remote || it.Source.Equals remote))

    /// The path over which packets come from there.
    let tryPathFrom (from: Endpoint) (link: Link) =
        link.Paths |> Array.tryFind (fun it -> it.Remote.Equals from || it.Source.Equals from)

    /// The path that has been of no use for the longest time makes room.
    let add (path: LinkPath) (link: Link) : Link =
        let useOf (it: LinkPath) = if it.Remote.Equals link.Active then Time.never else max it.AnsweredAt it.HeardAt

        let kept =
            if link.Paths.Length < MaxPaths then
                link.Paths
            else
                let least = link.Paths |> Array.minBy (fun it -> int64 (useOf it))
                link.Paths |> Array.filter (fun it -> not (it.Remote.Equals least.Remote))

        { link with Paths = Array.append kept [| path |] }

    let heard (now: Instant) (remote: Endpoint) (link: Link) : Link =
        match find remote link with
        | Some path -> change { path with HeardAt = now } link
        | None -> add { LinkPath.create remote with HeardAt = now } link
