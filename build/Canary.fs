/// The canary of compilation ahead of time: tests/AotCanary, published with NativeAOT and run.
module Canary

open System
open System.IO
open System.Text.RegularExpressions
open Processes

let private folder = "artifacts/canary"

let private publish =
    [ "publish"
      "tests/AotCanary"
      "-c"
      "Release"
      "-p:Canary=true"
      "-o"
      folder
      "-v"
      "quiet"
      "-nologo"
      "-clp:NoSummary" ]

let private ready = Regex @"^ready after (\d+) ms$"

[<RequireQualifiedAccess>]
type Outcome =
    | Passed of figures: string
    | Failed of message: string
    | Skipped of reason: string

let private isInstalled program =
    (Environment.GetEnvironmentVariable "PATH").Split Path.PathSeparator
    |> Array.exists (fun folder -> File.Exists(Path.Combine(folder, program)))

/// The native compiler links by a C compiler. On other systems than Linux it finds its own.
let private hasLinker () = not (OperatingSystem.IsLinux()) || isInstalled "clang" || isInstalled "gcc"

/// Publishes the canary, where a warning of the compiler or of the trimmer is an error, runs it, and replays the trace that it has written.
let run () =
    let program =
        Path.Combine(folder, (if OperatingSystem.IsWindows() then "AotCanary.exe" else "AotCanary"))

    let trace = Path.Combine(folder, "canary.utrace")

    if not (hasLinker ()) then
        Outcome.Skipped "compiling ahead of time needs clang or gcc"
    elif exitCodeOf "." "dotnet" publish <> 0 then
        Outcome.Failed "tests/AotCanary cannot be compiled ahead of time"
    else
        let finished = follow (TimeSpan.FromMinutes 1.0) [] ignore program [ trace ]

        match List.ofArray finished.Lines with
        | [ first; "hello"; "traced" ] when finished.ExitCode = 0 && ready.IsMatch first ->
            if exitCodeOf "." "dotnet" [ "exec"; outputOf "src/UtpPunch.Cli" "utp"; "replay"; trace ] <> 0 then
                Outcome.Failed $"the trace {trace} does not replay"
            else
                let megabytes = float (FileInfo program).Length / 1e6
                Outcome.Passed $"%.1f{megabytes} MB, ready after {ready.Match(first).Groups[1].Value} ms"
        | _ ->
            let said = String.concat " / " finished.Lines
            Outcome.Failed $"{program} ended with exit code {finished.ExitCode} after: {said}"
