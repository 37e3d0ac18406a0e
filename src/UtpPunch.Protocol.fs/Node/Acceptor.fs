namespace UtpPunch.Protocol

/// SYNs, what the application decides about them, what proves that their sender receives, and RESETs for packets that belong to no stream.
module internal Acceptor =
    open StreamTable

    /// Answers a packet that belongs to no stream with a RESET, as far as the limiter allows.
    let private answerWithReset step remote (header: Header) bits meeting =
        let node = step.Node
        let bucket = ResetLimiter.bucket (addressHash node remote)

        let known =
            Radix.tryFind bucket node.Guards.ResetLimiters
            |> ValueOption.defaultWith (fun () -> ResetLimiter.create node.Now)

        let struct (mayReset, limiter) = ResetLimiter.tryTake node.Now (IdAllocator.draw node) known

        node.Guards <-
            { node.Guards with
                ResetLimiters = Radix.add bucket limiter node.Guards.ResetLimiters
                ResetAt = node.Now }


        if not mayReset then
            note step Rule.ResetSuppressed remote
        else
            let id =
                match node.Options.Dialect with
                // As libutp answers: the id and the number of the packet in question.
                | Dialect.Bep29 -> header.ConnectionId
                // The npm package looks for the id under which it receives.
                | Dialect.UtpPunch -> header.ConnectionId ^^^ 1us

            let answer =
                { Type = PacketType.Reset
                  ConnectionId = id
                  Timestamp = Time.stamp node.Now
                  TimestampDifference = 0u
                  Window = 0u
                  SeqNr = SeqNr 0us
                  AckNr = header.SeqNr }

            let train = Train(answer, bits, MeetingKey.sign &answer meeting)
            step.Context.Effects.Add(Effect.Send(remote, train))

    /// Answers a packet of no stream, or of one that was aborted with an error code, which a lost RESET may have had.
    let reset step remote (header: Header) =
        let node = step.Node

        let bits =
            if header.Type = PacketType.Syn then
                0UL
            else
                let key = routeKey node remote header.ConnectionId
                AbortCodes.bitsFor node key remote header.ConnectionId

        answerWithReset step remote header bits null

    /// Buckets that are full again need no place.
    let forgetResets (node: Node) =
        if
            Radix.count node.Guards.ResetLimiters > 0
            && node.Now - node.Guards.ResetAt >= ResetLimiter.fullAfter
        then
            node.Guards <- { node.Guards with ResetLimiters = Radix.empty }

    // ---- SYNs ----

    /// A name for an accepted stream: after 2^30 streams they begin again.
    let private nextName (node: Node) =
        let mutable connId = node.NextAccepted

        while (tryStored node connId).IsSome do
            connId <- (connId + 2) &&& System.Int32.MaxValue

        node.NextAccepted <- (connId + 2) &&& System.Int32.MaxValue
        connId

    /// The npm package's dialect has no use for secret clocks.
    let private clockOf dialect (offset: uint32) = if dialect = Dialect.Bep29 then offset else 0u

    /// The stream that a SYN asks for, half-open.
    let private halfOpen step remote id syn (cookie: SynCookie) meeting =
        let node = step.Node
        let dialect = node.Options.Dialect

        Connection.admit
            { ConnId = nextName node
              Remote = remote
              Dialect = dialect
              Options = NodeOptions.forDialect dialect node.Options
              Timeout = node.Options.HalfOpenTimeout
              PrimingHops = 0uy
              Id = id
              HandshakeOffset = clockOf dialect cookie.HandshakeOffset
              Offset = clockOf dialect cookie.Offset
              Meeting = meeting
              Now = node.Now
              Generation = node.Generation }
            syn
            cookie.First

    let private cookieFor (node: Node) age remote id syn =
        SynCookie.ofSyn node.Guards.CookieKey (SynCookie.period (node.Now - node.Guards.StartedAt) - age) remote id syn

    /// Answers a SYN, and does not remember it.
    let private answerOnly step remote id syn =
        let node = step.Node
        let dialect = node.Options.Dialect
        let cookie = cookieFor node 0L remote id syn

        let synAck =
            { Type = PacketType.State
              ConnectionId = (Ids.create dialect true id syn).Send
              Timestamp = Time.stamp node.Now + clockOf dialect cookie.HandshakeOffset
              TimestampDifference = 0u
              Window = uint32 (NodeOptions.forDialect dialect node.Options).ReceiveBuffer
              SeqNr = cookie.First
              AckNr = syn }

        note step Rule.SynCookieSent remote
        node.Guards <- { node.Guards with CookiesUntil = node.Now + node.Options.HalfOpenTimeout }
        step.Context.Effects.Add(Effect.Send(remote, Train(synAck, Owned.Empty, Owned.Empty, 0)))

    /// Whether the application may be asked about an address that may be forged: not once it has refused many of all addresses, or as many of
    /// this one as get a RESET. Then it proves itself first.
    let private mayAsk (node: Node) remote =
        ResetLimiter.hasToken node.Now node.Guards.Refusals
        && (match Radix.tryFind (ResetLimiter.bucket (addressHash node remote)) node.Guards.ResetLimiters with
            | ValueSome known -> ResetLimiter.hasToken node.Now known
            | ValueNone -> true)

    let private admit step remote (packet: inref<Packet>) meeting isExpected isAwaited =
        let id, syn = packet.Header.ConnectionId, packet.Header.SeqNr
        let node = step.Node

        let isFlood = node.HalfOpen >= node.Options.MaxHalfOpen || node.IsSelective && not (mayAsk node remote)

        if isFlood && isNull meeting && not isExpected then
            answerOnly step remote id syn
        else
            let struct (words, random) = Random.words 3 node.Random
            node.Random <- random
            let own = halfOpen step remote id syn (SynCookie.ofWords words.Span) meeting
            enter step own
            if isExpected then SimultaneousOpen.accept node remote own.ConnId
            MtuProbing.meet packet.Bits own

            if node.IsSelective && not isAwaited then Handshake.ask step.Context Admission.Asked own

    /// Streams that have never carried data, and are older than this, make room when the node is full.
    let private unusedFor = Time.seconds 30

    /// At most that many at once, and once a second: looking for them is a walk over all streams.
    let private mostEvicted = 256

    let private evictUnused step =
        let node = step.Node
        let unused = ResizeArray<Connection.Stored>()

        if node.Now >= node.Guards.EvictsAt then
            node.Guards <- { node.Guards with EvictsAt = node.Now + Time.seconds 1 }

            Radix.iterate
                (fun _ (stored: Connection.Stored) ->
                    if unused.Count < mostEvicted && stored.IsUnusedSince(node.Now - unusedFor) then
                        unused.Add stored)
                node.Connections

        for stored in unused do
            let own = touch step stored
            note step Rule.UnusedEvicted own.Remote
            counted step own (fun () -> Closing.closeWithReset step.Context CloseReason.TooManyConnections own)

    /// Whether there may be another stream, perhaps after others have made room.
    let private hasRoom step =
        let node = step.Node
        let isFull () = node.Incoming + node.Outgoing >= node.Options.MaxConnections

        if isFull () then evictUnused step

        not (isFull ())

    let receiveSyn step remote (packet: inref<Packet>) datagram =
        let header = packet.Header
        let node = step.Node
        let dialect = node.Options.Dialect
        let known = find node remote (Ids.receive dialect true header.ConnectionId)

        match known with
        | ValueSome stored when stored.Incoming && stored.Ids.Syn = header.SeqNr && stored.State <> StreamState.Closed ->
            Handshake.repeatSynAck step.Context (touch step stored)
        | ValueSome stored when stored.State <> StreamState.TimeWait -> note step Rule.IdCollision remote
        | _ ->
            if dialect = Dialect.UtpPunch && header.ConnectionId &&& 1us <> 0us then
                note step Rule.UnexpectedPacket remote
            else
                let meeting =
                    match MeetingPaths.keyToAccept node.Now remote node.NodeTasks.Paths with
                    | null -> null
                    | meeting -> if MeetingKey.isAuthentic &header datagram meeting then meeting else null

                let isOfMeeting = not (isNull meeting) && MeetingPaths.isAwaited node.Now remote node.NodeTasks.Paths
                let isExpected = isNull meeting && SimultaneousOpen.isExpected node remote
                let isAwaited = isOfMeeting || isExpected

                match node.Backlog with
                | ValueNone when not isAwaited ->
                    note step Rule.NotListening remote
                    reset step remote header
                | ValueSome backlog when not isAwaited && Radix.count node.Waiting >= backlog ->
                    note step Rule.AcceptQueueFull remote
                | _ when not isAwaited && not (mayAdmit node remote) -> note step Rule.TooManyFromAddress remote
                // No stream makes room for a peer that may be refused.
                | _ when (isAwaited || not node.IsSelective) && not (hasRoom step) ->
                    note step Rule.TooManyConnections remote
                | _ ->
                    // The ids of a stream in TIME-WAIT are free for a peer that connects again (RFC 9293, 3.6.1).
                    match known with
                    | ValueSome stored ->
                        let own = touch step stored
                        counted step own (fun () -> Closing.forget own)
                        removeRoute node own
                    | ValueNone -> ()

                    admit step remote &packet meeting isExpected isAwaited

    // ---- What the application decides ----

    /// Ends a stream that is not decided, with a RESET.
    let dismiss step (connection: Connection) =
        let isLate = connection.Admission = Admission.AskedLate
        counted step connection (fun () -> Closing.forget connection)

        // The packet that is answered: the SYN, or the one that has confirmed the SYN-ACK, which has the next number.
        let refused =
            { Unchecked.defaultof<Header> with
                Type = PacketType.Syn
                ConnectionId =
                    (match connection.Dialect with
                     | Dialect.Bep29 when isLate -> connection.Ids.Receive
                     | Dialect.Bep29 -> connection.Ids.Send
                     | Dialect.UtpPunch -> connection.Ids.Receive)
                SeqNr = if isLate then connection.Ids.Syn + 1 else connection.Ids.Syn }

        answerWithReset step connection.Remote refused 0UL connection.MeetingKey

    /// One refusal in this number takes a token of the limit for all addresses together: 800 a second, and 512 at once.
    let private refusalsForOneToken = 16u

    let private countRefusal (node: Node) =
        if IdAllocator.draw node % refusalsForOneToken = 0u then
            let struct (_, limiter) = ResetLimiter.tryTake node.Now (IdAllocator.draw node) node.Guards.Refusals
            node.Guards <- { node.Guards with Refusals = limiter }

    let decide step admits (connection: Connection) =
        if connection.State = StreamState.SynReceived && connection.IsUndecided then
            if not admits then
                note step Rule.PeerRefused connection.Remote
                countRefusal step.Node
                dismiss step connection
            elif hasRoom step then
                Handshake.admit step.Context connection
            else
                note step Rule.TooManyConnections connection.Remote
                counted step connection (fun () -> Closing.forget connection)

    // ---- What confirms a SYN-ACK ----

    /// Whether a half-open stream is the one that a meeting leads to.
    let private isOfMeeting (node: Node) (connection: Connection) =
        not (isNull connection.Linked)
        && MeetingPaths.isAwaited node.Now connection.Remote node.NodeTasks.Paths

    /// Whether a task or a dialled stream awaits a half-open stream, and no listener does.
    let private isAwaited (node: Node) (connection: Connection) =
        isOfMeeting node connection || SimultaneousOpen.isAccepted node connection.ConnId

    let private mayOpen step (connection: Connection) =
        let node = step.Node

        if not (hasRoom step) then
            note step Rule.TooManyConnections connection.Remote
            false
        elif isAwaited node connection then
            true
        else
            match node.Backlog with
            | ValueSome backlog when Radix.count node.Waiting < backlog -> true
            | _ ->
                note step Rule.AcceptQueueFull connection.Remote
                false

    /// Takes the first packet that proves that a half-open stream's peer receives. Whether the stream is open now.
    let confirm step arrivedAt (header: inref<Header>) (connection: Connection) =
        let node = step.Node
        let header = header

        if not (Handshake.confirms step.Context arrivedAt &header connection) then
            note step Rule.AckOutOfRange connection.Remote

            if Handshake.miss step.Context &header connection then
                note step Rule.HalfOpenExpired connection.Remote
                counted step connection (fun () -> Closing.forget connection)

            false
        elif mayOpen step connection then
            let isMeeting = isOfMeeting node connection
            let isSimultaneous = SimultaneousOpen.isAccepted node connection.ConnId
            let isAwaited = isMeeting || isSimultaneous

            counted step connection (fun () -> Handshake.confirm step.Context arrivedAt isAwaited &header connection)

            if isSimultaneous then
                SimultaneousOpen.confirm step connection.ConnId
            elif isMeeting then
                let paths = MeetingPaths.setOpen node.Now connection.Remote node.NodeTasks.Paths
                node.NodeTasks <- { node.NodeTasks with Paths = paths }
            else
                node.Waiting <- Radix.add connection.ConnId () node.Waiting

            KeyAgreements.start step connection
            true
        else
            false

    /// The half-open stream whose SYN-ACK was not remembered, if a packet confirms that. The packet is the first after the SYN: its number and
    /// its id are those of the SYN and one more.
    let tryRecall step remote arrivedAt (header: inref<Header>) : Connection voption =
        let node = step.Node
        let syn = header.SeqNr + -1

        let id =
            match node.Options.Dialect with
            | Dialect.Bep29 -> header.ConnectionId - 1us
            | Dialect.UtpPunch -> header.ConnectionId

        let mayOpen =
            match node.Backlog with
            | ValueSome backlog ->
                Radix.count node.Waiting < backlog
                && node.Incoming + node.Outgoing < node.Options.MaxConnections
                && mayAdmit node remote
            | ValueNone -> false

        let mutable found = ValueNone
        let mutable age = if node.Now < node.Guards.CookiesUntil && mayOpen then 0L else 2L

        while age < 2L do
            let cookie = cookieFor node age remote id syn

            if cookie.First = header.AckNr + 1 then
                let own = halfOpen step remote id syn cookie null

                if Handshake.confirms step.Context arrivedAt &header own then
                    note step Rule.SynCookieAccepted remote
                    enter step own
                    if node.IsSelective then Handshake.ask step.Context Admission.AskedLate own
                    found <- ValueSome own
                    age <- 2L

            age <- age + 1L

        found
