/// A recorded failure as a test: the node takes the same steps again, and every output is compared.
module Samples.Replays

open System.IO
open UtpPunch.Sim
open UtpPunch.Tracing

/// Records a world of the simulator, as `utp cat --trace` records a node.
let record (file: string) (scenario: Scenario) =
    use writer = new StreamWriter(file)
    Recording.write scenario (System.Action<string> writer.WriteLine) |> ignore

/// The first difference between a recording and what this version of the protocol does; null if there is none.
let difference (file: string) : string =
    use reader = File.OpenText file
    let result = Replay.run ReplayMode.Strict (Trace.Read reader) null
    if isNull (box result.Divergence) then null else result.Divergence.ToString()
