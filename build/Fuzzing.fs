/// The target `fuzz`. The tests run the same targets without instrumentation, for a few seconds.
module Fuzzing

open System.IO
open Processes

let private project = "tests/UtpPunch.Fuzz.Tests"
let private assembly = "UtpPunch.Fuzz.Tests"
let private copy = "artifacts/fuzz/bin"

/// Copies the program, since instrumentation changes its assemblies.
let private copyProgram () =
    if Directory.Exists copy then Directory.Delete(copy, recursive = true)
    let source = Path.GetDirectoryName(outputOf project assembly)

    for file in Directory.GetFiles(source, "*", SearchOption.AllDirectories) do
        let target = Path.Combine(copy, Path.GetRelativePath(source, file))
        Directory.CreateDirectory(Path.GetDirectoryName target) |> ignore
        File.Copy(file, target)

let private runOriginal arguments = exitCodeOf "." "dotnet" ("exec" :: outputOf project assembly :: arguments)

/// Fuzzes with branches counted. Help and replays need no instrumentation.
let fuzz (arguments: string list) =
    build project

    match arguments with
    | [ "--help" ]
    | "replay" :: _ -> runOriginal ("fuzz" :: arguments)
    | _ ->
        copyProgram ()

        if runOriginal [ "instrument"; copy ] <> 0 then
            failed "The assemblies were not instrumented."

        exitCodeOf "." "dotnet" ("exec" :: $"{copy}/{assembly}.dll" :: "fuzz" :: arguments)
