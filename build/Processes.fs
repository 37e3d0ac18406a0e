/// Runs commands for build.fsx.
module Processes

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.IO
open System.Threading.Tasks

/// Ends the build with a message instead of a stack trace.
exception Failed of string

let failed message = raise (Failed message)

let private start (info: ProcessStartInfo) =
    try
        Process.Start info
    with :? ComponentModel.Win32Exception as e ->
        failed $"Cannot start {info.FileName}: {e.Message}"

/// Runs a command that shares our output; its exit code.
let exitCodeOf folder (command: string) (arguments: string list) =
    use running = start (ProcessStartInfo(command, arguments, WorkingDirectory = folder))
    running.WaitForExit()
    running.ExitCode

/// Runs `dotnet`, which must succeed.
let dotnet arguments =
    let words = String.concat " " arguments
    printfn "> dotnet %s" words

    match exitCodeOf "." "dotnet" arguments with
    | 0 -> ()
    | code -> failed $"`dotnet {words}` failed with exit code {code}."

/// Builds a project, or the solution, and all that it references.
let build project = dotnet [ "build"; project; "-c"; "Release"; "-v"; "quiet"; "-nologo"; "-clp:NoSummary" ]

let outputOf folder assembly = $"{folder}/bin/Release/net10.0/{assembly}.dll"

let buildAndRun folder assembly arguments =
    build folder
    exitCodeOf "." "dotnet" ("exec" :: outputOf folder assembly :: arguments)

type Finished = { ExitCode: int; Lines: string[]; Elapsed: TimeSpan }

/// Runs a command with these variables added to its environment, and hands each line of its output to `show`. A process that outlives it
/// may hold the pipe open: at most 5 seconds are waited for the end of the output.
let follow (limit: TimeSpan) variables (show: string -> unit) (command: string) (arguments: string list) =
    let info =
        ProcessStartInfo(command, arguments, RedirectStandardOutput = true, RedirectStandardError = true)

    for name, value in variables do
        info.Environment[name] <- value

    let clock = Stopwatch.StartNew()
    use running = start info
    let lines = ConcurrentQueue<string>()

    let add line =
        lines.Enqueue line
        show line

    let reading (output: StreamReader) =
        Task.Run(fun () ->
            for line in Seq.initInfinite (fun _ -> output.ReadLine()) |> Seq.takeWhile (isNull >> not) do
                add (line.Replace("\027[0m", ""))) // Expecto writes this one even with `--colours 0`.

    let readers = [| reading running.StandardOutput; reading running.StandardError |]

    if not (running.WaitForExit limit) then
        add $"Killed by build.fsx: it did not end within {limit.TotalMinutes:F0} minutes."
        running.Kill(entireProcessTree = true)
        running.WaitForExit()

    Task.WaitAll(readers, TimeSpan.FromSeconds 5.0) |> ignore
    { ExitCode = running.ExitCode; Lines = lines.ToArray(); Elapsed = clock.Elapsed }
