// The one entry to building: `dotnet fsi build.fsx help` lists the targets. Needs the .NET SDK and nothing else;
// every target sets up what it needs, on a fresh clone as well, and skips what is there already.

#load "tests/mutants/Mutants.fs"
#load "tests/mutants/Copies.fs"
#load "tests/mutants/Hunting.fs"
#load "tests/mutants/TestHunting.fs"

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Text.RegularExpressions

let usage =
    """
dotnet fsi build.fsx TARGET [ARGUMENTS]

  demo              build the tool and run `utp demo`; arguments go to it
  test [NAME]       build everything, check the formatting, run all tests, or those whose name holds NAME;
                    arguments that begin with -- go to Expecto; with CI=true a skipped test fails
  bench [PART…]     build and run the benchmarks, or these parts of them; --help lists the parts. --rounds N (5) and
                    --seconds S (2) say how much, --json FILE and --markdown FILE write what came of it
  natlab            build the tool and run it behind all pairs of ten kinds of NAT that the kernel plays, as root on Linux;
                    arguments go to it, --help lists them
  mutants [MUTANT…] put the bugs of tests/mutants, or those with these numbers or names, into a copy of the core and let the
                    simulator and the tests find them; a mutant that survives fails. --runs N (200) and --seed N (1) say
                    how long and where the simulator looks, --markdown FILE writes the table
  mutants net [MUTANT…]
                    the same for the bugs of the shell (tests/mutants/net), which its tests must find
  format            format all F# and C#
  pack              make the NuGet package, into artifacts/
  help              print this
"""

/// What ends the run with a message instead of a stack.
exception Failed of string

let failed message = raise (Failed message)

Directory.SetCurrentDirectory __SOURCE_DIRECTORY__

// No greetings, and no compiler or MSBuild process that outlives the build and holds on to its output.
for name, value in
    [ "DOTNET_NOLOGO", "1"
      "DOTNET_CLI_TELEMETRY_OPTOUT", "1"
      "DOTNET_CLI_UI_LANGUAGE", "en"
      "DOTNET_CLI_USE_MSBUILD_SERVER", "0"
      "MSBUILDDISABLENODEREUSE", "1"
      "UseSharedCompilation", "false" ] do
    Environment.SetEnvironmentVariable(name, value)

Console.OutputEncoding <- UTF8Encoding false

// Processes

let started (info: ProcessStartInfo) =
    try
        Process.Start info
    with :? ComponentModel.Win32Exception as e ->
        failed $"Cannot start {info.FileName}: {e.Message}"

/// Runs a command whose output is ours; its exit code.
let exitCodeOf folder (command: string) (arguments: string list) =
    use running = started (ProcessStartInfo(command, arguments, WorkingDirectory = folder))
    running.WaitForExit()
    running.ExitCode

let dotnet arguments =
    printfn "> dotnet %s" (String.concat " " arguments)

    match exitCodeOf "." "dotnet" arguments with
    | 0 -> ()
    | code -> failed $"""`dotnet {String.concat " " arguments}` failed with exit code {code}."""

/// Runs a command, with these variables in its environment, shows its output line by line and keeps it; its exit code and the lines. Something that it has started and
/// left running may hold the pipe open, so that the end of the output is not waited for long.
let linesOf (limit: TimeSpan) variables (command: string) (arguments: string list) =
    let info = ProcessStartInfo(command, arguments, RedirectStandardOutput = true)

    for name, value in variables do
        info.Environment[name] <- value

    let running = started info
    let lines = Collections.Concurrent.ConcurrentQueue<string>()

    let reading =
        Threading.Tasks.Task.Run(fun () ->
            for line in Seq.initInfinite (fun _ -> running.StandardOutput.ReadLine()) |> Seq.takeWhile (isNull >> not) do
                let text = line.Replace("\027[0m", "") // Expecto writes this one even when told to use no colours.
                printfn "%s" text
                lines.Enqueue text)

    if not (running.WaitForExit limit) then
        printfn "Ended by build.fsx: it did not finish within %.0f minutes." limit.TotalMinutes
        running.Kill(entireProcessTree = true)
        running.WaitForExit()

    reading.Wait(TimeSpan.FromSeconds 5.0) |> ignore
    running.ExitCode, lines.ToArray()

// Set-up

let home = Environment.GetFolderPath Environment.SpecialFolder.UserProfile

/// Restores the tools and the packages that are pinned, unless that was done for these pins in this home.
let restorePackages () =
    let stamp = ".paket/restored"

    let pins =
        [ "paket.lock"; "paket.dependencies"; ".config/dotnet-tools.json" ]
        |> List.map File.ReadAllText
        |> String.concat home

    let isDone = File.Exists stamp && File.ReadAllText stamp = pins

    if not (isDone && Directory.Exists $"{home}/.nuget/packages/fsharp.core") then
        dotnet [ "tool"; "restore" ]
        dotnet [ "restore"; "build/packages.proj"; "-v"; "quiet" ]
        dotnet [ "paket"; "restore" ]
        File.WriteAllText(stamp, pins)

/// Builds a project, or the solution, with all that it references.
let build project =
    restorePackages ()
    dotnet [ "build"; project; "-c"; "Release"; "-v"; "quiet"; "-nologo"; "-clp:NoSummary" ]

let outputOf folder assembly = $"{folder}/bin/Release/net10.0/{assembly}.dll"

let buildAndRun folder assembly arguments =
    build folder
    exitCodeOf "." "dotnet" ("exec" :: outputOf folder assembly :: arguments)

// Tests

type Count = { Passed: int; Failed: int; Skipped: string list }

let nothing = { Passed = 0; Failed = 0; Skipped = [] }

let failure message =
    printfn "FAILED: %s" message
    { nothing with Failed = 1 }

let (++) a b = { Passed = a.Passed + b.Passed; Failed = a.Failed + b.Failed; Skipped = a.Skipped @ b.Skipped }

/// A command that must exit with 0 counts as a test.
let check name command arguments =
    if exitCodeOf "." command arguments = 0 then
        printfn "passed: %s" name
        { nothing with Passed = 1 }
    else
        failure $"{name}; `dotnet fsi build.fsx format` may mend it."

let fantomas arguments = [ "fantomas" ] @ arguments @ [ "src"; "tests"; "bench"; "build.fsx" ]

let formatCSharp arguments = [ "format"; "whitespace"; "--folder"; "--exclude"; "tests/peers/node_modules" ] @ arguments

let checkFormatting () =
    check "F# is formatted as Fantomas does" "dotnet" (fantomas [ "--check" ])
    ++ check "C# is formatted as .editorconfig says" "dotnet" (formatCSharp [ "--verify-no-changes" ])

/// Installs the other implementations that the interop tests talk to, if what is pinned is newer. Without npm those tests skip.
let installPeers () =
    let npm = if OperatingSystem.IsWindows() then "npm.cmd" else "npm"
    let installed = File.GetLastWriteTimeUtc "tests/peers/node_modules/.package-lock.json"

    if installed >= File.GetLastWriteTimeUtc "tests/peers/package-lock.json" then
        nothing
    else
        try
            match exitCodeOf "tests/peers" npm [ "ci"; "--no-audit"; "--no-fund" ] with
            | 0 -> nothing
            | code when Environment.GetEnvironmentVariable "CI" = "true" ->
                failure $"`npm ci` in tests/peers ended with exit code {code}."
            | code -> failed $"`npm ci` in tests/peers ended with exit code {code}."
        with Failed message ->
            printfn "%s\nWhat needs peers from npm will be skipped." message
            nothing

/// "EXPECTO! 5 tests run in 00:00:02 for Name – 1 passed, 2 ignored, 0 failed, 1 errored."
let summaryLine =
    Regex @"EXPECTO! .* ([\d,.]+) passed, ([\d,.]+) ignored, ([\d,.]+) failed, ([\d,.]+) errored"

/// The names that --summary prints below "Ignored: 2", each after a tab.
let ignoredNames (lines: string[]) =
    lines
    |> Seq.skipWhile (fun line -> not (line.StartsWith "Ignored: "))
    |> Seq.takeWhile (fun line -> line.StartsWith "Ignored: " || line.StartsWith '\t')
    |> Seq.filter _.StartsWith('\t')
    |> Seq.map _.Trim()
    |> List.ofSeq

/// Runs one test executable and counts what it reports. To end without a summary or with a bad exit code for no reason given,
/// or to hold no test at all, is a failure too.
let runTests arguments (name, title: string, variables, own) =
    printfn "\n== %s" title

    let expecto = [ "--summary"; "--no-spinner"; "--colours"; "0"; "--fail-on-focused-tests" ]
    let command = "exec" :: outputOf $"tests/{name}" name :: expecto @ own @ arguments
    let exitCode, lines = linesOf (TimeSpan.FromMinutes 30.0) variables "dotnet" command

    match lines |> Seq.map summaryLine.Match |> Seq.tryFindBack _.Success with
    | None -> failure $"{title} ended with exit code {exitCode} and without a summary."
    | Some summary ->
        let number (group: int) = int (Regex.Replace(summary.Groups[group].Value, @"\D", ""))
        let count = { Passed = number 1; Failed = number 3 + number 4; Skipped = ignoredNames lines }

        if exitCode <> 0 && count.Failed = 0 then
            count ++ failure $"{title} ended with exit code {exitCode}."
        elif number 2 <> count.Skipped.Length then
            count ++ failure $"{title} has not named every skipped test."
        elif count = nothing && arguments.IsEmpty then
            failure $"{title} holds no tests."
        else
            count

/// The runs of a test executable: what it is called, variables of its environment, and arguments of its own. What carries streams over
/// sockets runs once for each transport that the system has, each run being tests of their own.
let runsOf name =
    let over transport own = name, $"{name} over {transport}", [ ("UTP_TRANSPORT", transport) ], own

    match name with
    | "UtpPunch.Net.Tests" when OperatingSystem.IsLinux() -> [ over "linux" []; over "managed" [] ]
    // All of it takes minutes, most of them for what does not depend on the transport: the protocol's patience on bad paths and with
    // peers that are gone, the tool's words, traces, pages, STUN, the NATs of the kernel. Over the managed transport those run that
    // are marked `CarriesStreams`: streams with the npm packages both ways, half-closed and aborted ones, `utp cat`, a meeting.
    | "UtpPunch.Interop.Tests" when OperatingSystem.IsLinux() -> [ over "linux" []; over "managed" [ "--streams" ] ]
    | _ -> [ (name, name, [], []) ]

let runAllTests arguments =
    build "UtpPunch.sln"

    let formatting = if List.isEmpty arguments then checkFormatting () else nothing
    let checks = installPeers () ++ formatting

    Directory.GetDirectories("tests", "UtpPunch.*.Tests")
    |> Seq.map Path.GetFileName
    |> Seq.sortDescending
    |> Seq.collect runsOf
    |> Seq.map (runTests arguments)
    |> Seq.fold (++) checks

let test arguments =
    let arguments =
        match arguments with
        | (name: string) :: rest when not (name.StartsWith "--") -> "--filter-test-case" :: name :: rest
        | _ -> arguments

    let count =
        try
            runAllTests arguments
        with Failed message ->
            failure message

    printfn ""

    for name in count.Skipped do
        printfn "skipped: %s" name

    let forbidden = if Environment.GetEnvironmentVariable "CI" = "true" then count.Skipped.Length else 0

    let skipped = if count.Skipped.Length > forbidden then $", {count.Skipped.Length} skipped" else ""

    printfn "%d passed, %d failed%s" count.Passed (count.Failed + forbidden) skipped
    if count.Failed + forbidden = 0 then 0 else 1

// Mutants

let mutants (arguments: string list) =
    let rec parse arguments options names =
        match arguments with
        | "--runs" | "--seed" | "--markdown" as key :: value :: rest -> parse rest (Map.add key value options) names
        | name :: rest when not (name.StartsWith "--") -> parse rest options (names @ [ name ])
        | [] -> options, names
        | key :: _ -> failed $"{key} is no option of mutants, or has no value."

    let options, names = parse arguments Map.empty []
    let option key preset = Map.tryFind key options |> Option.defaultValue preset

    let isOfShell, names = List.tryHead names = Some "net", List.filter ((<>) "net") names
    let all = Mutants.readAll "."

    let ofTests, ofSimulator =
        all
        |> List.filter (fun mutant -> mutant.IsOfShell = isOfShell)
        |> Mutants.choose names
        |> List.partition _.IsForTests

    // All mutants are built, whichever are hunted, so that the next hunt need not build.
    let projects = if isOfShell then [ TestHunting.netRunner ] else [ Hunting.runner; TestHunting.protocolTests ]
    Copies.write all projects
    restorePackages ()

    for project in projects do
        build (Copies.copyOf project)

    let hunted =
        if ofSimulator.IsEmpty then [||] else Hunting.huntAll (option "--seed" "1") (option "--runs" "200") ofSimulator

    let fates = TestHunting.huntAll ofTests

    let table =
        [ if hunted.Length > 0 then Hunting.table hunted
          if not fates.IsEmpty then TestHunting.table fates ]
        |> String.concat "\n"

    printfn "\n%s" table
    Map.tryFind "--markdown" options |> Option.iter (fun file -> File.WriteAllText(file, table))

    let areAllKilled =
        hunted |> Array.forall (fun (_, (fate, _)) -> fate.IsSome) && TestHunting.areAllKilled fates

    if areAllKilled then 0 else 1

// The other targets

let run arguments =
    match arguments with
    | "demo" :: rest -> buildAndRun "src/UtpPunch.Cli" "utp" ("demo" :: rest)
    | "test" :: rest -> test rest
    | "mutants" :: rest -> mutants rest
    | "bench" :: rest ->
        installPeers () |> ignore
        buildAndRun "bench/UtpPunch.Bench" "UtpPunch.Bench" rest
    | "natlab" :: rest ->
        installPeers () |> ignore
        build "src/UtpPunch.Cli"
        buildAndRun "tests/UtpPunch.NatLab" "UtpPunch.NatLab" rest
    | [ "format" ] ->
        restorePackages ()
        dotnet (fantomas [])
        dotnet (formatCSharp [])
        0
    | [ "pack" ] ->
        restorePackages ()

        dotnet
            [ "pack"
              "src/UtpPunch.Net"
              "-c"
              "Release"
              "-o"
              "artifacts"
              "-v"
              "quiet"
              "-nologo"
              "-clp:NoSummary" ]

        0
    | [ "help" ] ->
        printfn "%s" (usage.Trim())
        0
    | _ ->
        eprintfn "%s" (usage.Trim())
        2

exit (
    try
        run (List.tail (List.ofArray fsi.CommandLineArgs))
    with
    | Failed message
    | Mutants.Invalid message ->
        eprintfn "%s" message
        1
)
