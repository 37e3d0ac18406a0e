namespace UtpPunch.Protocol

/// The state machine of a punch.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Punch =
    open ProbeTimes

    /// Further addresses are answered, but not probed.
    [<Literal>]
    let private MaxCandidates = 40

    [<Literal>]
    let private MaxAsked = 128

    /// A node that stays in a room sends that many probes in all to addresses that only one peer has named: 24 to eight of them would be three
    /// times the bytes of a meeting.
    [<Literal>]
    let private MaxUnverifiedOfStaying = 20

    /// The peer that does not choose waits this much longer than the one that does.
    let private grace = Time.seconds 3

    /// How long the peer is asked to use the path: at least 40 times.
    let private choosing = Time.seconds 5
    let private chooseEvery = Time.milliseconds 100

    /// How long probes are answered after the end.
    let private linger = Time.seconds 30
    let private keepAliveEvery = Time.seconds 15
    let private hold = Time.seconds 120

    /// How long the ordinary candidates are probed before birthday probing begins.
    let private birthdayAfter = Time.milliseconds 700

    // ---- Begin ----

    let private candidate (now: Instant) remote kind =
        { Remote = remote
          Kind = kind
          Tried = 0
          NextAt = now
          WasHeard = false
          LastNumber = 0u
          LastSentAt = now }

    let create (setup: PunchSetup) now =
        let isIntroduced = setup.Start = PunchStart.Introduced
        let goAt = now + primingOf setup

        // Where the peer of an offer is was not verified.
        let isAllowed (struct (_, kind)) =
            kind = PathKind.Host
            || isIntroduced
            || CandidateFilter.mayBeNamed setup.Plan setup.Observed setup.PeerObserved setup.PeerObserved

        let candidates =
            Offer.candidates setup.Plan setup.Observed setup.PeerObserved setup.PeerOffer
            |> Array.filter isAllowed
            |> Array.map (fun (struct (remote, kind)) -> candidate (firstAt setup kind now goAt) remote kind)

        let timeout = if isIntroduced then setup.Plan.PunchTimeout else setup.Plan.Timeout

        { Setup = setup
          StartedAt = now
          GoAt = goAt
          HasPeerBegun = false
          GiveUpAt = Time.after (timeout + (if setup.IsLower then 0L<us> else grace)) now
          Phase = PunchPhase.Probing
          Candidates = candidates
          Asked = [||]
          Number = 0u
          Received = ReplayWindow.empty
          Sent = 0
          SentUnverified = 0
          Heard = 0
          SeenAs = ValueNone
          BirthdayProbing = ValueNone
          FirstSocket = 0
          BirthdayAt = now + birthdayAfter
          KeepAliveAt = Time.never }

    /// The rendezvous says that both have begun.
    let go (start: Instant) (punch: Punch) : Punch =
        if punch.GoAt <= start || punch.Phase <> PunchPhase.Probing then
            { punch with HasPeerBegun = true }
        else
            { punch with
                HasPeerBegun = true
                GoAt = start
                Candidates =
                    punch.Candidates
                    |> Array.map (fun it ->
                        if it.NextAt = Time.never then
                            it
                        else
                            { it with NextAt = min it.NextAt (firstAt punch.Setup it.Kind start start) }) }

    /// The peer of an offer has begun, too.
    let private began (now: Instant) (punch: Punch) : Punch =
        if punch.Setup.Start = PunchStart.Introduced || punch.Heard > 0 then
            punch
        else
            let until = now + punch.Setup.Plan.PunchTimeout + (if punch.Setup.IsLower then 0L<us> else grace)
            { go now punch with GiveUpAt = min punch.GiveUpAt until }

    // ---- Sending ----

    let private send (context: StepContext) kind remote echo observed hops (punch: Punch) : Punch =
        let number = punch.Number + 1u

        let packet =
            ProbeWire.encode
                punch.Setup.Key
                { Kind = kind
                  Session = punch.Setup.Session
                  FromLower = punch.Setup.IsLower
                  Number = number
                  Echo = echo
                  Observed = observed }

        context.Effects.Add(Effect.SendDatagram(remote, packet, hops))
        { punch with Number = number; Sent = punch.Sent + 1 }

    let private ask context kind remote hops punch =
        let punch = send context kind remote 0u Endpoint.nowhere hops punch
        let known = Array.truncate (MaxAsked - 1) punch.Asked
        { punch with Asked = Array.append [| struct (punch.Number, remote) |] known }

    let private note (context: StepContext) rule remote = context.Effects.Add(Effect.Noted(rule, remote))

    // ---- Ends ----

    let private report stage path kind roundTrip now (punch: Punch) : PunchReport =
        { Stage = stage
          Remote = path
          Kind = kind
          RoundTrip = roundTrip
          Dials = punch.Setup.IsLower
          Observed = punch.Setup.Observed
          SeenAs = punch.SeenAs
          Mapping = punch.Setup.Mapping
          PeerObserved = ValueSome punch.Setup.PeerObserved
          PeerMapping = punch.Setup.PeerOffer.Mapping
          Sent = punch.Sent
          Heard = punch.Heard
          Elapsed = now - punch.StartedAt }

    let private closeSockets (context: StepContext) (keep: uint16) (punch: Punch) =
        match punch.BirthdayProbing with
        | ValueSome probing when probing.Opens ->
            context.Effects.Add(Effect.CloseSockets(probing.FirstSocket, BirthdayProbing.Sockets, int keep))
        | _ -> ()

    let private succeed (context: StepContext) (path: Endpoint) from kind roundTrip (punch: Punch) : Punch =
        closeSockets context path.Via punch

        let report = report PunchStage.Open path kind roundTrip context.Now punch
        OwnTasks.tell context punch.Setup.TaskId (Effect.Punched(punch.Setup.TaskId, report))

        { punch with
            Phase = PunchPhase.Open(path, from, context.Now + hold)
            BirthdayProbing = ValueNone
            KeepAliveAt = context.Now + keepAliveEvery }

    /// The caller decides whether the report is the result of the meeting.
    let fail (context: StepContext) stage (punch: Punch) : Punch =
        closeSockets context 0us punch
        let report = report stage Endpoint.nowhere PathKind.Host 0L<us> context.Now punch
        { punch with Phase = PunchPhase.Failed(report, context.Now + linger); BirthdayProbing = ValueNone }

    /// Whether it is under way and no packet of the peer has arrived.
    let isUnheard (punch: Punch) = punch.Heard = 0 && punch.Phase = PunchPhase.Probing

    /// The socket (`Endpoint.Via`) of the path that was found; 0 for the node's own, or if there is no path.
    let socket (punch: Punch) =
        match punch.Phase with
        | PunchPhase.Open(path, _, _) -> int path.Via
        | PunchPhase.Probing
        | PunchPhase.Choosing _
        | PunchPhase.Failed _ -> 0

    /// Whether its end was told.
    let isOver (punch: Punch) =
        match punch.Phase with
        | PunchPhase.Open _
        | PunchPhase.Failed _ -> true
        | PunchPhase.Probing
        | PunchPhase.Choosing _ -> false

    /// One that is over is kept until then at most.
    let keepUntil (latest: Instant) (punch: Punch) : Punch =
        match punch.Phase with
        | PunchPhase.Open(path, from, until) -> { punch with Phase = PunchPhase.Open(path, from, min until latest) }
        | PunchPhase.Failed(report, until) -> { punch with Phase = PunchPhase.Failed(report, min until latest) }
        | PunchPhase.Probing
        | PunchPhase.Choosing _ -> punch

    let isGone (now: Instant) (punch: Punch) =
        match punch.Phase with
        | PunchPhase.Open(_, _, until)
        | PunchPhase.Failed(_, until) -> now >= until
        | PunchPhase.Probing
        | PunchPhase.Choosing _ -> false

    // ---- Receiving ----

    let private learn (context: StepContext) (remote: Endpoint) (punch: Punch) : Punch =
        let known = punch.Candidates |> Array.exists (fun it -> it.Remote.Equals remote)

        if known then
            // The way is open from there to here: now is the moment to try the other direction.
            let hasten (it: Candidate) =
                if not (it.Remote.Equals remote) then it
                elif it.WasHeard && it.LastSentAt + Time.milliseconds 20 > context.Now then it
                else { it with NextAt = context.Now; WasHeard = true }

            { punch with Candidates = Array.map hasten punch.Candidates }
        elif punch.Candidates.Length >= MaxCandidates then
            punch
        else
            note context Rule.PathLearnt remote
            let kind = if punch.BirthdayProbing.IsSome then PathKind.Birthday else PathKind.Reflexive
            let learnt = { candidate context.Now remote kind with WasHeard = true }
            { punch with Candidates = Array.append punch.Candidates [| learnt |] }

    let kindOf (remote: Endpoint) (punch: Punch) =
        match punch.Candidates |> Array.tryFind (fun it -> it.Remote.Equals remote) with
        | Some it -> it.Kind
        | None -> if punch.BirthdayProbing.IsSome then PathKind.Birthday else PathKind.Reflexive

    /// An answer to the last packet that went there measures the round trip.
    let private roundTripOf (remote: Endpoint) (echo: uint32) now (punch: Punch) =
        match punch.Candidates |> Array.tryFind (fun it -> it.Remote.Equals remote && it.LastNumber = echo) with
        | Some it -> now - it.LastSentAt
        | None -> 0L<us>

    let private choose (context: StepContext) (path: Endpoint) (punch: Punch) : Punch =
        match punch.Phase with
        | PunchPhase.Choosing(chosen, kind, roundTrip, until) when chosen.Equals path ->
            let punch = ask context ProbeKind.Choose path 0 punch

            { punch with
                Phase = PunchPhase.Choosing(chosen, kind, roundTrip, until)
                KeepAliveAt = context.Now + chooseEvery }
        | _ -> punch

    let private receiveAnswer (context: StepContext) (from: Endpoint) (probe: Probe) (punch: Punch) : Punch =
        let punch = { punch with SeenAs = ValueSome probe.Observed }

        match punch.Phase with
        | PunchPhase.Probing when punch.Setup.IsLower ->
            let path =
                match punch.Asked |> Array.tryFind (fun (struct (number, _)) -> number = probe.Echo) with
                | Some(struct (_, remote)) -> Endpoint.local from.Local remote
                | None -> from

            let roundTrip = roundTripOf path probe.Echo context.Now punch

            choose
                context
                path
                { punch with
                    Phase = PunchPhase.Choosing(path, kindOf path punch, roundTrip, context.Now + choosing) }
        | _ -> punch

    let private receiveChoice (context: StepContext) (from: Endpoint) (probe: Probe) (punch: Punch) : Punch =
        let agree kind = send context kind from probe.Number from 0

        match punch.Phase with
        | PunchPhase.Probing when not punch.Setup.IsLower ->
            let roundTrip =
                match punch.Candidates |> Array.tryFind (fun it -> it.Remote.Equals from) with
                | Some it when it.Tried > 0 -> context.Now - it.LastSentAt
                | _ -> 0L<us>

            agree ProbeKind.Chosen punch |> succeed context from from (kindOf from punch) roundTrip
        | PunchPhase.Open _ when not punch.Setup.IsLower -> agree ProbeKind.Chosen punch
        | PunchPhase.Failed _ -> agree ProbeKind.Refuse punch
        | _ -> punch

    let receive (context: StepContext) (from: Endpoint) (probe: Probe) (datagram: Borrowed) (punch: Punch) : Punch =
        if probe.FromLower = punch.Setup.IsLower || not (ProbeWire.isAuthentic punch.Setup.Key datagram) then
            note context Rule.ProbeRejected from
            punch
        else
            let struct (isNew, received) = ReplayWindow.accept probe.Number punch.Received
            let punch = { punch with Received = received }

            if not isNew then
                note context Rule.ProbeRejected from
                punch
            else
                let punch = { began context.Now punch with Heard = punch.Heard + 1 }

                match probe.Kind, punch.Phase with
                | ProbeKind.Probe, PunchPhase.Failed _ -> punch
                | ProbeKind.Probe, phase ->
                    let answered = send context ProbeKind.Answer from probe.Number from 0 punch
                    if phase = PunchPhase.Probing then learn context from answered else answered
                | ProbeKind.Answer, _ -> receiveAnswer context from probe punch
                | ProbeKind.Choose, _ -> receiveChoice context from probe punch
                | ProbeKind.Chosen, PunchPhase.Choosing(path, kind, roundTrip, _) ->
                    succeed context path from kind roundTrip punch
                | ProbeKind.Refuse, PunchPhase.Choosing _ -> fail context PunchStage.PeerGaveUp punch
                | (ProbeKind.Chosen | ProbeKind.Refuse | ProbeKind.Explore), _ -> punch

    // ---- Time ----

    /// The first packets must open this node's NAT without reaching the peer's before that is open too: there, they could occupy the port that
    /// the peer's first packet needs.
    let private hopsTo (context: StepContext) (it: Candidate) (punch: Punch) =
        if it.Kind = PathKind.Host || it.Kind = PathKind.Mapped || it.WasHeard || context.Now >= punch.GoAt then
            0
        else
            punch.Setup.Plan.PrimingHops

    let private isUnverified (it: Candidate) = (it.Kind = PathKind.Host || it.Kind = PathKind.Mapped) && not it.WasHeard

    /// When a candidate is probed after the present probe.
    let private nextAfter (context: StepContext) (it: Candidate) (punch: Punch) : Instant =
        let isIntroduced = punch.Setup.Start = PunchStart.Introduced

        if not it.WasHeard && it.Tried + 1 >= triesOf punch.Setup.Plan it.Kind then
            if isIntroduced then Time.never else context.Now + seldom
        else
            let next = context.Now + pauseAfter (it.Tried + 1)
            if context.Now < punch.GoAt then min next punch.GoAt else next

    /// At most `allowance` probes go to addresses that the peer has named and that have not answered; the others are left out.
    let private probeAll (context: StepContext) (allowance: int) (punch: Punch) : Punch =
        let most = if punch.Setup.Plan.Stays then MaxUnverifiedOfStaying else System.Int32.MaxValue
        let limit = min most (punch.SentUnverified + allowance)
        let mutable punch = punch

        for index in 0 .. punch.Candidates.Length - 1 do
            let it = punch.Candidates[index]

            if it.NextAt <= context.Now then
                let isUnverified = isUnverified it
                let isSent = not isUnverified || punch.SentUnverified < limit

                if isSent then
                    punch <- ask context ProbeKind.Probe it.Remote (hopsTo context it punch) punch

                if isSent && isUnverified then
                    punch <- { punch with SentUnverified = punch.SentUnverified + 1 }

                let candidates = Array.copy punch.Candidates

                candidates[index] <-
                    { it with
                        Tried = it.Tried + 1
                        NextAt = nextAfter context it punch
                        LastNumber = (if isSent then punch.Number else it.LastNumber)
                        LastSentAt = (if isSent then context.Now else it.LastSentAt) }

                punch <- { punch with Candidates = candidates }

        punch

    let private isDependent mapping =
        match mapping with
        | PortPrediction.Dependent _ -> true
        | PortPrediction.EndpointIndependent
        | PortPrediction.Unknown -> false

    /// Whether the next `tick` begins birthday probing with sockets of our own: `FirstSocket` must name them by then.
    let wantsSockets (now: Instant) (punch: Punch) =
        punch.BirthdayAt <= now
        && punch.FirstSocket = 0
        && punch.Phase = PunchPhase.Probing
        && punch.Setup.Plan.Birthday
        && punch.Setup.PeerOffer.Birthday
        && isDependent punch.Setup.Mapping

    /// Decides which part each side has in birthday probing. There is none if it cannot help, if a side does not allow it, or if there
    /// are no sockets left.
    let private beginBirthdayProbing (context: StepContext) (punch: Punch) : Punch =
        let opens = isDependent punch.Setup.Mapping && punch.FirstSocket > 0
        let searches = isDependent punch.Setup.PeerOffer.Mapping

        if punch.Setup.Plan.Birthday && punch.Setup.PeerOffer.Birthday && (opens || searches) then
            if opens && punch.BirthdayProbing.IsNone then
                context.Effects.Add(Effect.OpenSockets(punch.FirstSocket, BirthdayProbing.Sockets))

            // A further round tries the ports in another order.
            let random =
                match punch.BirthdayProbing with
                | ValueSome before -> before.First * 0x9E3779B1u + before.Stride
                | ValueNone -> punch.Setup.Random

            let probing = BirthdayProbing.begin' opens punch.FirstSocket searches random context.Now

            // The peer of an offer may begin after this round.
            let isIntroduced = punch.Setup.Start = PunchStart.Introduced
            let next = if isIntroduced then Time.never else context.Now + birthdayEvery
            { punch with BirthdayProbing = ValueSome probing; BirthdayAt = next }
        else
            { punch with BirthdayAt = Time.never }

    let private birthdayProbe (context: StepContext) (punch: Punch) : Punch =
        let punch = if punch.BirthdayAt <= context.Now then beginBirthdayProbing context punch else punch

        match punch.BirthdayProbing with
        | ValueSome probing ->
            let struct (targets, probing) = BirthdayProbing.next context.Now punch.Setup.PeerObserved probing

            // Packets that only open this node's NAT must not reach the peer's, where they could occupy the port that the peer needs.
            let hopsOf (target: Endpoint) = if target.Via = 0us then 0 else punch.Setup.Plan.PrimingHops

            Array.fold
                (fun punch target -> ask context ProbeKind.Probe target (hopsOf target) punch)
                { punch with BirthdayProbing = ValueSome probing }
                targets
        | ValueNone -> punch

    /// Does what is due. `allowance` is how many probes may go to addresses that have not answered, and that only the peer has named.
    let tick (context: StepContext) (allowance: int) (punch: Punch) : Punch =
        match punch.Phase with
        | PunchPhase.Probing when context.Now >= punch.GiveUpAt ->
            let stage =
                if punch.Heard = 0 then PunchStage.NothingHeard
                elif punch.SeenAs.IsNone then PunchStage.NotHeard
                else PunchStage.NotAgreed

            fail context stage punch
        | PunchPhase.Probing -> punch |> probeAll context allowance |> birthdayProbe context
        | PunchPhase.Choosing(_, _, _, until) when context.Now >= until -> fail context PunchStage.NotAgreed punch
        | PunchPhase.Choosing(path, _, _, _) when context.Now >= punch.KeepAliveAt -> choose context path punch
        | PunchPhase.Open(path, _, _) when context.Now >= punch.KeepAliveAt ->
            { ask context ProbeKind.Probe path 0 punch with KeepAliveAt = context.Now + keepAliveEvery }
        | PunchPhase.Choosing _
        | PunchPhase.Open _
        | PunchPhase.Failed _ -> punch

    let deadline (punch: Punch) : Instant =
        match punch.Phase with
        | PunchPhase.Probing ->
            let next = punch.Candidates |> Array.fold (fun least it -> min least it.NextAt) Time.never

            let birthday =
                match punch.BirthdayProbing with
                | ValueSome probing -> min punch.BirthdayAt (BirthdayProbing.deadline probing)
                | ValueNone -> punch.BirthdayAt

            min (min next birthday) punch.GiveUpAt
        | PunchPhase.Choosing(_, _, _, until) -> min until punch.KeepAliveAt
        | PunchPhase.Open(_, _, until) -> min until punch.KeepAliveAt
        | PunchPhase.Failed(_, until) -> until
