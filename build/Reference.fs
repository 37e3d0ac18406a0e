/// Copies of the assemblies for docfx, with their documentation as it reads it. F# assemblies, which it reads as if they were of C#, need the documentation
/// of union cases elsewhere, and a filter for what the compiler adds to each union and record. Those of C# may inherit documentation in part.
module Reference

open System
open System.IO
open System.Reflection
open System.Xml.Linq
open FSharp.Reflection

// The folders that docfx.json names.
let private folder = "artifacts/core-assemblies"
let private libraryFolder = "artifacts/api-assemblies"

let private filter = Path.Combine(folder, "filter.yml")

let private projects =
    [ "src/UtpPunch.Protocol.fs", "UtpPunch.Protocol"
      "src/UtpPunch.Trace", "UtpPunch.Trace"
      "src/UtpPunch.Sim", "UtpPunch.Sim" ]

/// The name of a type in a documentation file.
let private nameOf (it: Type) = it.FullName.Replace('+', '.')

let private unionsOf (assembly: Assembly) =
    [ for it in assembly.GetExportedTypes() do
          if FSharpType.IsUnion it && (isNull it.DeclaringType || not (FSharpType.IsUnion it.DeclaringType)) then
              it, FSharpType.GetUnionCases it ]

/// The compiler documents a case as a type. One without fields is a property.
let private writeDocumentation (source: string) (target: string) unions =
    let document = XDocument.Load(source, LoadOptions.PreserveWhitespace)

    let cases =
        set
            [ for it, cases in unions do
                  for case: UnionCaseInfo in cases do
                      if case.GetFields().Length = 0 then $"T:{nameOf it}.{case.Name}" ]

    for it in document.Descendants(XName.Get "member") do
        let name = it.Attribute(XName.Get "name")
        if cases.Contains name.Value then name.Value <- "P:" + name.Value.Substring 2

    document.Save target

let private ruleOf (it: Type, cases: UnionCaseInfo[]) =
    let names = cases |> Array.map _.Name |> String.concat "|"
    let name = (nameOf it).Replace(".", "\\.")
    $"  - exclude: {{ uidRegex: '^{name}\\.((New|Is)({names})|Tags?)(\\(.*)?$' }}"

let private writeFilter unions =
    [ "apiRules:"
      "  - exclude: { uidRegex: '\\.(CompareTo|Equals|GetHashCode|ToString)(\\(.*)?$' }"
      yield! List.map ruleOf unions
      "attributeRules:"
      "  - exclude: { uidRegex: '^(Microsoft\\.FSharp|System\\.(Diagnostics|Runtime))\\.' }" ]
    |> fun lines -> File.WriteAllLines(filter, lines)

/// Copies files into a fresh folder, and FSharp.Core, which is not in the output of a library.
let private copyTo folder (paths: seq<string>) =
    if Directory.Exists folder then Directory.Delete(folder, recursive = true)
    Directory.CreateDirectory folder |> ignore

    for path in Seq.append paths [ typeof<unit>.Assembly.Location ] do
        File.Copy(path, Path.Combine(folder, Path.GetFileName path), overwrite = true)

let private prepareCore () =
    let built = Path.GetFullPath "src/UtpPunch.Sim/bin/Release/net10.0"
    copyTo folder (Directory.GetFiles(built, "*.dll"))

    [ for project, name in projects do
          let unions = unionsOf (Assembly.LoadFrom(Path.Combine(built, $"{name}.dll")))
          let source = Processes.outputOf project name
          writeDocumentation (Path.ChangeExtension(source, "xml")) $"{folder}/{name}.xml" unions
          yield! unions ]
    |> writeFilter

/// A member that inherits documentation and has parameters of its own inherits no second documentation of these: docfx would warn of both.
let private inheritInPart (path: string) =
    let document = XDocument.Load(path, LoadOptions.PreserveWhitespace)
    let name = XName.Get "name"

    for it in document.Descendants(XName.Get "member") do
        let own = [ for it in it.Elements(XName.Get "param") -> $"@name='{it.Attribute(name).Value}'" ]

        match it.Element(XName.Get "inheritdoc") with
        | null -> ()
        | inherited when own.IsEmpty || not (isNull (inherited.Attribute(XName.Get "path"))) -> ()
        | inherited ->
            let names = String.concat " or " own
            inherited.SetAttributeValue(XName.Get "path", $"/node()[not(self::param[{names}])]")

    document.Save path

let private prepareLibrary () =
    let built = "src/UtpPunch.AspNetCore/bin/Release/net10.0"
    copyTo libraryFolder (Seq.append (Directory.GetFiles(built, "*.dll")) (Directory.GetFiles(built, "*.xml")))

    for path in Directory.GetFiles(libraryFolder, "*.xml") do
        inheritInPart path

/// Copies the assemblies, which must be built.
let prepare () =
    prepareCore ()
    prepareLibrary ()
