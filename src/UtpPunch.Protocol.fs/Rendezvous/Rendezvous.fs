namespace UtpPunch.Protocol

open System.Buffers.Binary

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Rendezvous =
    open RendezvousState

    let standard =
        { Sockets = [| Endpoint.ofIPv4 0u 0us |]
          MaxRegistrations = 65536
          MaxPerSource = 512
          MaxPerRoom = 10_000
          // Clients renew their registrations every 1.5 s, and many may share an address.
          RatePerSource = 500
          Lifetime = Time.seconds 60
          Legacy = false
          Stun = false }

    /// How often an introduction is sent: again after 100 ms, then after twice the time before; after the sixth it is forgotten.
    [<Literal>]
    let private Repetitions = 6

    let private pauseAfter (tries: int) = Time.milliseconds (100 <<< (tries - 1))

    [<CompiledName "Create">]
    let create (options: RendezvousOptions) (seed: Owned) (now: Instant) : Rendezvous =
        let key = Secrets.punch seed Borrowed.Empty Borrowed.Empty Borrowed.Empty
        let struct (high, random) = Random.next (Random.create seed)
        let struct (low, random) = Random.next random

        { Options = options
          Key = key
          HashKey = (uint64 high <<< 32) ||| uint64 low
          Now = now
          Random = random
          Next = 1
          Registrants = Radix.empty
          Handles = Radix.empty
          Rooms = Radix.empty
          Pairings = Radix.empty
          Counts = Radix.empty
          Proven = Radix.empty
          Unproven = Radix.empty
          UnprovenInAll = now
          TimerQueue = TimerQueue.empty
          Tracker = LegacyTracker.empty
          Stun = StunServer.create (ValueSome "UtpPunch") (options.Sockets |> Array.truncate 4 |> Array.map ValueSome)
          Shared = { Instance = 0UL; Proposals = Radix.empty; Pairings = Radix.empty; Timers = TimerQueue.empty }
          Requests = ResizeArray()
          Reportable = Radix.empty
          ReportTimers = TimerQueue.empty
          Reported = Radix.empty
          Waiting = 0
          Staying = 0
          Introduced = 0L
          Dropped = 0L
          Totals = RendezvousTotals.zero }

    [<CompiledName "CreateShared">]
    let createShared (instance: uint64) (options: RendezvousOptions) (seed: Owned) (now: Instant) : Rendezvous =
        if instance = 0UL then invalidArg (nameof instance) "The name of an instance is not 0."
        let server = create options seed now
        { server with Shared = { server.Shared with Instance = instance } }

    // ---- Introductions ----

    let private draw (server: Rendezvous) count : Owned =
        let struct (bytes, random) = Random.words count server.Random
        server.Random <- random
        bytes

    let private side (registrant: Registrant) : PairedPeer =
        { Remote = registrant.Remote
          Registration = registrant.Registration
          Acknowledged = false
          RoundTrip = 0L<us> }

    let private pair (server: Rendezvous) (waiting: struct (int * Registrant)) (coming: struct (int * Registrant)) =
        let struct (first, a) = waiting
        let struct (second, b) = coming
        let number = takeNumber server
        server.Introduced <- server.Introduced + 1L
        // The nonce begins with the number by which an acknowledgement finds the introduction.
        let nonce = (draw server 4).Span.ToArray()
        BinaryPrimitives.WriteInt32BigEndian(System.Span<byte> nonce, number)
        let pairing = { Nonce = Owned nonce; A = side a; B = side b; Tries = 0 }
        server.Pairings <- Radix.add number pairing server.Pairings
        Reports.expect server pairing.Nonce [| pairing.A; pairing.B |]
        server.TimerQueue <- TimerQueue.add server.Now ~~~number server.TimerQueue

        for number' in [ first; second ] do
            // Read here: the other one's departure may have changed its place.
            let registrant = (Radix.tryFind number' server.Registrants).Value

            if not registrant.Registration.Stays then
                unshare server number' registrant

                // It registers no more while it punches, so no ping counts.
                store
                    server
                    number'
                    { leaveRoom server number' registrant with
                        Pings = 0
                        PingAt = Time.never
                        Pairing = ValueSome number }

    // ---- Received messages ----

    /// Whether a registration asks to avoid an endpoint that the earlier one did not: then the client has returned from a punch.
    let private hasReturned (earlier: Entry) (entry: Entry) =
        entry.Avoided |> Array.exists (fun it -> not (Array.contains it earlier.Avoided))

    let private register (server: Rendezvous) (remote: Endpoint) (registration: Registration) tell =
        let send message = tell remote message
        let expiresAt = server.Now + server.Options.Lifetime

        let answer () =
            send (
                RendezvousMessage.Registered(registration.Handle, registration.Attempt, remote, server.Options.Lifetime)
            )

        let refuse isRoom =
            let totals = server.Totals
            server.Dropped <- server.Dropped + 1L

            if isRoom then totals.RoomFull <- totals.RoomFull + 1L
            elif isFull server then totals.ServerFull <- totals.ServerFull + 1L
            else totals.SourceFull <- totals.SourceFull + 1L

            send (RendezvousMessage.Full(registration.Handle, isRoom))

        let enter since number (registrant: Registrant) =
            match enterRoom server number registrant with
            | ValueSome registrant ->
                answer ()

                match Matching.partner server registrant since (fun other -> tell other.Remote) with
                | ValueSome other -> pair server other (struct (number, registrant))
                | ValueNone -> Sharing.share server number

                true
            | ValueNone ->
                refuse true
                false

        let entry = Entry.keep registration

        match findRegistrant remote registration.Handle registration.Room server with
        | ValueSome(struct (_, known)) when known.Pairing.IsSome && not (hasReturned known.Registration entry) ->
            let key = known.Pairing.Value

            if (Radix.tryFind key server.Pairings).IsSome || Sharing.isUnderWay server key then
                answer ()
        | ValueSome(struct (number, known)) ->
            let known = leaveRoom server number known
            server.Totals.Renewed <- server.Totals.Renewed + 1L

            enter
                (Matching.heardSince server known)
                number
                { known with
                    Remote = remote
                    Registration = entry
                    ExpiresAt = expiresAt
                    HeardAt = server.Now
                    Pings = 0
                    PingAt = Time.never
                    Pairing = ValueNone }
            |> ignore
        | ValueNone ->
            let fresh =
                { Remote = remote
                  Registration = entry
                  ExpiresAt = expiresAt
                  HeardAt = server.Now
                  Pings = 0
                  PingedAt = server.Now
                  PingAt = Time.never
                  WakeAt = server.Now
                  SharedAt = Time.never
                  Place = RoomPlace.Outside
                  Pairing = ValueNone }

            match addRegistrant server fresh with
            | ValueNone -> refuse false
            | ValueSome(struct (number, fresh)) ->
                if enter (Matching.heardSince server fresh) number fresh then
                    server.Totals.Registered <- server.Totals.Registered + 1L
                else
                    removeRegistrant server number fresh

    let private others (server: Rendezvous) (socket: uint16) =
        server.Options.Sockets
        |> Array.indexed
        |> Array.filter (fun (index, _) -> index <> int socket)
        |> Array.map snd
        |> Array.truncate PunchWire.MaxOthers

    /// Both have acknowledged: they begin together. The one with the shorter round trip waits half of the difference.
    let private goBoth (pairing: Pairing) (send: PairedPeer -> RendezvousMessage -> unit) =
        if pairing.A.Acknowledged && pairing.B.Acknowledged then
            let later (side: PairedPeer) (other: PairedPeer) = max 0L<us> (other.RoundTrip - side.RoundTrip) / 2L

            for side, other in [ pairing.A, pairing.B; pairing.B, pairing.A ] do
                send side (RendezvousMessage.Go(side.Registration.Handle, pairing.Nonce.AsBorrowed, later side other))

    let private acknowledged (server: Rendezvous) (remote: Endpoint) handle (nonce: Borrowed) roundTrip send =
        let number = BinaryPrimitives.ReadInt32BigEndian nonce.Span

        match Radix.tryFind number server.Pairings with
        | ValueSome pairing when nonce.Equals pairing.Nonce ->
            let told (side: PairedPeer) =
                if side.Registration.Handle = handle && side.Remote.Equals remote then
                    { side with Acknowledged = true; RoundTrip = roundTrip }
                else
                    side

            let pairing = { pairing with A = told pairing.A; B = told pairing.B }
            server.Pairings <- Radix.add number pairing server.Pairings
            goBoth pairing send
        | _ -> ()

    /// Whether the cookie of a message shows that its sender receives at the address that it came from.
    let private isProven server remote message =
        match message with
        | RendezvousMessage.Register it -> isCookie server remote it.Handle it.Cookie
        | RendezvousMessage.Acknowledge(_, handle, cookie, _, _)
        | RendezvousMessage.Report(_, handle, cookie, _, _)
        | RendezvousMessage.Leave(_, handle, cookie) -> isCookie server remote handle cookie
        | RendezvousMessage.Observe _
        | RendezvousMessage.Challenge _
        | RendezvousMessage.Registered _
        | RendezvousMessage.Observed _
        | RendezvousMessage.Introduce _
        | RendezvousMessage.Go _
        | RendezvousMessage.Full _
        | RendezvousMessage.Ping _ -> false

    let private dropUnproven (server: Rendezvous) =
        server.Dropped <- server.Dropped + 1L
        server.Totals.TooManyUnproven <- server.Totals.TooManyUnproven + 1L

    let private dropProven (server: Rendezvous) =
        server.Dropped <- server.Dropped + 1L
        server.Totals.TooManyProven <- server.Totals.TooManyProven + 1L

    let private receiveProven (server: Rendezvous) (remote: Endpoint) message tell =
        match message with
        | RendezvousMessage.Register it -> register server remote it tell
        | RendezvousMessage.Acknowledge(_, handle, _, introduction, roundTrip) when Sharing.keyOf introduction < 0 ->
            Sharing.acknowledged server remote handle introduction roundTrip tell
        | RendezvousMessage.Acknowledge(_, handle, _, introduction, roundTrip) ->
            acknowledged server remote handle introduction roundTrip (fun side -> tell side.Remote)
        | RendezvousMessage.Report(_, handle, _, introduction, report) ->
            Reports.receive server remote handle introduction report
        | RendezvousMessage.Leave(room, handle, _) ->
            match findRegistrant remote handle room server with
            | ValueSome(struct (number, registrant)) -> removeRegistrant server number registrant
            | ValueNone -> ()
        | _ -> dropInvalid server

    /// An answer to an address that was not verified. None has more bytes than its request: that would be dropped.
    let private answerUnproven (server: Rendezvous) (remote: Endpoint) message =
        match message with
        | RendezvousMessage.Register it ->
            let cookie = (cookie server remote it.Handle).AsBorrowed
            server.Totals.Challenged <- server.Totals.Challenged + 1L
            ValueSome(RendezvousMessage.Challenge(it.Handle, it.Attempt, cookie, remote, others server remote.Via))
        | RendezvousMessage.Observe handle -> ValueSome(RendezvousMessage.Observed(handle, remote))
        | _ -> ValueNone

    /// STUN and the npm package's protocol.
    let private receiveForeign
        (server: Rendezvous)
        (remote: Endpoint)
        (datagram: Borrowed)
        (sent: ResizeArray<struct (Endpoint * Owned)>)
        =
        let isStun = server.Options.Stun && Stun.looksLike datagram
        let isLegacy = not isStun && server.Options.Legacy && LegacyTracker.isQuestion datagram

        if not (isStun || isLegacy) then
            dropInvalid server
        elif not (admitsAmplified server remote) then
            dropUnproven server
        elif isStun then
            match StunServer.answer (int remote.Via) (Endpoint.via 0us remote) datagram server.Stun with
            | ValueSome answer -> sent.Add(struct (Endpoint.via (uint16 answer.Socket) answer.Remote, answer.Datagram))
            | ValueNone -> dropInvalid server
        else
            let struct (tracker, answers) = LegacyTracker.receive server.Now remote datagram server.Tracker
            server.Tracker <- tracker
            sent.AddRange answers

    let private receive
        (server: Rendezvous)
        (remote: Endpoint)
        (datagram: Borrowed)
        (sent: ResizeArray<struct (Endpoint * Owned)>)
        =
        let tell target message = sent.Add(struct (target, PunchWire.encode message))

        match PunchWire.decode datagram with
        | ValueSome message when isProven server remote message ->
            if admitsProven server remote then
                receiveProven server remote message tell
            else
                dropProven server
        | ValueSome(RendezvousMessage.Register _ | RendezvousMessage.Observe _ as message) ->
            if admitsUnproven server remote then
                match answerUnproven server remote message with
                | ValueSome answer ->
                    let answer = PunchWire.encode answer
                    if answer.Length <= datagram.Length then sent.Add(struct (remote, answer))
                | ValueNone -> ()
            else
                dropUnproven server
        | ValueSome _ -> dropInvalid server
        | ValueNone -> receiveForeign server remote datagram sent

    // ---- Timers ----

    let private introduce
        (server: Rendezvous)
        number
        (pairing: Pairing)
        (sent: ResizeArray<struct (Endpoint * Owned)>)
        =
        if pairing.Tries >= Repetitions then
            server.Pairings <- Radix.remove number server.Pairings
            endIntroduction server number pairing.A
            endIntroduction server number pairing.B
        else
            for side, other in [ pairing.A, pairing.B; pairing.B, pairing.A ] do
                if not side.Acknowledged then
                    let message =
                        RendezvousMessage.Introduce(
                            side.Registration.Handle,
                            { Nonce = pairing.Nonce.AsBorrowed
                              Peer = other.Registration.Peer.AsBorrowed
                              Observed = Endpoint.via 0us other.Remote
                              Offer = other.Registration.Offer.AsBorrowed }
                        )

                    sent.Add(struct (side.Remote, PunchWire.encode message))

            let tries = pairing.Tries + 1
            server.Pairings <- Radix.add number { pairing with Tries = tries } server.Pairings
            server.TimerQueue <- TimerQueue.add (server.Now + pauseAfter tries) ~~~number server.TimerQueue

    /// A registration has expired, a ping is due, or the time of either was moved.
    let private look
        (server: Rendezvous)
        number
        (registrant: Registrant)
        (sent: ResizeArray<struct (Endpoint * Owned)>)
        =
        if registrant.ExpiresAt <= server.Now then
            removeRegistrant server number registrant
        elif registrant.PingAt > server.Now then
            schedule server number registrant |> ignore
        elif Matching.isGhost registrant then
            server.Totals.Vanished <- server.Totals.Vanished + 1L
            removeRegistrant server number registrant
        else
            Matching.ping server number registrant (fun message ->
                sent.Add(struct (registrant.Remote, PunchWire.encode message)))

    let private wake (server: Rendezvous) sent =
        while TimerQueue.first server.TimerQueue <= server.Now do
            let struct (at, key, rest) = TimerQueue.pop server.TimerQueue
            server.TimerQueue <- rest

            if key < 0 then
                match Radix.tryFind ~~~key server.Pairings with
                | ValueSome pairing -> introduce server ~~~key pairing sent
                | ValueNone -> ()
            else
                match Radix.tryFind key server.Registrants with
                | ValueSome registrant when registrant.WakeAt = at -> look server key registrant sent
                | _ -> ()

    /// Whether an entry of the timer queue counts: each registrant and each pairing has one that does.
    let private isCurrent (server: Rendezvous) at key =
        if key < 0 then
            (Radix.tryFind ~~~key server.Pairings).IsSome
        else
            match Radix.tryFind key server.Registrants with
            | ValueSome registrant -> registrant.WakeAt = at
            | ValueNone -> false

    /// The entry of a registrant that has left stays until its time comes, and a client may register and leave as often as its limit admits.
    /// Entries that do not count are removed once they are most.
    let private compactTimerQueue (server: Rendezvous) =
        let current = Radix.count server.Registrants + Radix.count server.Pairings

        server.TimerQueue <- TimerQueue.compact (64 + 2 * current) (isCurrent server) server.TimerQueue

    [<CompiledName "StepShared">]
    let stepShared (now: Instant) (received: struct (Endpoint * Borrowed)[]) (news: StoreEvent[]) (server: Rendezvous) =
        let server =
            { server with
                Now = max now server.Now
                Requests = ResizeArray()
                Totals = { server.Totals with Registered = server.Totals.Registered } }

        let sent = ResizeArray<struct (Endpoint * Owned)>()
        let tell remote message = sent.Add(struct (remote, PunchWire.encode message))

        for struct (remote, datagram) in received do
            receive server remote datagram sent

        for event in news do
            Sharing.receive server event tell

        wake server sent
        Sharing.wake server Repetitions pauseAfter tell
        compactTimerQueue server
        struct (server, sent.ToArray(), server.Requests.ToArray())

    [<CompiledName "Step">]
    let step (now: Instant) (received: struct (Endpoint * Borrowed)[]) (server: Rendezvous) =
        let struct (server, sent, _) = stepShared now received [||] server
        struct (server, sent)

    [<CompiledName "Deadline">]
    let deadline (server: Rendezvous) = min (TimerQueue.first server.TimerQueue) (TimerQueue.first server.Shared.Timers)

    [<CompiledName "Statistics">]
    let statistics (server: Rendezvous) : RendezvousStatistics =
        { Waiting = server.Waiting
          Introductions = Radix.count server.Pairings + Radix.count server.Shared.Pairings
          Introduced = server.Introduced
          Dropped = server.Dropped }

    [<CompiledName "Counts">]
    let counts (server: Rendezvous) : RendezvousCounts =
        { Rooms = Radix.count server.Rooms
          Waiting = server.Waiting
          Staying = server.Staying
          Registrations = Radix.count server.Registrants
          Introductions = Radix.count server.Pairings + Radix.count server.Shared.Pairings
          Introduced = server.Introduced
          Totals = server.Totals
          Reports = Reports.counts server }

    [<CompiledName "Rooms">]
    let rooms most members (server: Rendezvous) : RendezvousRoom[] = RendezvousRooms.largest most members server
