namespace UtpPunch.Fuzz

open System
open System.Collections.Generic
open System.Diagnostics
open System.Threading

/// A failure, and the smallest input found that has it.
[<NoComparison; NoEquality>]
type Finding = { Target: string; Failure: Failure; Input: Input }

/// When to stop.
[<Struct; RequireQualifiedAccess>]
type Limit =
    | Executions of count: int64
    | Time of time: TimeSpan

/// Fuzzes one target: takes an input that was kept, changes it, runs it, and keeps it if it reached something new. The same seed and the same
/// inputs to begin with give the same executions.
[<Sealed>]
type Fuzzer(target: Target, seed: uint64, corpus: Input list) =
    /// Executions before the bound of memory is checked.
    static let warmUp = 300L

    /// Failures of one cause are found again and again; each is minimized once.
    static let mostFindings = 20

    let draws = Draws(seed ^^^ Hashing.ofText target.Name)
    let kept = ResizeArray<Input>()
    let coverage = Coverage()
    let features = Features()
    let findings = Dictionary<string, Finding>()
    let clock = Stopwatch.StartNew()
    let mutable executions = 0L
    let mutable current: Input = [||]
    let mutable since = Stopwatch.GetTimestamp()

    let failsWith signature input =
        match Target.execute target true features input with
        | ValueSome failure -> failure.Signature = signature
        | ValueNone -> false

    let report (failure: Failure) (input: Input) =
        if findings.Count < mostFindings && not (findings.ContainsKey failure.Signature) then
            let least = Minimize.run (failsWith failure.Signature) input
            findings[failure.Signature] <- { Target = target.Name; Failure = failure; Input = least }

    let run (input: Input) =
        executions <- executions + 1L
        Volatile.Write(&current, input)
        Volatile.Write(&since, Stopwatch.GetTimestamp())

        match Target.execute target (executions > warmUp) features input with
        | ValueSome failure -> report failure input
        | ValueNone -> if coverage.Add features then kept.Add input

    let fresh () = target.Fresh draws

    /// Half of them were kept lately.
    let pickAny () : Input =
        let count = kept.Count
        kept[if draws.OneIn 2 then draws.Below count else count - 1 - draws.Below(min count 50)]

    /// Mostly the shorter of two: it runs faster, and more of it matters.
    let pick () : Input =
        let one, other = pickAny (), pickAny ()
        if draws.OneIn 4 || Input.length one <= Input.length other then one else other

    let next () : Input =
        if kept.Count = 0 || draws.OneIn 50 then
            Array.init (1 + draws.Below 20) (fun _ -> fresh ())
        else
            Mutations.apply draws fresh (pick ()) (pick ())

    member _.Target = target
    member _.IsRunning = clock.IsRunning
    member _.Executions = executions
    member _.Elapsed = clock.Elapsed
    /// The input that runs, and for how long; another thread may ask.
    member _.Current = Volatile.Read &current
    member _.Running = Stopwatch.GetElapsedTime(Volatile.Read &since)
    member _.Kept: IReadOnlyList<Input> = kept
    member _.Coverage = coverage
    member _.Findings: IReadOnlyCollection<Finding> = findings.Values

    member _.Run(limit: Limit) : unit =
        List.iter run (corpus @ target.Seeds(Draws seed))

        let isOver () =
            match limit with
            | Limit.Executions count -> executions >= count
            | Limit.Time time -> clock.Elapsed >= time

        while not (isOver ()) do
            run (next ())

        clock.Stop()
