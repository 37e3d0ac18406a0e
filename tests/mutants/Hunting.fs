/// Lets the simulator hunt the mutants: writes the sources that hold them all, runs one process for each of them, side by side, and
/// makes a table of what became of them. Loaded by build.fsx, which builds in between.
module Hunting

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions
open System.Threading.Tasks

let private copies = "artifacts/mutants"
let private runner = $"{Mutants.folder}/Runner"
let private core = "src/UtpPunch.Protocol.fs"
let private trace = "src/UtpPunch.Trace"
let private simulator = "src/UtpPunch.Sim"

/// What is built of the written sources.
let project = $"{copies}/{runner}"

let private write path (text: string) =
    let path = Path.Combine(copies, path)
    Directory.CreateDirectory(Path.GetDirectoryName path) |> ignore
    // What is as it was keeps its time: nothing to build there.
    if not (File.Exists path && File.ReadAllText path = text) then
        File.WriteAllText(path, text)

let private sourcesBelow folder =
    Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
    |> Array.map _.Replace('\\', '/')
    |> Array.filter (fun path -> not (path.StartsWith $"{folder}/bin/" || path.StartsWith $"{folder}/obj/"))

/// A copy of the core, the simulator and the runner, with all mutants in it as switches.
let writeSources mutants =
    let byFile, problems = Mutants.locate "." mutants

    if not problems.IsEmpty then raise (Mutants.Invalid(String.concat "\n\n" problems))

    let places = dict byFile

    for folder in [ core; trace; simulator; runner ] do
        for path in sourcesBelow folder do
            let text = File.ReadAllText path

            if path.EndsWith ".fsproj" then
                let first = "<Compile Include=\"Mutation.fs\" />\n    <Compile "
                let listed = if folder = core then Regex("<Compile ").Replace(text, first, 1) else text
                // A branch that is never taken may be warned of.
                let strict = "<PropertyGroup>\n    <TreatWarningsAsErrors>false</TreatWarningsAsErrors>"
                Regex("<PropertyGroup>").Replace(listed, strict, 1) |> write path
            elif places.ContainsKey path then
                Mutants.rewrite text places[path] |> write path
            else
                write path text

    write $"{core}/Mutation.fs" (Mutants.switches mutants)

/// How a mutant was found: after how many runs, by which property, and what was seen. Run 0: it was not within a run.
type Fate = { Run: int; Property: string; Why: string }

/// What a line of the runner says.
let private fateOf (line: string) =
    match line.Split '\t' with
    | [| "killed"; run; property; why |] -> ValueSome(ValueSome { Run = int run; Property = property; Why = why })
    | [| "clean"; _ |] -> ValueSome ValueNone
    | _ -> ValueNone

/// One process that hunts one mutant, or none: the fate in a campaign, and in as many drawn scenarios alone. One that does not end
/// within the limit is found as well.
let private hunt (limit: TimeSpan) (seed: string) (runs: string) (number: string) =
    let program = $"{project}/bin/Release/net10.0/Runner.dll"
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

/// The fate of each; none for one that survived.
let huntAll seed runs (mutants: Mutants.Mutant list) =
    printfn "Without a mutant, %s runs from seed %s:" runs seed
    let clock = Stopwatch.StartNew()

    match hunt (TimeSpan.FromHours 1.0) seed runs "" with
    | ValueSome fate, _
    | _, ValueSome fate -> raise (Mutants.Invalid $"The control fails in run {fate.Run}: {fate.Property}, {fate.Why}")
    | _ -> printfn "clean, in %.0f s\n" clock.Elapsed.TotalSeconds

    // A mutant may be slow before it is caught, and side by side they are slower than the control was.
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
    // One at a time to each worker: ranges would leave workers without work.
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
            $" Drawn scenarios alone kill {needed.Length}, in the median within {needed[(needed.Length - 1) / 2]} runs."

    let killed = hunted |> Array.filter (fun (_, (fate, _)) -> fate.IsSome)

    let cells (fate: Fate voption) =
        match fate with
        | ValueSome fate -> $"{fate.Property} | {fate.Run}"
        | ValueNone -> "– | –"

    [ "| # | mutant | precedent | killed by | after runs | by drawn scenarios alone | after runs |"
      "|---|---|---|---|---|---|---|"
      for mutant, (fate, drawn) in hunted do
          let fate = if fate.IsSome then cells fate else "**nothing** | –"
          $"| {mutant.Number} | {mutant.Name} | {mutant.Precedent} | {fate} | {cells drawn} |"
      ""
      $"{killed.Length} of {hunted.Length} mutants killed.{median}"
      "" ]
    |> String.concat "\n"
