/// Finds the sources, for the tests that read them.
module UtpPunch.Protocol.Tests.Sources

open System
open System.IO
open Expecto

let root =
    let rec search (folder: DirectoryInfo) =
        if isNull folder then failwith "No folder above this one holds UtpPunch.sln."
        elif File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")) then folder.FullName
        else search folder.Parent

    lazy (search (DirectoryInfo AppContext.BaseDirectory))

let private skipped =
    set [ "artifacts"; "bin"; "obj"; ".git"; "node_modules"; ".paket"; "paket-files"; ".fantomas" ]

/// Every source file of the tree, tracked by git or not.
let rec filesBelow (folder: string) : string seq =
    seq {
        yield! Directory.EnumerateFiles folder

        for inner in Directory.EnumerateDirectories folder do
            if not (skipped.Contains(Path.GetFileName inner)) then yield! filesBelow inner
    }

let relative path = Path.GetRelativePath(root.Value, path).Replace('\\', '/')

/// Fails if there are hits, and lists them.
let nowhere (claim: string) (hits: string seq) =
    let hits = Seq.toList hits

    if not hits.IsEmpty then
        let lines = String.Join("\n", hits)
        failtest $"{claim}:\n{lines}"
