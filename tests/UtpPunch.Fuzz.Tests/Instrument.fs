/// Adds counters of branches to the assemblies under test, in a copy of the program's folder.
module UtpPunch.Fuzz.Instrument

open System
open System.IO

/// Each assembly, and the types in it whose branches count.
let private assemblies: (string * (string -> bool)) list =
    [ "UtpPunch.Protocol.dll", (fun _ -> true)
      "UtpPunch.Trace.dll", (fun _ -> true)
      "UtpPunch.Sim.dll", (fun name -> name.Contains "ScenarioText" || name.Contains "ScenarioModule") ]

let run (folder: string) : unit =
    for file, matches in assemblies do
        SharpFuzz.Fuzzer.Instrument(Path.Combine(folder, file), Func<string, bool>(matches), SharpFuzz.Options.Value)
        |> Seq.iter ignore
