namespace UtpPunch.Protocol

open System

/// A peer that may open a stream, though nobody listens: we have punched to each other.
[<NoComparison>]
type internal Expected = { Remote: Endpoint; Until: Instant }

/// A peer whose packets come from another address than ours go to.
[<NoComparison>]
type internal Alias = { From: Endpoint; Path: Endpoint }

/// All meetings and punches of a node. A value; what has no business in it is left alone, so that streams pay nothing for it.
[<NoComparison>]
type internal Introductions =
    {
        /// By the low half of the handle, and of the session.
        Meetings: Radix<Meeting>
        Punches: Radix<Punch>
        /// By the task.
        Legacy: Radix<LegacyPunch>
        Discoveries: Radix<StunClient>
        Expected: Expected[]
        Aliases: Alias[]
        DueAt: Instant
    }

module internal Introductions =
    /// Tasks of each kind at once.
    [<Literal>]
    let private Limit = 1024

    [<Literal>]
    let private MaxExpected = 64

    [<Literal>]
    let private MaxAliases = 64

    let private expectFor = Time.seconds 30

    let empty =
        { Meetings = Radix.empty
          Punches = Radix.empty
          Legacy = Radix.empty
          Discoveries = Radix.empty
          Expected = [||]
          Aliases = [||]
          DueAt = Time.never }

    let isIdle (all: Introductions) =
        Radix.count all.Meetings = 0
        && Radix.count all.Punches = 0
        && Radix.count all.Legacy = 0
        && Radix.count all.Discoveries = 0

    let isExpected (now: Instant) (remote: Endpoint) (all: Introductions) =
        all.Expected |> Array.exists (fun it -> now < it.Until && it.Remote.Equals remote)

    /// Under which address the sender of a packet is known.
    let pathOf (from: Endpoint) (all: Introductions) : Endpoint =
        let mutable path = from

        for alias in all.Aliases do
            if alias.From.Equals from then path <- alias.Path

        path

    let private withDeadline (all: Introductions) : Introductions =
        let mutable due = Time.never
        Radix.iterate (fun _ meeting -> due <- min due (Meeting.deadline meeting)) all.Meetings
        Radix.iterate (fun _ punch -> due <- min due (Punch.deadline punch)) all.Punches
        Radix.iterate (fun _ punch -> due <- min due (LegacyPunch.deadline punch)) all.Legacy
        Radix.iterate (fun _ client -> due <- min due (StunClient.deadline client)) all.Discoveries
        { all with DueAt = due }

    /// Whether a datagram is an answer that we wait for, though it looks like uTP.
    let awaits (datagram: Bytes) (all: Introductions) = Radix.count all.Discoveries > 0 && Stun.looksLike datagram

    // ---- Entering and leaving ----

    let private expect (turn: Turn) remote (all: Introductions) =
        let live = all.Expected |> Array.filter (fun it -> turn.Now < it.Until && not (it.Remote.Equals remote))
        let kept = if live.Length >= MaxExpected then Array.tail live else live
        { all with Expected = Array.append kept [| { Remote = remote; Until = turn.Now + expectFor } |] }

    /// Keeps a punch after whatever happened to it.
    let private keep (turn: Turn) (before: Punch) (after: Punch) (all: Introductions) =
        let key = int after.Session

        if Punch.isGone turn.Now after then
            { all with Punches = Radix.remove key all.Punches }
        else
            let all = { all with Punches = Radix.add key after all.Punches }

            match before.Phase, after.Phase with
            | PunchPhase.Open _, _ -> all
            | _, PunchPhase.Open(path, from, _) ->
                let others = all.Aliases |> Array.filter (fun it -> not (it.From.Equals from))
                let kept = if others.Length >= MaxAliases then Array.tail others else others
                let own = if from.Equals path then [||] else [| { From = from; Path = path } |]
                let all = { all with Aliases = Array.append kept own }
                if after.IsLower then all else expect turn path all
            | _ -> all

    let private keepLegacy (turn: Turn) (after: LegacyPunch) (all: Introductions) =
        if after.IsOver && turn.Now >= after.Until then
            { all with Legacy = Radix.remove after.TaskId all.Legacy }
        else
            { all with Legacy = Radix.add after.TaskId after all.Legacy }

    /// A step of a discovery, and what it wants.
    let private discover (turn: Turn) taskId (events: StunEvent[]) (client: StunClient) (all: Introductions) =
        let struct (client, effects) = StunClient.step turn.Now events client
        let mutable all = { all with Discoveries = Radix.add taskId client all.Discoveries }

        for effect in effects do
            match effect with
            | StunEffect.Send(remote, datagram) -> turn.Effects.Add(Effect.SendDatagram(remote, datagram, 0))
            | StunEffect.Done outcome ->
                turn.Effects.Add(Effect.Discovered(taskId, outcome))
                all <- { all with Discoveries = Radix.remove taskId all.Discoveries }

        all

    // ---- What the application says ----

    /// `random` gives so many fresh words of 32 bits.
    let meet (turn: Turn) (random: int -> Bytes) taskId (plan: MeetPlan) (all: Introductions) =
        if plan.Room.Length <> 32 then invalidArg (nameof plan) "A room's key is 32 bytes."

        let handle = Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian (random 2).Span
        let meeting = Meeting.create taskId plan handle (random 4) (random 4) turn.Now

        if Radix.count all.Meetings >= Limit || (Radix.tryFind (int handle) all.Meetings).IsSome then
            Meeting.cancel turn meeting
            all
        else
            { all with Meetings = Radix.add (int handle) meeting all.Meetings; DueAt = turn.Now }

    let punchLegacy (turn: Turn) taskId remote attempts (all: Introductions) =
        let punch = LegacyPunch.create taskId remote attempts turn.Now

        if Radix.count all.Legacy >= Limit then
            LegacyPunch.cancel turn punch |> ignore
            all
        else
            { all with Legacy = Radix.add taskId punch all.Legacy; DueAt = turn.Now }

    let beginDiscovery (turn: Turn) (random: int -> Bytes) taskId (options: StunOptions) (all: Introductions) =
        if Radix.count all.Discoveries >= Limit then
            turn.Effects.Add(Effect.Discovered(taskId, StunOutcome.Failed(StunFailure.NoAnswer 0L<us>)))
            all
        else
            let client = StunClient.start options (Random.create (random 8)) turn.Now
            discover turn taskId [||] client all |> withDeadline

    let cancel (turn: Turn) taskId (all: Introductions) =
        let mutable result = { all with Discoveries = Radix.remove taskId all.Discoveries }

        Radix.iterate
            (fun key (meeting: Meeting) ->
                if meeting.TaskId = taskId then
                    // One that has left its room has a punch, which tells the end.
                    if meeting.Phase = MeetingPhase.Left then
                        Meeting.leave turn meeting
                    else
                        Meeting.cancel turn meeting

                    result <- { result with Meetings = Radix.remove key result.Meetings })
            all.Meetings

        Radix.iterate
            (fun _ (punch: Punch) ->
                if punch.TaskId = taskId && not (Punch.isOver punch) then
                    result <- keep turn punch (Punch.fail turn PunchStage.Cancelled punch) result)
            all.Punches

        match Radix.tryFind taskId all.Legacy with
        | ValueSome punch -> result <- keepLegacy turn (LegacyPunch.cancel turn punch) result
        | ValueNone -> ()

        withDeadline result

    // ---- What comes ----

    let private isLower (own: Bytes) (other: Bytes) = own.Span.SequenceCompareTo other.Span < 0

    /// Makes a punch of an introduction.
    let private begin' (turn: Turn) (random: int -> Bytes) (it: Introduction) (meeting: Meeting) (all: Introductions) =
        match Secrets.unseal meeting.Plan.Room it.Offer |> ValueOption.bind Offer.read with
        | ValueNone ->
            turn.Effects.Add(Effect.Noted(Rule.OfferRejected, it.Observed))
            // Whoever stays goes on waiting for others.
            if not meeting.Plan.Stays then Meeting.fail turn PunchStage.Rejected meeting

            all
        | ValueSome offer ->
            let lower = isLower meeting.Peer it.Peer
            let first, second = if lower then meeting.Nonce, offer.Nonce else offer.Nonce, meeting.Nonce
            let key = Secrets.punch meeting.Plan.Room it.Nonce first second
            let draw = Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian (random 1).Span

            let punch =
                Punch.create
                    meeting.TaskId
                    meeting.Plan
                    it.Nonce
                    key
                    lower
                    meeting.Observed
                    (Meeting.mapping meeting)
                    it.Observed
                    offer
                    draw
                    turn.Now

            match Radix.tryFind (int punch.Session) all.Punches with
            | ValueSome known when known.Introduction.Equals it.Nonce -> all
            | known when known.IsSome || Radix.count all.Punches >= Limit ->
                Punch.fail turn PunchStage.Cancelled punch |> ignore
                all
            | _ ->
                turn.Effects.Add(Effect.Introduced(meeting.TaskId, it.Observed))
                { all with Punches = Radix.add (int punch.Session) (Punch.tick turn punch) all.Punches }

    let private goes (turn: Turn) (introduction: Bytes) start (all: Introductions) =
        let mutable result = all

        Radix.iterate
            (fun _ (punch: Punch) ->
                if punch.Introduction.Equals introduction then
                    result <- keep turn punch (Punch.go start punch |> Punch.tick turn) result)
            all.Punches

        result

    let private handleOf message =
        match message with
        | RendezvousMessage.Challenge(handle, _, _, _, _)
        | RendezvousMessage.Registered(handle, _, _, _)
        | RendezvousMessage.Observed(handle, _)
        | RendezvousMessage.Introduce(handle, _)
        | RendezvousMessage.Go(handle, _, _)
        | RendezvousMessage.Full handle -> ValueSome handle
        | RendezvousMessage.Register _
        | RendezvousMessage.Acknowledge _
        | RendezvousMessage.Leave _
        | RendezvousMessage.Observe _ -> ValueNone

    let private receiveMessage turn random (from: Endpoint) message (all: Introductions) : Introductions voption =
        let meeting =
            match handleOf message with
            | ValueSome handle ->
                match Radix.tryFind (int handle) all.Meetings with
                | ValueSome meeting when meeting.Handle = handle -> ValueSome meeting
                | _ -> ValueNone
            | ValueNone -> ValueNone

        match meeting, message with
        | ValueNone, _ -> ValueNone
        | ValueSome meeting, RendezvousMessage.Introduce(_, introduction) ->
            let struct (isNew, meeting) = Meeting.introduced turn from introduction meeting
            let all = { all with Meetings = Radix.add (int meeting.Handle) meeting all.Meetings }
            ValueSome(if isNew then begin' turn random introduction meeting all else all)
        | ValueSome meeting, RendezvousMessage.Go(_, introduction, wait) ->
            ValueSome(
                if from.Equals meeting.Plan.Server then
                    goes turn introduction (turn.Now + wait) all
                else
                    all
            )
        | ValueSome meeting, _ ->
            let meeting = Meeting.receive turn from message meeting
            ValueSome { all with Meetings = Radix.add (int meeting.Handle) meeting all.Meetings }

    let private receiveLegacy (turn: Turn) (from: Endpoint) datagram (all: Introductions) =
        let mutable result = ValueNone

        Radix.iterate
            (fun _ (punch: LegacyPunch) ->
                if Endpoint.isSameAddress punch.Remote from then
                    result <- ValueSome(keepLegacy turn (LegacyPunch.receive turn from datagram punch) all))
            all.Legacy

        result

    /// A datagram that is not uTP; none when it is for nobody here.
    let receive
        (turn: Turn)
        (random: int -> Bytes)
        from
        (datagram: Bytes)
        (all: Introductions)
        : Introductions voption =
        let result =
            if isIdle all then
                ValueNone
            elif awaits datagram all then
                let mutable result = all

                Radix.iterate
                    (fun taskId client ->
                        result <- discover turn taskId [| StunEvent.Received(from, datagram) |] client result)
                    all.Discoveries

                ValueSome result
            elif LegacyPunch.isQuestion datagram || LegacyPunch.isAnswer datagram then
                receiveLegacy turn from datagram all
            else
                match PunchWire.decodeProbe datagram with
                | ValueSome probe ->
                    match Radix.tryFind (int probe.Session) all.Punches with
                    | ValueSome punch when punch.Session = probe.Session ->
                        ValueSome(keep turn punch (Punch.receive turn from probe datagram punch |> Punch.tick turn) all)
                    | _ -> ValueNone
                | ValueNone ->
                    match PunchWire.decode datagram with
                    | ValueSome message -> receiveMessage turn random from message all
                    | ValueNone -> ValueNone

        match result with
        | ValueSome all -> ValueSome(withDeadline all)
        | ValueNone -> ValueNone

    // ---- Time ----

    /// Does what is due.
    let tick (turn: Turn) (random: int -> Bytes) (all: Introductions) : Introductions =
        if turn.Now < all.DueAt then
            all
        else
            let mutable result = all

            Radix.iterate
                (fun key (meeting: Meeting) ->
                    if Meeting.deadline meeting <= turn.Now then
                        let meetings =
                            match Meeting.tick turn (random 3) meeting with
                            | ValueSome meeting -> Radix.add key meeting result.Meetings
                            | ValueNone -> Radix.remove key result.Meetings

                        result <- { result with Meetings = meetings })
                all.Meetings

            Radix.iterate
                (fun _ (punch: Punch) ->
                    if Punch.deadline punch <= turn.Now then
                        result <- keep turn punch (Punch.tick turn punch) result)
                all.Punches

            Radix.iterate
                (fun _ (punch: LegacyPunch) ->
                    if LegacyPunch.deadline punch <= turn.Now then
                        result <- keepLegacy turn (LegacyPunch.tick turn punch) result)
                all.Legacy

            Radix.iterate
                (fun taskId client ->
                    if StunClient.deadline client <= turn.Now then
                        result <- discover turn taskId [||] client result)
                all.Discoveries

            withDeadline result
