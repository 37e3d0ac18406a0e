namespace UtpPunch.Protocol

open System

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal RendezvousClient =
    open RendezvousClientState

    /// The retransmission time-out of a request: 250 ms, doubled up to 2 s.
    let private pauseAfter (tries: int) = Time.milliseconds (min 2000 (250 <<< min 3 (tries - 1)))

    /// The next address is asked if one has not answered for this long (RFC 8305, 5).
    let private nextServerAfter = Time.milliseconds 250

    /// Registrations without an answer before the other addresses are asked, and the name is looked up.
    [<Literal>]
    let private Unanswered = 2

    /// How often the name is looked up while no address answers, in registrations: each 8 s.
    [<Literal>]
    let private LookUpEvery = 4

    /// How often a registration is renewed, which also keeps the NAT's mapping. A client that waits for one peer does so for a short time, and
    /// notices soon that the server was started again; one that stays spares its battery.
    let private renewEvery (meeting: RendezvousClient) =
        if meeting.Plan.Stays then Time.seconds 15 else Time.milliseconds 1500

    /// A ping is answered at once, unless a registration has left just now.
    let private answerEvery = Time.milliseconds 100

    /// How long to wait for the server's first answer: six requests to each of its addresses. One that stays in the room has time.
    let private silence stays = Time.seconds (if stays then 30 else 7)

    /// How long repeated introductions are acknowledged; the server repeats them for six seconds.
    let private linger = Time.seconds 15

    /// The punch of the higher peer takes longer than the plan says, and longer yet when the peers have begun to agree.
    let private punchGrace = Time.seconds 10

    /// How often the other sockets are asked; those that do not answer are left out.
    [<Literal>]
    let private Comparisons = 3

    let create taskId group (plan: MeetPlan) (handle: uint64) peer nonce now =
        { TaskId = taskId
          Group = group
          Plan = plan
          Server = plan.Servers[0]
          Room = Secrets.tag plan.Room
          Handle = handle
          Peer = peer
          Nonce = nonce
          Phase = RendezvousPhase.Knocking
          Cookie = PunchWire.noCookie
          Observed = Endpoint.nowhere
          Others = [||]
          Views = [||]
          Attempt = 0uy
          SentAt = now
          Tries = 0
          NextAt = now
          IsRegistered = false
          WasRegistered = false
          IsRefused = false
          IsRoomFull = false
          RoundTrip = 0L<us>
          StartedAt = now
          GiveUpAt = now + min (silence plan.Stays) plan.Timeout
          Introduction = Owned.Empty
          Avoided = [||]
          LastReport = ValueNone }

    let private tell (context: StepContext) remote message =
        context.Effects.Add(Effect.SendDatagram(remote, PunchWire.encode message, 0))

    /// Where the next registration goes: to one address after the other, then to all of them, until one has answered.
    let private asked (meeting: RendezvousClient) : Endpoint[] =
        if meeting.Phase <> RendezvousPhase.Knocking then
            [| meeting.Server |]
        elif meeting.Tries < meeting.Plan.Servers.Length then
            [| meeting.Plan.Servers[meeting.Tries] |]
        else
            meeting.Plan.Servers

    /// What then is waited for an answer.
    let private pause (meeting: RendezvousClient) =
        let others =
            if meeting.Phase = RendezvousPhase.Knocking then
                meeting.Plan.Servers.Length - 1
            else
                Unanswered

        if meeting.Tries < others then
            nextServerAfter
        else
            pauseAfter (meeting.Tries - others + 1)

    /// `iv` is twelve fresh bytes: two offers must not be sealed with one nonce.
    let private register (context: StepContext) (iv: Owned) (meeting: RendezvousClient) : RendezvousClient =
        let offer =
            if meeting.Phase = RendezvousPhase.Knocking then
                Owned.Empty
            else
                Offer.write
                    { Nonce = meeting.Nonce
                      Birthday = meeting.Plan.Birthday
                      Mapping = mapping meeting
                      Observed = meeting.Observed
                      Last = Array.last (views meeting)
                      Hosts = Array.append (viewsOfOtherFamily meeting) meeting.Plan.Hosts }
                |> Secrets.seal meeting.Plan.Room iv

        let attempt = meeting.Attempt + 1uy

        let cookie = if meeting.Phase = RendezvousPhase.Knocking then PunchWire.noCookie else meeting.Cookie

        let registration =
            RendezvousMessage.Register
                { Room = meeting.Room.AsBorrowed
                  Handle = meeting.Handle
                  Peer = meeting.Peer.AsBorrowed
                  // A cookie is for one address of the server; an introduction may still be acknowledged with it.
                  Cookie = cookie.AsBorrowed
                  Attempt = attempt
                  Stays = meeting.Plan.Stays
                  Offer = offer.AsBorrowed
                  Avoided = (PunchWire.encodeEndpoints (avoided context.Now meeting)).AsBorrowed }

        for server in asked meeting do
            tell context server registration

        { meeting with
            Attempt = attempt
            SentAt = context.Now
            Tries = meeting.Tries + 1
            NextAt = context.Now + pause meeting }

    let private compare (context: StepContext) (meeting: RendezvousClient) : RendezvousClient =
        for index in 0 .. meeting.Others.Length - 1 do
            if meeting.Views[index].IsNone then
                tell context meeting.Others[index] (RendezvousMessage.Observe meeting.Handle)

        { meeting with Tries = meeting.Tries + 1; NextAt = context.Now + pauseAfter (meeting.Tries + 1) }

    let private toRegister (now: Instant) (meeting: RendezvousClient) =
        { meeting with Phase = RendezvousPhase.Registering; Tries = 0; NextAt = now }

    let private acknowledge (context: StepContext) (introduction: Borrowed) (meeting: RendezvousClient) =
        tell
            context
            meeting.Server
            (RendezvousMessage.Acknowledge(
                meeting.Room.AsBorrowed,
                meeting.Handle,
                meeting.Cookie.AsBorrowed,
                introduction,
                meeting.RoundTrip
            ))

    let leave (context: StepContext) (meeting: RendezvousClient) =
        tell
            context
            meeting.Server
            (RendezvousMessage.Leave(meeting.Room.AsBorrowed, meeting.Handle, meeting.Cookie.AsBorrowed))

    /// Tells how a punch has ended. A report that is lost is not repeated.
    let report (context: StepContext) stage kind (punch: Punch) (meeting: RendezvousClient) =
        if MeetingReport.isTold stage then
            let report =
                { Stage = stage
                  Kind = kind
                  Mapping = punch.Setup.Mapping
                  PeerMapping = punch.Setup.PeerOffer.Mapping
                  Elapsed = context.Now - punch.StartedAt }

            let room, cookie = meeting.Room.AsBorrowed, meeting.Cookie.AsBorrowed
            let introduction = punch.Setup.Introduction.AsBorrowed
            tell context meeting.Server (RendezvousMessage.Report(room, meeting.Handle, cookie, introduction, report))

    // ---- Receiving ----

    let private challenged
        (context: StepContext)
        (cookie: Borrowed)
        observed
        (others: Endpoint[])
        isTimed
        (meeting: RendezvousClient)
        =
        let isFirst = meeting.Phase = RendezvousPhase.Knocking

        let meeting =
            { meeting with
                GiveUpAt = (if isFirst then Time.after meeting.Plan.Timeout meeting.StartedAt else meeting.GiveUpAt)
                Cookie = Borrowed.keep cookie
                Observed = observed
                RoundTrip = (if isTimed then context.Now - meeting.SentAt else 0L<us>)
                Tries = 0
                NextAt = context.Now }

        match meeting.Phase with
        | RendezvousPhase.Knocking when others.Length = 0 && (otherFamily meeting).Length = 0 ->
            toRegister context.Now meeting
        | RendezvousPhase.Knocking ->
            let isAny (endpoint: Endpoint) = Endpoint.isSameAddress endpoint { endpoint with High = 0UL; Low = 0UL }

            // A server that is bound to all addresses does not know the one that was used.
            let others =
                others
                |> Array.map (fun other -> if isAny other then Endpoint.withPort other.Port meeting.Server else other)
                |> Array.append (otherFamily meeting)

            { meeting with
                Phase = RendezvousPhase.Comparing
                Others = others
                Views = Array.create others.Length ValueNone }
        | _ -> meeting

    /// Takes a message with this client's handle. An introduction is handled by the caller, who begins the punch.
    let receive
        (context: StepContext)
        (from: Endpoint)
        (message: RendezvousMessage)
        (meeting: RendezvousClient)
        : RendezvousClient =
        let isServer = from.Equals meeting.Server

        match message with
        | RendezvousMessage.Challenge(_, attempt, cookie, observed, others) when
            meeting.Phase = RendezvousPhase.Knocking
            && Array.contains from meeting.Plan.Servers
            // Another address may have been asked since.
            && int (meeting.Attempt - attempt) < meeting.Tries
            ->
            let isLast = attempt = meeting.Attempt
            challenged context cookie observed others isLast { meeting with Server = Endpoint.local 0us from }
        | RendezvousMessage.Challenge(_, attempt, cookie, observed, others) when
            isServer && attempt = meeting.Attempt && meeting.Phase <> RendezvousPhase.Left
            ->
            challenged context cookie observed others true meeting
        | RendezvousMessage.Observed(_, observed) when meeting.Phase = RendezvousPhase.Comparing ->
            let views =
                Array.map2
                    (fun (other: Endpoint) view -> if other.Equals from then ValueSome observed else view)
                    meeting.Others
                    meeting.Views

            let meeting = { meeting with Views = views }
            if views |> Array.forall _.IsSome then toRegister context.Now meeting else meeting
        | RendezvousMessage.Registered(_, attempt, observed, lifetime) when
            isServer
            && meeting.Phase = RendezvousPhase.Registering
            // An answer to a registration of before the last introduction would be a late one.
            && int (meeting.Attempt - attempt) < meeting.Tries
            ->
            if not meeting.WasRegistered then
                OwnTasks.tell context meeting.TaskId (Effect.Registered(meeting.TaskId, observed, mapping meeting))

            { meeting with
                IsRegistered = true
                WasRegistered = true
                Observed = observed
                RoundTrip = (if attempt = meeting.Attempt then context.Now - meeting.SentAt else meeting.RoundTrip)
                Tries = 0
                NextAt = context.Now + min (renewEvery meeting) (lifetime / 3L) }
        | RendezvousMessage.Ping _ when
            isServer
            && meeting.Phase = RendezvousPhase.Registering
            && context.Now - meeting.SentAt >= answerEvery
            ->
            { meeting with NextAt = context.Now }
        // A client that has returned to a room that is full tries again.
        | RendezvousMessage.Full(_, isRoom) when
            isServer && not meeting.WasRegistered && meeting.Phase <> RendezvousPhase.Left
            ->
            { meeting with IsRefused = true; IsRoomFull = isRoom; GiveUpAt = context.Now }
        | _ -> meeting

    /// Acknowledges an introduction. The flag is whether it is a new one, for which a punch may begin.
    let introduced
        (context: StepContext)
        (from: Endpoint)
        (introduction: Introduction)
        (meeting: RendezvousClient)
        : struct (bool * RendezvousClient) =
        if not (from.Equals meeting.Server) then
            struct (false, meeting)
        else
            acknowledge context introduction.Nonce meeting

            if introduction.Nonce.Equals meeting.Introduction then struct (false, meeting)
            elif meeting.Phase = RendezvousPhase.Left then struct (false, meeting)
            else struct (true, { meeting with Introduction = Borrowed.keep introduction.Nonce })

    let private isLower (own: Owned) (other: Borrowed) = own.Span.SequenceCompareTo other.Span < 0

    /// Whether an offer was made where the rendezvous received it. The client has its endpoint and its cookie from one challenge, so both agree
    /// even if its address has changed.
    let private isFrom (observed: Endpoint) (offer: Offer) =
        Endpoint.isSameAddress offer.Observed observed && offer.Observed.Port = observed.Port

    /// The punch with a peer that was introduced; none if its offer is not one of the room's, or was replayed. `draw` is what birthday probing draws its ports
    /// from.
    let punchOf now (draw: uint32) (it: Introduction) (meeting: RendezvousClient) : Punch voption =
        let begin' (offer: Offer) =
            let lower = isLower meeting.Peer it.Peer
            let first, second = if lower then meeting.Nonce, offer.Nonce else offer.Nonce, meeting.Nonce
            let key = Secrets.punch meeting.Plan.Room it.Nonce first.AsBorrowed second.AsBorrowed

            Punch.create
                { TaskId = meeting.TaskId
                  Group = meeting.Group
                  Peer = Borrowed.keep it.Peer
                  Plan = meeting.Plan
                  Start = PunchStart.Introduced
                  Handle = meeting.Handle
                  Introduction = Borrowed.keep it.Nonce
                  Key = key
                  Session = Secrets.session key
                  IsLower = lower
                  Observed = meeting.Observed
                  Mapping = mapping meeting
                  PeerObserved = it.Observed
                  PeerOffer = offer
                  Random = draw }
                now

        Secrets.unseal meeting.Plan.Room it.Offer
        |> ValueOption.bind (fun text -> Offer.read text.AsBorrowed)
        |> ValueOption.bind (fun offer -> if isFrom it.Observed offer then ValueSome(begin' offer) else ValueNone)

    /// A punch has begun: a client that does not stay is no longer registered. It is kept until the punch is over.
    let punching (now: Instant) (meeting: RendezvousClient) : RendezvousClient =
        if meeting.Plan.Stays then
            meeting
        else
            { meeting with
                Phase = RendezvousPhase.Left
                GiveUpAt = now + max linger (meeting.Plan.PunchTimeout + punchGrace) }

    /// A peer could not be met: its offer was not one of the room's, or nothing was heard of it. The client registers again and avoids the
    /// peer; none if the time for the meeting is over, or if the client stays in its room anyway.
    let returnFrom (now: Instant) (peer: Endpoint) isTorn report (meeting: RendezvousClient) =
        let until = Time.after meeting.Plan.Timeout meeting.StartedAt

        if meeting.Plan.Stays || now >= until then
            ValueNone
        else
            ValueSome
                { meeting with
                    Phase = RendezvousPhase.Registering
                    IsRegistered = false
                    Tries = 0
                    NextAt = now
                    GiveUpAt = until
                    Avoided = avoidAlso now (Endpoint.via 0us peer) isTorn meeting.Avoided
                    LastReport = ValueOption.orElse meeting.LastReport report }

    // ---- Time ----

    /// Reports the failure.
    let fail (context: StepContext) stage (meeting: RendezvousClient) =
        context.Effects.Add(
            Effect.Punched(
                meeting.TaskId,
                { PunchReport.none with
                    Stage = stage
                    Observed = meeting.Observed
                    Mapping = mapping meeting
                    Elapsed = context.Now - meeting.StartedAt }
            )
        )

    /// Cancelled before an introduction.
    let cancel (context: StepContext) (meeting: RendezvousClient) =
        if meeting.Cookie.Equals PunchWire.noCookie |> not then leave context meeting

        fail context PunchStage.Cancelled meeting

    /// The server is silent: it may have been started again, or have moved to another address of its name.
    let private search (context: StepContext) (meeting: RendezvousClient) : RendezvousClient =
        OwnTasks.tell context meeting.TaskId (Effect.ServerSilent meeting.TaskId)
        let others = meeting.Plan.Servers |> Array.filter (fun it -> not (it.Equals meeting.Server))

        { meeting with
            Plan = { meeting.Plan with Servers = Array.append [| meeting.Server |] others }
            Phase = RendezvousPhase.Knocking
            IsRegistered = false
            Tries = 0 }

    /// The name of the rendezvous has these addresses now.
    let relocate (context: StepContext) (servers: Endpoint[]) (meeting: RendezvousClient) : RendezvousClient =
        let meeting = { meeting with Plan = { meeting.Plan with Servers = servers } }

        if meeting.Phase = RendezvousPhase.Knocking then
            { meeting with Tries = 0; NextAt = context.Now }
        else
            meeting

    /// Does what is due. None when the meeting is over.
    let tick (context: StepContext) (iv: Owned) (meeting: RendezvousClient) : RendezvousClient voption =
        match meeting.Phase with
        | RendezvousPhase.Left -> if context.Now >= meeting.GiveUpAt then ValueNone else ValueSome meeting
        | _ when context.Now >= meeting.GiveUpAt ->
            if meeting.IsRegistered then leave context meeting

            let stage =
                if meeting.IsRoomFull then PunchStage.RoomFull
                elif meeting.IsRefused then PunchStage.ServerFull
                // Without a report of a punch, the peers were avoided for their offers.
                elif meeting.Avoided.Length > 0 then PunchStage.Rejected
                elif meeting.IsRegistered then PunchStage.NoPeer
                else PunchStage.ServerSilent

            match meeting.LastReport with
            | ValueSome report -> OwnTasks.tell context meeting.TaskId (Effect.Punched(meeting.TaskId, report))
            | ValueNone -> fail context stage meeting

            ValueNone
        | _ when context.Now < meeting.NextAt -> ValueSome meeting
        | RendezvousPhase.Comparing when meeting.Tries >= Comparisons || (meeting.Tries > 0 && isCompared meeting) ->
            toRegister context.Now meeting |> register context iv |> ValueSome
        | RendezvousPhase.Comparing -> ValueSome(compare context meeting)
        | RendezvousPhase.Registering when meeting.Tries >= Unanswered ->
            search context meeting |> register context iv |> ValueSome
        | RendezvousPhase.Knocking ->
            let silent = meeting.Tries - meeting.Plan.Servers.Length

            if silent > 0 && silent % LookUpEvery = 0 then
                OwnTasks.tell context meeting.TaskId (Effect.ServerSilent meeting.TaskId)

            ValueSome(register context iv meeting)
        | RendezvousPhase.Registering -> ValueSome(register context iv meeting)

    let deadline (meeting: RendezvousClient) =
        match meeting.Phase with
        | RendezvousPhase.Left -> meeting.GiveUpAt
        | _ -> min meeting.NextAt meeting.GiveUpAt
