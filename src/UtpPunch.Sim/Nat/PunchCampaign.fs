namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// Runs of encounters, each with what must hold of a punch: first some that were thought out, then drawn ones.
module PunchCampaign =
    let private fail property why = Check.fail property why
    let private kernel = NatOracle.kernel |> Array.map (fun struct (_, model) -> model)

    let private stageOf (report: PunchReport voption) =
        match report with
        | ValueSome report -> $"%A{report.Stage}"
        | ValueNone -> "nothing"

    /// N2, and that both sides are told an end.
    let private agree (meeting: Meeting) =
        if meeting.A.IsNone || meeting.B.IsNone || Meeting.isOneSided meeting then
            fail "N2" $"one side tells {stageOf meeting.A}, the other {stageOf meeting.B}"

    /// N1: where one NAT lets anybody in, the other side's real address is learnt from what arrives.
    let private reflexive () =
        for a, b, isMet in [ 2, 7, true; 7, 2, true; 0, 7, false ] do
            let meeting = Encounter.run (Encounter.between [ kernel[a] ] [ kernel[b] ])
            agree meeting

            if Meeting.isMet meeting <> isMet then
                fail "N1" $"behind the kernel's NATs {a} and {b} they tell {stageOf meeting.A} and {stageOf meeting.B}"

    let private pathOf (report: PunchReport voption) =
        match report with
        | ValueSome it -> $"%A{it.Stage} %A{it.Kind} {Describe.endpoint it.Remote}, {it.Sent} sent, {it.Heard} heard"
        | ValueNone -> "nothing"

    /// N3: what a third party says again, or forges from what it saw, changes nothing and draws nothing.
    let private stranger () =
        let encounter = Encounter.between [] []
        let expected = Encounter.run encounter
        let address index = Endpoint.ofIPv4 (Ground.openInternet.First + index) 0us
        let victims = [| Endpoint.withPort 6001us (address 2u); Endpoint.withPort 7002us (address 3u) |]
        let stranger = Stranger(Endpoint.withPort 9000us (address 4u), victims)
        let internet = Internet(encounter.Seed, Ground.openInternet, stranger)
        let server = Encounter.serve internet (Keyed.mix (encounter.Seed + 1UL))
        let struct (a, b) = Encounter.settleBoth internet encounter

        if a.Socket <> victims[0] || b.Socket <> victims[1] then
            invalidOp "the hosts are not where the stranger takes them to be"

        internet.Settle(internet.Open, [| internet.Open.NewAddress() |], stranger)
        let meeting = Encounter.meet internet server encounter a b

        if stranger.Sent = 0L then fail "N3" "the stranger has not said anything"

        if stranger.Drawn > stranger.Sent then
            fail "N3" $"{stranger.Sent} forged bytes draw {stranger.Drawn}"

        for one, other in [ expected.A, meeting.A; expected.B, meeting.B ] do
            if pathOf one <> pathOf other then
                fail "N3" $"with a stranger about it ends with {pathOf other}, without with {pathOf one}"

    /// N5: a stream that says nothing for ten minutes, behind NATs that forget after half a minute and then take other ports.
    let private idle () =
        let forgetful =
            { NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.AddressAndPortDependent with
                Unreplied = Time.seconds 30
                Stream = Time.seconds 30 }

        let encounter = Encounter.between [ forgetful ] [ forgetful ]
        let internet = Internet(7UL, Ground.openInternet, Unchecked.defaultof<IInternetWatcher>)
        let server = Encounter.serve internet 8UL
        let struct (a, b) = Encounter.settleBoth internet encounter
        let meeting = Encounter.meet internet server encounter a b
        agree meeting

        if not meeting.IsUsable then fail "N1" "two NATs of the commonest kind are not passed"

        internet.RunUntil(internet.Now + Time.seconds 600)
        let struct (dials, accepts) = if meeting.A.Value.Dials then struct (a, b) else struct (b, a)
        dials.Tell(internet, Event.Write(2, Owned [| 1uy |]))
        internet.RunUntil(internet.Now + Time.seconds 30)

        if a.Closed + b.Closed > 0 || accepts.Delivered <> 1L then
            fail
                "N5"
                $"after ten silent minutes {accepts.Delivered} of 1 bytes arrive, {a.Closed + b.Closed} ends close"

    let private directed = [| reflexive; stranger; idle |]

    /// A NAT each, often with loss.
    let private drawn (seed: uint64) =
        let draw kind below = Keyed.below below seed kind 0L
        let row, column = draw 1 10, draw 2 10
        let loss = if draw 3 3 = 0 then 0 else 100 + draw 4 250

        let encounter =
            { Encounter.between [ kernel[row] ] [ kernel[column] ] with
                Seed = seed
                Late = Time.milliseconds (draw 5 3000)
                Link = { Ground.openInternet.Link with Loss = loss; Duplication = if loss = 0 then 0 else draw 6 60 } }

        let meeting = Encounter.run encounter
        agree meeting

        if loss = 0 && NatOracle.kernelReflexive[row][column] && not (Meeting.isMet meeting) then
            fail "N1" $"behind the kernel's NATs {row} and {column} they tell {stageOf meeting.A}"

        // The laws of the node after every step, and every node as a snapshot has it.
        if draw 7 4 = 0 then
            let again = Encounter.runChecked encounter

            if again.Hash <> meeting.Hash then
                fail "M3" "nodes that were restored from snapshots go another way"

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
                          // No scenario has a part in it.
                          Scenario = Scenario.calm }
            | ValueNone -> run <- run + 1

        found

    /// Runs until the first failure: the directed ones first.
    let run (seed: uint64) (runs: int) : Failure voption = search 0 seed runs

    /// Drawn encounters alone.
    let runRandom (seed: uint64) (runs: int) : Failure voption = search directed.Length seed runs
