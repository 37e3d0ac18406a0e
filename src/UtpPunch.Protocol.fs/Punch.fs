namespace UtpPunch.Protocol

/// What happens to a punch: how it begins, what its packets and its clock do to it, and how it ends.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Punch =
    /// Beyond this, addresses that are learnt are answered, but not tried.
    [<Literal>]
    let private MaxCandidates = 40

    [<Literal>]
    let private MaxAsked = 128

    /// Without word from the rendezvous that both have begun, priming ends after this.
    let private priming = Time.milliseconds 400

    /// A peer that has heard of no choice waits longer than one that could still choose.
    let private grace = Time.seconds 3

    /// How long the peer is asked to take the path: at least 40 times.
    let private choosing = Time.seconds 5
    let private chooseEvery = Time.milliseconds 100

    /// How long questions are answered after the end.
    let private linger = Time.seconds 30
    let private keepAliveEvery = Time.seconds 15
    let private hold = Time.seconds 120

    /// Before it, the ordinary candidates have their chance.
    let private sprayAfter = Time.milliseconds 700

    // ---- Begin ----

    let private candidate (now: Instant) remote kind =
        { Remote = remote
          Kind = kind
          Tried = 0
          NextAt = now
          WasHeard = false
          LastNumber = 0u
          LastSentAt = now }

    let create taskId plan introduction key isLower observed mapping peerObserved offer random now =
        let candidates =
            Offer.candidates observed peerObserved offer
            |> Array.map (fun (struct (remote, kind)) -> candidate now remote kind)

        { TaskId = taskId
          Plan = plan
          Introduction = introduction
          Key = key
          Session = Secrets.session key
          IsLower = isLower
          Observed = observed
          Mapping = mapping
          PeerObserved = peerObserved
          PeerOffer = offer
          StartedAt = now
          GoAt = now + priming
          GiveUpAt = now + plan.PunchPatience + (if isLower then 0L<us> else grace)
          Phase = PunchPhase.Probing
          Candidates = candidates
          Asked = [||]
          Number = 0u
          Highest = 0u
          Window = 0UL
          Sent = 0
          Heard = 0
          SeenAs = ValueNone
          Spray = ValueNone
          SprayAt = now + sprayAfter
          SprayRandom = random
          KeepAliveAt = Time.never }

    /// The rendezvous says that both have begun.
    let go (start: Instant) (punch: Punch) : Punch =
        if punch.GoAt <= start || punch.Phase <> PunchPhase.Probing then
            punch
        else
            { punch with
                GoAt = start
                Candidates = punch.Candidates |> Array.map (fun it -> { it with NextAt = min it.NextAt start }) }

    // ---- Sending ----

    let private send (turn: Turn) kind remote echo observed hops (punch: Punch) : Punch =
        let number = punch.Number + 1u

        let packet =
            PunchWire.encodeProbe
                punch.Key
                { Kind = kind
                  Session = punch.Session
                  FromLower = punch.IsLower
                  Number = number
                  Echo = echo
                  Observed = observed }

        turn.Effects.Add(Effect.SendDatagram(remote, packet, hops))
        { punch with Number = number; Sent = punch.Sent + 1 }

    let private ask turn kind remote hops punch =
        let punch = send turn kind remote 0u Endpoint.nowhere hops punch
        let known = Array.truncate (MaxAsked - 1) punch.Asked
        { punch with Asked = Array.append [| struct (punch.Number, remote) |] known }

    let private note (turn: Turn) rule remote = turn.Effects.Add(Effect.Noted(rule, remote))

    // ---- Ends ----

    let private report stage path kind roundTrip now (punch: Punch) : PunchReport =
        { Stage = stage
          Remote = path
          Kind = kind
          RoundTrip = roundTrip
          Dials = punch.IsLower
          Observed = punch.Observed
          SeenAs = punch.SeenAs
          Mapping = punch.Mapping
          PeerObserved = ValueSome punch.PeerObserved
          PeerMapping = punch.PeerOffer.Mapping
          Sent = punch.Sent
          Heard = punch.Heard
          Elapsed = now - punch.StartedAt }

    let private closeSockets (turn: Turn) (keep: uint16) (punch: Punch) =
        match punch.Spray with
        | ValueSome spray when spray.Opens -> turn.Effects.Add(Effect.CloseSockets(int keep))
        | _ -> ()

    let private succeed (turn: Turn) (path: Endpoint) from kind roundTrip (punch: Punch) : Punch =
        closeSockets turn path.Via punch

        turn.Effects.Add(Effect.Punched(punch.TaskId, report PunchStage.Open path kind roundTrip turn.Now punch))

        { punch with
            Phase = PunchPhase.Open(path, from, turn.Now + hold)
            Spray = ValueNone
            KeepAliveAt = turn.Now + keepAliveEvery }

    let fail (turn: Turn) stage (punch: Punch) : Punch =
        closeSockets turn 0us punch

        turn.Effects.Add(
            Effect.Punched(punch.TaskId, report stage Endpoint.nowhere PathKind.Host 0L<us> turn.Now punch)
        )

        { punch with Phase = PunchPhase.Failed(turn.Now + linger); Spray = ValueNone }

    /// Whether its end was told.
    let isOver (punch: Punch) =
        match punch.Phase with
        | PunchPhase.Open _
        | PunchPhase.Failed _ -> true
        | PunchPhase.Probing
        | PunchPhase.Choosing _ -> false

    let isGone (now: Instant) (punch: Punch) =
        match punch.Phase with
        | PunchPhase.Open(_, _, until)
        | PunchPhase.Failed until -> now >= until
        | PunchPhase.Probing
        | PunchPhase.Choosing _ -> false

    // ---- Receiving ----

    /// Whether a number is new; the 64 numbers up to the highest one are remembered, as in RFC 4303, 3.4.3.
    let private accept (number: uint32) (punch: Punch) : struct (bool * Punch) =
        if number > punch.Highest then
            let shift = number - punch.Highest
            let window = if shift >= 64u then 1UL else (punch.Window <<< int shift) ||| 1UL
            struct (true, { punch with Highest = number; Window = window })
        else
            let age = punch.Highest - number

            if age >= 64u || (punch.Window >>> int age) &&& 1UL = 1UL then
                struct (false, punch)
            else
                struct (true, { punch with Window = punch.Window ||| (1UL <<< int age) })

    let private learn (turn: Turn) (remote: Endpoint) (punch: Punch) : Punch =
        let known = punch.Candidates |> Array.exists (fun it -> it.Remote.Equals remote)

        if known then
            // The way is open from there to here: now is the moment to try the other direction.
            let hasten (it: Candidate) =
                if not (it.Remote.Equals remote) then it
                elif it.WasHeard && it.LastSentAt + Time.milliseconds 20 > turn.Now then it
                else { it with NextAt = turn.Now; WasHeard = true }

            { punch with Candidates = Array.map hasten punch.Candidates }
        elif punch.Candidates.Length >= MaxCandidates then
            punch
        else
            note turn Rule.PathLearnt remote
            let kind = if punch.Spray.IsSome then PathKind.Birthday else PathKind.Reflexive
            let learnt = { candidate turn.Now remote kind with WasHeard = true }
            { punch with Candidates = Array.append punch.Candidates [| learnt |] }

    let private kindOf (remote: Endpoint) (punch: Punch) =
        match punch.Candidates |> Array.tryFind (fun it -> it.Remote.Equals remote) with
        | Some it -> it.Kind
        | None -> if punch.Spray.IsSome then PathKind.Birthday else PathKind.Reflexive

    /// An answer to the last packet that went there measures the round trip.
    let private roundTripOf (remote: Endpoint) (echo: uint32) now (punch: Punch) =
        match punch.Candidates |> Array.tryFind (fun it -> it.Remote.Equals remote && it.LastNumber = echo) with
        | Some it -> now - it.LastSentAt
        | None -> 0L<us>

    let private choose (turn: Turn) (path: Endpoint) (punch: Punch) : Punch =
        match punch.Phase with
        | PunchPhase.Choosing(chosen, kind, roundTrip, until) when chosen.Equals path ->
            let punch = ask turn ProbeKind.Choose path 0 punch

            { punch with
                Phase = PunchPhase.Choosing(chosen, kind, roundTrip, until)
                KeepAliveAt = turn.Now + chooseEvery }
        | _ -> punch

    let private receiveAnswer (turn: Turn) from (probe: Probe) (punch: Punch) : Punch =
        let punch = { punch with SeenAs = ValueSome probe.Observed }

        match punch.Phase with
        | PunchPhase.Probing when punch.IsLower ->
            let path =
                match punch.Asked |> Array.tryFind (fun (struct (number, _)) -> number = probe.Echo) with
                | Some(struct (_, remote)) -> remote
                | None -> from

            let roundTrip = roundTripOf path probe.Echo turn.Now punch

            choose
                turn
                path
                { punch with Phase = PunchPhase.Choosing(path, kindOf path punch, roundTrip, turn.Now + choosing) }
        | _ -> punch

    let private receiveChoice (turn: Turn) (from: Endpoint) (probe: Probe) (punch: Punch) : Punch =
        let agree kind = send turn kind from probe.Number from 0

        match punch.Phase with
        | PunchPhase.Probing when not punch.IsLower ->
            let roundTrip =
                match punch.Candidates |> Array.tryFind (fun it -> it.Remote.Equals from) with
                | Some it when it.Tried > 0 -> turn.Now - it.LastSentAt
                | _ -> 0L<us>

            agree ProbeKind.Chosen punch |> succeed turn from from (kindOf from punch) roundTrip
        | PunchPhase.Open _ when not punch.IsLower -> agree ProbeKind.Chosen punch
        | PunchPhase.Failed _ -> agree ProbeKind.Refuse punch
        | _ -> punch

    let receive (turn: Turn) (from: Endpoint) (probe: Probe) (datagram: Bytes) (punch: Punch) : Punch =
        if probe.FromLower = punch.IsLower || not (PunchWire.isAuthentic punch.Key datagram) then
            note turn Rule.ProbeRejected from
            punch
        else
            let struct (isNew, punch) = accept probe.Number punch

            if not isNew then
                note turn Rule.ProbeRejected from
                punch
            else
                let punch = { punch with Heard = punch.Heard + 1 }

                match probe.Kind, punch.Phase with
                | ProbeKind.Probe, PunchPhase.Failed _ -> punch
                | ProbeKind.Probe, phase ->
                    let answered = send turn ProbeKind.Answer from probe.Number from 0 punch
                    if phase = PunchPhase.Probing then learn turn from answered else answered
                | ProbeKind.Answer, _ -> receiveAnswer turn from probe punch
                | ProbeKind.Choose, _ -> receiveChoice turn from probe punch
                | ProbeKind.Chosen, PunchPhase.Choosing(path, kind, roundTrip, _) ->
                    succeed turn path from kind roundTrip punch
                | ProbeKind.Refuse, PunchPhase.Choosing _ -> fail turn PunchStage.PeerGaveUp punch
                | (ProbeKind.Chosen | ProbeKind.Refuse), _ -> punch

    // ---- Time ----

    /// The pause before the next try: 50 ms at first, half a second at most.
    let private pauseAfter (tried: int) =
        match tried with
        | 1
        | 2 -> Time.milliseconds 50
        | 3
        | 4 -> Time.milliseconds 100
        | 5
        | 6 -> Time.milliseconds 200
        | _ -> Time.milliseconds 500

    /// The first packets towards the outside must open our own NAT, and not reach the peer's before that has opened, too: there, they
    /// could take the very port that the peer's first packet needs.
    let private hopsTo (turn: Turn) (it: Candidate) (punch: Punch) =
        if it.Kind = PathKind.Host || it.WasHeard || turn.Now >= punch.GoAt then
            0
        else
            punch.Plan.PrimingHops

    let private probeAll (turn: Turn) (punch: Punch) : Punch =
        let mutable punch = punch

        for index in 0 .. punch.Candidates.Length - 1 do
            let it = punch.Candidates[index]

            if it.NextAt <= turn.Now then
                punch <- ask turn ProbeKind.Probe it.Remote (hopsTo turn it punch) punch
                let candidates = Array.copy punch.Candidates

                let next = turn.Now + pauseAfter (it.Tried + 1)

                candidates[index] <-
                    { it with
                        Tried = it.Tried + 1
                        NextAt = (if turn.Now < punch.GoAt then min next punch.GoAt else next)
                        LastNumber = punch.Number
                        LastSentAt = turn.Now }

                punch <- { punch with Candidates = candidates }

        punch

    /// Who does what in birthday probing; none when it would be in vain, or somebody does not want it.
    let private beginSpray (turn: Turn) (punch: Punch) : Punch =
        let isDependent mapping =
            match mapping with
            | PortMapping.Dependent _ -> true
            | PortMapping.Independent
            | PortMapping.Unknown -> false

        let opens = isDependent punch.Mapping
        let searches = isDependent punch.PeerOffer.Mapping

        if punch.Plan.Birthday && punch.PeerOffer.Birthday && (opens || searches) then
            if opens then turn.Effects.Add(Effect.OpenSockets Spray.Sockets)

            { punch with
                Spray = ValueSome(Spray.begin' opens searches punch.SprayRandom turn.Now)
                SprayAt = Time.never }
        else
            { punch with SprayAt = Time.never }

    let private spray (turn: Turn) (punch: Punch) : Punch =
        let punch = if punch.SprayAt <= turn.Now then beginSpray turn punch else punch

        match punch.Spray with
        | ValueSome spray ->
            let struct (targets, spray) = Spray.next turn.Now punch.PeerObserved spray

            // What is to open our own NAT must not reach the peer's, where it could take the port that the peer needs to come in by.
            let hopsOf (target: Endpoint) = if target.Via = 0us then 0 else punch.Plan.PrimingHops

            Array.fold
                (fun punch target -> ask turn ProbeKind.Probe target (hopsOf target) punch)
                { punch with Spray = ValueSome spray }
                targets
        | ValueNone -> punch

    /// Does what is due.
    let tick (turn: Turn) (punch: Punch) : Punch =
        match punch.Phase with
        | PunchPhase.Probing when turn.Now >= punch.GiveUpAt ->
            let stage =
                if punch.Heard = 0 then PunchStage.NothingHeard
                elif punch.SeenAs.IsNone then PunchStage.NotHeard
                else PunchStage.NotAgreed

            fail turn stage punch
        | PunchPhase.Probing -> punch |> probeAll turn |> spray turn
        | PunchPhase.Choosing(_, _, _, until) when turn.Now >= until -> fail turn PunchStage.NotAgreed punch
        | PunchPhase.Choosing(path, _, _, _) when turn.Now >= punch.KeepAliveAt -> choose turn path punch
        | PunchPhase.Open(path, _, _) when turn.Now >= punch.KeepAliveAt ->
            { ask turn ProbeKind.Probe path 0 punch with KeepAliveAt = turn.Now + keepAliveEvery }
        | PunchPhase.Choosing _
        | PunchPhase.Open _
        | PunchPhase.Failed _ -> punch

    let deadline (punch: Punch) : Instant =
        match punch.Phase with
        | PunchPhase.Probing ->
            let next = punch.Candidates |> Array.fold (fun least it -> min least it.NextAt) Time.never

            let spray =
                match punch.Spray with
                | ValueSome spray -> Spray.deadline spray
                | ValueNone -> punch.SprayAt

            min (min next spray) punch.GiveUpAt
        | PunchPhase.Choosing(_, _, _, until) -> min until punch.KeepAliveAt
        | PunchPhase.Open(_, _, until) -> min until punch.KeepAliveAt
        | PunchPhase.Failed until -> until
