namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A failed run, and the property that it violates.
[<NoComparison; NoEquality>]
type Failure =
    {
        /// The number of the run within the campaign, from 0.
        Run: int
        Seed: uint64
        Property: string
        Why: string
        Scenario: Scenario
    }

/// Runs of random scenarios, with all checks.
module Campaign =
    /// The seed of a run.
    let seedOf (seed: uint64) (run: int) = Keyed.mix (seed + uint64 run * 0x9E3779B97F4A7C15UL)

    let private fails property why = ValueSome(struct (property, why))

    /// Whether ids of two streams collide: a stream has two adjacent ids, and with adjacent streams a packet may mean either.
    let private collided (outcome: Outcome) =
        let ids = [| for actor in outcome.World.Actors -> Seq.toArray actor.Syns.Keys |]
        let isIn (some: uint16[]) id = Array.contains id some

        outcome.Marks.Counts.ContainsKey(TraceNames.rules.Name Rule.IdCollision)
        || ids
           |> Array.exists (fun own -> own |> Array.exists (fun id -> isIn own (id + 1us) || isIn own (id + 2us)))
        // Opened by one host each.
        || ids[0]
           |> Array.exists (fun id -> isIn ids[1] (id - 1us) || isIn ids[1] id || isIn ids[1] (id + 1us))

    /// Whether RESETs were suppressed: which ones is random (docs/security.md).
    let private isLimited (outcome: Outcome) =
        outcome.Marks.Counts.ContainsKey(TraceNames.rules.Name Rule.ResetSuppressed)

    let private same property what (one: Outcome) (other: Outcome) =
        match other.Violation with
        | _ when isLimited one || isLimited other -> ValueNone
        // Both hosts have drawn adjacent ids: the SYN of one of them is refused, as it must be, and the checks mistake its packets.
        | _ when collided one || collided other -> ValueNone
        | ValueSome(struct (_, why)) -> fails property $"{what}: {why}"
        | ValueNone when one.Shape <> other.Shape -> fails property $"{what}: the packets or their times differ"
        | ValueNone when one.Streams <> other.Streams -> fails property $"{what}: the results differ"
        | ValueNone -> ValueNone

    let private shift by (host: Host) = { host with Clock = { host.Clock with Offset = host.Clock.Offset + by } }

    /// Metamorphic properties S17 to S19 and M1: the scenario, changed in a way that must not matter, has the same result.
    let private variants (scenario: Scenario) (outcome: Outcome) : struct (string * string) voption =
        let compare property what changed =
            let other = Simulation.run changed
            outcome.Marks.Add other.Marks
            same property what outcome other

        match int (scenario.Seed % 8UL) with
        // Sequence numbers are compared modulo 2^16: other first numbers and ids, by another seed of the nodes.
        | 0
        | 1 when
            scenario.Forgery.Strange + scenario.Forgery.Spoofed + scenario.Forgery.Hints = 0
            && not (Expectation.isUnprotected scenario)
            ->
            compare "S17" "with other first numbers and ids" { scenario with NodeSeed = Wraps.seedNear scenario }
        // Without a delay a timestamp difference may be 0, which stands for none (BEP 29).
        | 2 when not (Expectation.isUnprotected scenario) && min scenario.AB.Delay scenario.BA.Delay > 0L<us> ->
            // By any offset, or so that the timestamp differences of one direction wrap through zero.
            let around =
                scenario.A.Clock.Offset
                - scenario.B.Clock.Offset
                - int64 (scenario.AB.Delay + Time.milliseconds (int (scenario.Seed >>> 8 &&& 31UL)))

            let by = if scenario.Seed &&& 8UL = 0UL then around else 2_000_000_000L
            compare "S18" $"with B's clock {by} us ahead" { scenario with B = shift by scenario.B }
        | 3 when not (Expectation.isUnprotected scenario) ->
            // So that both clocks wrap within the first seconds.
            let by = 0x1_0000_0000L - (scenario.A.Clock.Offset &&& 0xFFFF_FFFFL) - 3_000_000L
            compare "S19" $"{by} us later" { scenario with A = shift by scenario.A; B = shift by scenario.B }
        | 4 ->
            let again = Simulation.run scenario

            if again.Hash <> outcome.Hash then
                fails "M1" "the second run of the same scenario differs"
            else
                ValueNone
        | _ -> ValueNone

    /// One run with all checks.
    let check (scenario: Scenario) : struct (Outcome * struct (string * string) voption) =
        let outcome = Simulation.run scenario

        match outcome.Violation with
        | ValueSome violation -> struct (outcome, ValueSome violation)
        | ValueNone -> struct (outcome, variants scenario outcome)

    let private failureOf run (scenario: Scenario) (struct (property, why): struct (string * string)) =
        { Run = run; Seed = scenario.Seed; Property = property; Why = why; Scenario = scenario }

    let private scriptedCases = List.toArray ScriptedCases.all
    let private directed = List.toArray Directed.all

    /// The required coverage marks that were not hit.
    let missing (marks: Marks) : string list =
        Marks.required |> List.filter (fun name -> not (marks.Counts.ContainsKey name))

    let private runScripted index : Failure voption =
        let struct (name, case) = scriptedCases[index]

        match ScriptedCases.check case with
        | ValueSome(struct (property, why)) ->
            // A scripted case has no scenario.
            ValueSome(failureOf index Scenario.calm (struct (property, $"the scripted case '{name}': {why}")))
        | ValueNone -> ValueNone

    let private runDirected index place : Failure voption =
        let struct (name, scenario, wanted) = directed[place]
        let struct (outcome, violation) = check scenario
        let never = wanted |> List.filter (fun mark -> not (outcome.Marks.Counts.ContainsKey mark))

        match violation with
        | ValueSome(struct (property, why)) ->
            ValueSome(failureOf index scenario (struct (property, $"the scenario '{name}': {why}")))
        | ValueNone when not never.IsEmpty ->
            let names = String.concat ", " never
            ValueSome(failureOf index scenario (struct ("M5", $"the scenario '{name}' has not hit: {names}")))
        | ValueNone -> ValueNone

    let private runDrawn (seed: uint64) index (marks: Marks) : Failure voption =
        let scenario = Swarm.scenario (seedOf seed index)
        let struct (outcome, violation) = check scenario
        marks.Add outcome.Marks
        violation |> ValueOption.map (failureOf index scenario)

    /// The number of random scenarios that suffices to hit every mark.
    let private enough = 150

    let private search first runs (one: int -> Failure voption) =
        let mutable found = ValueNone
        let mutable index = first

        while found.IsNone && index < runs do
            found <- one index
            index <- index + 1

        found

    let private searchDrawn seed first runs =
        let marks = Marks()
        let found = search first runs (fun index -> runDrawn seed index marks)

        match missing marks with
        | never when found.IsNone && not never.IsEmpty && runs - first >= enough ->
            let names = String.concat ", " never
            ValueSome(failureOf (runs - 1) Scenario.calm (struct ("M5", $"marks that were never hit: {names}")))
        | _ -> found

    /// Runs random scenarios only, until the first failure.
    let runRandom (seed: uint64) (runs: int) : Failure voption = searchDrawn seed 0 runs

    /// Runs until the first failure; none when all runs pass. A campaign begins with the scripted cases and the directed scenarios, which
    /// count as runs. If it is long enough, it checks at its end that every mark was hit (M5).
    let run (seed: uint64) (runs: int) : Failure voption =
        let first = scriptedCases.Length + directed.Length

        let atFirst =
            search 0 (min runs first) (fun index ->
                if index < scriptedCases.Length then
                    runScripted index
                else
                    runDirected index (index - scriptedCases.Length))

        match atFirst with
        | ValueSome _ -> atFirst
        | ValueNone -> searchDrawn seed first runs
