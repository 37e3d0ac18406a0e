/// Scenarios generated from seeds, with all checks.
module UtpPunch.Sim.Tests.RandomScenarios

open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Worlds

/// FsCheck prints a failing scenario as a scenario file has it.
[<CustomEquality; NoComparison>]
type Drawn =
    { Scenario: Scenario }

    override this.Equals other =
        match other with
        | :? Drawn as other -> this.Scenario = other.Scenario
        | _ -> false

    override this.GetHashCode() = int this.Scenario.Seed
    override this.ToString() = ScenarioText.print this.Scenario

let private drawn =
    gen {
        let! high = Gen.choose (0, System.Int32.MaxValue)
        let! low = Gen.choose (0, System.Int32.MaxValue)
        return { Scenario = Swarm.scenario ((uint64 high <<< 31) ||| uint64 low) }
    }

/// Smaller scenarios that may fail as well.
let private shrink (drawn: Drawn) : Drawn seq =
    Shrink.candidates drawn.Scenario |> Seq.map (fun scenario -> { Scenario = scenario })

type Arbitraries =
    static member Drawn() : Arbitrary<Drawn> = Arb.fromGenShrink (drawn, shrink)

let private config count = { FsCheckConfig.defaultConfig with arbitrary = [ typeof<Arbitraries> ]; maxTest = count }

let private check (scenario: Scenario) =
    let struct (_, violation) = Campaign.check scenario

    match violation with
    | ValueSome(struct (property, why)) -> broken scenario property why
    | ValueNone -> ()

/// The scenario without one kind of faults, for each kind.
let private milder (scenario: Scenario) =
    [ "loss", overBoth (fun path -> { path with Loss = Loss.Never }) scenario
      "drops", overBoth (fun path -> { path with Drops = [] }) scenario
      "reordering", overBoth (fun path -> { path with Reorder = 0 }) scenario
      "duplication", overBoth (fun path -> { path with Duplication = 0 }) scenario
      "lateness", overBoth (fun path -> { path with Lateness = Lateness.Never }) scenario
      "corruption", overBoth (fun path -> { path with Corruption = 0 }) scenario
      "cuts", overBoth (fun path -> { path with Cuts = [] }) scenario
      "forgery", { scenario with Forgery = { Strange = 0; Spoofed = 0; Hints = 0 } } ]
    |> List.filter (fun (_, changed) -> changed <> scenario)

let tests =
    testList
        "random scenarios"
        [ test "a campaign of 200 runs, as it is used to hunt mutants, finds nothing" {
              match Campaign.run 1UL 200 with
              | ValueNone -> ()
              | ValueSome failure -> broken failure.Scenario failure.Property $"run {failure.Run}: {failure.Why}"
          }

          testPropertyWithConfig (config 200) "200 random scenarios keep every property" (fun it -> check it.Scenario)

          testPropertyWithConfig
              (config 500)
              "M4: 500 random scenarios are the same after printing and parsing"
              (fun it ->
                  let text = ScenarioText.print it.Scenario
                  Expect.equal (ScenarioText.parse text) it.Scenario "the scenario"
                  Expect.equal (ScenarioText.print (ScenarioText.parse text)) text "its text")

          test "M1: the same scenario twice gives the same packets at the same times" {
              for scenario in swarm 9_000UL 30 (fun _ -> true) do
                  let one = Simulation.run scenario
                  let other = Simulation.run scenario

                  require scenario "M1" (one.Hash = other.Hash && one.Streams = other.Streams) "the second run differs"
          }

          test "S21: no scenario fails with one kind of faults removed" {
              for scenario in swarm 11_000UL 25 (fun _ -> true) do
                  for fault, changed in milder scenario do
                      match (Simulation.run changed).Violation with
                      | ValueSome(struct (property, why)) -> broken changed "S21" $"without {fault}: {property}, {why}"
                      | ValueNone -> ()
          } ]
