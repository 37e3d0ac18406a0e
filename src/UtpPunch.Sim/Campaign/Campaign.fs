namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A scenario that did not keep what it must.
[<NoComparison; NoEquality>]
type Failure =
    {
        /// Which run of the campaign, from 0.
        Run: int
        Seed: uint64
        Property: string
        Why: string
        Scenario: Scenario
    }

/// Runs of scenarios drawn from seeds, each with all that can be checked of it.
module Campaign =
    /// The seed of a run.
    let seedOf (seed: uint64) (run: int) = Keyed.mix (seed + uint64 run * 0x9E3779B97F4A7C15UL)

    let private fails property why = ValueSome(struct (property, why))

    /// A stream has two neighbouring ids; where those of two streams are neighbours, a packet may mean either.
    let private collided (outcome: Outcome) =
        outcome.Marks.Counts.ContainsKey(string Rule.IdCollision)
        || outcome.World.Actors
           |> Array.exists (fun actor ->
               actor.Syns.Keys
               |> Seq.exists (fun id -> actor.Syns.ContainsKey(id + 1us) || actor.Syns.ContainsKey(id + 2us)))

    let private same property what (one: Outcome) (other: Outcome) =
        match other.Violation with
        | ValueSome(struct (_, why)) -> fails property $"{what}: {why}"
        // Both sides have drawn neighbouring ids: a SYN comes in vain, and that is as it should be.
        | ValueNone when collided one || collided other -> ValueNone
        | ValueNone when one.Shape <> other.Shape -> fails property $"{what}: other packets, or at other times"
        | ValueNone when one.Streams <> other.Streams -> fails property $"{what}: other results"
        | ValueNone -> ValueNone

    let private shift by (host: Host) = { host with Clock = { host.Clock with Offset = host.Clock.Offset + by } }

    /// Runs that differ in nothing that may matter go the same way: S17 to S19, M1.
    let private variants (scenario: Scenario) (outcome: Outcome) : struct (string * string) voption =
        let compare property what changed =
            let other = Simulation.run changed
            outcome.Marks.Add other.Marks
            same property what outcome other

        match int (scenario.Seed % 8UL) with
        // Numbers are compared on a ring: other first numbers and ids, another seed of the nodes.
        | 0
        | 1 when
            scenario.Forgery.Strange + scenario.Forgery.Spoofed + scenario.Forgery.Hints = 0
            && not (Expectation.isUnprotected scenario)
            ->
            compare "S17" "with other first numbers and ids" { scenario with NodeSeed = Wraps.seedNear scenario }
        // Without a delay a difference of the clocks may be 0, which stands for none (BEP 29).
        | 2 when not (Expectation.isUnprotected scenario) && min scenario.AB.Delay scenario.BA.Delay > 0L<us> ->
            // Anywhere, or so that one direction's differences of the clocks run through zero.
            let around =
                scenario.A.Clock.Offset
                - scenario.B.Clock.Offset
                - int64 (scenario.AB.Delay + Time.milliseconds (int (scenario.Seed >>> 8 &&& 31UL)))

            let by = if scenario.Seed &&& 8UL = 0UL then around else 2_000_000_000L
            compare "S18" $"with B's clock {by} us ahead" { scenario with B = shift by scenario.B }
        | 3 when not (Expectation.isUnprotected scenario) ->
            // So that both clocks run over within the first seconds.
            let by = 0x1_0000_0000L - (scenario.A.Clock.Offset &&& 0xFFFF_FFFFL) - 3_000_000L
            compare "S19" $"{by} us later" { scenario with A = shift by scenario.A; B = shift by scenario.B }
        | 4 ->
            let again = Simulation.run scenario

            if again.Hash <> outcome.Hash then
                fails "M1" "the same scenario went another way"
            else
                ValueNone
        | _ -> ValueNone

    /// One run, with everything that is checked of it.
    let check (scenario: Scenario) : struct (Outcome * struct (string * string) voption) =
        let outcome = Simulation.run scenario

        match outcome.Violation with
        | ValueSome violation -> struct (outcome, ValueSome violation)
        | ValueNone -> struct (outcome, variants scenario outcome)

    let private failureOf run (scenario: Scenario) (struct (property, why): struct (string * string)) =
        { Run = run; Seed = scenario.Seed; Property = property; Why = why; Scenario = scenario }

    let private drills = List.toArray ScriptedCases.all
    let private directed = List.toArray Directed.all

    /// Everything that so many drawn scenarios must have met and have not.
    let missing (marks: Marks) : string list =
        Marks.required |> List.filter (fun name -> not (marks.Counts.ContainsKey name))

    let private runDrill index : Failure voption =
        let struct (name, drill) = drills[index]

        match ScriptedCases.check drill with
        | ValueSome(struct (property, why)) ->
            // No scenario has a part in it.
            ValueSome(failureOf index Scenario.calm (struct (property, $"the drill '{name}': {why}")))
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
            ValueSome(failureOf index scenario (struct ("M5", $"the scenario '{name}' has never seen: {names}")))
        | ValueNone -> ValueNone

    let private runDrawn (seed: uint64) index (marks: Marks) : Failure voption =
        let scenario = Swarm.scenario (seedOf seed index)
        let struct (outcome, violation) = check scenario
        marks.Add outcome.Marks
        violation |> ValueOption.map (failureOf index scenario)

    /// So many drawn scenarios meet every mark.
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
            ValueSome(failureOf (runs - 1) Scenario.calm (struct ("M5", $"never seen: {names}")))
        | _ -> found

    /// Runs of drawn scenarios alone, until the first failure.
    let runRandom (seed: uint64) (runs: int) : Failure voption = searchDrawn seed 0 runs

    /// Runs until the first failure; none when all went well. Every campaign begins with the drills and the directed scenarios, which
    /// count as runs, and ends, if it is long enough, with a look at what it has met (M5).
    let run (seed: uint64) (runs: int) : Failure voption =
        let first = drills.Length + directed.Length

        let atFirst =
            search 0 (min runs first) (fun index ->
                if index < drills.Length then
                    runDrill index
                else
                    runDirected index (index - drills.Length))

        match atFirst with
        | ValueSome _ -> atFirst
        | ValueNone -> searchDrawn seed first runs
