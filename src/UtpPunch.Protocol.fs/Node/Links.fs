namespace UtpPunch.Protocol

/// What happens to the streams of links, and what speaks for or against a path.
module internal Links =
    open StreamTable

    let private change step (link: Link) = step.Node.NodeTasks <- NodeTasksState.keepLink link step.Node.NodeTasks

    // ---- What speaks against a path ----

    /// As many new addresses are probed in a second, at most.
    let private strayPause = Time.milliseconds 50

    let private mayProbe step =
        let node = step.Node

        if node.Now < node.Guards.StrayAt then
            false
        else
            node.Guards <- { node.Guards with StrayAt = node.Now + strayPause }
            true

    /// The streams of links that receive under an id.
    let private linked (node: Node) (receiveId: uint16) : ConnId[] =
        Radix.tryFind (int receiveId) node.LinkedIds |> ValueOption.defaultValue [||]

    let private linkOf (node: Node) (stored: Connection.Stored) = NodeTasksState.tryLink stored.Session node.NodeTasks

    /// The stream that receives under that id, and whose link has heard of that endpoint.
    let private findKnown (node: Node) (remote: Endpoint) receiveId : Connection.Stored voption =
        let mutable found = ValueNone

        for connId in linked node receiveId do
            match tryStored node connId with
            | ValueSome stored when linkOf node stored |> ValueOption.exists (LinkPaths.isKnown remote) ->
                found <- ValueSome stored
            | _ -> ()

        found

    /// The stream that receives under that id from that endpoint, or from another one of its link.
    let findAt step (remote: Endpoint) receiveId : Connection.Stored voption =
        match StreamTable.find step.Node remote receiveId with
        | ValueSome stored -> ValueSome stored
        | ValueNone -> findKnown step.Node remote receiveId

    /// The stream of a packet that comes from an endpoint at which no stream is known. If the link has heard of that endpoint, it is as good as
    /// the active one. If not, the peer may have moved there, which a probe shows; until then the packet does not count.
    let find step (remote: Endpoint) (header: inref<Header>) : struct (bool * Connection.Stored voption) =
        let node = step.Node
        let found = findKnown node remote header.ConnectionId
        let mutable isStray = false

        if found.IsNone then
            for connId in linked node header.ConnectionId do
                match tryStored node connId with
                | ValueSome stored when header.Type <> PacketType.Reset && stored.Fits &header ->
                    match linkOf node stored with
                    | ValueSome link ->
                        isStray <- true
                        if mayProbe step then change step (Link.stray step.Context remote link)
                    | ValueNone -> ()
                | _ -> ()

        struct (isStray, found)

    /// What was busy is asked that often, one `Delivery.silence` after the other: 45 seconds.
    let private mostSilences = 15

    /// Suspects the path of a stream whose packets are not acknowledged, or whose peer has fallen silent.
    let watch step wasKeptAlive (connection: Connection) =
        let now = step.Node.Now

        if connection.State = StreamState.Established && not connection.IsSuspended then
            let isSilent = now >= connection.Linked.SilentAt

            if isSilent then
                let next =
                    if connection.Linked.Silences + 1 < mostSilences then
                        now + Delivery.silence
                    else
                        Time.never

                connection.Linked <- LinkedStream.miss next connection.Linked

            if isSilent || wasKeptAlive || connection.Attempts.Timeouts > 0 then
                changeLink step connection (Link.suspect now isSilent)

    /// A stream that waits for a path has received a packet.
    let hear step (from: Endpoint) (connection: Connection) =
        if connection.Activity.HeardAt = step.Node.Now then
            changeLink step connection (Link.hear step.Node.Now from)

    // ---- What follows ----

    /// Ends the search by a meeting.
    let private endSearch step (link: Link) =
        let node = step.Node
        node.NodeTasks <- NodeTasks.cancel step.Context (OwnTasks.ofLink link.Session) node.NodeTasks

    /// The stream under that id at the new endpoint cannot be alive: it is older.
    let private evict step (path: Endpoint) (own: Connection) =
        match StreamTable.find step.Node path own.Ids.Receive with
        | ValueSome other when other.ConnId <> own.ConnId ->
            let other = touch step other
            // Without a RESET, which would be one for the stream that comes.
            counted step other (fun () -> Closing.close step.Context CloseReason.Aborted other)
        | _ -> ()

    let private switchStream step path isSameAddress roundTrip (own: Connection) =
        evict step path own
        removeRoute step.Node own
        uncount step.Node own
        Migration.resume step.Context path isSameAddress roundTrip own
        recount step.Node own
        addRoute step.Node own

    let private forEach step (link: Link) (action: Connection -> unit) =
        for connId in link.Streams do
            match tryTouch step connId with
            | ValueSome own when own.State <> StreamState.Closed -> action own
            | _ -> ()

    let private switched step (link: Link) before (path: Endpoint) isSameAddress roundTrip =
        note step Rule.PathSwitched path
        endSearch step link
        let tasks = step.Node.NodeTasks
        step.Node.NodeTasks <- { tasks with Paths = MeetingPaths.move step.Node.Now before path tasks.Paths }
        forEach step link (switchStream step path isSameAddress roundTrip)

    /// The peers meet again where no others can: the room's key follows from theirs.
    let private search step (random: int -> Owned) (link: Link) =
        let plan =
            { link.Plan with Room = Secrets.linkRoom link.Key; Stays = false; Timeout = link.Plan.PathTimeout }

        let node = step.Node
        let task = OwnTasks.ofLink link.Session

        if link.Plan.Servers.Length > 0 && not (NodeTasks.searches task node.NodeTasks) then
            node.NodeTasks <- NodeTasks.meet step.Context random task plan node.NodeTasks

    /// Whether a stream has heard of its peer since then.
    let private hasHeard step since (link: Link) =
        link.Streams
        |> Array.exists (fun connId ->
            match tryStored step.Node connId with
            | ValueSome stored -> stored.HeardAt > since
            | ValueNone -> false)

    /// Something lets packets of streams pass, but not those of the link.
    let private isHeard step (link: Link) = hasHeard step link.SuspectedAt link

    /// A stream that was heard of that lately is busy.
    let private busy = Time.seconds 10

    let private isBusy step (link: Link) = hasHeard step (step.Node.Now - busy) link

    let private lost step random (link: Link) =
        note step Rule.PathLost link.Active

        forEach step link (fun own ->
            if own.State = StreamState.Established then
                Migration.suspend own
                step.Context.Effects.Add(Effect.PathLost own.ConnId))

        search step random link

    let private timedOut step (link: Link) =
        note step Rule.PathTimedOut link.Active
        endSearch step link
        let tasks = step.Node.NodeTasks
        step.Node.NodeTasks <- { tasks with Links = Radix.remove (int link.Session) tasks.Links }

        forEach step link (fun own ->
            if own.State = StreamState.Established then
                counted step own (fun () -> Closing.closeWithReset step.Context CloseReason.TimedOut own))

    /// Tells the streams what has become of their paths.
    let settle step (random: int -> Owned) =
        let changed = step.Node.NodeTasks.Changed

        if changed.Length > 0 then
            step.Node.NodeTasks <- { step.Node.NodeTasks with Changed = [||] }

            for key in changed do
                match Radix.tryFind key step.Node.NodeTasks.Links with
                | ValueSome link when link.Outcome.IsSome ->
                    change step { link with Outcome = ValueNone }

                    match link.Outcome.Value with
                    | LinkOutcome.Switched(before, path, isSameAddress, roundTrip) ->
                        switched step link before path isSameAddress roundTrip
                    | LinkOutcome.Explore when isBusy step link ->
                        change step (BetterPath.start step.Context { link with Outcome = ValueNone })
                    | LinkOutcome.Explore -> ()
                    | LinkOutcome.Lost when isHeard step link ->
                        change step (Link.stay step.Node.Now { link with Outcome = ValueNone })
                    | LinkOutcome.Lost -> lost step random link
                    | LinkOutcome.Search -> search step random link
                    | LinkOutcome.TimedOut -> timedOut step link
                | _ -> ()

    // ---- Events ----

    /// The number of links that are probed at once when an own address has changed; the others follow.
    let private atOnce = 16
    let private spread = Time.milliseconds 10

    let networkChanged step (hosts: Endpoint[]) =
        let node = step.Node
        let links = ResizeArray<Link>()
        Radix.iterate (fun _ (link: Link) -> if link.Streams.Length > 0 then links.Add link) node.NodeTasks.Links

        for index in 0 .. links.Count - 1 do
            let later = int64 (max 0 (index - atOnce)) * spread
            change step (Link.move (node.Now + later) hosts links[index])

    /// An own address is gone: the system chooses another one.
    let localGone step (local: uint16) =
        iterate step.Node (fun stored ->
            if stored.Remote.Local = local then
                let own = touch step stored
                own.Remote <- Endpoint.forgetLocal local own.Remote)

        Radix.iterate
            (fun _ (link: Link) ->
                if link.Active.Local = local then change step (Link.forgetLocal step.Node.Now local link))
            step.Node.NodeTasks.Links
