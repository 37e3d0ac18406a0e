namespace UtpPunch.Protocol

/// All meetings, punches and discoveries of a node. A value, apart from the streams, so that these pay nothing for it.
[<NoComparison>]
type internal NodeTasks =
    {
        /// By the low half of the handle, and when they are due. An entry may be too early.
        Meetings: Radix<RendezvousClient>
        MeetingTimers: TimerQueue
        Punches: PunchTable
        /// By the task.
        Legacy: Radix<LegacyPunch>
        Discoveries: Radix<StunClient>
        /// By the low half of the session.
        Links: Radix<Link>
        /// When they are due. An entry may be too early.
        LinkTimers: TimerQueue
        /// By the stream, and when they are due.
        Agreements: Radix<KeyAgreement>
        AgreementTimers: TimerQueue
        /// From when on a share may be answered.
        AgreesAt: Instant
        /// Links whose streams must learn something.
        Changed: int[]
        Paths: MeetingPaths
        Aliases: Aliases
        Sockets: SocketRange[]
        /// The limit of probes to addresses that have not answered: when its bucket is full again.
        UnverifiedProbes: Instant
        DueAt: Instant
    }

/// Their storage, and when they are due.
module internal NodeTasksState =
    /// The key is that of the hashes of addresses.
    let create (hashKey: uint64) : NodeTasks =
        { Meetings = Radix.empty
          MeetingTimers = TimerQueue.empty
          Punches = PunchTable.create hashKey
          Legacy = Radix.empty
          Discoveries = Radix.empty
          Links = Radix.empty
          LinkTimers = TimerQueue.empty
          Agreements = Radix.empty
          AgreementTimers = TimerQueue.empty
          AgreesAt = LinkPath.never
          Changed = [||]
          Paths = MeetingPaths.create hashKey
          Aliases = Aliases.create hashKey
          Sockets = [||]
          UnverifiedProbes = 0L<us>
          DueAt = Time.never }

    let isIdle (all: NodeTasks) =
        Radix.count all.Links = 0
        && Radix.count all.Meetings = 0
        && PunchTable.count all.Punches = 0
        && Radix.count all.Legacy = 0
        && Radix.count all.Discoveries = 0

    let withDeadline (all: NodeTasks) : NodeTasks =
        let mutable due =
            SocketNumbers.deadline all.Sockets
            |> min (TimerQueue.first all.LinkTimers)
            |> min (TimerQueue.first all.AgreementTimers)
            |> min (TimerQueue.first all.MeetingTimers)
            |> min (PunchTable.due all.Punches)

        Radix.iterate (fun _ punch -> due <- min due (LegacyPunch.deadline punch)) all.Legacy
        Radix.iterate (fun _ client -> due <- min due (StunClient.deadline client)) all.Discoveries
        { all with DueAt = due }

    // ---- Meetings ----

    let private addMeetingTimer (meeting: RendezvousClient) (all: NodeTasks) : NodeTasks =
        let at = RendezvousClient.deadline meeting

        if at = Time.never then
            all
        else
            let isCurrent at key =
                match Radix.tryFind key all.Meetings with
                | ValueSome meeting -> RendezvousClient.deadline meeting = at
                | ValueNone -> false

            let timers = TimerQueue.add at (int meeting.Handle) all.MeetingTimers
            { all with MeetingTimers = TimerQueue.compact (64 + 8 * Radix.count all.Meetings) isCurrent timers }

    /// Keeps a meeting, a new one or one to which something has happened.
    let keepMeeting (meeting: RendezvousClient) (all: NodeTasks) : NodeTasks =
        let key = int meeting.Handle

        let isQueued =
            match Radix.tryFind key all.Meetings with
            | ValueSome before -> RendezvousClient.deadline before = RendezvousClient.deadline meeting
            | ValueNone -> false

        let all = { all with Meetings = Radix.add key meeting all.Meetings }
        if isQueued then all else addMeetingTimer meeting all

    /// Does what is due of meetings. `random` gives that many fresh words of 32 bits.
    let tickMeetings (context: StepContext) (random: int -> Owned) (all: NodeTasks) : NodeTasks =
        let mutable result = all

        while TimerQueue.first result.MeetingTimers <= context.Now do
            let struct (_, key, rest) = TimerQueue.pop result.MeetingTimers
            result <- { result with MeetingTimers = rest }

            match Radix.tryFind key result.Meetings with
            | ValueSome meeting when RendezvousClient.deadline meeting <= context.Now ->
                // The entry is used up: what follows needs one of its own, also at the same time.
                let others = { result with Meetings = Radix.remove key result.Meetings }

                result <-
                    match RendezvousClient.tick context (random 3) meeting with
                    | ValueSome meeting -> keepMeeting meeting others
                    | ValueNone -> others
            | _ -> ()

        result

    /// Whether a datagram is an answer that a discovery awaits, though it looks like uTP.
    let awaits (datagram: Borrowed) (all: NodeTasks) = Radix.count all.Discoveries > 0 && Stun.looksLike datagram

    // ---- Links ----

    /// Keeps a link to which something has happened.
    let keepLink (link: Link) (all: NodeTasks) : NodeTasks =
        let key = int link.Session

        let known =
            match Radix.tryFind key all.Links with
            | ValueSome before -> before.DueAt = link.DueAt
            | ValueNone -> false

        let timers =
            if known || link.DueAt = Time.never then
                all.LinkTimers
            else
                TimerQueue.add link.DueAt key all.LinkTimers

        { all with
            Links = Radix.add key link all.Links
            LinkTimers = timers
            Changed = (if link.Outcome.IsSome then Array.append all.Changed [| key |] else all.Changed)
            DueAt = min all.DueAt link.DueAt }

    let tryLink (session: uint64) (all: NodeTasks) : Link voption =
        match Radix.tryFind (int session) all.Links with
        | ValueSome link when link.Session = session -> ValueSome link
        | _ -> ValueNone

    /// What a punch has found becomes a link, or is the path that a link has searched.
    let connect (context: StepContext) (path: Endpoint) source (punch: Punch) (all: NodeTasks) : NodeTasks =
        if not (OwnTasks.isOwn punch.Setup.TaskId) then
            let link = Link.ofPunch context.Now punch.Setup path source punch.SeenAs
            // Two links with one half of their numbers: the second one is none.
            if (Radix.tryFind (int link.Session) all.Links).IsSome then all else keepLink link all
        else
            let mutable result = all

            Radix.iterate
                (fun _ (link: Link) ->
                    if OwnTasks.ofLink link.Session = punch.Setup.TaskId then
                        result <- keepLink (Link.join context.Now path source punch.SeenAs 0L<us> link) result)
                all.Links

            result

    /// Does what is due of links.
    let tickLinks (context: StepContext) (all: NodeTasks) : NodeTasks =
        let mutable result = all

        while TimerQueue.first result.LinkTimers <= context.Now do
            let struct (_, key, rest) = TimerQueue.pop result.LinkTimers
            result <- { result with LinkTimers = rest }

            match Radix.tryFind key result.Links with
            | ValueSome link when Link.isOver context.Now link ->
                result <- { result with Links = Radix.remove key result.Links }
            | ValueSome link when link.DueAt <= context.Now ->
                // The entry is used up: what follows needs one of its own, also at the same time.
                let used = { link with NextAt = Time.never; Exploration = Exploration.none }
                let waiting = Radix.add key used result.Links
                result <- keepLink (Link.tick context link) { result with Links = waiting }
            | _ -> ()

        result

    // ---- Agreements ----

    let keepAgreement (connId: ConnId) (agreement: KeyAgreement) (all: NodeTasks) : NodeTasks =
        { all with
            Agreements = Radix.add connId agreement all.Agreements
            AgreementTimers = TimerQueue.add agreement.NextAt connId all.AgreementTimers
            DueAt = min all.DueAt agreement.NextAt }

    let forgetAgreement (connId: ConnId) (all: NodeTasks) : NodeTasks =
        let left = Radix.remove connId all.Agreements

        if obj.ReferenceEquals(left, all.Agreements) then
            all
        else
            { all with
                Agreements = left
                AgreesAt = (if Radix.count left = 0 then LinkPath.never else all.AgreesAt) }
