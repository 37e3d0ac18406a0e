/// Scenarios with their criteria, as a table.
module UtpPunch.Lab.Campaign

open System.Diagnostics
open System.IO
open UtpPunch.Sim.Congestion
open UtpPunch.Lab.Arguments

let usage =
    """
dotnet fsi build.fsx congestion [OPTIONS]

  --only C1,C2,...     groups of scenarios; default all
  --controller NAME,.. default all of ours
  --seeds N            runs of each scenario; default 20. A grid plays each of its points at least once
  --seed N             the first seed; default 1
  --threads N          1 or 2; default 2
  --markdown FILE      write the table of results
  --list               the scenarios, without runs

Exit code: 0, also if criteria are missed.
"""

let run (words: string list) =
    let it =
        parse [ "--only"; "--controller"; "--seeds"; "--seed"; "--threads"; "--markdown" ] [ "--list" ] words

    match it.Words with
    | word :: _ -> raise (Mistake $"'{word}' is not an option.")
    | [] -> ()

    let groups = list "--only" [] it

    for group in groups do
        if (LabCampaign.choose [ group ]).IsEmpty then
            raise (Mistake $"There is no scenario '{group}'.")

    let scenarios = LabCampaign.choose groups

    if has "--list" it then
        for scenario in scenarios do
            printfn $"{scenario.Group, -4} {scenario.Name}"

            for criterion in scenario.Criteria do
                printfn $"       {criterion.For}: {criterion.What}"
    else
        let controllers = list "--controller" Controllers.names it
        let seeds = max 1 (int (number "--seeds" 20.0 it))
        let threads = max 1 (min 2 (int (number "--threads" 2.0 it)))
        let started = Stopwatch.GetTimestamp()
        printfn $"{LabCampaign.header}"

        let rows =
            LabCampaign.run scenarios controllers seeds (uint64 (number "--seed" 1.0 it)) threads (fun rows ->
                for row in rows do
                    printfn $"{LabCampaign.line row}")

        let passed = rows |> List.filter (fun row -> row.Passed = row.Values.Length) |> List.length

        eprintfn
            $"{passed} of {rows.Length} criteria in every run; %.0f{Stopwatch.GetElapsedTime(started).TotalSeconds} s"

        match text "--markdown" "" it with
        | "" -> ()
        | file -> File.WriteAllText(file, LabCampaign.table rows)

    0
