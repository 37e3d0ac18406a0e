/// The files of the fuzzer: tests/fuzz-corpus has a file of inputs for each target, artifacts/fuzz the findings.
module UtpPunch.Fuzz.Corpus

open System
open System.Collections.Generic
open System.IO

let private root =
    lazy
        (let rec above (folder: DirectoryInfo) =
            if isNull folder then failwith "The folder of the repository was not found."
            elif File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")) then folder.FullName
            else above folder.Parent

         above (DirectoryInfo AppContext.BaseDirectory))

let private fileOf (target: Target) = Path.Combine(root.Value, "tests", "fuzz-corpus", target.Name + ".txt")

/// The inputs that are checked in.
let load (target: Target) : Input list =
    let file = fileOf target
    if File.Exists file then Input.ofTexts (File.ReadAllText file) else []

/// The most inputs that are checked in, and the most bytes of one.
[<Literal>]
let private MostInputs = 80

[<Literal>]
let private MostBytes = 700

/// What an input reaches that is not reached yet, for each of its bytes.
let private worth (reached: HashSet<int64>) (struct (input: Input, features: int64[])) : float =
    let fresh = features |> Array.filter (reached.Contains >> not) |> Array.length
    float fresh / float (50 + Input.length input)

/// Inputs that together reach what all reach, or most of it: the worthiest first. Branches do not count, since a build without
/// instrumentation has none.
let private distilled (target: Target) (inputs: Input seq) : Input list =
    let features = Features()
    let reached = HashSet<int64>()

    // The inputs to begin with need not be checked in.
    for input in target.Seeds(Draws 1UL) do
        Target.execute target false features input |> ignore
        reached.UnionWith features.All

    let candidates =
        [| for input in inputs do
               if Input.length input <= MostBytes && (Target.execute target false features input).IsNone then
                   struct (input, Array.ofSeq features.All) |]

    let next () : Input option =
        let best = candidates |> Array.maxBy (worth reached)
        let struct (input, features) = best
        let isFresh = worth reached best > 0.0
        reached.UnionWith features
        if isFresh then Some input else None

    if candidates.Length = 0 then
        []
    else
        Seq.initInfinite (fun _ -> next ())
        |> Seq.truncate MostInputs
        |> Seq.takeWhile _.IsSome
        |> Seq.choose id
        |> List.ofSeq

let save (target: Target) (inputs: Input seq) : unit =
    let file = fileOf target
    Directory.CreateDirectory(Path.GetDirectoryName file) |> ignore
    File.WriteAllText(file, Input.toTexts (distilled target inputs))

/// Writes the input of a finding; the file, relative to the repository.
let write (finding: Finding) : string =
    let name = $"{finding.Target}-{uint32 (Hashing.ofText finding.Failure.Signature):x8}.input"
    let folder = Path.Combine(root.Value, "artifacts", "fuzz", "findings")
    Directory.CreateDirectory folder |> ignore
    let file = Path.Combine(folder, name)
    File.WriteAllText(file, Input.toText $"{finding.Target}: {finding.Failure.Explanation}" finding.Input)
    Path.GetRelativePath(root.Value, file)
