namespace UtpPunch.Sim.Congestion

open System
open System.Globalization
open System.Text
open System.Threading
open UtpPunch.Protocol
open UtpPunch.Tracing

/// The values of one criterion in all runs of a scenario.
[<NoComparison; NoEquality>]
type LabRow = { Scenario: LabScenario; Controller: string; Criterion: Criterion; Values: float[]; Passed: int }

/// Many runs of scenarios. All controllers meet the same seeds: random losses, links and starts are common to them.
module LabCampaign =
    let all = SoloScenarios.all @ SharedScenarios.all @ PathScenarios.all

    /// Scenarios of these groups, or all of them.
    let choose (groups: string list) =
        if groups.IsEmpty then
            all
        else
            all |> List.filter (fun scenario -> List.contains scenario.Group groups)

    let seedOf (first: uint64) (run: int) = Keyed.bits first 1 (int64 run)

    /// One run: cases one after the other.
    let trial (scenario: LabScenario) (controller: string) (first: uint64) (run: int) : Trial =
        let case = run % scenario.Cases
        let seed = seedOf first run
        let setting = scenario.Setting controller case seed

        { Controller = controller
          Target = Controllers.target controller
          Case = case
          Result = Lab.run setting.Bottleneck setting.Flows setting.Duration seed }

    let private criteriaOf controller scenario =
        scenario.Criteria |> List.filter (fun criterion -> Audience.has controller criterion.For)

    /// Runs scenarios on some threads, and returns their rows; `report` is called for each scenario that is complete.
    let run (scenarios: LabScenario list) controllers runs (first: uint64) threads (report: LabRow list -> unit) =
        // A grid is played once at least.
        let countOf scenario = min scenario.Runs (max runs scenario.Cases)

        let jobs =
            [| for controller in controllers do
                   for scenario in scenarios do
                       if not (criteriaOf controller scenario).IsEmpty then struct (scenario, controller) |]

        let results: struct (float * bool)[][][] =
            [| for struct (scenario, _) in jobs -> Array.zeroCreate (countOf scenario) |]

        let left = [| for struct (scenario, _) in jobs -> countOf scenario |]

        let work =
            [| for job in 0 .. jobs.Length - 1 do
                   for run in 0 .. results[job].Length - 1 -> struct (job, run) |]

        let mutable next = -1

        let rowsOf job =
            let struct (scenario, controller) = jobs[job]

            criteriaOf controller scenario
            |> List.mapi (fun place criterion ->
                { Scenario = scenario
                  Controller = controller
                  Criterion = criterion
                  Values = [| for run in results[job] -> (let struct (value, _) = run[place] in value) |]
                  Passed =
                    results[job]
                    |> Array.filter (fun run -> (let struct (_, passes) = run[place] in passes))
                    |> Array.length })

        let player () =
            let mutable index = Interlocked.Increment &next

            while index < work.Length do
                let struct (job, run) = work[index]
                let struct (scenario, controller) = jobs[job]
                let trial = trial scenario controller first run

                results[job][run] <-
                    [| for criterion in criteriaOf controller scenario ->
                           let value = criterion.Value trial
                           struct (value, criterion.Passes trial value) |]

                if Interlocked.Decrement(&left[job]) = 0 then lock results (fun () -> report (rowsOf job))

                index <- Interlocked.Increment &next

        let players =
            [ for _ in 2..threads ->
                  (let it = Thread(player) in
                   it.Start()
                   it) ]

        player ()

        for it in players do
            it.Join()

        [ for job in 0 .. jobs.Length - 1 do
              yield! rowsOf job ]

    let private number (value: float) =
        if Double.IsInfinity value then "never"
        elif abs value >= 1000.0 then value.ToString("0", CultureInfo.InvariantCulture)
        elif abs value >= 100.0 then value.ToString("0.#", CultureInfo.InvariantCulture)
        else value.ToString("0.##", CultureInfo.InvariantCulture)

    /// A row of the table.
    let line (row: LabRow) =
        let least, most = Array.min row.Values, Array.max row.Values
        let result = if row.Passed = row.Values.Length then "" else " ✗"

        $"| {row.Scenario.Group} | {row.Scenario.Name} | {row.Controller} | {row.Criterion.What} | {row.Passed}/{row.Values.Length}{result} | {number (Measure.median row.Values)} | {number least} – {number most} |"

    let header =
        "| | scenario | controller | criterion | passed | median | range |\n|---|---|---|---|---|---|---|"

    let table (rows: LabRow list) =
        let text = StringBuilder(header).Append '\n'

        for row in rows do
            text.Append(line row).Append '\n' |> ignore

        text.ToString()
