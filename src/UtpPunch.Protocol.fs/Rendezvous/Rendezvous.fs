namespace UtpPunch.Protocol

open System.Buffers.Binary

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Rendezvous =
    open RendezvousState

    let standard =
        { Sockets = [| Endpoint.ofIPv4 0u 0us |]
          MaxRegistrations = 65536
          MaxPerSource = 512
          RatePerSource = 100
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
          Sources = Radix.empty
          TimerQueue = TimerQueue.empty
          Tracker = LegacyTracker.empty
          Stun = StunServer.create (ValueSome "UtpPunch") (options.Sockets |> Array.truncate 4 |> Array.map ValueSome)
          Waiting = 0
          Introduced = 0L
          Dropped = 0L }

    // ---- Registrants ----

    let private leaveRoom (server: Rendezvous) number (registrant: Registrant) =
        let key = roomKey server registrant.Registration.Room.AsBorrowed

        match Radix.tryFind key server.Rooms with
        | ValueSome known when Array.contains number known ->
            server.Rooms <- without key number server.Rooms
            server.Waiting <- server.Waiting - 1
        | _ -> ()

    let private remove (server: Rendezvous) number (registrant: Registrant) =
        leaveRoom server number registrant
        server.Handles <- without (mixed server registrant.Registration.Handle) number server.Handles
        server.Registrants <- Radix.remove number server.Registrants
        countRegistrant server registrant.Remote -1

    let private draw (server: Rendezvous) count : Owned =
        let struct (bytes, random) = Random.words count server.Random
        server.Random <- random
        bytes

    let private side (registrant: Registrant) : PairedPeer =
        { Remote = registrant.Remote
          Registration = registrant.Registration
          Acknowledged = false
          RoundTrip = 0L<us> }

    /// A waiting registrant of the same room: another peer, and not one that stays if this one stays too.
    let private partner (server: Rendezvous) (registrant: Registrant) : struct (int * Registrant) voption =
        let own = registrant.Registration

        registrantsUnder (roomKey server own.Room.AsBorrowed) server.Rooms server
        |> Array.tryFind (fun (struct (_, other)) ->
            let theirs = other.Registration

            theirs.Room.Equals own.Room
            && not (theirs.Peer.Equals own.Peer)
            && not (theirs.Stays && own.Stays)
            && other.ExpiresAt > server.Now)
        |> ValueOption.ofOption

    let private pair (server: Rendezvous) (waiting: struct (int * Registrant)) (coming: struct (int * Registrant)) =
        let struct (first, a) = waiting
        let struct (second, b) = coming
        let number = server.Next
        server.Next <- number + 1
        server.Introduced <- server.Introduced + 1L
        // The nonce begins with the number by which an acknowledgement finds the introduction.
        let nonce = (draw server 4).Span.ToArray()
        BinaryPrimitives.WriteInt32BigEndian(System.Span<byte> nonce, number)
        server.Pairings <- Radix.add number { Nonce = Owned nonce; A = side a; B = side b; Tries = 0 } server.Pairings

        server.TimerQueue <- TimerQueue.add server.Now ~~~number server.TimerQueue

        for number', registrant in [ first, a; second, b ] do
            if not registrant.Registration.Stays then
                leaveRoom server number' registrant

                server.Registrants <-
                    Radix.add number' { registrant with Pairing = ValueSome number } server.Registrants

    // ---- Received messages ----

    let private register (server: Rendezvous) (remote: Endpoint) (registration: Registration) send =
        let expiresAt = server.Now + server.Options.Lifetime

        let answer () =
            send (
                RendezvousMessage.Registered(registration.Handle, registration.Attempt, remote, server.Options.Lifetime)
            )

        let enter number (registrant: Registrant) =
            server.Registrants <- Radix.add number registrant server.Registrants
            answer ()

            if registrant.Pairing.IsNone then
                match partner server registrant with
                | ValueSome other -> pair server other (struct (number, registrant))
                | ValueNone -> ()

        match findRegistrant registration.Handle registration.Room server with
        | ValueSome(struct (_, registrant)) when registrant.Pairing.IsSome ->
            if server.Pairings |> Radix.tryFind registrant.Pairing.Value |> _.IsSome then answer ()
        | ValueSome(struct (number, registrant)) when registrant.Remote.Equals remote ->
            enter number { registrant with Registration = Entry.keep registration; ExpiresAt = expiresAt }
        | ValueSome(struct (number, registrant)) ->
            // Its address has changed: the NAT has dropped the mapping.
            countRegistrant server registrant.Remote -1
            countRegistrant server remote 1

            enter
                number
                { registrant with Remote = remote; Registration = Entry.keep registration; ExpiresAt = expiresAt }
        | ValueNone ->
            if
                Radix.count server.Registrants >= server.Options.MaxRegistrations
                || (source server remote).Registrants >= server.Options.MaxPerSource
                || server.Next >= System.Int32.MaxValue - 2
            then
                server.Dropped <- server.Dropped + 1L
                send (RendezvousMessage.Full registration.Handle)
            else
                let number = server.Next
                server.Next <- number + 1
                countRegistrant server remote 1
                server.Handles <- insert (mixed server registration.Handle) number server.Handles
                server.Rooms <- insert (roomKey server registration.Room) number server.Rooms
                server.Waiting <- server.Waiting + 1
                server.TimerQueue <- TimerQueue.add expiresAt number server.TimerQueue

                enter
                    number
                    { Remote = remote
                      Registration = Entry.keep registration
                      ExpiresAt = expiresAt
                      Pairing = ValueNone }

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

    let private receive
        (server: Rendezvous)
        (remote: Endpoint)
        (datagram: Borrowed)
        (sent: ResizeArray<struct (Endpoint * Owned)>)
        =
        let tell target message = sent.Add(struct (target, PunchWire.encode message))
        let send = tell remote

        /// Sends to an unverified address: never more bytes than it sent.
        let sendUnproven message =
            let answer = PunchWire.encode message
            if answer.Length <= datagram.Length then sent.Add(struct (remote, answer))

        match PunchWire.decode datagram with
        | ValueSome(RendezvousMessage.Register it) when isCookie server remote it.Handle it.Cookie ->
            register server remote it send
        | ValueSome(RendezvousMessage.Register it) ->
            let cookie = (cookie server remote it.Handle).AsBorrowed
            sendUnproven (RendezvousMessage.Challenge(it.Handle, it.Attempt, cookie, remote, others server remote.Via))
        | ValueSome(RendezvousMessage.Acknowledge(_, handle, cookie, introduction, roundTrip)) when
            isCookie server remote handle cookie
            ->
            acknowledged server remote handle introduction roundTrip (fun side -> tell side.Remote)
        | ValueSome(RendezvousMessage.Leave(room, handle, cookie)) when isCookie server remote handle cookie ->
            match findRegistrant handle room server with
            | ValueSome(struct (number, registrant)) -> remove server number registrant
            | ValueNone -> ()
        | ValueSome(RendezvousMessage.Observe handle) -> sendUnproven (RendezvousMessage.Observed(handle, remote))
        | ValueNone when server.Options.Stun && Stun.looksLike datagram ->
            match StunServer.answer (int remote.Via) (Endpoint.via 0us remote) datagram server.Stun with
            | ValueSome answer -> sent.Add(struct (Endpoint.via (uint16 answer.Socket) answer.Remote, answer.Datagram))
            | ValueNone -> server.Dropped <- server.Dropped + 1L
        | ValueNone when server.Options.Legacy && LegacyTracker.isQuestion datagram ->
            let struct (tracker, answers) = LegacyTracker.receive server.Now remote datagram server.Tracker
            server.Tracker <- tracker
            sent.AddRange answers
        | _ -> server.Dropped <- server.Dropped + 1L

    // ---- Timers ----

    let private introduce
        (server: Rendezvous)
        number
        (pairing: Pairing)
        (sent: ResizeArray<struct (Endpoint * Owned)>)
        =
        if pairing.Tries >= Repetitions then
            server.Pairings <- Radix.remove number server.Pairings
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

    let private wake (server: Rendezvous) sent =
        while TimerQueue.first server.TimerQueue <= server.Now do
            let struct (_, key, rest) = TimerQueue.pop server.TimerQueue
            server.TimerQueue <- rest

            if key < 0 then
                match Radix.tryFind ~~~key server.Pairings with
                | ValueSome pairing -> introduce server ~~~key pairing sent
                | ValueNone -> ()
            else
                match Radix.tryFind key server.Registrants with
                | ValueSome registrant when registrant.ExpiresAt > server.Now ->
                    server.TimerQueue <- TimerQueue.add registrant.ExpiresAt key server.TimerQueue
                | ValueSome registrant -> remove server key registrant
                | ValueNone -> ()

    [<CompiledName "Step">]
    let step (now: Instant) (received: struct (Endpoint * Borrowed)[]) (server: Rendezvous) =
        let server = { server with Now = max now server.Now }
        let sent = ResizeArray<struct (Endpoint * Owned)>()

        for struct (remote, datagram) in received do
            if admits server remote then
                receive server remote datagram sent
            else
                server.Dropped <- server.Dropped + 1L

        wake server sent
        struct (server, sent.ToArray())

    [<CompiledName "Deadline">]
    let deadline (server: Rendezvous) = TimerQueue.first server.TimerQueue

    [<CompiledName "Statistics">]
    let statistics (server: Rendezvous) : RendezvousStatistics =
        { Waiting = server.Waiting
          Introductions = Radix.count server.Pairings
          Introduced = server.Introduced
          Dropped = server.Dropped }
