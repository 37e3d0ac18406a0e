namespace UtpPunch.Protocol

[<NoComparison; RequireQualifiedAccess>]
type StunEvent = Received of from: Endpoint * datagram: Borrowed

[<NoComparison; RequireQualifiedAccess>]
type StunEffect =
    | Send of remote: Endpoint * datagram: Owned
    | Done of outcome: StunOutcome

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module StunClient =
    // RFC 8489, 6.2.1: the first time-out, how often a request is sent, and for how many time-outs the last one is waited for.
    let private rto = Time.milliseconds 500
    let private rc = 7
    let private rm = 16L

    [<CompiledName "Standard">]
    let standard servers =
        { Servers = servers
          Local = ValueNone
          Timeout = Time.milliseconds 39_500
          TestTimeout = Time.seconds 3
          Behaviour = true }

    let private hasOtherAddress (a: Endpoint) (b: Endpoint) = a.High <> b.High || a.Low <> b.Low

    /// Begins a stage with its requests: the endpoint to ask, the attributes, and the endpoint that must answer.
    let private enter stage timeout (targets: struct (Endpoint * StunAttribute[] * Endpoint)[]) client =
        let asks = ResizeArray<Ask>()
        let mutable random = client.Random

        for struct (remote, attributes, source) in targets do
            let struct (id, rest) = Stun.draw random
            random <- rest

            let message = { Class = StunClass.Request; Method = Stun.Binding; Id = id; Attributes = attributes }

            asks.Add
                { Id = id
                  Remote = remote
                  Source = source
                  Datagram = Stun.withFingerprint (Stun.encode message)
                  Sends = 0
                  LastSentAt = client.Now
                  NextAt = client.Now
                  GivesUpAt = client.Now + timeout
                  Reply = Reply.Pending
                  IsGarbled = false }

        { client with Stage = stage; Asks = asks.ToArray(); Random = random }

    let private plain (remote: Endpoint) : struct (Endpoint * StunAttribute[] * Endpoint) = remote, [||], remote

    let private timeLeft client : Duration = client.StartedAt + client.Options.Timeout - client.Now

    /// Asks a server, with an equal share of the time that is left.
    let private ask server client =
        let share = timeLeft client / int64 (client.Options.Servers.Length - server)
        enter Stage.Asking share [| plain client.Options.Servers[server] |] { client with Server = server }

    [<CompiledName "Start">]
    let start (options: StunOptions) random now =
        if options.Servers.Length < 1 || options.Servers.Length > 2 then
            invalidArg (nameof options) "One or two servers are asked."

        if options.Timeout <= 0L<us> || options.TestTimeout <= 0L<us> then
            invalidArg (nameof options) "Without timeout there is no answer."

        ask
            0
            { Options = options
              Random = random
              Now = now
              Stage = Stage.Asking
              Server = 0
              Asks = [||]
              Report = ValueNone
              Other = options.Servers[0]
              RoundTrip = ValueNone
              StartedAt = now }

    // ---- Answers

    let private otherOf (message: StunMessage) =
        let mutable other = ValueNone

        for attribute in message.Attributes do
            match attribute with
            | StunAttribute.OtherAddress endpoint when other.IsNone -> other <- ValueSome endpoint
            | _ -> ()

        other

    let private refusalOf (message: StunMessage) =
        let mutable refusal = ValueNone

        for attribute in message.Attributes do
            match attribute with
            | StunAttribute.ErrorCode(code, reason) when refusal.IsNone ->
                refusal <- ValueSome(Reply.Refused(code, reason))
            | _ -> ()

        refusal

    /// The reply in a datagram whose id and source match; none when it is malformed.
    let private replyOf datagram =
        let mutable message = Unchecked.defaultof<StunMessage>

        if Stun.decode datagram &message <> StunMalformed.None || message.Method <> Stun.Binding then
            ValueNone
        elif message.Class = StunClass.Error then
            refusalOf message
        elif message.Class = StunClass.Success && (Stun.unknownRequired message).Length = 0 then
            Stun.mapped message |> ValueOption.map (fun mapped -> Reply.Mapped(mapped, otherOf message))
        else
            ValueNone

    let private answer (from: Endpoint) datagram (ask: Ask) =
        let isMisplaced = not (from.Equals ask.Source)

        // A server that does not support CHANGE-REQUEST answers from the endpoint that was asked, as does one that refuses.
        if isMisplaced && not (from.Equals ask.Remote) then
            ask
        else
            match replyOf datagram with
            | ValueSome(Reply.Mapped _) when isMisplaced -> { ask with Reply = Reply.Misplaced }
            | ValueSome reply -> { ask with Reply = reply }
            // RFC 8489, 6.3: malformed answers are discarded. The right one may still come.
            | ValueNone -> { ask with IsGarbled = true }

    let private isPending (ask: Ask) = ask.Reply.IsPending

    let private receive (StunEvent.Received(from, datagram)) client =
        let index =
            if Stun.looksLike datagram then
                let id = Stun.idOf datagram
                System.Array.FindIndex(client.Asks, fun ask -> ask.Id = id && isPending ask && ask.Sends > 0)
            else
                -1

        if index < 0 then
            client
        else
            let before = client.Asks[index]
            let after = answer from datagram before

            // Karn's algorithm: a request that was retransmitted gives no sample.
            let roundTrip =
                if isPending after || before.Sends > 1 then
                    client.RoundTrip
                else
                    let sample = client.Now - before.LastSentAt
                    ValueSome(if client.RoundTrip.IsSome then min sample client.RoundTrip.Value else sample)

            { client with Asks = Array.updateAt index after client.Asks; RoundTrip = roundTrip }

    // ---- What the answers mean

    let private mappedOf (ask: Ask) =
        match ask.Reply with
        | Reply.Mapped(mapped, _) -> ValueSome mapped
        | Reply.Pending
        | Reply.Refused _
        | Reply.Misplaced
        | Reply.Silent -> ValueNone

    let private isMapped (ask: Ask) = (mappedOf ask).IsSome
    let private sees (mapped: Endpoint) (ask: Ask) = mappedOf ask = ValueSome mapped

    /// RFC 5780, 4.4: the first request asked for an answer from another address and port, the second from another port.
    let private filteringOf (asks: Ask[]) =
        match asks[0].Reply, asks[1].Reply with
        | Reply.Mapped _, _ -> ValueSome NatBehavior.EndpointIndependent
        | Reply.Silent, Reply.Mapped _ -> ValueSome NatBehavior.AddressDependent
        | Reply.Silent, Reply.Silent -> ValueSome NatBehavior.AddressAndPortDependent
        | _ -> ValueNone

    /// RFC 5780, 4.3: the first request went to another address, the second to another address and another port.
    let private mappingOf (mapped: Endpoint) (asks: Ask[]) =
        if Array.exists (sees mapped) asks then
            ValueSome NatBehavior.EndpointIndependent
        else
            match mappedOf asks[0], mappedOf asks[1] with
            | ValueSome first, ValueSome second when first = second -> ValueSome NatBehavior.AddressDependent
            | ValueSome _, ValueSome _ -> ValueSome NatBehavior.AddressAndPortDependent
            | _ -> ValueNone

    /// Two unrelated servers: a mapping that is the same for two addresses depends on neither address nor port.
    let private comparisonOf (report: StunReport) (ask: Ask) =
        match mappedOf ask with
        | ValueSome mapped when mapped <> report.Mapped -> ValueSome NatBehavior.AddressAndPortDependent
        | ValueSome _ when hasOtherAddress ask.Remote report.Server -> ValueSome NatBehavior.EndpointIndependent
        | _ -> ValueNone

    /// Whether the outstanding requests can give no further information.
    let private isSettled client =
        match client.Stage, client.Report with
        | Stage.Over, _ -> false
        | Stage.Filtering, _ when isMapped client.Asks[0] -> true
        | Stage.Mapping, ValueSome report when Array.exists (sees report.Mapped) client.Asks -> true
        | _ -> not (Array.exists isPending client.Asks)

    // ---- From stage to stage

    let private over outcome (effects: ResizeArray<StunEffect>) client =
        effects.Add(StunEffect.Done outcome)
        { client with Stage = Stage.Over; Asks = [||] }

    let private found (report: StunReport) effects client =
        // Scope and socket are not encoded.
        let isLocal =
            match report.Local with
            | ValueSome local -> { local with Scope = 0u; Via = 0us } = report.Mapped
            | ValueNone -> false

        let report = { report with IsDirect = isLocal; RoundTrip = client.RoundTrip }

        over (StunOutcome.Found report) effects client

    let private failed (ask: Ask) effects client =
        let failure =
            match ask.Reply with
            | Reply.Refused(code, reason) -> StunFailure.Refused(code, reason)
            | _ when ask.IsGarbled -> StunFailure.Nonsense
            | _ -> StunFailure.NoAnswer(client.Now - client.StartedAt)

        over (StunOutcome.Failed failure) effects client

    let private filter (other: Endpoint) (server: Endpoint) client =
        let change address = [| StunAttribute.ChangeRequest(address, true) |]

        enter
            Stage.Filtering
            client.Options.TestTimeout
            [| struct (server, change true, other)
               struct (server, change false, { server with Port = other.Port }) |]
            client

    let private map (server: Endpoint) client =
        let targets = [| plain { client.Other with Port = server.Port }; plain client.Other |]
        enter Stage.Mapping client.Options.TestTimeout targets client

    /// Takes the first answer, and begins the tests that its server allows.
    let private learn (mapped: Endpoint) other effects client =
        let server = client.Options.Servers[client.Server]

        let report =
            { Server = server
              Mapped = mapped
              Local = client.Options.Local
              IsDirect = false
              Mapping = ValueNone
              Filtering = ValueNone
              RoundTrip = ValueNone }

        let client = { client with Report = ValueSome report }

        match other with
        | _ when not client.Options.Behaviour -> found report effects client
        // RFC 5780, 7.4: address and port differ, or the server cannot answer from another endpoint.
        | ValueSome(other: Endpoint) when hasOtherAddress other server && other.Port <> server.Port ->
            let other = { other with Scope = server.Scope; Via = server.Via }
            filter other server { client with Other = other }
        | _ when client.Server + 1 < client.Options.Servers.Length ->
            let second = client.Options.Servers[client.Server + 1]
            enter Stage.Comparing client.Options.TestTimeout [| plain second |] client
        | _ -> found report effects client

    let private conclude (report: StunReport) effects client =
        match client.Stage with
        | Stage.Filtering ->
            let report = { report with Filtering = filteringOf client.Asks }
            map report.Server { client with Report = ValueSome report }
        | Stage.Mapping ->
            let isReached = Array.exists isMapped client.Asks

            // If the other address does not answer at all, a missing answer from it does not show a filter.
            let filtering =
                if isReached || report.Filtering = ValueSome NatBehavior.EndpointIndependent then
                    report.Filtering
                else
                    ValueNone

            found { report with Mapping = mappingOf report.Mapped client.Asks; Filtering = filtering } effects client
        | Stage.Comparing -> found { report with Mapping = comparisonOf report client.Asks[0] } effects client
        | Stage.Asking
        | Stage.Over -> client

    let private next effects client =
        match client.Report, client.Asks[0].Reply with
        | ValueSome report, _ -> conclude report effects client
        | ValueNone, Reply.Mapped(mapped, other) -> learn mapped other effects client
        | ValueNone, _ when client.Server + 1 < client.Options.Servers.Length && timeLeft client > 0L<us> ->
            ask (client.Server + 1) client
        | ValueNone, _ -> failed client.Asks[0] effects client

    // ---- Time

    let private expire client =
        let expired (ask: Ask) =
            if isPending ask && client.Now >= ask.GivesUpAt then
                { ask with Reply = Reply.Silent }
            else
                ask

        { client with Asks = Array.map expired client.Asks }

    let private transmit (effects: ResizeArray<StunEffect>) client =
        let sent (ask: Ask) =
            if isPending ask && client.Now >= ask.NextAt then
                effects.Add(StunEffect.Send(ask.Remote, ask.Datagram))
                let isLast = ask.Sends + 1 = rc

                { ask with
                    Sends = ask.Sends + 1
                    LastSentAt = client.Now
                    NextAt = (if isLast then Time.never else client.Now + rto * (1L <<< ask.Sends))
                    GivesUpAt = (if isLast then min ask.GivesUpAt (client.Now + rm * rto) else ask.GivesUpAt) }
            else
                ask

        { client with Asks = Array.map sent client.Asks }

    [<CompiledName "Step">]
    let step now (events: StunEvent[]) (client: StunClient) =
        let effects = ResizeArray<StunEffect>()
        let mutable client: StunClient = { client with Now = max now client.Now }

        for event in events do
            client <- receive event client

        client <- expire client

        while isSettled client do
            client <- next effects client

        client <- transmit effects client
        struct (client, effects.ToArray())

    [<CompiledName "Deadline">]
    let deadline client =
        let mutable earliest = Time.never

        for ask in client.Asks do
            if isPending ask then earliest <- min earliest (min ask.NextAt ask.GivesUpAt)

        earliest
