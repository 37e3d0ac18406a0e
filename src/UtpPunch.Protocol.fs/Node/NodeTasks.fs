namespace UtpPunch.Protocol

open System

/// What happens to them.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal NodeTasks =
    open NodeTasksState

    /// Tasks of each kind at once.
    [<Literal>]
    let private Limit = 1024

    // ---- Storing ----

    /// Does what is due of a punch, with sockets for it if it needs them, and gives them back when it is over.
    let private tickPunch (context: StepContext) (punch: Punch) (all: NodeTasks) : struct (Punch * NodeTasks) =
        let struct (first, sockets) =
            if Punch.wantsSockets context.Now punch then
                SocketNumbers.take context.Now BirthdayProbing.Sockets all.Sockets
            else
                struct (punch.FirstSocket, all.Sockets)

        let punch = if first = punch.FirstSocket then punch else { punch with FirstSocket = first }
        let after = Punch.tick context (PunchLimits.allowance context.Now all.UnverifiedProbes) punch
        let sent = after.SentUnverified - punch.SentUnverified
        let probes = PunchLimits.spend context.Now sent all.UnverifiedProbes
        struct (after, { all with Sockets = sockets; UnverifiedProbes = probes })

    /// A punch is over: the rendezvous that has introduced the peer is told how, if the application allows that.
    let private tellServer (context: StepContext) stage kind (punch: Punch) (all: NodeTasks) =
        match Radix.tryFind (int punch.Setup.Handle) all.Meetings with
        | ValueSome meeting when punch.Setup.Plan.Reports && meeting.Handle = punch.Setup.Handle ->
            RendezvousClient.report context stage kind punch meeting
        | _ -> ()

    /// A punch has failed: the client returns to its room if nothing was heard, and otherwise that is the result.
    let private failed (context: StepContext) (report: PunchReport) (punch: Punch) (all: NodeTasks) =
        let returned =
            match Radix.tryFind (int punch.Setup.Handle) all.Meetings with
            | ValueSome meeting when
                meeting.Handle = punch.Setup.Handle
                && meeting.Phase = RendezvousPhase.Left
                && report.Stage = PunchStage.NothingHeard
                ->
                let isTorn = not punch.HasPeerBegun
                RendezvousClient.returnFrom context.Now punch.Setup.PeerObserved isTorn (ValueSome report) meeting
            | _ -> ValueNone

        match returned with
        | ValueSome meeting -> keepMeeting meeting all
        | ValueNone ->
            OwnTasks.tell context punch.Setup.TaskId (Effect.Punched(punch.Setup.TaskId, report))
            all

    /// Keeps a punch to which something has happened.
    let rec private keep (context: StepContext) (before: Punch) (changed: Punch) (all: NodeTasks) =
        let struct (after, all) = tickPunch context changed all
        let ends = Punch.isOver after && not (Punch.isOver before)
        let latest = Time.after (PunchLimits.hold (PunchTable.count all.Punches)) context.Now
        let after = if ends then Punch.keepUntil latest after else after

        let all =
            if after.FirstSocket > 0 && ends then
                let sockets = SocketNumbers.release context.Now after.FirstSocket (Punch.socket after) all.Sockets
                { all with Sockets = sockets }
            else
                all

        if Punch.isGone context.Now after then
            { all with Punches = PunchTable.remove after all.Punches }
        else
            let all = { all with Punches = PunchTable.set after all.Punches }

            let isChosen =
                match before.Phase, after.Phase with
                | PunchPhase.Probing, (PunchPhase.Choosing _ | PunchPhase.Open _) -> true
                | _ -> false

            let all = if isChosen then dropOthers context after all else all
            settlePunch context before after all

    /// The path to the peer is chosen: its other punches end.
    and private dropOthers context (punch: Punch) (all: NodeTasks) =
        PunchGroups.others punch all.Punches
        |> Array.fold (fun all other -> keep context other (Punch.fail context PunchStage.Cancelled other) all) all

    and private settlePunch context (before: Punch) (after: Punch) (all: NodeTasks) =
        match before.Phase, after.Phase with
        | (PunchPhase.Open _ | PunchPhase.Failed _), _ -> all
        | _, PunchPhase.Failed(report, _) ->
            tellServer context report.Stage PathKind.Host after all
            failed context report after all
        | _, PunchPhase.Open(path, from, _) ->
            let kind = Punch.kindOf path { after with BirthdayProbing = before.BirthdayProbing }
            tellServer context PunchStage.Open kind after all
            let aliases = Aliases.set context.Now from path all.Aliases
            let all = { all with Aliases = aliases } |> connect context path from after

            if OwnTasks.isOwn after.Setup.TaskId then
                all
            else
                { all with Paths = MeetingPaths.add context.Now path after.Setup.Key all.Paths }
        | _ -> all

    let private keepLegacy (context: StepContext) (after: LegacyPunch) (all: NodeTasks) =
        if after.IsOver && context.Now >= after.Until then
            { all with Legacy = Radix.remove after.TaskId all.Legacy }
        else
            { all with Legacy = Radix.add after.TaskId after all.Legacy }

    /// Takes a step of a discovery, and performs its effects.
    let private discover (context: StepContext) taskId (events: StunEvent[]) (client: StunClient) (all: NodeTasks) =
        let struct (client, effects) = StunClient.step context.Now events client
        let mutable all = { all with Discoveries = Radix.add taskId client all.Discoveries }

        for effect in effects do
            match effect with
            | StunEffect.Send(remote, datagram) -> context.Effects.Add(Effect.SendDatagram(remote, datagram, 0))
            | StunEffect.Done outcome ->
                context.Effects.Add(Effect.Discovered(taskId, outcome))
                all <- { all with Discoveries = Radix.remove taskId all.Discoveries }

        all

    // ---- Commands ----

    /// `random` gives that many fresh words of 32 bits.
    let private meetAs (context: StepContext) (random: int -> Owned) taskId group (plan: MeetPlan) peer nonce all =
        if plan.Room.Length <> 32 then invalidArg (nameof plan) "A room's key is 32 bytes."

        if Array.isEmpty plan.Servers then
            invalidArg (nameof plan) "A meeting needs an address of a rendezvous."

        let handle = Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian (random 2).Span
        let meeting = RendezvousClient.create taskId group plan handle peer nonce context.Now

        if Radix.count all.Meetings >= Limit || (Radix.tryFind (int handle) all.Meetings).IsSome then
            RendezvousClient.fail context PunchStage.TooManyPunches meeting
            all
        else
            { keepMeeting meeting all with DueAt = context.Now }

    let punchLegacy (context: StepContext) taskId remote attempts (all: NodeTasks) =
        let punch = LegacyPunch.create taskId remote attempts context.Now

        if Radix.count all.Legacy >= Limit then
            LegacyPunch.cancel context punch |> ignore
            all
        else
            { all with Legacy = Radix.add taskId punch all.Legacy; DueAt = context.Now }

    let meet context (random: int -> Owned) taskId plan all =
        let peer, nonce = random 4, random 4
        meetAs context random taskId taskId plan peer nonce all

    /// Meets at a further server under the name of the other meetings of a group; under a new one if all of those are over.
    let meetAlso
        (context: StepContext)
        (random: int -> Owned)
        taskId
        (first: TaskId)
        (plan: MeetPlan)
        (all: NodeTasks)
        =
        let mutable found = ValueNone
        Radix.iterate (fun _ (it: RendezvousClient) -> if it.Group = first then found <- ValueSome it) all.Meetings

        match found with
        | ValueSome it -> meetAs context random taskId first plan it.Peer it.Nonce all
        | ValueNone ->
            let peer, nonce = random 4, random 4
            meetAs context random taskId first plan peer nonce all

    let punchOffered (context: StepContext) (random: int -> Owned) taskId (plan: MeetPlan) own peer answers all =
        if plan.Room.Length <> 32 then invalidArg (nameof plan) "A room's key is 32 bytes."

        let draw = Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian (random 1).Span

        match OfferedPunch.tryCreate context.Now draw taskId plan own peer answers with
        | ValueSome punch when PunchTable.count all.Punches >= PunchLimits.Most ->
            keep context punch (Punch.fail context PunchStage.TooManyPunches punch) all |> withDeadline
        | ValueSome punch when PunchTable.isTaken punch.Setup.Session all.Punches ->
            keep context punch (Punch.fail context PunchStage.Cancelled punch) all |> withDeadline
        | ValueSome punch -> keep context punch (PunchLimits.withoutNat64 context.Nat64 punch) all |> withDeadline
        | ValueNone ->
            let report = { PunchReport.none with Stage = PunchStage.Rejected }
            context.Effects.Add(Effect.Punched(taskId, report))
            all

    let beginDiscovery (context: StepContext) (random: int -> Owned) taskId (options: StunOptions) (all: NodeTasks) =
        if Radix.count all.Discoveries >= Limit then
            context.Effects.Add(Effect.Discovered(taskId, StunOutcome.Failed(StunFailure.NoAnswer 0L<us>)))
            all
        else
            let client = StunClient.start options (Random.create (random 8)) context.Now
            discover context taskId [||] client all |> withDeadline

    /// The name of a meeting's rendezvous has other addresses.
    let relocate (context: StepContext) taskId (servers: Endpoint[]) (all: NodeTasks) =
        let mutable result = all

        Radix.iterate
            (fun _ (meeting: RendezvousClient) ->
                if meeting.TaskId = taskId && servers.Length > 0 then
                    let meeting = RendezvousClient.relocate context servers meeting
                    result <- keepMeeting meeting result)
            all.Meetings

        withDeadline result

    let cancel (context: StepContext) taskId (all: NodeTasks) =
        let mutable result = { all with Discoveries = Radix.remove taskId all.Discoveries }

        Radix.iterate
            (fun key (meeting: RendezvousClient) ->
                if meeting.TaskId = taskId then
                    // One that has left its room has a punch, which tells the end.
                    if meeting.Phase = RendezvousPhase.Left then
                        RendezvousClient.leave context meeting
                    else
                        RendezvousClient.cancel context meeting

                    result <- { result with Meetings = Radix.remove key result.Meetings })
            all.Meetings

        Radix.iterate
            (fun _ (punch: Punch) ->
                if punch.Setup.TaskId = taskId && not (Punch.isOver punch) then
                    result <- keep context punch (Punch.fail context PunchStage.Cancelled punch) result)
            all.Punches.All

        match Radix.tryFind taskId all.Legacy with
        | ValueSome punch -> result <- keepLegacy context (LegacyPunch.cancel context punch) result
        | ValueNone -> ()

        withDeadline result

    // ---- Datagrams ----

    /// Makes room for a punch in a room in which this node stays, so that peers that are never heard do not use up the limit. None if too many
    /// with the same source have not been heard yet.
    let private makeRoom (context: StepContext) source (all: NodeTasks) : NodeTasks voption =
        match PunchLimits.makeRoom context.Now source all.Punches with
        | ValueNone -> ValueNone
        | ValueSome(struct (early, punches)) ->
            let mutable result = { all with Punches = punches }

            for punch in early do
                result <- keep context punch (Punch.fail context PunchStage.NothingHeard punch) result
                // Its peer was never heard, and need not be refused a path.
                result <- { result with Punches = PunchTable.remove punch result.Punches }

            ValueSome result

    /// The offer is not one of the room's. A client that stays waits for further peers, and another one returns to the room.
    let private reject (context: StepContext) (it: Introduction) (meeting: RendezvousClient) (all: NodeTasks) =
        context.Effects.Add(Effect.Noted(Rule.OfferRejected, it.Observed))

        match RendezvousClient.returnFrom context.Now it.Observed false ValueNone meeting with
        | ValueSome meeting -> keepMeeting meeting all
        | ValueNone when meeting.Plan.Stays -> keepMeeting meeting all
        | ValueNone ->
            RendezvousClient.fail context PunchStage.Rejected meeting
            keepMeeting (RendezvousClient.punching context.Now meeting) all

    let private start (context: StepContext) (meeting: RendezvousClient) (punch: Punch) (all: NodeTasks) =
        let room =
            if meeting.Plan.Stays then
                makeRoom context punch.Setup.PeerObserved all
            else
                ValueSome all

        match room with
        // A repetition, or another punch with the same number: the meeting goes on.
        | _ when PunchTable.isTaken punch.Setup.Session all.Punches -> all
        | ValueNone -> all
        | ValueSome all when PunchTable.count all.Punches >= PunchLimits.Most ->
            match Punch.fail context PunchStage.TooManyPunches punch with
            | { Phase = PunchPhase.Failed(report, _) } ->
                OwnTasks.tell context meeting.TaskId (Effect.Punched(meeting.TaskId, report))
                keepMeeting (RendezvousClient.punching context.Now meeting) all
            | _ -> all
        | ValueSome all ->
            OwnTasks.tell context meeting.TaskId (Effect.Introduced(meeting.TaskId, punch.Setup.PeerObserved))
            keepMeeting (RendezvousClient.punching context.Now meeting) all |> keep context punch punch

    /// Begins to punch after an introduction.
    let private begin' (context: StepContext) (random: int -> Owned) (it: Introduction) meeting (all: NodeTasks) =
        let draw = Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian (random 1).Span

        match RendezvousClient.punchOf context.Now draw it meeting with
        | ValueSome punch -> start context meeting (PunchLimits.withoutNat64 context.Nat64 punch) all
        | ValueNone -> reject context it meeting all

    let private goes (context: StepContext) (introduction: Borrowed) start (all: NodeTasks) =
        match PunchTable.ofIntroduction introduction all.Punches with
        | ValueSome punch -> keep context punch (Punch.go start punch) all
        | ValueNone -> all

    let private receiveMessage context random (from: Endpoint) message (all: NodeTasks) : NodeTasks voption =
        let meeting =
            match PunchWire.handleOfAnswer message with
            | ValueSome handle ->
                match Radix.tryFind (int handle) all.Meetings with
                | ValueSome meeting when meeting.Handle = handle -> ValueSome meeting
                | _ -> ValueNone
            | ValueNone -> ValueNone

        match meeting, message with
        | ValueNone, _ -> ValueNone
        | ValueSome meeting, RendezvousMessage.Introduce(_, introduction) when
            not meeting.Plan.Stays
            && PunchGroups.isTaken meeting.Group meeting.TaskId introduction.Peer all.Punches
            ->
            ValueSome all
        | ValueSome meeting, RendezvousMessage.Introduce(_, introduction) ->
            let isMet = PunchGroups.isMet meeting.Group meeting.TaskId introduction.Peer all.Punches
            let struct (isNew, meeting) = RendezvousClient.introduced context from introduction meeting
            let all = keepMeeting meeting all
            ValueSome(if isNew && not isMet then begin' context random introduction meeting all else all)
        | ValueSome meeting, RendezvousMessage.Go(_, introduction, wait) ->
            ValueSome(
                if from.Equals meeting.Server then
                    goes context introduction (context.Now + wait) all
                else
                    all
            )
        | ValueSome meeting, _ -> ValueSome(keepMeeting (RendezvousClient.receive context from message meeting) all)

    let private receiveLegacy (context: StepContext) (from: Endpoint) datagram (all: NodeTasks) =
        let mutable result = ValueNone

        Radix.iterate
            (fun _ (punch: LegacyPunch) ->
                if Endpoint.isSameAddress punch.Remote from then
                    result <- ValueSome(keepLegacy context (LegacyPunch.receive context from datagram punch) all))
            all.Legacy

        result

    /// Takes a datagram that is not uTP; none when no task awaits it.
    let receive
        (context: StepContext)
        (random: int -> Owned)
        from
        (datagram: Borrowed)
        (all: NodeTasks)
        : NodeTasks voption =
        if isIdle all then
            ValueNone
        elif awaits datagram all then
            let mutable result = all

            Radix.iterate
                (fun taskId client ->
                    result <- discover context taskId [| StunEvent.Received(from, datagram) |] client result)
                all.Discoveries

            ValueSome(withDeadline result)
        elif LegacyPunch.isQuestion datagram || LegacyPunch.isAnswer datagram then
            receiveLegacy context from datagram all |> ValueOption.map withDeadline
        else
            match ProbeWire.decode datagram with
            | ValueSome probe ->
                match PunchTable.tryFind probe.Session all.Punches with
                | ValueSome punch ->
                    keep context punch (Punch.receive context from probe datagram punch) all
                    |> withDeadline
                    |> ValueSome
                | ValueNone ->
                    match tryLink probe.Session all with
                    | ValueSome link -> ValueSome(keepLink (Link.receive context from probe datagram link) all)
                    | ValueNone -> ValueNone
            | ValueNone ->
                match ProbeWire.decodeAddresses datagram, PunchWire.decode datagram with
                | ValueSome addresses, _ ->
                    tryLink addresses.Session all
                    |> ValueOption.map (fun link -> keepLink (Link.receiveAddresses context from addresses link) all)
                | _, ValueSome message -> receiveMessage context random from message all |> ValueOption.map withDeadline
                | _ -> ValueNone

    // ---- Time ----

    /// Closes the sockets of paths that have been idle for long enough. `isUsed` tells whether a stream uses a socket.
    let closeIdleSockets (context: StepContext) (isUsed: int -> bool) (all: NodeTasks) : NodeTasks =
        if context.Now < SocketNumbers.deadline all.Sockets then
            all
        else
            let struct (closed, sockets) = SocketNumbers.closeIdle context.Now isUsed all.Sockets

            for number in closed do
                context.Effects.Add(Effect.CloseSockets(number, 1, 0))

            withDeadline { all with Sockets = sockets }

    /// Whether the node punches to that endpoint as the npm package does.
    let punches (remote: Endpoint) (all: NodeTasks) =
        let mutable found = false
        Radix.iterate (fun _ (punch: LegacyPunch) -> if punch.Remote.Equals remote then found <- true) all.Legacy
        found

    /// Whether the node holds a meeting for that link, or punches after one.
    let searches (taskId: TaskId) (all: NodeTasks) =
        let mutable found = false
        Radix.iterate (fun _ (meeting: RendezvousClient) -> if meeting.TaskId = taskId then found <- true) all.Meetings
        found || PunchTable.isUnderWay taskId all.Punches

    /// Does what is due.
    let tick (context: StepContext) (random: int -> Owned) (all: NodeTasks) : NodeTasks =
        if context.Now < all.DueAt then
            all
        else
            let mutable result = tickLinks context all

            let struct (due, punches) = PunchTable.takeDue context.Now result.Punches
            result <- { result with Punches = punches }

            for key in due do
                match Radix.tryFind key result.Punches.All with
                | ValueSome punch when Punch.deadline punch <= context.Now ->
                    result <- keep context punch punch result
                    result <- { result with Punches = PunchTable.requeue punch result.Punches }
                | _ -> ()

            // After the punches: the client of one that has failed may register again.
            result <- tickMeetings context random result

            Radix.iterate
                (fun _ (punch: LegacyPunch) ->
                    if LegacyPunch.deadline punch <= context.Now then
                        result <- keepLegacy context (LegacyPunch.tick context punch) result)
                all.Legacy

            Radix.iterate
                (fun taskId client ->
                    if StunClient.deadline client <= context.Now then
                        result <- discover context taskId [||] client result)
                all.Discoveries

            withDeadline result
