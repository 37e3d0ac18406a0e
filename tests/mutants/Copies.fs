/// Copies of the projects that mutants need, with all mutants in them as switches. Loaded by build.fsx.
module Copies

open System.IO
open System.Text.RegularExpressions

let private root = "artifacts/mutants"

/// A project of the copies.
let copyOf project = $"{root}/{project}"

let private core = "src/UtpPunch.Protocol.fs"

let private store path (text: string) =
    let path = copyOf path
    Directory.CreateDirectory(Path.GetDirectoryName path) |> ignore
    // A file without a change keeps its time, so that its project need not be built again.
    if not (File.Exists path && File.ReadAllText path = text) then
        File.WriteAllText(path, text)

let private filesBelow folder =
    Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
    |> Array.map _.Replace('\\', '/')
    |> Array.filter (fun path -> not (path.StartsWith $"{folder}/bin/" || path.StartsWith $"{folder}/obj/"))

let private isProject (path: string) = path.EndsWith ".fsproj" || path.EndsWith ".csproj"

/// The folder of a project, and those of all projects to which it refers.
let rec private closure (seen: Set<string>) (folder: string) : Set<string> =
    if seen.Contains folder then
        seen
    else
        let project = filesBelow folder |> Array.find isProject |> File.ReadAllText

        [ for m in Regex.Matches(project, "ProjectReference Include=\"([^\"]+)\"") do
              let path = Path.GetFullPath(Path.Combine(folder, Path.GetDirectoryName m.Groups[1].Value))
              Path.GetRelativePath(Directory.GetCurrentDirectory(), path).Replace('\\', '/') ]
        |> List.fold closure (seen.Add folder)

// A branch that is never taken may be warned of, and analyzers need not run.
let private lenient =
    "<PropertyGroup>\n    <TreatWarningsAsErrors>false</TreatWarningsAsErrors>\n    <RunAnalyzers>false</RunAnalyzers>"

let private projectFile folder text =
    let first = "<Compile Include=\"Mutation.fs\" />\n    <Compile "
    let listed = if folder = core then Regex("<Compile ").Replace(text, first, 1) else text
    Regex("<PropertyGroup>").Replace(listed, lenient, 1)

/// Writes a copy of each of these projects, and of all projects to which they refer.
let write mutants projects =
    let byFile, problems = Mutants.locate "." mutants

    if not problems.IsEmpty then raise (Mutants.Invalid(String.concat "\n\n" problems))

    let places = dict byFile

    for folder in List.fold closure Set.empty projects do
        let files = filesBelow folder

        for path in files do
            let text = File.ReadAllText path

            if isProject path then projectFile folder text |> store path
            elif places.ContainsKey path then Mutants.rewrite text places[path] |> store path
            else store path text

        // Sources that lie elsewhere, and that no other project holds.
        for m in Regex.Matches(files |> Array.find isProject |> File.ReadAllText, "Compile Include=\"(\\.\\.[^\"]+)\"") do
            let path =
                Path.GetRelativePath(Directory.GetCurrentDirectory(), Path.Combine(folder, m.Groups[1].Value))

            store path (File.ReadAllText path)

        // A file that is gone would be compiled in a project of C#.
        for path in filesBelow (copyOf folder) do
            let original = path.Substring(root.Length + 1)
            if not (Array.contains original files) then File.Delete path

    store $"{core}/Mutation.fs" Mutants.switches
