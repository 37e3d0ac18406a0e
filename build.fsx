// The one entry to building: `dotnet fsi build.fsx help` lists the targets. It needs the .NET SDK; every target sets up what it needs,
// on a fresh clone too.

#load "build/Processes.fs"
#load "build/SnapshotGenerator.fs"
#load "build/Canary.fs"
#load "build/Packing.fs"
#load "build/PackageTests.fs"
#load "build/Testing.fs"
#load "build/Fuzzing.fs"
#load "build/Reference.fs"
#load "build/Site.fs"
#load "tests/mutants/Mutants.fs"
#load "tests/mutants/Copies.fs"
#load "tests/mutants/Hunting.fs"
#load "tests/mutants/TestHunting.fs"

open System
open System.IO
open System.Text
open Processes

let usage =
    """
dotnet fsi build.fsx TARGET [ARGUMENTS]

  demo                 build the tool and run `utp demo`
  test [NAME]          build, check the formatting, run all tests, or those whose name contains NAME
  bench [PART...]      build and run the benchmarks
  congestion           run the scenarios of congestion control, or one path (congestion run)
  natlab               run the tool behind every pair of ten kinds of kernel NAT (Linux, root)
  attack [NAME...]     attack nodes and a rendezvous server over real sockets (Linux, root)
  soak --hours N       keep two nodes busy for hours, with floods and faults (Linux, root)
  mutants [MUTANT...]  check that the simulator and the tests find every bug in tests/mutants
  fuzz [TARGET...]     run hostile inputs, guided by what they reach
  site                 build the documentation site into artifacts/site/, and check its links and scripts
  snapshot             write src/UtpPunch.Trace/Snapshots/Snapshot.Generated.fs from the types of the core
  format               format all F# and C#
  pack                 build the NuGet packages into artifacts/
  help [TARGET]        print this text, or the options of a target

The F# interpreter takes --help for itself. `help TARGET` prints a target's options, and so does -- before the target:
dotnet fsi build.fsx -- bench --help
"""

let testUsage =
    """
dotnet fsi build.fsx test [NAME] [EXPECTO OPTIONS]

  NAME      run only tests whose name contains this
  --...     options of Expecto, for every test executable, such as --filter-test-list NAME

Environment: with CI=true a skipped test counts as failed.
The last line is `N passed, N failed`, with `, N skipped` if tests were skipped. Exit code: 0 if nothing failed, otherwise 1.
"""

let mutantsUsage =
    """
dotnet fsi build.fsx mutants [net] [MUTANT...] [OPTIONS]

  net              the bugs of the shell (tests/mutants/net), not those of the core
  MUTANT           number or name; default: all
  --runs N         simulated worlds for each mutant; default 200
  --seed N         first seed; default 1
  --markdown FILE  write the table of results

Exit code: 0 if every mutant was killed, otherwise 1.
"""

Directory.SetCurrentDirectory __SOURCE_DIRECTORY__

// No banners, and no compiler or MSBuild process that outlives the build and keeps its output open.
for name, value in
    [ "DOTNET_NOLOGO", "1"
      "DOTNET_CLI_TELEMETRY_OPTOUT", "1"
      "DOTNET_CLI_UI_LANGUAGE", "en"
      "DOTNET_CLI_USE_MSBUILD_SERVER", "0"
      "MSBUILDDISABLENODEREUSE", "1"
      "UseSharedCompilation", "false" ] do
    Environment.SetEnvironmentVariable(name, value)

Console.OutputEncoding <- UTF8Encoding false

/// Restores the tools and packages that are pinned, if that has not been done. Every `dotnet build` does the same.
let setUp () = dotnet [ "msbuild"; "build/SetUp.targets"; "-nologo" ]

// Mutants

let mutants (arguments: string list) =
    let rec parse arguments options names =
        match arguments with
        | "--runs" | "--seed" | "--markdown" as key :: value :: rest -> parse rest (Map.add key value options) names
        | name :: rest when not (name.StartsWith "--") -> parse rest options (names @ [ name ])
        | [] -> options, names
        | key :: _ -> failed $"{key} is not an option of mutants, or its value is missing."

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
    let projects =
        if isOfShell then
            [ TestHunting.netRunner ]
        else
            [ Hunting.runner; TestHunting.protocolTests ]

    Copies.write all projects

    for project in projects do
        build (Copies.copyOf project)

    let hunted =
        if ofSimulator.IsEmpty then
            [||]
        else
            Hunting.huntAll (option "--seed" "1") (option "--runs" "200") ofSimulator

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

let bench arguments =
    Testing.installPeers ()
    buildAndRun "bench/UtpPunch.Bench" "UtpPunch.Bench" arguments

/// The scenarios, or with `run` one path.
let congestion arguments =
    let words =
        match arguments with
        | "run" :: _
        | [ "--help" ] -> arguments
        | _ -> "campaign" :: arguments

    buildAndRun "bench/UtpPunch.Lab" "UtpPunch.Lab" words

let natlab arguments =
    Testing.installPeers ()
    build "src/UtpPunch.Cli"
    buildAndRun "tests/UtpPunch.NatLab" "UtpPunch.NatLab" arguments

let attack arguments = buildAndRun "tests/UtpPunch.Attacks" "UtpPunch.Attacks" arguments
let soak arguments = attack ("soak" :: arguments)

/// After a change of the core's state. The tests fail until this was done.
let snapshot () =
    build "src/UtpPunch.Protocol.fs"

    let core =
        Reflection.Assembly.LoadFrom(Path.GetFullPath(outputOf "src/UtpPunch.Protocol.fs" "UtpPunch.Protocol"))

    try
        File.WriteAllText(SnapshotGenerator.file, SnapshotGenerator.generate core)
        0
    with SnapshotGenerator.Unsupported message ->
        failed message

let format () =
    setUp ()
    dotnet (Testing.fantomas [])
    dotnet (Testing.formatCSharp [])
    0

let print (text: string) =
    printfn "%s" (text.Trim())
    0

let isHelp word = List.contains word [ "help"; "--help"; "-h"; "-?" ]

let rec run arguments =
    match arguments with
    | [ word ] when isHelp word -> print usage
    | [ word; target ] when isHelp word -> run [ target; "--help" ]
    | [ "test"; word ] when isHelp word -> print testUsage
    | [ "mutants"; word ] when isHelp word -> print mutantsUsage
    | [ "pack"; word ] when isHelp word -> print Packing.usage
    | [ "site"; word ] when isHelp word -> print Site.usage
    | [ ("snapshot" | "format"); word ] when isHelp word -> print usage
    | [ ("demo" | "bench" | "congestion" | "natlab" | "attack" | "soak" | "fuzz") as target; word ] when
        isHelp word && word <> "--help"
        ->
        run [ target; "--help" ]
    | "demo" :: rest -> buildAndRun "src/UtpPunch.Cli" "utp" ("demo" :: rest)
    | "test" :: rest -> Testing.test rest
    | "mutants" :: rest -> mutants rest
    | "bench" :: rest -> bench rest
    | "congestion" :: rest -> congestion rest
    | "natlab" :: rest -> natlab rest
    | "attack" :: rest -> attack rest
    | "soak" :: rest -> soak rest
    | "fuzz" :: rest -> Fuzzing.fuzz rest
    | "site" :: rest -> Site.run rest
    | [ "snapshot" ] -> snapshot ()
    | [ "format" ] -> format ()
    | "pack" :: rest -> Packing.pack rest
    | [] ->
        eprintfn "%s" (usage.Trim())
        2
    | words ->
        eprintfn "There is no target `%s`; `dotnet fsi build.fsx help` lists them." (String.concat " " words)
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
