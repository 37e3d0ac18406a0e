/// Fuzzing that goes on: `dotnet fsi build.fsx fuzz`.
module UtpPunch.Fuzz.Campaign

open System
open System.Threading

[<NoComparison; NoEquality>]
type Options =
    {
        Targets: Target list
        Limit: Limit
        Seed: uint64
        /// Whether the inputs that were kept replace those in tests/fuzz-corpus.
        Saves: bool
    }

/// A single execution never takes longer, also on a slow machine.
let private longest = TimeSpan.FromSeconds 30.0

let private report (finding: Finding) =
    let file = Corpus.write finding
    printfn "\nFOUND in %s: %s" finding.Target finding.Failure.Explanation
    printfn "Replay it: dotnet fsi build.fsx fuzz replay %s" file

/// An execution that does not end cannot be stopped: its input is written, and the process ends.
let private watch (fuzzer: Fuzzer) =
    let check _ =
        if fuzzer.Running > longest && fuzzer.IsRunning then
            let failure =
                { Signature = "hang"; Explanation = $"An execution takes longer than {longest.TotalSeconds} s." }

            report { Target = fuzzer.Target.Name; Failure = failure; Input = fuzzer.Current }
            exit 1

    new Timer(check, null, longest, TimeSpan.FromSeconds 5.0)

let private summarize (fuzzer: Fuzzer) =
    let coverage = fuzzer.Coverage
    let rate = float fuzzer.Executions / fuzzer.Elapsed.TotalSeconds

    printfn
        "%-11s %6.0f s  %10d executions  %7.0f/s  %5d kept  %5d features  %5d branches  %d findings"
        fuzzer.Target.Name
        fuzzer.Elapsed.TotalSeconds
        fuzzer.Executions
        rate
        fuzzer.Kept.Count
        coverage.Features
        coverage.Edges
        fuzzer.Findings.Count

let private fuzz (options: Options) (limit: Limit) (target: Target) : int =
    let fuzzer = Fuzzer(target, options.Seed, Corpus.load target)
    use _ = watch fuzzer
    fuzzer.Run limit
    Seq.iter report fuzzer.Findings
    summarize fuzzer
    if options.Saves then Corpus.save target fuzzer.Kept
    fuzzer.Findings.Count

/// Fuzzes the targets one after the other, each for its part of the time; the exit code.
let run (options: Options) : int =
    let limit =
        match options.Limit with
        | Limit.Time time -> Limit.Time(time / float options.Targets.Length)
        | Limit.Executions _ -> options.Limit

    printfn "seed %d" options.Seed
    let findings = options.Targets |> List.sumBy (fuzz options limit)
    if findings = 0 then 0 else 1

/// Runs the input of a file; the exit code.
let replay (file: string) : int =
    let name = Input.targetOf file

    match Targets.tryFind name with
    | None ->
        eprintfn "%s names no target in its first line: `# TARGET: what was found`." file
        2
    | Some target ->
        match Target.execute target true (Features()) (Input.ofFile file) with
        | ValueSome failure ->
            printfn "%s: %s" name failure.Explanation
            1
        | ValueNone ->
            printfn "%s: all invariants hold." name
            0
