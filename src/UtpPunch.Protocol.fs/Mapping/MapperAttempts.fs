namespace UtpPunch.Protocol

/// The attempts of a mapper: when each begins, how it succeeds and how it fails.
module internal MapperAttempts =
    /// When a request is sent, from its beginning on. RFC 6887's first repetition, after 3 s, is too slow for a connection that waits for it.
    let private repetitions = [| 0; 250; 750; 1750 |]

    /// UPnP has this long to answer a search after the last repetition; its devices wait up to MX, a second.
    let private searchEnd = Time.milliseconds 2_750

    /// UPnP begins when the gateway has not answered for this long.
    let private upnpDelay = Time.seconds 1

    /// Requests of renewals are at least this far apart (RFC 6887, 11.2.1).
    let private leastRenewal = Time.seconds 4

    /// What a gateway grants is taken to be within these bounds: it must neither flood nor forget us. RFC 6887, 15: at most a day.
    let private leastLifetime = Time.seconds 8
    let private mostLifetime = Time.seconds 86_400

    /// The pauses between attempts after the mapping was lost: doubled each time.
    let private firstPause = Time.seconds 60
    let private mostPause = Time.seconds 1_800

    let momentOf count from =
        if count < repetitions.Length then
            from + Time.milliseconds repetitions[count]
        else
            Time.never

    /// Begins an attempt: with the protocol of the mapping first, and by all protocols if that has failed.
    let start mapper =
        let now = mapper.Now

        let isRenewal = mapper.Lease.IsSome && mapper.Failures = 0
        let only = if isRenewal then ValueSome mapper.Lease.Value.Protocol else mapper.Options.Only
        let isUpnp = only = ValueSome MapperProtocol.Upnp

        let attempt =
            { StartedAt = now
              GivesUpAt = now + mapper.Options.Timeout
              Protocol =
                (if only = ValueSome MapperProtocol.NatPmp then
                     MapperProtocol.NatPmp
                 else
                     MapperProtocol.Pcp)
              Asks = not isUpnp
              Rounds = 0
              RoundAt = (if isUpnp then Time.never else now)
              RoundsFrom = now
              Searches = 0
              SearchAt = (if isRenewal || (only.IsSome && not isUpnp) then Time.never else now)
              Address = ValueNone
              Port = ValueNone
              Devices = [||]
              Found = 0
              UpnpFrom = now + (if isUpnp then 0L<us> else upnpDelay)
              Failure = ValueNone }

        { mapper with
            Stage = MapperStage.Attempting attempt
            AttemptedAt = now
            Upnp = (if isRenewal then mapper.Held else IgdMapping.idle) }

    /// The external port and address to ask for: those of the mapping, if there is one.
    let suggested mapper =
        match mapper.Lease with
        | ValueSome lease -> lease.External
        | ValueNone ->
            let client = mapper.Options.Client
            let port = if mapper.Options.ExternalPort = 0us then client.Port else mapper.Options.ExternalPort
            if Endpoint.isIPv4 client then Endpoint.ofIPv4 0u port else Endpoint.ofIPv6 0UL 0UL port

    /// RFC 6887, 11.2.1: a renewal at a time drawn between 1/2 and 5/8 of the lifetime, so that hosts do not renew in step.
    let private renewalTime (lifetime: Duration) mapper =
        let struct (draw, random) = Random.next mapper.Random
        let half = lifetime / 2L
        let share = half / 4L * int64 (draw >>> 16) / 65_536L
        struct (mapper.Now + half + share, random)

    let private isUsable (external: Endpoint) =
        external.Port <> 0us
        && match CandidateFilter.scope external with
           | AddressScope.Global
           | AddressScope.Private -> true
           | AddressScope.Loopback
           | AddressScope.Invalid -> false

    /// Whether an event is worth a report: a renewal that changes nothing is not.
    let private isNews (lease: MapperLease) (old: MapperLease voption) =
        match old with
        | ValueSome old -> not (old.External.Equals lease.External) || old.Protocol <> lease.Protocol
        | ValueNone -> true

    /// The attempt has succeeded.
    let succeed protocol (external: Endpoint) lifetime (effects: ResizeArray<MapperEffect>) mapper =
        let bounded =
            if lifetime = Time.never then
                mapper.Options.Lifetime
            else
                max leastLifetime (min mostLifetime lifetime)

        let lease =
            { Protocol = protocol
              External = external
              Lifetime = (if lifetime = Time.never then Time.never else bounded)
              ExpiresAt = mapper.Now + bounded
              IsPrivate = (CandidateFilter.scope external = AddressScope.Private) }

        // A caller that asks for less than it gets wants to notice sooner that the gateway has restarted.
        let struct (renewAt, random) =
            renewalTime (max leastLifetime (min bounded mapper.Options.Lifetime)) mapper

        effects.Add(
            if isNews lease mapper.Lease then
                MapperEffect.Mapped lease
            else
                MapperEffect.Renewed lease
        )

        { mapper with
            Stage = MapperStage.Resting(max renewAt (mapper.AttemptedAt + leastRenewal))
            Random = random
            Lease = ValueSome lease
            WasMapped = true
            Failures = 0
            Upnp = IgdMapping.idle
            Held =
                (if protocol = MapperProtocol.Upnp then
                     { mapper.Upnp with Stage = UpnpStage.Idle }
                 else
                     IgdMapping.idle) }

    /// How much a reason tells. Routers without an outside address refuse by one protocol, and name the reason by another one.
    let private weight failure =
        match failure with
        | MapperFailure.NoAnswer _
        | MapperFailure.NetworkChanged -> 0
        | MapperFailure.Unusable -> 1
        | MapperFailure.Refused _ -> 2
        | MapperFailure.NoExternalAddress _
        | MapperFailure.AddressMismatch -> 3

    /// Remembers the reason that tells most.
    let note failure (attempt: MapperAttempt) =
        match attempt.Failure with
        | ValueSome known when weight known >= weight failure -> attempt
        | _ -> { attempt with Failure = ValueSome failure }

    let private pause failures : Duration = min mostPause (firstPause * (1L <<< min 10 (max 0 (failures - 1))))

    /// The mapping has expired, or is known to be gone.
    let lose failure (effects: ResizeArray<MapperEffect>) mapper =
        if mapper.Lease.IsSome then effects.Add(MapperEffect.Lost failure)
        { mapper with Lease = ValueNone; Held = IgdMapping.idle }

    /// The attempt has failed. While there is a mapping, it is renewed after half of the time that it still has.
    let fail (attempt: MapperAttempt) (effects: ResizeArray<MapperEffect>) mapper =
        let failure =
            ValueOption.defaultValue (MapperFailure.NoAnswer(mapper.Now - attempt.StartedAt)) attempt.Failure

        let mapper = { mapper with Failures = mapper.Failures + 1; Upnp = IgdMapping.idle }

        match mapper.Lease with
        | ValueSome lease when mapper.Now < lease.ExpiresAt ->
            let next = max (mapper.AttemptedAt + leastRenewal) (mapper.Now + (lease.ExpiresAt - mapper.Now) / 2L)
            { mapper with Stage = MapperStage.Resting(max (mapper.Now + 1L<us>) (min next lease.ExpiresAt)) }
        | ValueSome _ ->
            let mapper = lose failure effects mapper
            { mapper with Stage = MapperStage.Resting(mapper.Now + firstPause); Failures = 1 }
        | ValueNone when mapper.WasMapped ->
            { mapper with Stage = MapperStage.Resting(mapper.Now + pause mapper.Failures) }
        | ValueNone ->
            effects.Add(MapperEffect.Failed failure)
            { mapper with Stage = MapperStage.Over }

    /// Takes a mapping of the gateway by PCP or NAT-PMP, unless its external address is none.
    let take protocol (external: Endpoint) (lifetime: uint32) (attempt: MapperAttempt) effects mapper =
        if isUsable external then
            succeed protocol external (int64 lifetime * 1_000_000L<us>) effects mapper
        else
            let attempt =
                note (MapperFailure.NoExternalAddress protocol) { attempt with Asks = false; RoundAt = Time.never }

            { mapper with Stage = MapperStage.Attempting { attempt with UpnpFrom = mapper.Now } }

    /// The gateway refuses. UPnP may still work: some routers have a switch for each.
    let refuse failure (attempt: MapperAttempt) mapper =
        let attempt = note failure { attempt with Asks = false; RoundAt = Time.never; UpnpFrom = mapper.Now }
        { mapper with Stage = MapperStage.Attempting attempt }

    /// PCP is not supported: NAT-PMP is asked.
    let fallBack (attempt: MapperAttempt) mapper =
        let attempt =
            { attempt with
                Protocol = MapperProtocol.NatPmp
                Rounds = 0
                RoundAt = mapper.Now
                RoundsFrom = mapper.Now }

        { mapper with Stage = MapperStage.Attempting attempt }

    /// When the search is over, and no device that was not found will be.
    let exhaustedAt (attempt: MapperAttempt) =
        if attempt.SearchAt <> Time.never then Time.never
        elif attempt.Searches = 0 || attempt.Found > 0 then attempt.StartedAt
        else attempt.StartedAt + searchEnd

    /// Whether nothing is outstanding that could succeed.
    let isExhausted (attempt: MapperAttempt) mapper =
        not attempt.Asks
        && mapper.Upnp.Stage = UpnpStage.Idle
        && mapper.Upnp.Controls.Length = 0
        && attempt.Devices.Length = 0
        && mapper.Now >= exhaustedAt attempt
