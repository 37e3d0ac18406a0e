/// The target `pack`: all packages, in artifacts/.
module Packing

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Text.RegularExpressions
open Processes

let usage =
    """
dotnet fsi build.fsx pack [OPTIONS]

  --url URL     the address of the project, such as https://host.example/owner/name: for the links of the packages' readmes;
                default: that of the git remote `origin`, if it is one of https
  --portable    the tool as one package for all systems, without the one that is compiled ahead of time for this system
  --no-build    pack what was built in Release

Packages: UtpPunch.Net, UtpPunch.AspNetCore, UtpPunch.Tool (the command `utp`), UtpPunch.Rendezvous (the command `utp-rendezvous`),
UtpPunch.Templates (`dotnet new utp-chat`, `utp-transfer`).
"""

let private prepared = "artifacts/package"

type Options = { Url: string option; IsPortable: bool; IsBuilt: bool }

/// The remote's address without `.git`, if a reader can open it.
let private urlOfRemote () =
    let info =
        ProcessStartInfo(
            "git",
            [ "remote"; "get-url"; "origin" ],
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    use git = Process.Start info
    let address = git.StandardOutput.ReadToEnd().Trim()
    git.WaitForExit()

    if git.ExitCode = 0 && address.StartsWith "https://" then
        Some(Regex.Replace(address, @"\.git$", ""))
    else
        None

let parse arguments =
    let rec next arguments options =
        match arguments with
        | [] -> options
        | "--url" :: url :: rest -> next rest { options with Url = Some(url.TrimEnd '/') }
        | "--portable" :: rest -> next rest { options with IsPortable = true }
        | "--no-build" :: rest -> next rest { options with IsBuilt = true }
        | word :: _ -> failed $"{word} is not an option of pack, or its value is missing."

    next arguments { Url = urlOfRemote (); IsPortable = false; IsBuilt = false }

/// A page whose links lead into the repository at its address. Without an address they are plain text: in a package they would lead nowhere.
let private withAbsoluteLinks url (page: string) =
    let link (m: Match) =
        let bracket, text, target = m.Groups["bracket"].Value, m.Groups["text"].Value, m.Groups["target"].Value

        if Regex.IsMatch(target, "^(https?:|#)") then
            m.Value
        else
            match url with
            | Some url ->
                let path =
                    Path.GetRelativePath(".", Path.Combine(Path.GetDirectoryName page, target)).Replace('\\', '/')

                let kind = if m.Value.StartsWith '!' then "raw" else "blob"
                $"{bracket}{text}]({url}/{kind}/main/{path})"
            | None -> text

    Regex.Replace(File.ReadAllText page, @"(?<bracket>!?\[)(?<text>[^\]]*)\]\((?<target>[^)\s]+)\)", link)

/// The changelog's first section of a version.
let private releaseNotes () =
    File.ReadAllLines "CHANGELOG.md"
    |> Seq.skipWhile (fun line -> not (line.StartsWith "## "))
    |> Seq.mapi (fun index line -> index, line)
    |> Seq.takeWhile (fun (index, line) -> index = 0 || not (line.StartsWith "## "))
    |> Seq.map snd
    |> String.concat "\n"

let private prepare folder url =
    Directory.CreateDirectory prepared |> ignore

    for old in Directory.GetFiles(folder, "UtpPunch.*.*nupkg") do
        File.Delete old

    for page in
        [ "README.md"
          "docs/aspnetcore.md"
          "docs/rendezvous.md"
          "docs/simulate.md"
          "docs/tool.md"
          "docs/tutorial.md" ] do
        File.WriteAllText(Path.Combine(prepared, Path.GetFileName page), withAbsoluteLinks url page)

    File.WriteAllText(Path.Combine(prepared, "release-notes.txt"), releaseNotes ())

/// The runtime of this system, for which the tool is compiled ahead of time.
let private nativeRuntime =
    let system =
        if OperatingSystem.IsWindows() then "win"
        elif OperatingSystem.IsMacOS() then "osx"
        else "linux"

    $"{system}-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}"

/// The manual page of the tool, which the tool that has been built makes.
let private writeManualPage () =
    let limit = TimeSpan.FromMinutes 1.0
    let finished = follow limit [] ignore "dotnet" [ "exec"; outputOf "src/UtpPunch.Cli" "utp"; "man" ]
    if finished.ExitCode <> 0 then failed "`utp man` failed."
    File.WriteAllLines(Path.Combine(prepared, "utp.1"), finished.Lines)

/// Writes all packages into a folder, and deletes older ones there.
let packAll folder options =
    prepare folder options.Url

    let pack project isBuilt extra =
        dotnet (
            [ "pack"; project; "-c"; "Release"; "-o"; folder; "-v"; "quiet"; "-nologo"; "-clp:NoSummary" ]
            @ (options.Url |> Option.map (fun url -> $"-p:ProjectUrl={url}") |> Option.toList)
            @ (if isBuilt then [ "--no-build" ] else [])
            @ extra
        )

    // Its restore leaves the projects out that it contains, which only a pack that restores does. The build has nothing to do.
    pack "src/UtpPunch.Net" false []
    pack "src/UtpPunch.AspNetCore" options.IsBuilt []
    pack "src/UtpPunch.Rendezvous" options.IsBuilt []
    if not options.IsBuilt then build "src/UtpPunch.Sim"
    pack "build/package/sim" false []

    if not options.IsBuilt then build "src/UtpPunch.Cli"
    writeManualPage ()

    if options.IsPortable then
        pack "src/UtpPunch.Cli" true []
    else
        // Compiled ahead of time by builds of their own: a package that names the others, one for this system, one for any other.
        let native = $"-p:NativeRuntime={nativeRuntime}"

        for runtime in [ []; [ "-r"; nativeRuntime ]; [ "-r"; "any" ] ] do
            pack "src/UtpPunch.Cli" false (native :: runtime)

    pack "templates" false []

    for package in Array.sort (Directory.GetFiles(folder, "UtpPunch.*.nupkg")) do
        printfn "%s" package

let pack arguments =
    packAll "artifacts" (parse arguments)
    0
