namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// Runs punch scenarios and checks the properties of a punch: directed scenarios first, then random ones.
module PunchCampaign =
    let private fail property why = Check.fail property why

    let private stageOf (report: PunchReport voption) =
        match report with
        | ValueSome report -> $"%A{report.Stage}"
        | ValueNone -> "nothing"

    /// N2, and that both peers report a result.
    let private agree (outcome: PunchOutcome) =
        if outcome.A.IsNone || outcome.B.IsNone || PunchOutcome.isOneSided outcome then
            fail "N2" $"one peer reports {stageOf outcome.A}, the other {stageOf outcome.B}"

    /// N1: if one NAT filters by nothing, the peer's real address is learnt from its packets.
    let private reflexive () =
        for a, b, isMet in [ 2, 7, true; 7, 2, true; 0, 7, false ] do
            let outcome = PunchScenario.run (PunchScenario.between [ NatOracle.models[a] ] [ NatOracle.models[b] ])
            agree outcome

            if PunchOutcome.isMet outcome <> isMet then
                fail
                    "N1"
                    $"behind the kernel's NATs {a} and {b} the peers report {stageOf outcome.A} and {stageOf outcome.B}"

    let private pathOf (report: PunchReport voption) =
        match report with
        | ValueSome it -> $"%A{it.Stage} %A{it.Kind} {Describe.endpoint it.Remote}, {it.Sent} sent, {it.Heard} heard"
        | ValueNone -> "nothing"

    /// N3: what a third party replays or forges changes nothing, and draws no more bytes than it sends.
    let private attacker () =
        let scenario = PunchScenario.between [] []
        let expected = PunchScenario.run scenario
        let address index = Endpoint.ofIPv4 (NetworkConfig.openInternet.First + index) 0us
        let victims = [| Endpoint.withPort 6001us (address 2u); Endpoint.withPort 7002us (address 3u) |]
        let attacker = Attacker(Endpoint.withPort 9000us (address 4u), victims)
        let internet = Internet(scenario.Seed, NetworkConfig.openInternet, attacker)
        let server = PunchScenario.addServer internet (Keyed.mix (scenario.Seed + 1UL))
        let struct (a, b) = PunchScenario.addPeers internet scenario

        if a.Socket <> victims[0] || b.Socket <> victims[1] then
            invalidOp "the hosts do not have the addresses that the attacker uses"

        internet.AddHost(internet.Open, [| internet.Open.NewAddress() |], attacker)
        let outcome = PunchScenario.meet internet server scenario a b

        if attacker.Sent = 0L then fail "N3" "the attacker has sent nothing"

        if attacker.Received > attacker.Sent then
            fail "N3" $"{attacker.Sent} forged bytes are answered by {attacker.Received}"

        for one, other in [ expected.A, outcome.A; expected.B, outcome.B ] do
            if pathOf one <> pathOf other then
                fail "N3" $"the result is {pathOf other} with an attacker, and {pathOf one} without"

    /// N5: a stream stays usable after ten idle minutes behind NATs whose sessions expire after 30 s and which then allocate other ports.
    let private idle () =
        let forgetful =
            { NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.AddressAndPortDependent with
                Unreplied = Time.seconds 30
                Stream = Time.seconds 30 }

        let scenario = PunchScenario.between [ forgetful ] [ forgetful ]
        let internet = Internet(7UL, NetworkConfig.openInternet, Unchecked.defaultof<IInternetWatcher>)
        let server = PunchScenario.addServer internet 8UL
        let struct (a, b) = PunchScenario.addPeers internet scenario
        let outcome = PunchScenario.meet internet server scenario a b
        agree outcome

        if not outcome.IsUsable then fail "N1" "two NATs of the most common kind do not connect"

        internet.RunUntil(internet.Now + Time.seconds 600)
        let struct (dials, accepts) = if outcome.A.Value.Dials then struct (a, b) else struct (b, a)
        dials.Tell(internet, Event.Write(2, Owned [| 1uy |]))
        internet.RunUntil(internet.Now + Time.seconds 30)

        if a.Closed + b.Closed > 0 || accepts.Delivered <> 1L then
            fail
                "N5"
                $"after ten idle minutes {accepts.Delivered} of 1 bytes arrive, and {a.Closed + b.Closed} ends have closed"

    /// N11: the streams of a meeting go on when a NAT forgets them or a peer is elsewhere, also beside an attacker that sees everything, and
    /// to whom no packet of theirs goes.
    let private paths () =
        let home = NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.AddressDependent

        let cases =
            [ false, [], MoveKind.Rebind
              true, [], MoveKind.Rebind
              false, [], MoveKind.Elsewhere [ home ]
              // The NAT of the peer that stays drops what comes from elsewhere: they must meet again.
              false, [ home ], MoveKind.Elsewhere [ home ] ]

        for isReader, peer, move in cases do
            let attacker = PathAttacker(MoveScenario.thirdHost, 1)

            let outcome =
                MoveScenario.runBeside
                    attacker
                    attacker
                    { MoveScenario.between [ home ] peer with
                        BytesOfA = if isReader then 0 else 100_000
                        BytesOfB = 100_000
                        Moves = [ struct (Time.seconds 2, false, move) ] }

            if not outcome.IsUsable then
                fail "N1" "a home and another one, or an open host, do not connect"

            if not (MoveOutcome.isWhole outcome) then
                fail "N11" $"after %A{move} the streams end with %A{outcome.A.Reason} and %A{outcome.B.Reason}"

            if outcome.LongestGap > Time.seconds 6 then
                fail "N11" $"after %A{move} nothing arrives for {int64 outcome.LongestGap / 1000L} ms"

            if attacker.Packets > 0 then
                fail "N11" $"{attacker.Packets} packets of the stream go to an address that has not answered"

            if attacker.Received > attacker.Sent then
                fail "N11" $"{attacker.Sent} forged bytes are answered by {attacker.Received}"

    /// N12: of two paths the streams take the better one, and two paths of one length are no reason to change.
    let private better () =
        let joining (path: Path) pause =
            [ struct (Time.seconds 2, false, MoveKind.Joins path)
              struct (Time.seconds 2 + pause, true, MoveKind.Joins path) ]

        let home = NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.AddressDependent

        for pause in [ 100; 250; 400; 2000 ] do
            let pause = Time.milliseconds pause

            let outcome =
                MoveScenario.run { MoveScenario.between [ home ] [ home ] with Moves = joining Path.perfect pause }

            let limit = outcome.BeganAt + Time.seconds 4 + pause
            let moves = Seq.append outcome.A.Moves outcome.B.Moves |> List.ofSeq
            let isInTime (struct (at, _)) = at < limit

            if not (MoveOutcome.isWhole outcome) || moves.Length <> 2 || not (List.forall isInTime moves) then
                fail "N12" $"peers in one network have changed their paths %A{moves}"

        let varying =
            { Path.perfect with
                Delay = Time.milliseconds 40
                Lateness = Lateness.Uniform(Time.milliseconds 10) }

        for seed in 1UL .. 4UL do
            let scenario = MoveScenario.between [] []

            let outcome =
                MoveScenario.run
                    { scenario with
                        Meeting = { scenario.Meeting with Seed = seed; Path = varying }
                        BytesOfA = 1_200_000
                        BytesOfB = 1_200_000
                        Pause = Time.milliseconds 500
                        Moves = joining varying (Time.seconds 1) }

            if outcome.A.Moves.Count > 2 || outcome.B.Moves.Count > 2 then
                fail
                    "N12"
                    $"between paths that are alike there are {outcome.A.Moves.Count} and {outcome.B.Moves.Count} changes"

    let private directed = [| reflexive; attacker; idle; paths; better |]

    /// A random scenario: one NAT for each peer, often with loss.
    let private drawn (seed: uint64) =
        let draw kind below = Keyed.below below seed kind 0L
        let row, column = draw 1 10, draw 2 10
        let loss = if draw 3 3 = 0 then 0 else 100 + draw 4 250

        let scenario =
            { PunchScenario.between [ NatOracle.models[row] ] [ NatOracle.models[column] ] with
                Seed = seed
                Late = Time.milliseconds (draw 5 3000)
                Path =
                    { NetworkConfig.openInternet.Path with
                        Loss = Loss.Each loss
                        Duplication = if loss = 0 then 0 else draw 6 60
                        CopiesLate = Time.milliseconds 1 } }

        let outcome = PunchScenario.run scenario
        agree outcome

        if loss = 0 && NatOracle.kernelReflexive[row][column] && not (PunchOutcome.isMet outcome) then
            fail "N1" $"behind the kernel's NATs {row} and {column} A reports {stageOf outcome.A}"

        // In a quarter of the scenarios: the node's laws after every step, and every node restored from a snapshot.
        if draw 7 4 = 0 then
            let again = PunchScenario.runChecked scenario

            if again.Hash <> outcome.Hash then
                fail "M3" "nodes that were restored from snapshots behave differently"

    let private search first (seed: uint64) runs : Failure voption =
        let mutable found = ValueNone
        let mutable run = 0

        while found.IsNone && run < runs do
            let index = first + run

            let action =
                if index < directed.Length then
                    directed[index]
                else
                    fun () -> drawn (Campaign.seedOf seed index)

            match ScriptedCases.check action with
            | ValueSome(struct (property, why)) ->
                found <-
                    ValueSome
                        { Run = run
                          Seed = Campaign.seedOf seed index
                          Property = property
                          Why = why
                          // A failure of a punch has no stream scenario.
                          Scenario = Scenario.calm }
            | ValueNone -> run <- run + 1

        found

    /// Runs until the first failure: the directed scenarios first.
    let run (seed: uint64) (runs: int) : Failure voption = search 0 seed runs

    /// Runs random scenarios only.
    let runRandom (seed: uint64) (runs: int) : Failure voption = search directed.Length seed runs
