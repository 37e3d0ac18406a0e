/// The command lines of the documentation: each is one that the tool accepts. They are parsed, not run.
module UtpPunch.Tracing.Tests.DocumentedCommands

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open UtpPunch.Cli

let private root =
    Seq.unfold
        (fun (folder: DirectoryInfo) -> if isNull folder then None else Some(folder, folder.Parent))
        (DirectoryInfo AppContext.BaseDirectory)
    |> Seq.find (fun folder -> File.Exists(Path.Combine(folder.FullName, "build.fsx")))
    |> _.FullName

let private pages =
    Array.append [| Path.Combine(root, "README.md") |] (Directory.GetFiles(Path.Combine(root, "docs"), "*.md"))

/// The lines of the shell's blocks, as (page and number, line).
let private shellLines page =
    let mutable isShell = false

    [ for index, line in Array.indexed (File.ReadAllLines page) do
          if line.StartsWith "```" then isShell <- line = "```sh"
          elif isShell then $"{Path.GetFileName page}:{index + 1}", line ]

/// What a line passes to `utp`, without redirections, pipes and remarks, with values in place of what its reader must put in.
let private commandsIn (line: string) =
    [ for part in Regex.Split(Regex.Replace(line, @"\s#.*$", ""), @"\||&&|[<>]\(|\)|;") do
          let words =
              Regex.Replace(part, @"[<>]\s*\S+", "").Replace("...", "")
              |> fun text -> text.Split(' ', StringSplitOptions.RemoveEmptyEntries)
              |> Array.skipWhile (fun word -> Regex.IsMatch(word, "^[A-Z_]+=") || word = "source" || word = "sudo")

          match List.ofArray words with
          | "utp" :: rest -> rest
          | _ -> () ]

/// Words in capitals stand for what the reader must put in.
let private filled =
    function
    | "HOST"
    | "host.example" -> "host.example"
    | "PORT"
    | "N" -> "5000"
    | "SHELL" -> "bash"
    | "COMMAND" -> "cat"
    | word when Regex.IsMatch(word, @"^IP\d?:") -> Regex.Replace(word, @"^IP\d?", "192.0.2.1")
    | word -> word

let tests =
    testList
        "documented commands"
        [ test "every command line of the documentation that calls utp is one that it accepts" {
              let commands =
                  [ for page in pages do
                        for place, line in shellLines page do
                            for words in commandsIn line -> place, List.map filled words ]

              Expect.isGreaterThan commands.Length 30 "command lines that were found"

              let refused =
                  [ for place, words in commands do
                        try
                            CommandLine.ParseWithoutDefaults(ToolCommands.Create(), Array.ofList words) |> ignore
                        with error ->
                            let line = String.concat " " words
                            $"{place}: utp {line}: {error.Message}" ]

              Expect.equal refused [] "command lines that utp refuses"
          } ]
