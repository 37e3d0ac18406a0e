namespace UtpPunch.Protocol

/// Rooms whose members are registered at several instances of a server. A store knows who waits where. An instance proposes a client of its own for one
/// of another instance, which holds that one back and agrees; then both are introduced, each by its own instance, under one nonce.
module internal Sharing =
    open RendezvousState

    /// How often a message is sent until it is answered.
    [<Literal>]
    let private MaxTries = 4

    /// A registrant that was heard within this time is there. It may answer a ping just before the proposal is repeated, or just after.
    let private freshFor = Time.milliseconds 700

    /// For how many seconds an introduction is confirmed again, until the other client has acknowledged its own: as long as the punch of the first one may
    /// take.
    [<Literal>]
    let private MaxConfirmations = 9

    let private pauseAfter (tries: int) = Time.milliseconds (150 <<< min 3 (tries - 1))

    /// How often the store is told of a client: whenever it registers, but not for each ping that it answers.
    let private tellEvery stays = if stays then Time.seconds 10 else Time.seconds 1

    /// How long the store remembers it: for two renewals.
    let private lifetime stays = if stays then Time.seconds 35 else Time.seconds 4

    let isShared (server: Rendezvous) = server.Shared.Instance <> 0UL

    /// The key of a nonce is negative; the nonces of introductions within one instance begin with a positive number.
    let keyOf (nonce: Borrowed) : int = keyOfNonce nonce

    let private tell (server: Rendezvous) instance message =
        server.Requests.Add(StoreRequest.Send(instance, InstanceWire.encode message))

    let private proposalOf (server: Rendezvous) (nonce: Owned) =
        match Radix.tryFind (keyOf nonce.AsBorrowed) server.Shared.Proposals with
        | ValueSome it when it.Nonce.Equals nonce -> ValueSome it
        | _ -> ValueNone

    let private pairingOf (server: Rendezvous) (nonce: Owned) =
        match Radix.tryFind (keyOf nonce.AsBorrowed) server.Shared.Pairings with
        | ValueSome it when it.Nonce.Equals nonce -> ValueSome it
        | _ -> ValueNone

    /// Whether a registrant's introduction, or proposal, is still under way.
    let isUnderWay (server: Rendezvous) (key: int) =
        (Radix.tryFind key server.Shared.Proposals).IsSome
        || (Radix.tryFind key server.Shared.Pairings).IsSome

    let private keepProposal (server: Rendezvous) (it: Proposal) =
        let key = keyOf it.Nonce.AsBorrowed

        server.Shared <-
            { server.Shared with
                Proposals = Radix.add key it server.Shared.Proposals
                Timers = TimerQueue.add it.NextAt key server.Shared.Timers }

    let private dropProposal (server: Rendezvous) (it: Proposal) =
        server.Shared <-
            { server.Shared with Proposals = Radix.remove (keyOf it.Nonce.AsBorrowed) server.Shared.Proposals }

    let private keepPairing (server: Rendezvous) (it: SharedPairing) =
        let key = keyOf it.Nonce.AsBorrowed

        server.Shared <-
            { server.Shared with
                Pairings = Radix.add key it server.Shared.Pairings
                Timers = TimerQueue.add it.NextAt key server.Shared.Timers }

    let private dropPairing (server: Rendezvous) (it: SharedPairing) =
        server.Shared <-
            { server.Shared with Pairings = Radix.remove (keyOf it.Nonce.AsBorrowed) server.Shared.Pairings }

    // ---- Registrants ----

    /// A registrant that does not stay is in no room while it is proposed or introduced.
    let private holdBack (server: Rendezvous) number (registrant: Registrant) (nonce: Owned) =
        if not registrant.Registration.Stays then
            store server number { leaveRoom server number registrant with Pairing = ValueSome(keyOf nonce.AsBorrowed) }

    /// It waits again, unless it has another introduction meanwhile.
    let private letWait (server: Rendezvous) number (nonce: Owned) =
        match Radix.tryFind number server.Registrants with
        | ValueSome it when it.Pairing = ValueSome(keyOf nonce.AsBorrowed) ->
            let free = { it with Pairing = ValueNone }

            match enterRoom server number free with
            | ValueSome _ -> ()
            | ValueNone -> removeRegistrant server number free
        | _ -> ()

    /// A registrant waits: the store learns of it, and tells who waits elsewhere.
    let share (server: Rendezvous) number =
        match Radix.tryFind number server.Registrants with
        | ValueSome it when
            isShared server
            && it.Place <> RoomPlace.Outside
            && (it.SharedAt = Time.never || server.Now >= it.SharedAt + tellEvery it.Registration.Stays)
            ->
            let stays = it.Registration.Stays
            store server number { it with SharedAt = server.Now }
            server.Requests.Add(StoreRequest.Share(it.Registration.Room, number, stays, lifetime stays))
        | _ -> ()

    /// The store may have forgotten everything.
    let private shareAll (server: Rendezvous) =
        Radix.iterate
            (fun number (it: Registrant) ->
                store server number { it with SharedAt = Time.never }
                share server number)
            server.Registrants

    // ---- Proposals ----

    let private propose (server: Rendezvous) (it: Proposal) =
        match Radix.tryFind it.Number server.Registrants with
        | ValueSome own ->
            let target = it.Others[0]
            let registration = Entry.toRegistration own.Registration
            let remote = Endpoint.via 0us own.Remote

            tell
                server
                target.Instance
                (InstanceMessage.Propose(it.Nonce, target.Number, it.Number, remote, registration))

            let tries = it.Tries + 1
            keepProposal server { it with Tries = tries; NextAt = server.Now + pauseAfter tries }
        | ValueNone -> dropProposal server it

    let private begin' (server: Rendezvous) number (own: Registrant) (others: RoomMember[]) =
        let struct (bytes, random) = Random.words 4 server.Random
        server.Random <- random
        let nonce = bytes.Span.ToArray()
        nonce[0] <- nonce[0] ||| 0x80uy
        let nonce = Owned nonce

        if not (isUnderWay server (keyOf nonce.AsBorrowed)) then
            holdBack server number own nonce
            propose server { Nonce = nonce; Number = number; Others = others; Tries = 0; NextAt = server.Now }

    /// The next of the others, under another nonce: the last one may still agree to the old one, and learns then that it is withdrawn.
    let private giveUp (server: Rendezvous) (it: Proposal) =
        dropProposal server it
        letWait server it.Number it.Nonce

        if it.Others.Length > 1 then
            match Radix.tryFind it.Number server.Registrants with
            | ValueSome own when own.Place <> RoomPlace.Outside -> begin' server it.Number own (Array.tail it.Others)
            | _ -> ()

    /// The store knows others in the room of a registrant. Whether that one is still there must be known, too: it answers a ping by registering, and the
    /// store is asked again.
    let private learn (server: Rendezvous) number (others: RoomMember[]) (send: Endpoint -> RendezvousMessage -> unit) =
        let others = others |> Array.filter (fun it -> it.Instance <> server.Shared.Instance)

        match Radix.tryFind number server.Registrants with
        | ValueSome own when own.Place <> RoomPlace.Outside && others.Length > 0 ->
            if own.HeardAt >= server.Now - freshFor then
                begin' server number own others
            elif own.PingAt = Time.never then
                Matching.ping server number { own with SharedAt = Time.never } (send own.Remote)
        | _ -> ()

    // ---- Introductions ----

    let private side (remote: Endpoint) (entry: Entry) : PairedPeer =
        { Remote = remote; Registration = entry; Acknowledged = false; RoundTrip = 0L<us> }

    let private agree (server: Rendezvous) (it: SharedPairing) =
        let registration = Entry.toRegistration it.Own.Registration
        tell server it.Instance (InstanceMessage.Agree(it.Nonce, Endpoint.via 0us it.Own.Remote, registration))
        let tries = it.Tries + 1
        keepPairing server { it with Tries = tries; NextAt = server.Now + pauseAfter tries }

    let private confirm (server: Rendezvous) (it: SharedPairing) =
        let registration = Entry.toRegistration it.Own.Registration
        let remote = Endpoint.via 0us it.Own.Remote
        tell server it.Instance (InstanceMessage.Confirm(it.Nonce, it.OtherNumber, it.Number, remote, registration))

    let private pairingWith
        (server: Rendezvous)
        instance
        otherNumber
        (nonce: Owned)
        number
        (own: Registrant)
        remote
        entry
        =
        { Nonce = nonce
          Number = number
          Own = side own.Remote own.Registration
          Other = side remote entry
          Instance = instance
          OtherNumber = otherNumber
          IsConfirmed = false
          Tries = 0
          NextAt = server.Now }

    let private accept (server: Rendezvous) instance (nonce: Owned) number (own: Registrant) remote (entry: Entry) =
        holdBack server number own nonce
        if not own.Registration.Stays then unshare server number own
        agree server (pairingWith server instance 0 nonce number own remote entry)

    /// Whether a registrant has an own proposal, which two instances may make to each other at the same time: that of the lower instance counts.
    let private proposalOfRegistrant (server: Rendezvous) (own: Registrant) =
        match own.Pairing with
        | ValueSome key -> Radix.tryFind key server.Shared.Proposals
        | ValueNone -> ValueNone

    let private proposed (server: Rendezvous) instance nonce target number remote (it: Registration) send =
        let entry = Entry.keep it
        let refuse () = tell server instance (InstanceMessage.Refuse nonce)

        match pairingOf server nonce, Radix.tryFind target server.Registrants with
        | ValueSome pairing, _ -> if not pairing.IsConfirmed then agree server { pairing with Tries = 0 }
        | ValueNone, ValueSome own when
            own.ExpiresAt > server.Now
            && Matching.areFit own.Remote own.Registration remote entry
            && not (isUnderWay server (keyOf nonce.AsBorrowed))
            && Radix.count server.Shared.Pairings < server.Options.MaxRegistrations
            ->
            let isFree = own.Place <> RoomPlace.Outside

            match proposalOfRegistrant server own with
            | ValueSome mine when mine.Others[0].Instance = instance && mine.Others[0].Number = number ->
                if instance < server.Shared.Instance then
                    dropProposal server mine
                    accept server instance nonce target own remote entry
            | ValueNone when isFree && own.HeardAt >= server.Now - freshFor ->
                accept server instance nonce target own remote entry
            // It answers the ping by registering, and the proposal is repeated.
            | ValueNone when isFree -> if own.PingAt = Time.never then Matching.ping server target own (send own.Remote)
            | _ -> refuse ()
        | _ -> refuse ()

    let private agreed (server: Rendezvous) instance nonce remote (it: Registration) =
        match proposalOf server nonce, pairingOf server nonce with
        | _, ValueSome pairing -> if pairing.IsConfirmed && pairing.OtherNumber <> 0 then confirm server pairing
        | ValueSome proposal, ValueNone when proposal.Others[0].Instance = instance ->
            let entry = Entry.keep it

            match Radix.tryFind proposal.Number server.Registrants with
            | ValueSome own when
                (own.Registration.Stays || own.Pairing = ValueSome(keyOf nonce.AsBorrowed))
                && Matching.areFit own.Remote own.Registration remote entry
                ->
                dropProposal server proposal
                if not own.Registration.Stays then unshare server proposal.Number own
                server.Introduced <- server.Introduced + 1L
                let target = proposal.Others[0].Number
                let pairing = pairingWith server instance target nonce proposal.Number own remote entry
                keepPairing server { pairing with IsConfirmed = true }
            | _ ->
                dropProposal server proposal
                letWait server proposal.Number nonce
                tell server instance (InstanceMessage.Withdraw nonce)
        | _ -> tell server instance (InstanceMessage.Withdraw nonce)

    /// The other client is being introduced. The one here may wait in its room again, if the confirmation was long under way.
    let private confirmed (server: Rendezvous) instance nonce target remote (it: Registration) =
        match pairingOf server nonce, Radix.tryFind target server.Registrants with
        | ValueSome pairing, _ ->
            if not pairing.IsConfirmed && pairing.Instance = instance then
                keepPairing server { pairing with IsConfirmed = true; Tries = 0; NextAt = server.Now }
        | ValueNone, ValueSome own when
            own.Place <> RoomPlace.Outside
            && own.ExpiresAt > server.Now
            && not (isUnderWay server (keyOf nonce.AsBorrowed))
            && Radix.count server.Shared.Pairings < server.Options.MaxRegistrations
            ->
            let entry = Entry.keep it

            if Matching.areFit own.Remote own.Registration remote entry then
                holdBack server target own nonce
                if not own.Registration.Stays then unshare server target own
                let pairing = pairingWith server instance 0 nonce target own remote entry
                keepPairing server { pairing with IsConfirmed = true }
        | _ -> ()

    let private withdrawn (server: Rendezvous) (it: SharedPairing) =
        if not it.IsConfirmed then
            dropPairing server it
            letWait server it.Number it.Nonce

    /// Both have acknowledged: the one here begins. The one with the shorter round trip waits half of the difference.
    let private go (it: SharedPairing) send =
        if it.Own.Acknowledged && it.Other.Acknowledged then
            let later = max 0L<us> (it.Other.RoundTrip - it.Own.RoundTrip) / 2L
            send it.Own.Remote (RendezvousMessage.Go(it.Own.Registration.Handle, it.Nonce.AsBorrowed, later))

    /// A client here has acknowledged an introduction.
    let acknowledged (server: Rendezvous) (remote: Endpoint) handle (nonce: Borrowed) roundTrip send =
        match pairingOf server (Borrowed.keep nonce) with
        | ValueSome it when it.Own.Registration.Handle = handle && it.Own.Remote.Equals remote ->
            let it = { it with Own = { it.Own with Acknowledged = true; RoundTrip = roundTrip } }
            keepPairing server it
            tell server it.Instance (InstanceMessage.Acknowledged(it.Nonce, roundTrip))
            go it send
        | _ -> ()

    let private told (server: Rendezvous) instance (message: InstanceMessage) send =
        let ofPairing nonce action =
            match pairingOf server nonce with
            | ValueSome it when it.Instance = instance -> action it
            | _ -> ()

        match message with
        | InstanceMessage.Propose(nonce, target, number, remote, it) ->
            if keyOf nonce.AsBorrowed < 0 then
                proposed server instance nonce target number remote it send
        | InstanceMessage.Agree(nonce, remote, it) -> agreed server instance nonce remote it
        | InstanceMessage.Refuse nonce ->
            match proposalOf server nonce with
            | ValueSome it when it.Others[0].Instance = instance -> giveUp server it
            | _ -> ()
        | InstanceMessage.Confirm(nonce, target, _, remote, it) ->
            if keyOf nonce.AsBorrowed < 0 then confirmed server instance nonce target remote it
        | InstanceMessage.Withdraw nonce -> ofPairing nonce (withdrawn server)
        | InstanceMessage.Acknowledged(nonce, roundTrip) ->
            ofPairing nonce (fun it ->
                let it = { it with Other = { it.Other with Acknowledged = true; RoundTrip = roundTrip } }
                keepPairing server it
                go it send)

    /// Takes what the store tells. What is not a message of an instance counts as dropped.
    let receive (server: Rendezvous) event (send: Endpoint -> RendezvousMessage -> unit) =
        match event with
        | StoreEvent.Members(number, others) -> learn server number others send
        | StoreEvent.Restored -> shareAll server
        | StoreEvent.Told(instance, message) ->
            match InstanceWire.decode message with
            | ValueSome message when instance <> server.Shared.Instance -> told server instance message send
            | _ -> dropInvalid server
        | StoreEvent.Undelivered message ->
            match InstanceWire.decode message with
            | ValueSome(InstanceMessage.Propose(nonce, _, _, _, _)) ->
                match proposalOf server nonce with
                | ValueSome it -> giveUp server it
                | ValueNone -> ()
            | _ -> ()

    // ---- Timers ----

    let private introduce (server: Rendezvous) (it: SharedPairing) (repetitions: int) (pause: int -> Duration) send =
        let isProposer = it.OtherNumber <> 0

        let most =
            if isProposer && not it.Other.Acknowledged then
                repetitions + MaxConfirmations
            else
                repetitions

        if it.Tries >= most then
            dropPairing server it
            endIntroduction server (keyOf it.Nonce.AsBorrowed) it.Own
        else
            if it.Tries = 0 then Reports.expect server it.Nonce [| it.Own |]
            if isProposer && not it.Other.Acknowledged then confirm server it

            if it.Tries < repetitions && not it.Own.Acknowledged then
                send
                    it.Own.Remote
                    (RendezvousMessage.Introduce(
                        it.Own.Registration.Handle,
                        { Nonce = it.Nonce.AsBorrowed
                          Peer = it.Other.Registration.Peer.AsBorrowed
                          Observed = it.Other.Remote
                          Offer = it.Other.Registration.Offer.AsBorrowed }
                    ))

            let tries = it.Tries + 1
            let next = if tries < repetitions then pause tries else Time.seconds 1
            keepPairing server { it with Tries = tries; NextAt = server.Now + next }

    /// Does what is due.
    let wake (server: Rendezvous) repetitions (pause: int -> Duration) send =
        while TimerQueue.first server.Shared.Timers <= server.Now do
            let struct (_, key, rest) = TimerQueue.pop server.Shared.Timers
            server.Shared <- { server.Shared with Timers = rest }

            match Radix.tryFind key server.Shared.Proposals, Radix.tryFind key server.Shared.Pairings with
            | ValueSome it, _ when it.NextAt <= server.Now ->
                if it.Tries >= MaxTries then giveUp server it else propose server it
            | _, ValueSome it when it.NextAt <= server.Now ->
                if it.IsConfirmed then introduce server it repetitions pause send
                elif it.Tries >= MaxTries then withdrawn server it
                else agree server it
            | _ -> ()
