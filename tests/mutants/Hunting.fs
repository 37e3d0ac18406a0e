/// Hunts the mutants of the core with the simulator: runs one process for each of them, in parallel, and makes a table of the results.
/// Loaded by build.fsx, which builds the runner before.
module Hunting

open System
open System.Diagnostics
open System.Threading.Tasks

/// Runs the campaigns.
let runner = $"{Mutants.folder}/Runner"

/// How a mutant was found: after how many runs, by which property, and the reason. Run 0: not within a run.
type Fate = { Run: int; Property: string; Why: string }

/// Parses a line of the runner.
let private fateOf (line: string) =
    match line.Split '\t' with
    | [| "killed"; run; property; why |] -> ValueSome(ValueSome { Run = int run; Property = property; Why = why })
    | [| "clean"; _ |] -> ValueSome ValueNone
    | _ -> ValueNone

/// Runs one process for one mutant, or none; returns the result in a campaign, and in as many random scenarios alone. A process
/// that does not end within the limit counts as a kill.
let private hunt (limit: TimeSpan) (seed: string) (runs: string) (number: string) =
    let program = $"{Copies.copyOf runner}/bin/Release/net10.0/Runner.dll"
    let info = ProcessStartInfo("dotnet", [ "exec"; program; seed; runs ], RedirectStandardOutput = true)
    info.Environment[Mutants.variable] <- number
    use running = Process.Start info
    let output = running.StandardOutput.ReadToEndAsync()

    if not (running.WaitForExit limit) then
        running.Kill(entireProcessTree = true)

        let late =
            ValueSome { Run = 0; Property = "time limit"; Why = $"no end within {limit.TotalSeconds:F0} s" }

        match output.Result.Trim().Split('\n') |> Array.map fateOf with
        | [| ValueSome fate |] -> fate, late
        | _ -> late, late
    else
        match output.Result.Trim().Split('\n') |> Array.map fateOf with
        | [| ValueSome fate; ValueSome drawn |] when running.ExitCode = 0 -> fate, drawn
        | _ ->
            let crash = ValueSome { Run = 0; Property = "crash"; Why = $"exit code {running.ExitCode}" }
            crash, crash

/// The result for each mutant; none for one that survived.
let huntAll seed runs (mutants: Mutants.Mutant list) =
    printfn "Without a mutant, %s runs from seed %s:" runs seed
    let clock = Stopwatch.StartNew()

    match hunt (TimeSpan.FromHours 1.0) seed runs "" with
    | ValueSome fate, _
    | _, ValueSome fate -> raise (Mutants.Invalid $"The control fails in run {fate.Run}: {fate.Property}, {fate.Why}")
    | _ -> printfn "clean, in %.0f s\n" clock.Elapsed.TotalSeconds

    // A mutant may be slow before it is caught, and parallel processes are slower than the control was.
    let limit = TimeSpan.FromSeconds 30.0 + 10.0 * clock.Elapsed
    let mutants = Array.ofList mutants
    let fates = Array.create mutants.Length (ValueNone, ValueNone)

    let one index =
        let mutant = mutants[index]
        fates[index] <- hunt limit seed runs mutant.Number

        match fst fates[index] with
        | ValueNone -> printfn "%4s SURVIVED: %s. %s" mutant.Number mutant.Name mutant.Note
        | ValueSome fate ->
            let why = if fate.Why.Length > 100 then fate.Why.Substring(0, 100) + "…" else fate.Why
            printfn "%4s killed in run %d by %s: %s" mutant.Number fate.Run fate.Property why

    let sideBySide = ParallelOptions(MaxDegreeOfParallelism = Environment.ProcessorCount)
    // One at a time to each worker: ranges would leave workers idle.
    Parallel.ForEach(Seq.init mutants.Length id, sideBySide, one) |> ignore
    Array.zip mutants fates

/// The table in markdown.
let table (hunted: (Mutants.Mutant * (Fate voption * Fate voption))[]) =
    let needed =
        hunted
        |> Array.choose (fun (_, (_, fate)) -> fate |> ValueOption.map _.Run |> ValueOption.toOption)
        |> Array.sort

    let median =
        if needed.Length = 0 then
            ""
        else
            $" Random scenarios alone kill {needed.Length}, in the median within {needed[(needed.Length - 1) / 2]} runs."

    let killed = hunted |> Array.filter (fun (_, (fate, _)) -> fate.IsSome)

    let cells (fate: Fate voption) =
        match fate with
        | ValueSome fate -> $"{fate.Property} | {fate.Run}"
        | ValueNone -> "– | –"

    [ "| # | mutant | precedent | killed by | after runs | by random scenarios alone | after runs |"
      "|---|---|---|---|---|---|---|"
      for mutant, (fate, drawn) in hunted do
          let fate = if fate.IsSome then cells fate else "**nothing** | –"
          $"| {mutant.Number} | {mutant.Name} | {mutant.Precedent} | {fate} | {cells drawn} |"
      ""
      $"{killed.Length} of {hunted.Length} mutants killed.{median}"
      "" ]
    |> String.concat "\n"
