namespace UtpPunch.Protocol

open UtpPunch.Protocol.MapperAttempts

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal PortMapper =
    /// How long a UPnP gateway may take for an answer. The shell has the same limit; this one holds if it does not keep it.
    let private requestTimeout = Time.milliseconds 1_500

    /// How long the deletion of a mapping may take, and when it is repeated.
    let private closingTimeout = Time.milliseconds 250
    let private closingRepetition = Time.milliseconds 100

    /// More devices than a network has gateways.
    [<Literal>]
    let private MaxDevices = 4

    [<CompiledName "Standard">]
    let standard (client: Endpoint) prefixLength (gateway: Endpoint) =
        let multicast =
            if Endpoint.isIPv4 client then
                Ssdp.multicast
            else
                { Ssdp.multicastIPv6 with Scope = gateway.Scope }

        { Client = client
          PrefixLength = prefixLength
          Gateway = Endpoint.withPort GatewayWire.Port gateway
          Searches = [| Endpoint.withPort Ssdp.Port gateway; multicast |]
          ExternalPort = 0us
          Lifetime = Time.seconds 3_600
          Timeout = Time.seconds 5
          Only = ValueNone }

    let private withNonce mapper =
        let struct (words, random) = Random.words (GatewayWire.NonceLength / 4) mapper.Random
        { mapper with Nonce = words; Random = random }

    [<CompiledName "Start">]
    let start (options: MapperOptions) random now =
        if options.Lifetime < Time.seconds 1 || options.Timeout <= 0L<us> then
            invalidArg (nameof options) "A mapping lasts for a second at least, and an attempt takes time."

        { Options = options
          Random = random
          Now = now
          Nonce = Owned.Empty
          Stage = MapperStage.Over
          Lease = ValueNone
          WasMapped = false
          Failures = 0
          AttemptedAt = now
          Epoch = ValueNone
          Upnp = IgdMapping.idle
          Held = IgdMapping.idle
          NextRequest = 1 }
        |> withNonce
        |> MapperAttempts.start

    [<CompiledName "Awaits">]
    let awaits (options: MapperOptions) (from: Endpoint) datagram =
        (GatewayWire.looksLike datagram && from.Equals options.Gateway)
        || (Ssdp.looksLike datagram
            && (Endpoint.isSameAddress from options.Gateway
                || HttpAddress.isSameSubnet options.PrefixLength from options.Client
                // An IPv6 router answers from its link-local address.
                || (not (Endpoint.isIPv4 from) && from.High >>> 54 = 0x3FAUL)))

    // ---- PCP and NAT-PMP

    /// RFC 6887, 8.5, and RFC 6886, 3.6: the gateway has lost its mappings if its time has not advanced as ours has.
    let private isEpochValid protocol (epoch: uint32) mapper =
        match mapper.Epoch with
        | ValueNone -> true
        | ValueSome(struct (before, at)) ->
            let ours = int64 (mapper.Now - at) / 1_000_000L
            let theirs = int64 epoch - int64 before

            if protocol = MapperProtocol.NatPmp then
                theirs >= ours * 7L / 8L - 2L
            else
                theirs >= -1L && ours + 2L >= theirs - theirs / 16L && theirs + 2L >= ours - ours / 16L

    /// A gateway that has lost its mappings is asked for a new one at once. While an attempt is under way, its answer is one.
    let private observeEpoch protocol epoch mapper =
        let isValid = isEpochValid protocol epoch mapper
        let mapper = { mapper with Epoch = ValueSome(struct (epoch, mapper.Now)) }

        match mapper.Stage with
        | MapperStage.Resting until when not isValid && mapper.Lease.IsSome ->
            { mapper with
                Stage = MapperStage.Resting(min until (max mapper.Now (mapper.AttemptedAt + Time.seconds 4))) }
        | _ -> mapper

    let private receivePcp result lifetime (nonce: Owned) internalPort external attempt effects mapper =
        if not (nonce.Equals mapper.Nonce) || internalPort <> mapper.Options.Client.Port then
            mapper
        elif result = 12 then
            refuse MapperFailure.AddressMismatch attempt mapper
        elif result <> 0 then
            let name = GatewayWire.pcpResult result
            refuse (MapperFailure.Refused(MapperProtocol.Pcp, result, name)) attempt mapper
        else
            take MapperProtocol.Pcp external lifetime attempt effects mapper

    /// Both parts must have come.
    let private completeNatPmp (attempt: MapperAttempt) effects mapper =
        match attempt.Address, attempt.Port with
        | ValueSome address, ValueSome(struct (port, lifetime)) ->
            take MapperProtocol.NatPmp (Endpoint.withPort port address) lifetime attempt effects mapper
        | _ -> { mapper with Stage = MapperStage.Attempting attempt }

    let private refuseNatPmp result attempt mapper =
        refuse (MapperFailure.Refused(MapperProtocol.NatPmp, result, GatewayWire.natPmpResult result)) attempt mapper

    let private answerOf answer (attempt: MapperAttempt) effects mapper =
        match answer with
        | GatewayAnswer.Pcp(result, _, lifetime, nonce, port, external) when attempt.Protocol = MapperProtocol.Pcp ->
            receivePcp result lifetime nonce port external attempt effects mapper
        | GatewayAnswer.OtherVersion when attempt.Protocol = MapperProtocol.Pcp ->
            if Endpoint.isIPv4 mapper.Options.Client && mapper.Options.Only.IsNone then
                fallBack attempt mapper
            else
                refuse (MapperFailure.Refused(MapperProtocol.Pcp, 1, "UNSUPP_VERSION")) attempt mapper
        | GatewayAnswer.NatPmpAddress(result, _, address) when attempt.Protocol = MapperProtocol.NatPmp ->
            if result <> 0 then
                refuseNatPmp result attempt mapper
            else
                completeNatPmp { attempt with Address = ValueSome address } effects mapper
        | GatewayAnswer.NatPmpMapped(result, _, internalPort, externalPort, lifetime) when
            attempt.Protocol = MapperProtocol.NatPmp && internalPort = mapper.Options.Client.Port
            ->
            if result <> 0 then
                refuseNatPmp result attempt mapper
            else
                completeNatPmp { attempt with Port = ValueSome(struct (externalPort, lifetime)) } effects mapper
        | _ -> mapper

    let private epochOf answer =
        match answer with
        | GatewayAnswer.Pcp(_, epoch, _, _, _, _) -> ValueSome(struct (MapperProtocol.Pcp, epoch))
        | GatewayAnswer.NatPmpAddress(_, epoch, _)
        | GatewayAnswer.NatPmpMapped(_, epoch, _, _, _) -> ValueSome(struct (MapperProtocol.NatPmp, epoch))
        | GatewayAnswer.OtherVersion -> ValueNone

    let private receiveAnswer answer effects mapper =
        let mapper =
            match epochOf answer with
            | ValueSome(struct (protocol, epoch)) -> observeEpoch protocol epoch mapper
            | ValueNone -> mapper

        match mapper.Stage, answer with
        | MapperStage.Attempting attempt, _ when attempt.Asks -> answerOf answer attempt effects mapper
        // The answer to the deletion has lifetime 0.
        | MapperStage.Closing(protocol, sent, _, _), GatewayAnswer.Pcp(_, _, 0u, nonce, _, _) when
            sent > 0 && nonce.Equals mapper.Nonce
            ->
            { mapper with Stage = MapperStage.Closing(protocol, sent, Time.never, mapper.Now) }
        | MapperStage.Closing(protocol, sent, _, _), GatewayAnswer.NatPmpMapped(_, _, port, _, 0u) when
            sent > 0 && port = mapper.Options.Client.Port
            ->
            { mapper with Stage = MapperStage.Closing(protocol, sent, Time.never, mapper.Now) }
        | _ -> mapper

    // ---- UPnP

    let private receiveDevice (from: Endpoint) location mapper =
        match mapper.Stage, HttpAddress.read location with
        | MapperStage.Attempting attempt, ValueSome address when attempt.Searches > 0 && attempt.Found < MaxDevices ->
            let remote = { address.Remote with Scope = from.Scope }
            let isOwn = HttpAddress.isSameSubnet mapper.Options.PrefixLength remote mapper.Options.Client
            // A device answers by its link-local address, and names itself by the one of the client's subnet.
            let isSender = Endpoint.isSameAddress remote from
            let isNamedAlike = isSender || not (Endpoint.isIPv4 from)
            let isGateway = isSender && Endpoint.isSameAddress from mapper.Options.Gateway
            let address = { address with Remote = (if isSender then remote else { remote with Scope = 0u }) }
            let isKnown = attempt.Devices |> Array.exists (fun other -> other.Url = address.Url)

            if isNamedAlike && (isOwn || isGateway) && not isKnown then
                let devices = Array.append attempt.Devices [| address |]
                // The gateway first: the default route leads through its NAT.
                let isFirst (it: HttpAddress) = Endpoint.isSameAddress it.Remote mapper.Options.Gateway
                let devices = Array.append (Array.filter isFirst devices) (Array.filter (isFirst >> not) devices)

                { mapper with
                    Stage = MapperStage.Attempting { attempt with Devices = devices; Found = attempt.Found + 1 } }
            else
                mapper
        | _ -> mapper

    let private request (address: HttpAddress) action body stage (effects: ResizeArray<MapperEffect>) mapper =
        effects.Add(MapperEffect.Request(mapper.NextRequest, address, action, body))

        { mapper with
            NextRequest = mapper.NextRequest + 1
            Upnp =
                { mapper.Upnp with
                    Stage = stage
                    Request = mapper.NextRequest
                    Until = mapper.Now + requestTimeout } }

    let private call (call: IgdCall) stage effects mapper =
        request call.Control.Address (Igd.soapAction call) (Igd.envelope call) stage effects mapper

    let private portToAsk mapper = (suggested mapper).Port

    let rec private follow (attempt: MapperAttempt) (struct (upnp, step): struct (UpnpState * IgdStep)) effects mapper =
        let mapper = { mapper with Upnp = upnp }

        match step with
        | IgdStep.Call(next, stage) -> call next stage effects mapper
        | IgdStep.Mapped(external, isPermanent) ->
            let lifetime = if isPermanent then Time.never else mapper.Options.Lifetime
            succeed MapperProtocol.Upnp external lifetime effects mapper
        | IgdStep.Failed failure ->
            let attempt = note failure attempt
            let upnp = { upnp with Stage = UpnpStage.Idle; Controls = upnp.Controls[1..] }
            let mapper = { mapper with Stage = MapperStage.Attempting attempt; Upnp = upnp }

            if upnp.Controls.Length > 0 then
                follow attempt (IgdMapping.start mapper.Options (portToAsk mapper) upnp) effects mapper
            else
                mapper

    let private receiveDescription status elements (attempt: MapperAttempt) effects mapper =
        let controls =
            match mapper.Upnp.Device with
            | ValueSome device when status = 200 ->
                Igd.controls (not (Endpoint.isIPv4 mapper.Options.Client)) device elements
            | _ -> [||]

        if controls.Length = 0 then
            let attempt = note MapperFailure.Unusable attempt
            { mapper with Stage = MapperStage.Attempting attempt; Upnp = IgdMapping.idle }
        else
            let upnp = { mapper.Upnp with Controls = controls }
            follow attempt (IgdMapping.start mapper.Options (portToAsk mapper) upnp) effects mapper

    let private receiveResponse id status elements effects mapper =
        match mapper.Stage with
        | MapperStage.Attempting attempt when mapper.Upnp.Stage <> UpnpStage.Idle && mapper.Upnp.Request = id ->
            if mapper.Upnp.Stage = UpnpStage.Describing then
                receiveDescription status elements attempt effects mapper
            else
                let struct (draw, random) = Random.next mapper.Random
                let next = IgdMapping.answer mapper.Options draw status elements mapper.Upnp
                follow attempt next effects { mapper with Random = random }
        | MapperStage.Closing(protocol, sent, _, _) when mapper.Upnp.Request = id ->
            { mapper with Stage = MapperStage.Closing(protocol, sent, Time.never, mapper.Now) }
        | _ -> mapper

    /// The device is silent: the next one is tried.
    let private receiveSilence id mapper =
        match mapper.Stage with
        | MapperStage.Attempting attempt when mapper.Upnp.Stage <> UpnpStage.Idle && mapper.Upnp.Request = id ->
            { mapper with
                Stage = MapperStage.Attempting(note MapperFailure.Unusable attempt)
                Upnp = IgdMapping.idle }
        | MapperStage.Closing(protocol, sent, _, _) when mapper.Upnp.Request = id ->
            { mapper with Stage = MapperStage.Closing(protocol, sent, Time.never, mapper.Now) }
        | _ -> mapper

    let private beginUpnp (attempt: MapperAttempt) effects mapper =
        // From here on an answer by another protocol comes too late: there must be one mapping.
        let attempt = { attempt with Asks = false; RoundAt = Time.never }

        if mapper.Upnp.Controls.Length > 0 then
            let mapper = { mapper with Stage = MapperStage.Attempting { attempt with UpnpFrom = Time.never } }
            follow attempt (IgdMapping.renew mapper.Options mapper.Upnp) effects mapper
        else
            let device = attempt.Devices[0]
            let attempt = { attempt with Devices = attempt.Devices[1..] }
            let mapper = { mapper with Stage = MapperStage.Attempting attempt }
            let mapper = { mapper with Upnp = { IgdMapping.idle with Device = ValueSome device } }
            request device "" Owned.Empty UpnpStage.Describing effects mapper

    // ---- Time

    let private ask (attempt: MapperAttempt) (effects: ResizeArray<MapperEffect>) mapper =
        let send datagram = effects.Add(MapperEffect.Send(mapper.Options.Gateway, datagram))
        let suggested = suggested mapper
        let lifetime = uint32 (min 0xFFFF_FFFFL (int64 mapper.Options.Lifetime / 1_000_000L))

        if attempt.Protocol = MapperProtocol.Pcp then
            send (GatewayWire.pcpMap mapper.Nonce mapper.Options.Client suggested lifetime)
        else
            if attempt.Address.IsNone then send GatewayWire.natPmpAddress

            if attempt.Port.IsNone then
                send (GatewayWire.natPmpMap mapper.Options.Client.Port suggested.Port lifetime)

        { attempt with
            Rounds = attempt.Rounds + 1
            RoundAt = momentOf (attempt.Rounds + 1) attempt.RoundsFrom }

    let private search (attempt: MapperAttempt) (effects: ResizeArray<MapperEffect>) mapper =
        for remote in mapper.Options.Searches do
            for datagram in Ssdp.searches do
                effects.Add(MapperEffect.Send(remote, datagram))

        { attempt with
            Searches = attempt.Searches + 1
            SearchAt = momentOf (attempt.Searches + 1) attempt.StartedAt }

    let private canBeginUpnp (attempt: MapperAttempt) mapper =
        mapper.Upnp.Stage = UpnpStage.Idle
        && mapper.Now >= attempt.UpnpFrom
        && (attempt.Devices.Length > 0 || mapper.Upnp.Controls.Length > 0)

    let private due at mapper = at <= mapper.Now

    /// Does what an attempt has due, one thing at a time; none when nothing is.
    let private advanceAttempt (attempt: MapperAttempt) effects mapper =
        if due attempt.GivesUpAt mapper || isExhausted attempt mapper then
            ValueSome(fail attempt effects mapper)
        elif mapper.Upnp.Stage <> UpnpStage.Idle && due mapper.Upnp.Until mapper then
            ValueSome(receiveSilence mapper.Upnp.Request mapper)
        elif attempt.Asks && due attempt.RoundAt mapper then
            ValueSome { mapper with Stage = MapperStage.Attempting(ask attempt effects mapper) }
        elif due attempt.SearchAt mapper then
            // A gateway that was found need not be searched for.
            let attempt =
                if attempt.Found > 0 then
                    { attempt with SearchAt = Time.never }
                else
                    search attempt effects mapper

            ValueSome { mapper with Stage = MapperStage.Attempting attempt }
        elif canBeginUpnp attempt mapper then
            ValueSome(beginUpnp attempt effects mapper)
        else
            ValueNone

    let private sendDeletion protocol (effects: ResizeArray<MapperEffect>) mapper =
        let client = mapper.Options.Client

        match protocol with
        | MapperProtocol.Pcp ->
            let none = Endpoint.withPort 0us (suggested { mapper with Lease = ValueNone })
            effects.Add(MapperEffect.Send(mapper.Options.Gateway, GatewayWire.pcpMap mapper.Nonce client none 0u))
            mapper
        | MapperProtocol.NatPmp ->
            effects.Add(MapperEffect.Send(mapper.Options.Gateway, GatewayWire.natPmpMap client.Port 0us 0u))
            mapper
        | MapperProtocol.Upnp ->
            match IgdMapping.deletion mapper.Held with
            | ValueSome deletion when mapper.Upnp.Stage = UpnpStage.Idle ->
                call deletion UpnpStage.Updating effects mapper
            | _ -> mapper

    let private advance effects mapper =
        match mapper.Stage with
        | MapperStage.Attempting attempt -> advanceAttempt attempt effects mapper
        | MapperStage.Resting until when due until mapper ->
            match mapper.Lease with
            | ValueSome lease when due lease.ExpiresAt mapper ->
                ValueSome(
                    MapperAttempts.start (lose (MapperFailure.NoAnswer(mapper.Now - mapper.AttemptedAt)) effects mapper)
                )
            | _ -> ValueSome(MapperAttempts.start mapper)
        | MapperStage.Closing(_, _, _, until) when due until mapper ->
            effects.Add MapperEffect.Closed
            ValueSome { mapper with Stage = MapperStage.Over; Lease = ValueNone }
        | MapperStage.Closing(protocol, sent, nextAt, until) when due nextAt mapper ->
            let mapper = sendDeletion protocol effects mapper
            let next = if sent = 0 then mapper.Now + closingRepetition else Time.never
            ValueSome { mapper with Stage = MapperStage.Closing(protocol, sent + 1, next, until) }
        | MapperStage.Resting _
        | MapperStage.Closing _
        | MapperStage.Over -> ValueNone

    // ---- Events

    /// Deletes the mapping, or what an outstanding request may still make.
    let private close mapper =
        let beginClosing protocol held =
            let stage = MapperStage.Closing(protocol, 0, mapper.Now, mapper.Now + closingTimeout)
            { mapper with Stage = stage; Held = held; Upnp = IgdMapping.idle }

        match mapper.Stage, mapper.Lease with
        | MapperStage.Over, _
        | MapperStage.Closing _, _ -> mapper
        | _, ValueSome lease -> beginClosing lease.Protocol mapper.Held
        | MapperStage.Attempting attempt, ValueNone when mapper.Upnp.Stage = UpnpStage.Idle ->
            beginClosing attempt.Protocol mapper.Held
        | _, ValueNone -> beginClosing MapperProtocol.Upnp mapper.Upnp

    let private restart options effects mapper =
        match mapper.Stage with
        | MapperStage.Over
        | MapperStage.Closing _ -> mapper
        | MapperStage.Attempting _
        | MapperStage.Resting _ ->
            { lose MapperFailure.NetworkChanged effects mapper with
                Options = options
                Epoch = ValueNone
                Failures = 0 }
            |> withNonce
            |> MapperAttempts.start

    let private absorb effects mapper event =
        match event with
        | MapperEvent.Received(from, datagram) when not (awaits mapper.Options from datagram) -> mapper
        | MapperEvent.Received(from, datagram) ->
            match GatewayWire.read datagram, Ssdp.location datagram with
            | ValueSome answer, _ -> receiveAnswer answer effects mapper
            | ValueNone, ValueSome location -> receiveDevice from location mapper
            | ValueNone, ValueNone -> mapper
        | MapperEvent.Answered(request, status, elements) -> receiveResponse request status elements effects mapper
        | MapperEvent.Unanswered request -> receiveSilence request mapper
        | MapperEvent.Restart options -> restart options effects mapper
        | MapperEvent.Close -> close mapper

    [<CompiledName "Step">]
    let step now (events: MapperEvent[]) (mapper: PortMapper) =
        let effects = ResizeArray<MapperEffect>()
        let mutable mapper: PortMapper = { mapper with Now = max now mapper.Now }

        for event in events do
            mapper <- absorb effects mapper event

        let mutable next = advance effects mapper

        while next.IsSome do
            mapper <- next.Value
            next <- advance effects mapper

        struct (mapper, effects.ToArray())

    let private attemptDeadline (attempt: MapperAttempt) mapper =
        let rounds = if attempt.Asks then min attempt.RoundAt attempt.SearchAt else attempt.SearchAt

        let upnp =
            if mapper.Upnp.Stage <> UpnpStage.Idle then mapper.Upnp.Until
            elif attempt.Devices.Length > 0 then attempt.UpnpFrom
            elif attempt.Asks then Time.never
            else exhaustedAt attempt

        min (min rounds upnp) attempt.GivesUpAt

    [<CompiledName "Deadline">]
    let deadline (mapper: PortMapper) =
        match mapper.Stage with
        | MapperStage.Attempting attempt -> attemptDeadline attempt mapper
        | MapperStage.Resting until -> until
        | MapperStage.Closing(_, _, nextAt, until) -> min nextAt until
        | MapperStage.Over -> Time.never
