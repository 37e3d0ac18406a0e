/// Hunts mutants with tests: one process for each mutant and transport runs the tests that the mutant names as its killers, until one
/// fails. Mutants of the shell are for UtpPunch.Net.Tests; those of the core that name a test are for UtpPunch.Protocol.Tests. Loaded
/// by build.fsx, which builds the tests before.
module TestHunting

open System
open System.Diagnostics
open System.Globalization

/// Runs tests of the shell by their claims.
let netRunner = $"{Mutants.folder}/NetRunner"

let protocolTests = "tests/UtpPunch.Protocol.Tests"

/// The test that failed, or how else the process ended; after how many seconds; and the reason.
type Kill = { Test: string; Seconds: float; Why: string }

type Result =
    | Killed of Kill
    | Survived
    /// None of the tests belongs to the transport.
    | NotHunted

type Fate = { Mutant: Mutants.Mutant; Transport: string; Result: Result }

// A hunt that takes longer is too slow to be repeated often. Only a test that hangs reaches it: see `control`.
let private limit = TimeSpan.FromSeconds 30.0

// Without a mutant.
let private longestTest = 10.0

// The core has none.
let private transportsOf (mutant: Mutants.Mutant) =
    if not mutant.IsOfShell then [ "none" ]
    elif mutant.Over <> "" then [ mutant.Over ]
    else [ "linux"; "managed" ]
    |> List.filter (fun transport -> transport <> "linux" || OperatingSystem.IsLinux())

/// The lines of a process, whether it has ended in time, and its exit code.
let private runProcess (variables: (string * string) list) (limit: TimeSpan) project assembly arguments =
    let program = $"{Copies.copyOf project}/bin/Release/net10.0/{assembly}.dll"
    let info = ProcessStartInfo("dotnet", "exec" :: program :: arguments, RedirectStandardOutput = true)

    for name, value in variables do
        info.Environment[name] <- value

    use running = Process.Start info
    let output = running.StandardOutput.ReadToEndAsync()
    let isInTime = running.WaitForExit limit
    if not isInTime then running.Kill(entireProcessTree = true)

    output.Result.Split '\n' |> Array.map (fun line -> line.TrimEnd '\r'),
    isInTime,
    (if isInTime then running.ExitCode else -1)

let private ending isInTime (limit: TimeSpan) (exitCode: int) =
    if not isInTime then $"no end within {limit.TotalSeconds:F0} s"
    elif exitCode <> 0 then $"exit code {exitCode}"
    else ""

/// Runs tests of the shell in one process; returns the result of each, and how else the process ended.
let private runNet number transport limit (claims: string list) =
    // Tests wait at most that many seconds for a condition.
    let variables = [ Mutants.variable, number; "UTP_TRANSPORT", transport; "UTP_TEST_WAIT", "8" ]
    let lines, isInTime, exitCode = runProcess variables limit netRunner "NetRunner" claims

    let results =
        [ for line in lines do
              match line.Split '\t' with
              | [| "passed" | "killed" | "absent" as word; seconds; claim; why |] ->
                  word, { Test = claim; Seconds = Double.Parse(seconds, CultureInfo.InvariantCulture); Why = why }
              | _ -> () ]

    results, ending isInTime limit exitCode

/// The same for tests of the core, one process each.
let private runProtocol number (limit: TimeSpan) (claims: string list) =
    let one (claim: string) =
        let clock = Stopwatch.StartNew()
        let arguments = [ "--no-spinner"; "--colours"; "0"; "--summary"; "--filter-test-case"; claim ]

        let lines, isInTime, exitCode =
            runProcess [ (Mutants.variable, number) ] limit protocolTests "UtpPunch.Protocol.Tests" arguments

        let kill why = { Test = claim; Seconds = clock.Elapsed.TotalSeconds; Why = why }
        let has (text: string) = lines |> Array.exists _.Contains(text)

        if not isInTime || exitCode > 1 then ("killed", kill (ending isInTime limit exitCode))
        elif exitCode = 1 then ("killed", kill "it fails")
        elif has " 1 passed, 0 ignored" then ("passed", kill "")
        else raise (Mutants.Invalid $"UtpPunch.Protocol.Tests has not just one test \"{claim}\".")

    List.map one claims, ""

let private run number transport limit claims =
    if transport = "none" then
        runProtocol number limit claims
    else
        runNet number transport limit claims

let private hunt (mutant: Mutants.Mutant) transport =
    let lines, ending = run mutant.Number transport limit mutant.Killers

    match lines |> List.tryFind (fun (word, _) -> word = "killed") with
    | Some(_, kill) -> Killed kill
    | None when ending <> "" ->
        let underWay = mutant.Killers |> List.tryItem lines.Length |> Option.defaultValue "none"
        Killed { Test = underWay; Seconds = limit.TotalSeconds; Why = ending }
    | None when lines |> List.forall (fun (word, _) -> word = "absent") -> NotHunted
    | None -> Survived

/// Without a mutant, all tests that mutants name must pass in a short time.
let private control (mutants: Mutants.Mutant list) (transport: string) =
    let claims =
        mutants
        |> List.filter (fun mutant -> List.contains transport (transportsOf mutant))
        |> List.collect _.Killers
        |> List.distinct

    let lines, ending = run "" transport (TimeSpan.FromMinutes 30.0) claims
    let where = if transport = "none" then "" else $", over {transport}"

    for word, result in lines do
        printfn "%s (%.1f s): %s" word result.Seconds result.Test

        if word = "killed" then
            raise (Mutants.Invalid $"Without a mutant{where}, \"{result.Test}\" fails: {result.Why}")

        if result.Seconds > longestTest then
            raise (Mutants.Invalid $"\"{result.Test}\" takes {result.Seconds} s: too long to tell a hunt that hangs.")

    if ending <> "" then
        raise (Mutants.Invalid $"Without a mutant{where}, the tests end with {ending}.")

    if lines.Length <> claims.Length then
        raise (Mutants.Invalid $"Of {claims.Length} tests{where}, {lines.Length} have run.")

    printfn "Without a mutant%s, %d tests pass\n" where lines.Length

/// The result for each mutant over each of its transports. One at a time: many of the tests depend on time.
let huntAll (mutants: Mutants.Mutant list) =
    mutants |> List.collect transportsOf |> List.distinct |> List.iter (control mutants)

    [ for mutant in mutants do
          for transport in transportsOf mutant do
              let result = hunt mutant transport

              match result with
              | NotHunted -> ()
              | Survived -> printfn "%4s SURVIVED (%s): %s. %s" mutant.Number transport mutant.Name mutant.Note
              | Killed kill ->
                  let why = if kill.Why.Length > 100 then kill.Why.Substring(0, 100) + "…" else kill.Why
                  printfn "%4s killed (%s) in %.1f s by \"%s\": %s" mutant.Number transport kill.Seconds kill.Test why

              { Mutant = mutant; Transport = transport; Result = result } ]

/// Whether a mutant was killed over each transport over which it was hunted, and over one at least.
let private isKilled (fates: Fate list) =
    fates |> List.exists _.Result.IsKilled && not (fates |> List.exists _.Result.IsSurvived)

let areAllKilled (fates: Fate list) = fates |> List.groupBy _.Mutant |> List.forall (snd >> isKilled)

/// The table in markdown.
let table (fates: Fate list) =
    let seconds (fates: Fate list) =
        [ for fate in fates do
              match fate.Result with
              | Killed kill -> kill.Seconds.ToString("F1", CultureInfo.InvariantCulture)
              | Survived -> "**lives**"
              | NotHunted -> "–" ]
        |> String.concat " / "

    let killers (fates: Fate list) =
        [ for fate in fates do
              match fate.Result with
              | Killed kill -> kill.Test
              | Survived
              | NotHunted -> () ]
        |> List.distinct
        |> String.concat "; "

    let byMutant = fates |> List.groupBy _.Mutant
    let killed = byMutant |> List.filter (snd >> isKilled)

    [ "| # | mutant | precedent | killed by the test | seconds |"
      "|---|---|---|---|---|"
      for mutant, fates in byMutant do
          $"| {mutant.Number} | {mutant.Name} | {mutant.Precedent} | {killers fates} | {seconds fates} |"
      ""
      $"{killed.Length} of {byMutant.Length} mutants killed."
      "" ]
    |> String.concat "\n"
