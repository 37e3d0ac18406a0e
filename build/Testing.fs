/// The target `test`: formatting, then all test executables, in the order and beside each other as `stages` says.
module Testing

open System
open System.IO
open System.Text.RegularExpressions
open System.Threading.Tasks
open Processes

let isCI = Environment.GetEnvironmentVariable "CI" = "true"

type Count = { Passed: int; Failed: int; Skipped: string list }

let private none = { Passed = 0; Failed = 0; Skipped = [] }

let private (++) a b = { Passed = a.Passed + b.Passed; Failed = a.Failed + b.Failed; Skipped = a.Skipped @ b.Skipped }

let private failure message =
    printfn "FAILED: %s" message
    { none with Failed = 1 }

// Formatting

let fantomas arguments = [ "fantomas" ] @ arguments @ [ "src"; "tests"; "bench"; "build"; "build.fsx" ]

let formatCSharp arguments = [ "format"; "whitespace"; "--folder"; "--exclude"; "tests/peers/node_modules" ] @ arguments

/// A command that must exit with 0 counts as a test.
let private check name arguments =
    if exitCodeOf "." "dotnet" arguments = 0 then
        printfn "passed: %s" name
        { none with Passed = 1 }
    else
        failure $"{name}; run `dotnet fsi build.fsx format`."

let private checkFormatting () =
    check "F# is formatted as Fantomas does" (fantomas [ "--check" ])
    ++ check "C# is formatted as .editorconfig says" (formatCSharp [ "--verify-no-changes" ])

/// A program that is compiled ahead of time needs nothing that the trimmer removes.
let private checkCanary () =
    match Canary.run () with
    | Canary.Outcome.Passed figures ->
        printfn "passed: the canary, compiled ahead of time: %s" figures
        { none with Passed = 1 }
    | Canary.Outcome.Failed message -> failure message
    | Canary.Outcome.Skipped reason -> { none with Skipped = [ $"the canary: {reason}" ] }

/// What a user gets: only on systems with a shell, since the tutorial's commands are those of one.
let private startPackages () =
    if OperatingSystem.IsWindows() then
        Task.FromResult { none with Skipped = [ "the packages: the tutorial's commands need a shell" ] }
    else
        let results = PackageTests.start ()

        Task.Run(fun () ->
            results.Result
            |> List.map (fun (name, error) ->
                match error with
                | None ->
                    printfn "passed: %s" name
                    { none with Passed = 1 }
                | Some message -> failure $"{name}: {message}")
            |> List.fold (++) none)

// Peers

/// Installs the npm packages of tests/peers if what is installed is older than the pins. Without npm the tests that need them skip.
let installPeers () =
    let npm = if OperatingSystem.IsWindows() then "npm.cmd" else "npm"
    let installed = File.GetLastWriteTimeUtc "tests/peers/node_modules/.package-lock.json"

    if installed < File.GetLastWriteTimeUtc "tests/peers/package-lock.json" then
        let code =
            try
                exitCodeOf "tests/peers" npm [ "ci"; "--no-audit"; "--no-fund" ]
            with Failed message ->
                printfn "%s\nTests with npm packages will be skipped." message
                0

        if code <> 0 then failed $"`npm ci` in tests/peers failed with exit code {code}."

/// Restores PowerShell, whose completion the tests check: 200 MB, which only they need. Without it they skip that.
let private restorePowerShell () =
    if exitCodeOf "tests/peers" "dotnet" [ "tool"; "restore"; "--verbosity"; "quiet" ] <> 0 then
        printfn "PowerShell was not restored: the test of its completion will be skipped."

// Test executables

/// One run of one test executable: a title, variables of the environment, arguments of its own.
type Run = { Project: string; Title: string; Variables: (string * string) list; Arguments: string list }

let private plain project = { Project = project; Title = project; Variables = []; Arguments = [] }

let private over transport arguments project =
    { plain project with
        Title = $"{project} over {transport}"
        Variables = [ ("UTP_TRANSPORT", transport) ]
        Arguments = arguments }

let private interop = "UtpPunch.Interop.Tests"
let private net = "UtpPunch.Net.Tests"
let private web = "UtpPunch.AspNetCore.Tests"

/// The runs of all projects, as stages of lanes: the runs of a lane are one after the other, the lanes of a stage side by side, and the stages one
/// after the other. The F# suites keep all cores busy and measure no time on the clock. The others mostly wait, and most of what they check has
/// time limits: they run when the cores are free. On Linux they run over both transports; Interop.Tests over the managed one only with those of
/// its tests that are marked `CarriesStreams`, since the others (time-outs, the tool's messages, traces, STUN, kernel NATs) do not depend on it.
let private stages =
    let busy =
        [ plain "UtpPunch.Protocol.Tests"
          plain "UtpPunch.Sim.Tests"
          plain "UtpPunch.Trace.Tests"
          plain "UtpPunch.Fuzz.Tests" ]

    if OperatingSystem.IsLinux() then
        [ List.map List.singleton busy
          [ [ over "linux" [] net; over "managed" [] net; over "managed" [ "--streams" ] interop ]
            [ over "linux" [] interop; over "linux" [] web ] ] ]
    else
        [ List.map List.singleton busy; [ [ plain net; plain interop ]; [ plain web ] ] ]

/// A test project that no stage names would never run.
let private checkStages () =
    let listed = stages |> List.concat |> List.concat |> List.map _.Project |> List.distinct |> List.sort

    let present =
        Directory.GetDirectories("tests", "UtpPunch.*.Tests")
        |> Array.map Path.GetFileName
        |> Array.sort
        |> List.ofArray

    if listed <> present then
        failed $"build/Testing.fs runs %A{listed}, but tests/ holds %A{present}."

/// "EXPECTO! 5 tests run in 00:00:02 for Name – 1 passed, 2 ignored, 0 failed, 1 errored."
let private summaryLine =
    Regex @"EXPECTO! .* ([\d,.]+) passed, ([\d,.]+) ignored, ([\d,.]+) failed, ([\d,.]+) errored"

/// The names that --summary prints below "Ignored: 2", each after a tab.
let private ignoredNames (lines: string[]) =
    lines
    |> Seq.skipWhile (fun line -> not (line.StartsWith "Ignored: "))
    |> Seq.takeWhile (fun line -> line.StartsWith "Ignored: " || line.StartsWith '\t')
    |> Seq.filter _.StartsWith('\t')
    |> Seq.map _.Trim()
    |> List.ofSeq

/// What an executable reports. No summary, a bad exit code without a failed test, and no test at all are failures too.
let private countOf filters run (finished: Finished) =
    match finished.Lines |> Seq.map summaryLine.Match |> Seq.tryFindBack _.Success with
    | None -> failure $"{run.Title} ended with exit code {finished.ExitCode} and without a summary."
    | Some summary ->
        let number (group: int) = int (Regex.Replace(summary.Groups[group].Value, @"\D", ""))

        let count = { Passed = number 1; Failed = number 3 + number 4; Skipped = ignoredNames finished.Lines }

        if finished.ExitCode <> 0 && count.Failed = 0 then
            count ++ failure $"{run.Title} ended with exit code {finished.ExitCode}."
        elif number 2 <> count.Skipped.Length then
            count ++ failure $"{run.Title} did not name every skipped test."
        elif count = none && List.isEmpty filters then
            failure $"{run.Title} holds no tests."
        else
            count

let private expecto = [ "--summary"; "--no-spinner"; "--colours"; "0"; "--fail-on-focused-tests" ]

let private start filters show run =
    let command = "exec" :: outputOf $"tests/{run.Project}" run.Project :: expecto @ run.Arguments @ filters
    follow (TimeSpan.FromMinutes 30.0) run.Variables show "dotnet" command

/// Runs a stage. The output of the first lane's first run is shown as it comes, that of the others when that has ended.
let private runStage filters (lanes: Run list list) =
    let started =
        lanes
        |> List.mapi (fun lane runs ->
            Task.Run(fun () ->
                runs
                |> List.mapi (fun index run ->
                    let isShown = lane = 0 && index = 0
                    if isShown then printfn "\n== %s" run.Title
                    let show: string -> unit = if isShown then printfn "%s" else ignore
                    run, isShown, start filters show run)))

    [ for running in started do
          for run, isShown, finished in running.GetAwaiter().GetResult() do
              if not isShown then
                  printfn "\n== %s" run.Title
                  Array.iter (printfn "%s") finished.Lines

              run, finished.Elapsed, countOf filters run finished ]

let private runAll filters =
    checkStages ()
    build "UtpPunch.sln"
    installPeers ()
    restorePowerShell ()

    let checks =
        if List.isEmpty filters then
            // Made first, as the canary restores the same projects; used beside the canary's compilation.
            let packages = startPackages ()
            let others = checkFormatting () ++ checkCanary ()
            others ++ packages.Result
        else
            none

    let results = stages |> List.collect (runStage filters)
    printfn ""

    for run, elapsed, count in results do
        printfn "%3.0f s  %-37s %4d passed" elapsed.TotalSeconds run.Title count.Passed

    let total = results |> List.map (fun (_, _, count) -> count) |> List.fold (++) checks
    if total = none then failure "No test has a name that contains this." else total

/// Runs all tests, or those that the arguments choose; the exit code.
let test arguments =
    let filters =
        match arguments with
        | (name: string) :: rest when not (name.StartsWith "--") -> "--filter-test-case" :: name :: rest
        | _ -> arguments

    let count =
        try
            runAll filters
        with Failed message ->
            failure message

    printfn ""

    for name in count.Skipped do
        printfn "skipped: %s" name

    let failed = if isCI then count.Failed + count.Skipped.Length else count.Failed
    let skipped = if isCI || count.Skipped.IsEmpty then "" else $", {count.Skipped.Length} skipped"
    printfn "%d passed, %d failed%s" count.Passed failed skipped
    if failed = 0 then 0 else 1
