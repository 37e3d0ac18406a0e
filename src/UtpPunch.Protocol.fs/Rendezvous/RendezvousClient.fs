namespace UtpPunch.Protocol

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

/// A client of a rendezvous: it proves its address, compares the endpoints that the server's sockets observe, registers its offer, and waits
/// for a peer.
[<NoComparison>]
type internal RendezvousClient =
    {
        TaskId: TaskId
        Plan: MeetPlan
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
        IsRefused: bool
        RoundTrip: Duration
        StartedAt: Instant
        GiveUpAt: Instant
        /// The last introduction, to recognize repetitions.
        Introduction: Owned
    }

module internal RendezvousClient =
    /// The retransmission time-out of a request: 250 ms, doubled up to 2 s.
    let private pauseAfter (tries: int) = Time.milliseconds (min 2000 (250 <<< min 3 (tries - 1)))

    /// How often a registration is renewed, which also keeps the NAT's mapping.
    let private renewEvery = Time.seconds 15

    /// How long to wait for the server's first answer.
    let private silence = Time.seconds 30

    /// How long repeated introductions are acknowledged; the server repeats them for six seconds.
    let private linger = Time.seconds 15

    /// How often the other sockets are asked; those that do not answer are left out.
    [<Literal>]
    let private Comparisons = 3

    let create taskId (plan: MeetPlan) (handle: uint64) peer nonce now =
        { TaskId = taskId
          Plan = plan
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
          IsRefused = false
          RoundTrip = 0L<us>
          StartedAt = now
          GiveUpAt = now + min silence plan.Timeout
          Introduction = Owned.Empty }

    /// The observed endpoints, in the order in which the sockets were asked.
    let private views (meeting: RendezvousClient) : Endpoint[] =
        Array.append [| meeting.Observed |] (meeting.Views |> Array.choose ValueOption.toOption)

    let mapping (meeting: RendezvousClient) = Offer.mappingOf (views meeting)

    let private tell (context: StepContext) remote message =
        context.Effects.Add(Effect.SendDatagram(remote, PunchWire.encode message, 0))

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
                      Last = Array.last (views meeting)
                      Hosts = meeting.Plan.Hosts }
                |> Secrets.seal meeting.Plan.Room iv

        let attempt = meeting.Attempt + 1uy

        tell
            context
            meeting.Plan.Server
            (RendezvousMessage.Register
                { Room = meeting.Room.AsBorrowed
                  Handle = meeting.Handle
                  Peer = meeting.Peer.AsBorrowed
                  Cookie = meeting.Cookie.AsBorrowed
                  Attempt = attempt
                  Stays = meeting.Plan.Stays
                  Offer = offer.AsBorrowed
                  Avoided = Borrowed.Empty })

        { meeting with
            Attempt = attempt
            SentAt = context.Now
            Tries = meeting.Tries + 1
            NextAt = context.Now + (if meeting.IsRegistered then renewEvery else pauseAfter (meeting.Tries + 1)) }

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
            meeting.Plan.Server
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
            meeting.Plan.Server
            (RendezvousMessage.Leave(meeting.Room.AsBorrowed, meeting.Handle, meeting.Cookie.AsBorrowed))

    // ---- Receiving ----

    let private challenged
        (context: StepContext)
        (cookie: Borrowed)
        observed
        (others: Endpoint[])
        (meeting: RendezvousClient)
        =
        let isFirst = meeting.Phase = RendezvousPhase.Knocking

        let meeting =
            { meeting with
                GiveUpAt = (if isFirst then Time.after meeting.Plan.Timeout meeting.StartedAt else meeting.GiveUpAt)
                Cookie = Borrowed.keep cookie
                Observed = observed
                RoundTrip = context.Now - meeting.SentAt
                Tries = 0
                NextAt = context.Now }

        match meeting.Phase with
        | RendezvousPhase.Knocking when others.Length = 0 -> toRegister context.Now meeting
        | RendezvousPhase.Knocking ->
            let isAny (endpoint: Endpoint) = Endpoint.isSameAddress endpoint { endpoint with High = 0UL; Low = 0UL }

            // A server that is bound to all addresses does not know the one that was used.
            let others =
                others
                |> Array.map (fun other ->
                    if isAny other then Endpoint.withPort other.Port meeting.Plan.Server else other)

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
        let isServer = from.Equals meeting.Plan.Server

        match message with
        | RendezvousMessage.Challenge(_, attempt, cookie, observed, others) when
            isServer && attempt = meeting.Attempt && meeting.Phase <> RendezvousPhase.Left
            ->
            challenged context cookie observed others meeting
        | RendezvousMessage.Observed(_, observed) when meeting.Phase = RendezvousPhase.Comparing ->
            let views =
                Array.map2
                    (fun (other: Endpoint) view -> if other.Equals from then ValueSome observed else view)
                    meeting.Others
                    meeting.Views

            let meeting = { meeting with Views = views }
            if views |> Array.forall _.IsSome then toRegister context.Now meeting else meeting
        | RendezvousMessage.Registered(_, attempt, observed, lifetime) when
            isServer && meeting.Phase = RendezvousPhase.Registering
            ->
            if not meeting.IsRegistered then
                context.Effects.Add(Effect.Registered(meeting.TaskId, observed, mapping meeting))

            { meeting with
                IsRegistered = true
                Observed = observed
                RoundTrip = (if attempt = meeting.Attempt then context.Now - meeting.SentAt else meeting.RoundTrip)
                Tries = 0
                NextAt = context.Now + min renewEvery (lifetime / 3L) }
        | RendezvousMessage.Full _ when isServer && meeting.Phase <> RendezvousPhase.Left ->
            { meeting with IsRefused = true; GiveUpAt = context.Now }
        | _ -> meeting

    /// Acknowledges an introduction. The flag is whether it is a new one.
    let introduced
        (context: StepContext)
        (from: Endpoint)
        (introduction: Introduction)
        (meeting: RendezvousClient)
        : struct (bool * RendezvousClient) =
        if not (from.Equals meeting.Plan.Server) then
            struct (false, meeting)
        else
            acknowledge context introduction.Nonce meeting

            if introduction.Nonce.Equals meeting.Introduction then
                struct (false, meeting)
            elif meeting.Phase = RendezvousPhase.Left then
                struct (false, meeting)
            else
                let meeting = { meeting with Introduction = Borrowed.keep introduction.Nonce }

                if meeting.Plan.Stays then
                    struct (true, meeting)
                else
                    struct (true, { meeting with Phase = RendezvousPhase.Left; GiveUpAt = context.Now + linger })

    // ---- Time ----

    /// Reports the failure.
    let fail (context: StepContext) stage (meeting: RendezvousClient) =
        context.Effects.Add(
            Effect.Punched(
                meeting.TaskId,
                { Stage = stage
                  Remote = Endpoint.nowhere
                  Kind = PathKind.Host
                  RoundTrip = 0L<us>
                  Dials = false
                  Observed = meeting.Observed
                  SeenAs = ValueNone
                  Mapping = mapping meeting
                  PeerObserved = ValueNone
                  PeerMapping = PortPrediction.Unknown
                  Sent = 0
                  Heard = 0
                  Elapsed = context.Now - meeting.StartedAt }
            )
        )

    /// Cancelled before an introduction.
    let cancel (context: StepContext) (meeting: RendezvousClient) =
        if meeting.Cookie.Equals PunchWire.noCookie |> not then leave context meeting

        fail context PunchStage.Cancelled meeting

    /// Does what is due. None when the meeting is over.
    let tick (context: StepContext) (iv: Owned) (meeting: RendezvousClient) : RendezvousClient voption =
        match meeting.Phase with
        | RendezvousPhase.Left -> if context.Now >= meeting.GiveUpAt then ValueNone else ValueSome meeting
        | _ when context.Now >= meeting.GiveUpAt ->
            if meeting.IsRegistered then leave context meeting

            let stage =
                if meeting.IsRefused then PunchStage.ServerFull
                elif meeting.IsRegistered then PunchStage.NoPeer
                else PunchStage.ServerSilent

            fail context stage meeting
            ValueNone
        | _ when context.Now < meeting.NextAt -> ValueSome meeting
        | RendezvousPhase.Comparing when meeting.Tries >= Comparisons ->
            toRegister context.Now meeting |> register context iv |> ValueSome
        | RendezvousPhase.Comparing -> ValueSome(compare context meeting)
        | RendezvousPhase.Knocking
        | RendezvousPhase.Registering -> ValueSome(register context iv meeting)

    let deadline (meeting: RendezvousClient) =
        match meeting.Phase with
        | RendezvousPhase.Left -> meeting.GiveUpAt
        | _ -> min meeting.NextAt meeting.GiveUpAt
