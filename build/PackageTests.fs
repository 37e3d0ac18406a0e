/// Tests of the packages: as a user with an empty home folder who has the SDK and a feed, with the commands of docs/tutorial.md.
module PackageTests

open System
open System.Diagnostics
open System.IO
open System.IO.Compression
open System.Text
open System.Text.RegularExpressions
open System.Threading.Tasks
open System.Xml.Linq
open Processes

let private limit = TimeSpan.FromMinutes 3.0
let private url = "https://host.example/owner/utp-punch"

/// A folder that is its user's home, with a feed of what the packages depend on.
type private Sandbox() =
    let home = Directory.CreateTempSubdirectory("utp-packages-").FullName
    let feed = Directory.CreateDirectory(Path.Combine(home, "feed")).FullName
    let work = Directory.CreateDirectory(Path.Combine(home, "work")).FullName
    let config = Path.Combine(home, ".nuget", "NuGet", "NuGet.Config")
    do Directory.CreateDirectory(Path.GetDirectoryName config) |> ignore

    do
        File.WriteAllText(
            config,
            $"""<configuration><packageSources><clear /><add key="feed" value="{feed}" /></packageSources></configuration>"""
        )

    member _.Packages = Directory.CreateDirectory(Path.Combine(home, "artifacts")).FullName
    member _.Work = work

    /// Copies packages of other authors from the package folder, in the versions that paket.lock pins.
    member _.Provide(names: string list) =
        let packages =
            Path.Combine(Environment.GetFolderPath Environment.SpecialFolder.UserProfile, ".nuget", "packages")

        for name in names do
            let pin =
                Regex.Match(
                    File.ReadAllText "paket.lock",
                    $@"^    {Regex.Escape name} \(([^)]+)\)",
                    RegexOptions.Multiline
                )

            let id, version = name.ToLowerInvariant(), pin.Groups[1].Value
            let file = $"{id}.{version}.nupkg"
            File.Copy(Path.Combine(packages, id, version, file), Path.Combine(feed, file))

    member _.Start(command: string, variables: (string * string) list) =
        let info =
            ProcessStartInfo(
                "/bin/sh",
                [ "-c"; $"exec {command}" ],
                WorkingDirectory = work,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true
            )

        for name in [ "NUGET_PACKAGES"; "UTP_SECRET"; "UTP_TRANSPORT" ] do
            info.Environment.Remove name |> ignore

        let path = Environment.GetEnvironmentVariable "PATH"
        let tools = Path.Combine(home, ".dotnet", "tools")

        for name, value in
            [ "HOME", home
              "DOTNET_CLI_HOME", home
              "DOTNET_GENERATE_ASPNET_CERTIFICATE", "false"
              "PATH", $"{path}:{tools}" ]
            @ variables do
            info.Environment[name] <- value

        new Running(command, info)

    interface IDisposable with
        member _.Dispose() = Directory.Delete(home, recursive = true)

/// A command that runs, and what it has written.
and private Running(command: string, info: ProcessStartInfo) =
    let output = StringBuilder()
    let started = Process.Start info
    let clock = Stopwatch.StartNew()

    let add (line: string) = if not (isNull line) then lock output (fun () -> output.AppendLine line |> ignore)

    do
        started.OutputDataReceived.Add(fun args -> add args.Data)
        started.ErrorDataReceived.Add(fun args -> add args.Data)
        started.BeginOutputReadLine()
        started.BeginErrorReadLine()

    member _.Output = lock output (fun () -> output.ToString())
    member _.Type(line: string) = started.StandardInput.WriteLine line
    member _.CloseInput() = started.StandardInput.Close()

    /// Waits for what the pattern matches in the output; its first group.
    member this.Await(pattern: string) =
        let mutable found = Regex.Match(this.Output, pattern)

        while not found.Success do
            if started.HasExited || clock.Elapsed > limit then
                failed
                    $"`{command}` has not written {pattern} after {clock.Elapsed.TotalSeconds:F0} s, but:\n{this.Output}"

            Threading.Thread.Sleep 20
            found <- Regex.Match(this.Output, pattern)

        found.Groups[1].Value

    /// Waits until it has ended with the exit code 0.
    member this.End() =
        if not (started.WaitForExit limit) then
            failed $"`{command}` has not ended after {limit.TotalMinutes} minutes:\n{this.Output}"

        started.WaitForExit()

        if started.ExitCode <> 0 then
            failed $"`{command}` ended with exit code {started.ExitCode}:\n{this.Output}"

    interface IDisposable with
        member _.Dispose() =
            if not started.HasExited then
                started.Kill(entireProcessTree = true)
                started.WaitForExit()

            started.Dispose()

/// The commands of the tutorial that stand below a line of this name.
let private commands name =
    let text = File.ReadAllText "docs/tutorial.md"

    let block =
        Regex.Match(text, $@"<!-- commands: {Regex.Escape name} -->\n```sh\n(.*?)```", RegexOptions.Singleline)

    if not block.Success then failed $"docs/tutorial.md has no commands `{name}`."
    block.Groups[1].Value.Trim().Split '\n' |> List.ofArray

let private only name =
    match commands name with
    | [ command ] -> command
    | several -> failed $"docs/tutorial.md has {several.Length} commands `{name}` instead of one."

let private expect claim condition = if not condition then failed claim

let private complete (sandbox: Sandbox) command =
    use running = sandbox.Start(command, [])
    running.End()
    running.Output

let private prepare (sandbox: Sandbox) name =
    for command in commands name do
        complete sandbox (command.Replace("CLONE/artifacts", sandbox.Packages)) |> ignore

/// The first program waits at a port that the system chooses, the second one dials it.
let private connect (sandbox: Sandbox) name (port: string) =
    let first = sandbox.Start((only $"{name}, listen").Replace(port, "0"), [])
    let chosen = first.Await @"at UDP port (\d+)"
    let second = sandbox.Start((only $"{name}, connect").Replace(port, chosen), [])
    first, second

// The tests

/// What a package site shows of each package, and what a debugger needs.
let private checkContents (sandbox: Sandbox) =
    let packages = Directory.GetFiles(sandbox.Packages, "*.nupkg")

    let names =
        packages
        |> Array.map (fun path -> Regex.Match(Path.GetFileName path, @"^[A-Za-z.]+(?=\.\d)").Value)
        |> Array.sort

    expect
        $"%A{names}"
        (names =
            [| "UtpPunch.AspNetCore"
               "UtpPunch.Net"
               "UtpPunch.Rendezvous"
               "UtpPunch.Sim"
               "UtpPunch.Templates"
               "UtpPunch.Tool" |])

    for package in packages do
        use archive = ZipFile.OpenRead package

        let read (name: string) =
            use reader = new StreamReader(archive.GetEntry(name).Open())
            reader.ReadToEnd()

        let spec = XDocument.Parse(read (archive.Entries |> Seq.find _.Name.EndsWith(".nuspec")).Name).Root
        let metadata = Seq.exactlyOne (spec.Elements())

        let value name =
            metadata.Elements()
            |> Seq.filter (fun e -> e.Name.LocalName = name)
            |> Seq.map _.Value
            |> Seq.tryHead

        for name in [ "icon"; "readme"; "license"; "description"; "releaseNotes" ] do
            expect $"{package} has {name}" (value name |> Option.exists (String.IsNullOrEmpty >> not))

        expect $"{package} has the project's address" (value "projectUrl" = Some url)
        let repository = metadata.Elements() |> Seq.find (fun e -> e.Name.LocalName = "repository")
        expect $"{package} names its commit" (repository.Attribute(XName.Get "commit").Value.Length = 40)
        expect $"{package} has its icon" (not (isNull (archive.GetEntry "icon.png")))

        let relative =
            Regex.Matches(read "README.md", @"\]\((?!https?:|#)[^)]*\)") |> Seq.map _.Value |> List.ofSeq

        expect $"%A{relative}: links of the readme of {package} that lead nowhere" relative.IsEmpty

    use tool = ZipFile.OpenRead(packages |> Array.find _.Contains("UtpPunch.Tool"))
    expect "the tool's package has its manual page" (not (isNull (tool.GetEntry "man/man1/utp.1")))

    let symbols = Directory.GetFiles(sandbox.Packages, "*.snupkg") |> Array.map Path.GetFileName
    expect $"%A{symbols}: symbols of the two libraries" (symbols.Length = 2)

let private checkChat (sandbox: Sandbox) =
    let count =
        [ "prepare"; "listen"; "connect" ] |> List.sumBy (fun part -> (commands $"chat, {part}").Length)

    expect $"{count} commands until two programs talk, six at most" (count <= 6)
    prepare sandbox "chat, prepare"
    let first, second = connect sandbox "chat" "9000"
    use first = first
    use second = second
    let number (program: Running) = program.Await "this number: ([0-9 ]{29})"
    expect "both show one number" (number first = number second)

    for from, other, line in [ first, second, "hello"; second, first, "good day" ] do
        from.Type line
        other.Await $"> {line}" |> ignore

    second.CloseInput()
    first.Await "the peer has left" |> ignore
    first.End()
    second.End()

let private checkTransfer (sandbox: Sandbox) =
    prepare sandbox "transfer, prepare"
    let content = Array.zeroCreate 3_000_000
    Random(1).NextBytes content
    let sent = Directory.CreateDirectory(Path.Combine(sandbox.Work, "sent")).FullName
    File.WriteAllBytes(Path.Combine(sent, "photo.jpg"), content)
    use receiver = sandbox.Start((only "transfer, listen").Replace("9001", "0"), [])
    let port = receiver.Await @"at UDP port (\d+)"

    use sender =
        sandbox.Start((only "transfer, connect").Replace("9001", port).Replace("photo.jpg", "sent/photo.jpg"), [])

    receiver.End()
    sender.End()
    expect "the file arrived" (File.ReadAllBytes(Path.Combine(sandbox.Work, "photo.jpg")) = content)

let private checkTool (sandbox: Sandbox) =
    match commands "tool" with
    | [ install; run ] ->
        complete sandbox install |> ignore
        expect "the tool completes" ((complete sandbox "utp suggest 5 'utp c'").Contains "completion\t")
        use server = sandbox.Start($"{run} --bind 127.0.0.1:0 --bind 127.0.0.1:0", [])
        let address = server.Await @"listening on (127\.0\.0\.1:\d+)"
        // Two programs of the template meet by it.
        let secret = [ ("UTP_SECRET", "a secret of the tests") ]
        let meet = (commands "chat, meet" |> List.last).Replace("host.example:42000", address)
        use first = sandbox.Start(meet, secret)
        use second = sandbox.Start(meet, secret)
        first.Type "met"
        second.Await "> met" |> ignore
        first.CloseInput()
        second.CloseInput()
        first.End()
        second.End()
    | several -> failed $"docs/tutorial.md has {several.Length} commands `tool` instead of two."

let private checkService (sandbox: Sandbox) =
    complete sandbox "dotnet tool install --global UtpPunch.Rendezvous --prerelease" |> ignore

    use service =
        sandbox.Start("utp-rendezvous --Admin 127.0.0.1:0 --Listen:0 127.0.0.1:0 --Listen:1 127.0.0.1:0", [])

    service.Await "Listening on" |> ignore

/// The sample of docs/aspnetcore.md, in a project that references the package.
let private checkWeb (sandbox: Sandbox) =
    let folder = Directory.CreateDirectory(Path.Combine(sandbox.Work, "web")).FullName
    File.Copy("samples/WebService/Program.cs", Path.Combine(folder, "Program.cs"))

    File.WriteAllText(
        Path.Combine(folder, "web.csproj"),
        """<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <Nullable>enable</Nullable>
    <ImplicitUsings>enable</ImplicitUsings>
  </PropertyGroup>
  <ItemGroup>
    <FrameworkReference Include="Microsoft.AspNetCore.App" />
    <PackageReference Include="UtpPunch.AspNetCore" Version="*-*" />
  </ItemGroup>
</Project>
"""
    )

    use server = sandbox.Start("dotnet run --project web -- serve 0", [])
    let port = server.Await @"listening on 0\.0\.0\.0:(\d+)"
    let answer = complete sandbox $"dotnet run --no-build --project web -- get 127.0.0.1:{port}"
    expect answer (answer.Contains "hello over HTTP/2 and uTP")

/// The sample of docs/simulate.md, in a project that references the package.
let private checkSimulation (sandbox: Sandbox) =
    let folder = Directory.CreateDirectory(Path.Combine(sandbox.Work, "simulation")).FullName

    for file in Directory.GetFiles("samples/Simulation", "*.fs") do
        File.Copy(file, Path.Combine(folder, Path.GetFileName file))

    let project = File.ReadAllText "samples/Simulation/Simulation.fsproj"

    let withPackage =
        Regex.Replace(
            project,
            "<ProjectReference .*/>",
            "<PackageReference Include=\"UtpPunch.Sim\" Version=\"*-*\" />"
        )

    File.WriteAllText(
        Path.Combine(folder, "simulation.fsproj"),
        withPackage.Replace(
            "<OutputType>",
            "<TargetFramework>net10.0</TargetFramework><DisableImplicitFSharpCoreReference>true</DisableImplicitFSharpCoreReference><OutputType>"
        )
    )

    let output = complete sandbox "dotnet run --project simulation"
    expect output (output.Contains "a recorded world replays")

let private result (sandbox: Sandbox) (name, test) =
    let clock = Stopwatch.StartNew()

    let failure =
        try
            test sandbox
            None
        with
        | Failed message -> Some message
        | error -> Some(error.ToString())

    $"{name} (%.1f{clock.Elapsed.TotalSeconds} s)", failure

/// Makes the packages, and begins to use them: each test with its failure. The later ones use what the first ones have made.
let start () : Task<(string * string option) list> =
    let sandbox = new Sandbox()
    let extensions = "Microsoft.Extensions"

    sandbox.Provide
        [ "FSharp.Core"
          $"{extensions}.Logging.Abstractions"
          $"{extensions}.DependencyInjection.Abstractions" ]

    let pack _ = Packing.packAll sandbox.Packages { Url = Some url; IsPortable = true; IsBuilt = true }

    let first = result sandbox ("the packages are made", pack)

    Task.Run(fun () ->
        use sandbox = sandbox

        first
        :: ([ "each package has an icon, a readme whose links are absolute, release notes, a commit, and symbols",
              checkContents
              "the tutorial's commands make two programs that talk, in an empty home", checkChat
              "the tutorial's rendezvous, by the packed tool, introduces two of them", checkTool
              "the packed service of the rendezvous starts", checkService
              "the tutorial's second template sends a file", checkTransfer
              "the web sample runs with the package of the ASP.NET transport", checkWeb
              "the simulation sample is compiled and runs with the package of the simulator", checkSimulation ]
            |> List.map (result sandbox)))
