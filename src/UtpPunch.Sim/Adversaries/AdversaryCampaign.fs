namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// Runs adversaries of each position against nodes: the odds of each layer of the defence first, then adversaries that draw their moves.
module AdversaryCampaign =
    /// The positions of an adversary, each with what runs it from a seed.
    let positions: struct (string * (uint64 -> Play))[] =
        [| struct ("off-path", Siege.offPath)
           struct ("on-path", Siege.onPath)
           struct ("peer", LyingPeer.play)
           struct ("operator", OperatedMeeting.play) |]

    let private seedOf (seed: uint64) (run: int) = Keyed.mix (seed + uint64 run * 0x9E3779B97F4A7C15UL)

    /// The position of a run.
    let nameOf (run: int) =
        let struct (name, _) = positions[run % positions.Length]
        name

    /// One run with all checks: the violated property, if any. Counts the moves.
    let check (seed: uint64) (run: int) (marks: Marks) : struct (string * string) voption =
        let struct (name, play) = positions[run % positions.Length]

        ScriptedCases.check (fun () ->
            let it = play (seedOf seed run)
            marks.Hit $"adversary: {name}"
            marks.HitTimes($"adversary: {name}: moves", int64 it.Moves)

            for rule in it.Rules do
                marks.Hit $"adversary: {name}: {TraceNames.rules.Name rule}")

    /// One in seven runs of `utp sim` is an adversary's.
    let private share = 7

    /// Whether a run of `utp sim` is an adversary's.
    let isAdversarys (run: int) = run % share = share - 1

    /// The same for such a run.
    let checkShare (seed: uint64) (run: int) (marks: Marks) : struct (string * string) voption =
        check seed (run / share) marks
        |> ValueOption.map (fun (struct (property, why)) -> struct (property, $"{nameOf (run / share)}: {why}"))

    let private directed =
        [| (fun () -> Odds.measure 1UL |> List.iter Odds.check); Blind.check; HonestPeers.check |]

    let private failureOf seed run (struct (property, why): struct (string * string)) =
        // An adversary has no scenario of streams.
        { Run = run; Seed = seed; Property = property; Why = why; Scenario = Scenario.calm }

    let private search first (seed: uint64) runs : Failure voption =
        let mutable found = ValueNone
        let mutable run = 0
        let marks = Marks()

        while found.IsNone && run < runs do
            let index = first + run

            let violation =
                if index < directed.Length then
                    ScriptedCases.check directed[index]
                else
                    check seed index marks
                    |> ValueOption.map (fun (struct (property, why)) -> struct (property, $"{nameOf index}: {why}"))

            found <- violation |> ValueOption.map (failureOf (seedOf seed index) run)
            run <- run + 1

        found

    /// Runs until the first failure: the directed cases first.
    let run (seed: uint64) (runs: int) : Failure voption = search 0 seed runs

    /// Runs adversaries only that draw their moves.
    let runRandom (seed: uint64) (runs: int) : Failure voption = search directed.Length seed runs
