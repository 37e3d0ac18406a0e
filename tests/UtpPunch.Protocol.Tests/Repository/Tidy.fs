/// Machine-checked rules for the sources: what the core may use, how long files are, what no tracked file may name.
module UtpPunch.Protocol.Tests.Tidy

open System
open System.IO
open System.Reflection
open System.Text.RegularExpressions
open Expecto
open Microsoft.FSharp.Reflection
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Sources

let private withExtension (extensions: string list) =
    filesBelow root.Value
    |> Seq.filter (fun path -> List.contains (Path.GetExtension path) extensions)
    |> Seq.sort
    |> Seq.toArray

/// The lines of the core without comments, each with its place.
let private coreLines =
    lazy
        [| for path in filesBelow (Path.Combine(root.Value, "src/UtpPunch.Protocol.fs")) do
               if Path.GetExtension path = ".fs" || Path.GetExtension path = ".fsi" then
                   for index, line in Array.indexed (File.ReadAllLines path) do
                       // Comments and the contents of strings are prose.
                       let code = Regex.Replace(Regex.Replace(line, "\"[^\"]*\"", "\"\""), "//.*", "")
                       $"{relative path}:{index + 1}", code |]

let private banned =
    [ @"\bDateTime(Offset)?\b"
      @"\bTimeProvider\b"
      @"\bStopwatch\b"
      @"\bSystem\.Random\b"
      @"\bRandomNumberGenerator\b"
      @"\bGuid\.NewGuid\b"
      @"\bTask\b"
      @"\bValueTask\b"
      @"\basync\s*\{"
      @"\btask\s*\{"
      @"\bThread\b"
      @"\block\b\s*\("
      @"\bMonitor\b"
      @"\bInterlocked\b"
      @"\bHashCode\b"
      @"\bhash\s*\("
      @"\bDictionary<"
      @"\bHashSet<"
      @"\b(float|double|decimal|single)\b"
      @"(?<![\w.])\d+\.\d+"
      @"\bMath\.(Sqrt|Pow|Exp|Log|Round)\b"
      @"\b(s?printfn?|eprintfn?|failwithf?|ksprintf)\b"
      @"\bConsole\b"
      @"\bEnvironment\b"
      @"\bCultureInfo\b"
      @"\boption\b(?=\s*[)\]\r\n=])" ]

let private referencesOf (assembly: Assembly) =
    [ for reference in assembly.GetReferencedAssemblies() -> reference.Name ]

let private registries =
    // In pieces, or this file would contain them itself.
    [ "registry." + "npmjs"
      "api." + "nuget.org"
      "nuget" + ".org/v3"
      "npm" + "mirror"
      "pkgs." + "dev.azure" ]

let private absolutePaths = Regex(@"(?<![\w./<])/(home|Users|root|work)/[\w.-]|[A-Z]:\\\\?Users")

let private textFiles =
    lazy
        (withExtension
            [ ".fs"
              ".fsi"
              ".fsx"
              ".cs"
              ".fsproj"
              ".csproj"
              ".proj"
              ".props"
              ".targets"
              ".js"
              ".py"
              ".json"
              ".md"
              ".yml"
              ".txt"
              ".dependencies"
              ".lock"
              ".references"
              ".sln"
              ".npmrc"
              ".editorconfig"
              ".gitignore"
              "" ])

let tests =
    testList
        "tidy"
        [ test "the core references FSharp.Core and the runtime's basics, and nothing that touches the world" {
              let allowed =
                  set
                      [ "FSharp.Core"
                        "netstandard"
                        "System.Runtime"
                        "System.Memory"
                        "System.Collections"
                        "System.Runtime.InteropServices"
                        "System.Numerics.Vectors"
                        // ChaCha20, four words at a time.
                        "System.Runtime.Intrinsics"
                        "System.Linq"
                        // STUN's HMACs, which are pure functions of bytes.
                        "System.Security.Cryptography" ]

              referencesOf typeof<Node>.Assembly
              |> List.filter (allowed.Contains >> not)
              |> nowhere "assemblies that the core references"

              let project =
                  File.ReadAllText(Path.Combine(root.Value, "src/UtpPunch.Protocol.fs/UtpPunch.Protocol.fsproj"))

              Expect.isFalse (project.Contains "ProjectReference" || project.Contains "PackageReference") "its project"
              let packages = File.ReadAllLines(Path.Combine(root.Value, "src/UtpPunch.Protocol.fs/paket.references"))
              // MinVer is a build tool: it computes the version, and nothing of it ships.
              Expect.equal packages [| "FSharp.Core"; "MinVer" |] "its packages"
          }
          test "the core's code names no clock, no chance, no task, no lock, no float and no console" {
              nowhere
                  "banned names"
                  (seq {
                      for place, code in coreLines.Value do
                          for pattern in banned do
                              if Regex.IsMatch(code, pattern) then $"{place}: {pattern} in {code.Trim()}"
                  })
          }
          test "the core's fields and locals are nowhere floats" {
              nowhere
                  "members with a float in their signature"
                  (seq {
                      let flags =
                          BindingFlags.Public
                          ||| BindingFlags.NonPublic
                          ||| BindingFlags.Instance
                          ||| BindingFlags.Static
                          ||| BindingFlags.DeclaredOnly

                      let isFloat (kind: Type) =
                          kind = typeof<float> || kind = typeof<float32> || kind = typeof<decimal>

                      for kind in typeof<Node>.Assembly.GetTypes() do
                          for field in kind.GetFields flags do
                              if isFloat field.FieldType then $"{kind.Name}.{field.Name}"

                          for method' in kind.GetMethods flags do
                              let body = method'.GetMethodBody()

                              if
                                  not (isNull body)
                                  && Seq.exists
                                      (fun (local: LocalVariableInfo) -> isFloat local.LocalType)
                                      body.LocalVariables
                              then
                                  $"{kind.Name}.{method'.Name}"
                  })
          }
          test "no source file is longer than 450 lines" {
              nowhere
                  "files that are too long"
                  (seq {
                      for path in withExtension [ ".fs"; ".fsi"; ".fsx"; ".cs" ] do
                          let lines = File.ReadAllLines(path).Length
                          // Generated files are read only by the compiler.
                          if lines > 450 && not (path.EndsWith ".Generated.fs") then
                              $"{relative path}: {lines} lines"
                  })
          }
          test "no file names a package registry's host or an absolute path of a machine" {
              nowhere
                  "hosts and paths"
                  (seq {
                      for path in textFiles.Value do
                          for index, line in Array.indexed (File.ReadAllLines path) do
                              for registry in registries do
                                  if line.Contains(registry, StringComparison.OrdinalIgnoreCase) then
                                      $"{relative path}:{index + 1}: {registry}"

                              if absolutePaths.IsMatch line then $"{relative path}:{index + 1}: {line.Trim()}"
                  })
          }
          test "every file of the core and of these tests is in its project's list, once" {
              for folder in
                  [ "src/UtpPunch.Protocol.fs"
                    "src/UtpPunch.Trace"
                    "src/UtpPunch.Sim"
                    "tests/UtpPunch.Protocol.Tests"
                    "tests/UtpPunch.Trace.Tests"
                    "tests/UtpPunch.Sim.Tests"
                    "tests/UtpPunch.Fuzz.Tests"
                    "tests/mutants/Runner" ] do
                  let folder = Path.Combine(root.Value, folder)
                  let project = File.ReadAllText(Seq.exactlyOne (Directory.EnumerateFiles(folder, "*.fsproj")))
                  // A file outside the folder belongs to another project.
                  let listed =
                      [ for m in Regex.Matches(project, "Compile Include=\"([^\"]+)\"") do
                            if not (m.Groups[1].Value.StartsWith "..") then m.Groups[1].Value ]

                  let present =
                      [ for path in filesBelow folder do
                            if Path.GetExtension path = ".fs" || Path.GetExtension path = ".fsi" then
                                Path.GetRelativePath(folder, path).Replace('\\', '/') ]

                  Expect.equal (List.sort listed) (List.sort present) (relative folder)
          }
          test "every path that CONTRIBUTING.md names exists" {
              let text = File.ReadAllText(Path.Combine(root.Value, "CONTRIBUTING.md"))

              let named =
                  [ for m in Regex.Matches(text, @"`((src|tests|bench|build|docs|samples)/[\w./-]*)`") ->
                        m.Groups[1].Value ]

              Expect.isNonEmpty named "paths"

              named
              |> List.filter (fun path -> not (Path.Exists(Path.Combine(root.Value, path))))
              |> nowhere "paths that do not exist"
          }
          test "every mutant still fits the sources: each text that it replaces stands there exactly once" {
              let mutants = Mutants.readAll root.Value
              let _, problems = Mutants.locate root.Value mutants
              nowhere "edits that do not fit" problems
              Expect.isNonEmpty mutants "mutants"
          }
          test "every test that a mutant names as its killer exists" {
              let sources =
                  [ for folder in [ "tests/UtpPunch.Net.Tests"; "tests/UtpPunch.Protocol.Tests" ] do
                        for path in filesBelow (Path.Combine(root.Value, folder)) do
                            if Path.GetExtension path = ".cs" || Path.GetExtension path = ".fs" then
                                File.ReadAllText path ]
                  |> String.concat "\n"

              nowhere
                  "claims of no test"
                  [ for mutant in Mutants.readAll root.Value do
                        if mutant.IsForTests then
                            for claim in mutant.Killers do
                                if not (sources.Contains $"\"{claim}\"") then $"{mutant.Number}: {claim}" ]
          }
          test "the shell performs every effect, by name" {
              let shell = Path.Combine(root.Value, "src/UtpPunch.Net")

              let handled =
                  set
                      [ for path in filesBelow shell do
                            if Path.GetExtension path = ".cs" then
                                for m in Regex.Matches(File.ReadAllText path, @"case\s+Effect\.(\w+)") do
                                    m.Groups[1].Value ]

              let cases = set [ for case in FSharpType.GetUnionCases typeof<Effect> -> case.Name ]
              Expect.equal handled cases "the cases of Effect"
          } ]
