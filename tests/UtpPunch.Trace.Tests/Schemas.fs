/// The schema of events and effects: it covers every case, and all encodings agree with it.
module UtpPunch.Tracing.Tests.Schemas

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Microsoft.FSharp.Reflection
open UtpPunch.Protocol
open UtpPunch.Tracing

let private cases (kind: Type) = [ for case in FSharpType.GetUnionCases(kind, true) -> case.Name ]

let private caseOf (value: 'T) =
    let case, _ = FSharpValue.GetUnionFields(box value, typeof<'T>, true)
    case.Name

/// Whether a table of names has every case of a union without fields, by its name and in the order of the tags.
let private isWhole (names: Names<'T>) =
    let values =
        [| for case in FSharpType.GetUnionCases(typeof<'T>, true) -> FSharpValue.MakeUnion(case, [||], true) :?> 'T |]

    Expect.equal names.Values values $"the values of {typeof<'T>.Name}"

    names.Values |> Array.iteri (fun index value -> Expect.equal (names.IndexOf value) index $"{value}")

let private inCaseNames (names: Names<'T>) = Expect.equal (List.ofArray names.Texts) (cases typeof<'T>) typeof<'T>.Name

let private text (lines: TraceLine[]) = [ for line in lines -> line.ToString() ]

let private linesOf (page: string) =
    let rec root (folder: DirectoryInfo) =
        if File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")) then
            folder.FullName
        else
            root folder.Parent

    File.ReadAllLines(Path.Combine(root (DirectoryInfo AppContext.BaseDirectory), page))

/// The words of the lines in a table of docs/utrace.md, with the words of their fields.
let private documented (heading: string) =
    let lines = linesOf "docs/utrace.md"
    let from = Array.IndexOf(lines, "## " + heading)

    [ for line in lines |> Seq.skip (from + 1) |> Seq.takeWhile (fun line -> not (line.StartsWith "## ")) do
          let cells = line.Split '|'

          if cells.Length > 3 && cells[1].Contains '`' then
              for word in Regex.Matches(cells[1], "`([^`]+)`") do
                  word.Groups[1].Value, set [ for it in Regex.Matches(cells[2], @"[\w.]+") -> it.Value ] ]
    |> dict

/// Every key of a line must be in the table's row of its kind.
let private isDocumented (rows: Collections.Generic.IDictionary<string, Set<string>>) (line: TraceLine) =
    Expect.isTrue (rows.ContainsKey line.Kind) $"docs/utrace.md has {line.Kind}"

    for field in line.Fields do
        let key = field.Split('=')[0]
        let isKnown = field.IndexOf '=' < 0 || rows[line.Kind].Contains key
        Expect.isTrue isKnown $"docs/utrace.md has {key} of {line.Kind}"

let tests =
    testList
        "trace schema"
        [ test "every case of an event and of an effect has a kind of its own" {
              Expect.equal (List.distinct [ for it in Templates.events -> caseOf it ]) (cases typeof<Event>) "events"
              Expect.equal (List.distinct [ for it in Templates.effects -> caseOf it ]) (cases typeof<Effect>) "effects"
              let events = [| for it in Templates.events -> Templates.eventKind it |]
              let effects = [| for it in Templates.effects -> Templates.effectKind it |]
              let codes = [ for kind in Array.append events effects -> kind.Code ]
              Expect.equal (List.distinct codes) codes "the codes"

              for kinds in [ events; effects ] do
                  let words = [ for kind in kinds -> kind.Word + " " + kind.Key ]
                  Expect.equal (List.distinct words) words "the words"

              Expect.isTrue
                  (events |> Array.forall (fun kind -> kind.Code < Kinds.FirstEffect))
                  "events are below effects"
          }
          test "the tables of names are complete, and an index is a tag" {
              isWhole TraceNames.dialects
              isWhole TraceNames.reasons
              isWhole TraceNames.rules
              isWhole TraceNames.stages
              isWhole TraceNames.pathKinds
              inCaseNames TraceNames.reasons
              inCaseNames TraceNames.rules
              inCaseNames TraceNames.stages
              inCaseNames TraceNames.pathKinds

              Expect.equal
                  (List.ofArray TraceNames.natBehaviors.Texts)
                  ("Unknown" :: cases typeof<NatBehavior>)
                  "NAT behaviors"

              Expect.equal TraceNames.packetTypes.Values (Enum.GetValues<PacketType>()) "packet types"
          }
          test "every effect is read back from its line" {
              for effect in Templates.effects do
                  let lines = TraceText.effects TracePayloads.Full null 5L "A" [| effect |]

                  match effect with
                  | Effect.Send _ ->
                      Expect.throwsT<LineException>
                          (fun () -> TraceText.parseEffect TracePayloads.Full lines[0] |> ignore)
                          "a pkt line is a part of an effect"
                  | _ ->
                      let read = TraceText.parseEffect TracePayloads.Full (TraceLine.parse (lines[0].ToString()))
                      Expect.equal (caseOf read) (caseOf effect) "the case"

                      Expect.equal
                          (text (TraceText.effects TracePayloads.Full null 5L "A" [| read |]))
                          (text lines)
                          "the line again"
          }
          test "every event and effect is recorded in binary and comes back with the same lines" {
              for full in [ false; true ] do
                  let recording = TraceRecording(16, full)
                  recording.Begin(7L<us>, Templates.events)
                  recording.Complete Templates.effects
                  recording.Begin(8L<us>, [||])
                  recording.Fail()
                  let reader = TraceRecordingReader(recording.Copy())
                  Expect.isTrue (reader.Read()) "a step"
                  let payloads = if full then TracePayloads.Full else TracePayloads.Hash
                  let events = TraceText.events payloads null 7L "A" 7L<us>
                  Expect.equal (text (events reader.Events)) (text (events Templates.events)) "the events"
                  let effects = TraceText.effects payloads null 7L "A"
                  Expect.equal (text (effects reader.Effects)) (text (effects Templates.effects)) "the effects"
                  Expect.equal reader.Now 7L<us> "the time"
                  Expect.isFalse reader.HasFailed "it did not throw"
                  Expect.isTrue (reader.Read() && reader.HasFailed && reader.Now = 8L<us>) "a step that threw"
                  Expect.isFalse (reader.Read()) "the end"
          }
          test "docs/rules.md has every reason and every rule, in their order" {
              let rows =
                  [ for line in linesOf "docs/rules.md" do
                        let first = Regex.Match(line, @"^\| `(\w+)` \|")
                        if first.Success then first.Groups[1].Value ]

              let names = Array.append TraceNames.reasons.Texts TraceNames.rules.Texts
              Expect.equal rows (List.ofArray names) "the first column"
          }
          test "docs/utrace.md has every kind, and every field of it" {
              let inputs = documented "Input"
              let outputs = documented "Output"

              for line in (TraceText.events TracePayloads.Full null 0L "A" 0L<us> Templates.events)[1..] do
                  isDocumented inputs line

              for line in TraceText.effects TracePayloads.Full null 0L "A" Templates.effects do
                  isDocumented outputs line
          } ]
