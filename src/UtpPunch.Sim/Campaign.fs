namespace UtpPunch.Sim

open System
open UtpPunch.Protocol

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

    let private same property what (one: Outcome) (other: Outcome) =
        match other.Violation with
        | ValueSome(struct (_, why)) -> fails property $"{what}: {why}"
        | ValueNone when one.Shape <> other.Shape -> fails property $"{what}: other packets, or at other times"
        | ValueNone when one.Streams <> other.Streams -> fails property $"{what}: other results"
        | ValueNone -> ValueNone

    let private shift by (host: Host) = { host with Clock = { host.Clock with Offset = host.Clock.Offset + by } }

    /// Runs that differ in nothing that may matter go the same way: S17 to S19, M1.
    let private variants (scenario: Scenario) (outcome: Outcome) : struct (string * string) voption =
        let compare property what changed = same property what outcome (Simulation.run changed)

        match int (scenario.Seed % 8UL) with
        // Numbers are compared on a ring: other first numbers and ids, another seed of the nodes.
        | 0
        | 1 when scenario.Forgery.Strange + scenario.Forgery.Spoofed = 0 && not (Expectation.isUnprotected scenario) ->
            compare "S17" "with other first numbers and ids" { scenario with NodeSeed = Wraps.seedNear scenario }
        | 2 when not (Expectation.isUnprotected scenario) ->
            compare "S18" "with B's clock 2 000 000 000 us ahead" { scenario with B = shift 2_000_000_000L scenario.B }
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

    /// Runs until the first failure; none when all went well.
    let run (seed: uint64) (runs: int) : Failure voption =
        let mutable found = ValueNone
        let mutable index = 0

        while found.IsNone && index < runs do
            let scenario = Swarm.scenario (seedOf seed index)
            let struct (_, violation) = check scenario

            match violation with
            | ValueSome violation -> found <- ValueSome(failureOf index scenario violation)
            | ValueNone -> ()

            index <- index + 1

        found
