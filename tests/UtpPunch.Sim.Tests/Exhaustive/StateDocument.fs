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

let private cells (row: Row) =
    [ for packetType in row.On do
          for number in row.Of do
              for acknowledgement in row.Acknowledging do
                  packetType, number, acknowledgement ]

/// The rows of a stage, each with the cells that no earlier row covers. A row without any applies to other stages only.
let private applying stage =
    packets
    |> List.filter (fun row -> List.contains stage row.In)
    |> List.mapFold
        (fun covered row ->
            let own = cells row |> List.filter (fun cell -> not (List.contains cell covered))
            (row, own), own @ covered)
        []
    |> fst
    |> List.filter (fun (_, own) -> not own.IsEmpty)

let private packetRows stage =
    [ for row, own in applying stage do
          let among value part = List.exists (fun cell -> part cell = value) own
          let types = row.On |> List.filter (fun it -> among it (fun (packetType, _, _) -> packetType))
          let some = row.Of |> List.filter (fun it -> among it (fun (_, number, _) -> number))

          let acknowledged =
              row.Acknowledging
              |> List.filter (fun it -> among it (fun (_, _, acknowledgement) -> acknowledgement))

          let kinds = joined (List.map name types)
          let number = any numbers some
          let acknowledging = any acknowledgements acknowledged
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
      "To regenerate: `UTP_WRITE_STATES=1` and the tests of UtpPunch.Sim.Tests."
      ""
      "The names are those of RFC 9293. `src/UtpPunch.Protocol.fs/Stream/Connection.fsi` says what each state means, and which file handles"
      "it. The transitions differ from those of RFC 9293 as follows:"
      ""
      "- A SYN that arrives in SYN-SENT belongs to another stream. There is no simultaneous open, because the ids of a stream name its"
      "  opener."
      "- SYN-RECEIVED ends with the first packet that acknowledges the SYN-ACK. It need not be a STATE."
      "- CLOSING is shown as LAST-ACK: the same happens in both. LAST-ACK leads to TIME-WAIT and not to CLOSED, so that a FIN that the"
      "  peer retransmits is acknowledged."
      "- A RESET whose `ack_nr` is out of range is ignored; there is no challenge acknowledgement, which BEP 29 does not have."
      "- FIN-WAIT-1 leads to CLOSED if data arrives for a stream that the application has released ([ends.md](ends.md))."
      ""
      yield! diagram
      ""
      "In the tables below the first row that fits applies, and what no row mentions does nothing. Rows that an earlier one covers are left"
      "out. A packet's *number* is the next one in order (`Next`), that of a packet that is here already (`Old`; of a SYN, its own), five"
      "ahead (`Ahead`) or outside the reorder window (`Far`). It *acknowledges* everything that was sent (`All`), nothing that is"
      "outstanding (`Before`), a packet a thousand numbers back (`Ancient`) or one that was never sent (`Unsent`). One local packet is"
      "outstanding, in FIN-WAIT-1 and LAST-ACK the FIN as well. What happens within 30 ms is what the application is told, what is sent,"
      "and in brackets what is noted. An empty last column means that the state stays the same."
      ""
      "The times of silence are local settings: in SYN-SENT the timeout of `connect` (60 s in this test; `ConnectTimeout` in the library);"
      "in SYN-RECEIVED `HalfOpenTimeout` (40 s); where data is outstanding `AcknowledgementTimeout` (45 s, so the stream is closed by 60 s); in"
      "FIN-WAIT-2 `IdleTimeout` (180 s); after a release its timeout (`LingerTimeout`, 5 s); in TIME-WAIT a constant (60 s)."
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
