/// M1 across processes: equal seeds give equal packets with any garbage collector and compilation mode.
module UtpPunch.Sim.Tests.SameHashes

open System
open System.Diagnostics
open System.IO
open Expecto
open UtpPunch.Sim

/// The argument with which the test executable prints hashes instead of running tests.
let argument = "--hashes"

/// One line for each scenario.
let lines () =
    [| for seed in 40_000UL .. 40_049UL -> $"{seed} {(Simulation.run (Swarm.scenario seed)).Hash:x16}" |]

let private start (arguments: string list) (variables: (string * string) list) =
    let info = ProcessStartInfo("dotnet", arguments, RedirectStandardOutput = true)

    for name, value in variables do
        info.Environment[name] <- value

    use running = Process.Start info
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()
    Expect.equal running.ExitCode 0 output
    output.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Array.map _.Trim()

let private assembly = typeof<OracleTests.Arbitraries>.Assembly.Location
let private expected = lazy lines ()

let private child name variables =
    test $"M1: the same hashes in another process, {name}" {
        Expect.equal (start [ "exec"; assembly; argument ] variables) expected.Value "the hashes"
    }

/// bin/Release/net10.0 is three below the project.
let private project =
    Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../..", "UtpPunch.Sim.Tests.fsproj"))

let tests =
    testList
        "same hashes"
        [ child "with default settings" []
          child "with the server's garbage collector" [ "DOTNET_gcServer", "1" ]
          child "with frequent garbage collections" [ "DOTNET_GCgen0size", "40000" ]
          child "without tiered compilation" [ "DOTNET_TieredCompilation", "0" ]
          test "M1: the same hashes in a Debug build" {
              // It takes a minute.
              if Environment.GetEnvironmentVariable "CI" <> "true" then skiptest "only with CI=true"

              if not (File.Exists project) then failtest $"{project} is missing"

              start [ "build"; project; "-c"; "Debug"; "-v"; "quiet"; "-nologo"; "-nodeReuse:false" ] [] |> ignore

              let debug = assembly.Replace("Release", "Debug")
              Expect.notEqual debug assembly "this is no Release build"
              Expect.equal (start [ "exec"; debug; argument ] []) expected.Value "the hashes"
          } ]
