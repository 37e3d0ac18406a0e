/// Generates docs/states.md from `StateTable`: a test fails when the file differs. With `UTP_WRITE_STATES=1` that test writes it.
module UtpPunch.Sim.Tests.StateDocument

open System
open System.IO
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim.Tests.StateTable

let private name (packetType: PacketType) = (string packetType).ToUpperInvariant()
let private joined (parts: string list) = String.concat ", " parts

/// One arrow for all transitions from one state to another.
let private arrows =
    [ for row in packets do
          match row.To with
          | ValueSome target ->
              for stage in row.In do
                  for packetType in row.On do
                      struct (stage.State, target, name packetType)
          | ValueNone -> ()
      for row in commands do
          match row.Leads with
          | ValueSome target ->
              for stage in row.From do
                  for command in row.Asks do
                      struct (stage.State, target, (string command).ToLowerInvariant())
          | ValueNone -> ()
      for row in time do
          struct (row.Silent.State, row.Becomes, "time") ]
    |> List.groupBy (fun (struct (source, target, _)) -> source, target)
    |> List.sortBy fst
    |> List.map (fun ((source, target), arrows) ->
        source, target, arrows |> List.map (fun (struct (_, _, label)) -> label) |> List.distinct)

let private identifier (state: State) = state.Name.Replace("-", "_")

let private diagram =
    [ "```mermaid"
      "stateDiagram-v2"
      for state in states do
          $"    {identifier state}: {state.Name}"
      for source, target, labels in arrows do
          $"    {identifier source} --> {identifier target}: {joined labels}"
      "```" ]

let private any (all: 'T list) (some: 'T list) =
    if some.Length = all.Length then "any" else joined (List.map string some)

let private next (target: State voption) =
    match target with
    | ValueSome state -> state.Name
    | ValueNone -> ""

let private packetRows stage =
    [ for row in packets do
          if List.contains stage row.In then
              let kinds = joined (List.map name row.On)
              let number = any numbers row.Of
              let acknowledging = any acknowledgements row.Acknowledging
              $"| {kinds} | {number} | {acknowledging} | {row.Gives} | {next row.To} |" ]

let private commandRows stage =
    [ for row in commands do
          if List.contains stage row.From then
              let asks = row.Asks |> List.map (fun command -> (string command).ToLowerInvariant()) |> joined
              $"| {asks} | | | {row.Does} | {next row.Leads} |" ]

let private timeRows stage =
    [ for row in time do
          if row.Silent = stage then
              $"| {row.For / 1_000_000L<us>} s of silence | | | {row.Tells} | {row.Becomes.Name} |" ]

let private title (stage: Stage) =
    match stage with
    | NoStream -> "CLOSED, and the node listens"
    | Released -> "FIN-WAIT-1, and the application has released the stream"
    | Aborted -> "CLOSED by an abort"
    | other -> other.State.Name

let private section stage =
    [ ""
      $"## {title stage}"
      ""
      "| on | number | acknowledging | told; sent [noted] | then |"
      "|---|---|---|---|---|"
      yield! packetRows stage
      yield! commandRows stage
      yield! timeRows stage ]

let text =
    [ "# The states of a stream"
      ""
      "Generated from `tests/UtpPunch.Sim.Tests/Exhaustive/StateTable.fs`, which a test compares with what the core does; do not edit."
      "To write it again: `UTP_WRITE_STATES=1` and the tests of UtpPunch.Sim.Tests."
      ""
      "The names are those of RFC 9293. CLOSING is shown as LAST-ACK: the same happens in both. What each state means, and in which file it"
      "is handled, stands in `src/UtpPunch.Protocol.fs/Stream/Connection.fsi`."
      ""
      yield! diagram
      ""
      "In the tables below the first row that fits applies, and what no row mentions does nothing. A packet's *number* is the next one in"
      "order (`Next`), that of a packet that is here already (`Old`; of a SYN, its own), five ahead (`Ahead`) or outside the reorder window"
      "(`Far`). It *acknowledges* everything that was sent (`All`), nothing that is outstanding (`Before`), a packet a thousand numbers back"
      "(`Ancient`) or one that was never sent (`Unsent`). One packet of ours is outstanding, in FIN-WAIT-1 and LAST-ACK the FIN as well."
      "What happens within 30 ms is what the application is told, what is sent, and in brackets what is noted. An empty last column means"
      "that the state stays the same."
      for stage in stages do
          yield! section stage ]
    |> String.concat "\n"
    |> fun text -> text + "\n"

let private path =
    let rec search (folder: DirectoryInfo) =
        if isNull folder then failwith "No folder above this one holds UtpPunch.sln."
        elif File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")) then folder.FullName
        else search folder.Parent

    lazy (Path.Combine(search (DirectoryInfo AppContext.BaseDirectory), "docs/states.md"))

let tests =
    test "docs/states.md is what the table gives" {
        if Environment.GetEnvironmentVariable "UTP_WRITE_STATES" = "1" then
            File.WriteAllText(path.Value, text)

        Expect.equal (File.ReadAllText(path.Value).Replace("\r", "")) text "docs/states.md"
    }
