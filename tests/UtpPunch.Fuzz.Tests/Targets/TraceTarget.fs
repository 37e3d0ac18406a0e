/// Traces from untrusted sources: reading, replaying and showing a trace end with a result or with an error that names the line.
module UtpPunch.Fuzz.TraceTarget

open System
open System.IO
open System.Text
open UtpPunch.Cli
open UtpPunch.Cli.Traces
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Tracing

let private text (input: Input) =
    String.Join('\n', Array.map (fun (chunk: byte[]) -> Encoding.Latin1.GetString chunk) input) + "\n"

let private ofLines (lines: string seq) : Input = lines |> Seq.map Encoding.Latin1.GetBytes |> Array.ofSeq

/// An error without what it quotes and without numbers.
let private kindOf (message: string) =
    let first, last = message.IndexOf '\'', message.LastIndexOf '\''
    let unquoted = if first < 0 then message else message.Remove(first, last - first)
    RegularExpressions.Regex.Replace(unquoted, @"\d+", "N")

/// Runs what may end with a typed error.
let private attempt (features: Features) (area: int) (call: unit -> unit) =
    try
        call ()
        features.Add(area, 0)
    with
    | :? TraceException as error when error.Line > 0 -> features.AddText(area, kindOf error.Message)
    | :? ToolException as error when error.Message.StartsWith "line " -> features.AddText(area, kindOf error.Message)

/// What is recorded of a step is read as the same lines.
let private checkRecording (trace: Trace) (step: TraceStep) =
    let recording = TraceRecording(256, true)
    let events = step.Events()
    let lines events = TraceText.events trace.Payloads null step.Time step.Node step.Now events |> Array.map string
    recording.Begin(step.Now, events)
    let reader = TraceRecordingReader recording
    Target.check (reader.Read()) "A recorded step cannot be read."
    Target.check (lines reader.Events = lines events) "A step changes when it is recorded and read."

let private replay (features: Features) (text: string) =
    let trace = Trace.Parse text
    features.AddSize(3, trace.Steps.Length)

    for step in Seq.truncate 20 trace.Steps do
        for line in step.Inputs do
            features.AddText(4, line.Kind)

        checkRecording trace step

    let result = Replay.run ReplayMode.Strict trace null
    features.AddSize(5, result.Steps)
    let divergence = result.Divergence
    features.Add(6, (if isNull (box divergence) then 0 else divergence.Differences.Length))
    if not (isNull (box divergence)) then divergence.ToString() |> ignore

let private show (isWhole: bool) (text: string) =
    let model = TraceReader.Read(new StringReader(text), "fuzz.utrace")
    TraceLadder(model, TextWriter.Null).Write()
    if isWhole then TracePage.Write(model, Stream.Null)
    TraceCapture.Write(model, Stream.Null)

let private run (features: Features) (input: Input) =
    let text = text input
    attempt features 1 (fun () -> replay features text)
    attempt features 2 (fun () -> show (Input.hash input % 16UL = 0UL) text)

/// The lines of a short run of the simulator, without the last, with which nearly every change would be refused.
let private recorded (payload: int) : string list =
    let scenario = { Scenario.calm with Seed = 3UL }
    let lines = ResizeArray<string>()
    Recording.write scenario (Action<string>(lines.Add)) |> ignore
    List.ofSeq lines |> List.filter (fun line -> not (line.StartsWith "#end")) |> List.truncate payload

/// The trace of a node that meets, punches, discovers and dials; from a snapshot if `fromSnapshot`.
let private tasks (fromSnapshot: bool) : string list =
    let lines = ResizeArray<string>()
    let writer = TraceWriter(Action<string>(lines.Add), TraceWriter.Core, TracePayloads.Full)
    let remote = Endpoint.ofIPv4 0x0A000009u 3478us

    let traced =
        TraceNode("A", Endpoint.ofIPv4 0x0A000001u 5000us, NodeOptions.standard, Owned(Array.init 32 byte), 0L<us>)

    writer.Node traced
    let mutable node = traced.Create()

    let plan =
        { Plans.meeting remote (Owned(Array.init 32 byte)) [| remote |] with Stays = true; PrimingHops = 4 }

    let first =
        [| Event.Meet(1, plan)
           Event.PunchLegacy(2, remote, 5)
           Event.PunchOffered(4, plan, plan.Room, Owned(Array.init 40 byte), true)
           Event.Discover(3, StunClient.standard [| remote |])
           Event.Connect(2, remote, Dialect.Bep29, Time.seconds 20) |]

    let step now events =
        let struct (after, effects) = Node.step now events node

        if not fromSnapshot || Array.isEmpty events then
            writer.Events(int64 now, "A", now, events, null)
            writer.Effects(int64 now, "A", effects, null)

        node <- after

    step 0L<us> first
    if fromSnapshot then writer.Snapshot("A", Snapshot.take true node)

    for _ in 1..4 do
        step (Node.deadline node) [||]

    List.ofSeq lines

let private bases = lazy (List.map ofLines [ recorded 40; recorded 90; tasks false; tasks true ])

let target: Target =
    { Name = "trace"
      About = "traces as text, with snapshots: read, replayed, recorded and shown"
      Seeds = fun _ -> bases.Value
      Fresh = fun draws -> draws.Of(draws.Of(Array.ofList bases.Value))
      Run = run
      MostAllocated = struct (256_000_000L, 1_000L, 0L) }
