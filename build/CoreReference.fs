/// What docfx needs to make reference pages of F# assemblies, which it reads as if they were of C#: the documentation of union cases where it looks for
/// it, and a filter for what the compiler adds to each union and record.
module CoreReference

open System
open System.IO
open System.Reflection
open System.Xml.Linq
open FSharp.Reflection

/// The folder that docfx.json names.
let folder = "artifacts/core-assemblies"

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

/// Copies the assemblies, which must be built.
let prepare () =
    if Directory.Exists folder then Directory.Delete(folder, recursive = true)
    Directory.CreateDirectory folder |> ignore
    let built = Path.GetFullPath "src/UtpPunch.Sim/bin/Release/net10.0"

    for path in Directory.GetFiles(built, "*.dll") do
        File.Copy(path, Path.Combine(folder, Path.GetFileName path), overwrite = true)

    // It is not in the output of a library.
    let core = typeof<unit>.Assembly.Location
    File.Copy(core, Path.Combine(folder, Path.GetFileName core), overwrite = true)

    [ for project, name in projects do
          let unions = unionsOf (Assembly.LoadFrom(Path.Combine(built, $"{name}.dll")))
          let source = Processes.outputOf project name
          writeDocumentation (Path.ChangeExtension(source, "xml")) $"{folder}/{name}.xml" unions
          yield! unions ]
    |> writeFilter
