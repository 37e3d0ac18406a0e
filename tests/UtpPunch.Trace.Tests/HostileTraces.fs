/// Traces from untrusted sources: for any input, reading, replaying and showing a trace end with a result or with a typed error that
/// names the line, within bounds of time and memory.
module UtpPunch.Tracing.Tests.HostileTraces

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Threading
open Expecto
open UtpPunch.Cli
open UtpPunch.Cli.Traces
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Tracing

[<Literal>]
let private Cases = 10_000

[<Literal>]
let private MostBytes = 256_000_000L

let private mostTime = TimeSpan.FromSeconds 5.0

/// The trace of a node that meets, punches and asks STUN servers, without a peer.
let private tasks (cutAt: int) : string[] =
    let lines = ResizeArray<string>()
    let writer = TraceWriter(Action<string>(lines.Add), TraceWriter.Core, TracePayloads.Full)
    let remote = Endpoint.ofIPv4 0x0A000009u 3478us
    let seed = Owned(Array.init 32 byte)
    let traced = TraceNode("A", Endpoint.ofIPv4 0x0A000001u 5000us, NodeOptions.standard, seed, 0L<us>)
    writer.Node traced
    let mutable node = traced.Create()
    let mutable now = 0L<us>

    let plan: MeetPlan =
        { Servers = [| remote |]
          Room = Owned(Array.init 32 byte)
          Hosts = [| remote |]
          Stays = true
          Timeout = Time.seconds 60
          PunchTimeout = Time.seconds 10
          Birthday = true
          PrimingHops = 4
          PrivateAddresses = PrivateAddressPolicy.Shared
          PathTimeout = Time.seconds 180
          Reports = false }

    let first =
        [| Event.Meet(1, plan)
           Event.PunchLegacy(2, remote, 5)
           Event.PunchOffered(4, plan, plan.Room, Owned(Array.init 40 byte), true)
           Event.Discover(3, StunClient.standard [| remote |])
           Event.Connect(2, remote, Dialect.Bep29, Time.seconds 20) |]

    for step in 0..25 do
        let events = if step = 0 then first else [||]

        if step = cutAt then writer.Snapshot("A", Snapshot.take true node)

        let struct (after, effects) = Node.step now events node

        if step >= cutAt then
            writer.Events(int64 now, "A", now, events, null)
            writer.Effects(int64 now, "A", effects, null)

        node <- after
        now <- Node.deadline node

    writer.End()
    lines.ToArray()

let private scenario = Replays.lossy 150 9_000 4_000

/// Without `#end`, with which nearly every change would be refused.
let private bases =
    lazy
        [| for lines in
               [ Replays.record TracePayloads.Full 0 scenario
                 Replays.record (Replays.synth scenario) 0 scenario
                 Replays.record TracePayloads.Full 14 scenario
                 Replays.record TracePayloads.Hash 20 scenario
                 tasks 0
                 tasks 12 ] -> lines[.. lines.Length - 2] |]

/// The output of the tool for a trace, in all three forms.
let private show (text: string) (isPage: bool) =
    let model = TraceReader.Read(new StringReader(text), "hostile.utrace")
    TraceLadder(model, TextWriter.Null).Write()

    if isPage then TracePage.Write(model, Stream.Null)

    TraceCapture.Write(model, Stream.Null)

/// Null when the call ended as it may.
let private outcome (call: unit -> unit) : string =
    try
        call ()
        null
    with
    | :? TraceException as error when error.Line > 0 -> null
    | :? ToolException as error when error.Message.StartsWith "line " -> null
    | error -> error.ToString()

let private replay (text: string) =
    let trace = Trace.Parse text
    let result = Replay.run ReplayMode.Strict trace null
    if not (isNull (box result.Divergence)) then result.Divergence.ToString() |> ignore

/// The failure of a case; null for none.
let private run (case: int) : string =
    let bases = bases.Value
    let lines = Mutations.apply (uint64 case + 1UL) bases[case % bases.Length]
    let text = String.Join('\n', lines) + "\n"
    let before = GC.GetAllocatedBytesForCurrentThread()
    let clock = Stopwatch.StartNew()

    let problems = [ outcome (fun () -> replay text); outcome (fun () -> show text (case % 10 = 0)) ]

    let allocated = GC.GetAllocatedBytesForCurrentThread() - before

    match List.tryFind (isNull >> not) problems with
    | Some problem -> problem
    | None when clock.Elapsed > mostTime -> $"{clock.Elapsed.TotalSeconds} s"
    | None when allocated > MostBytes -> $"{allocated} bytes"
    | None -> null

/// Runs the cases on a thread of their own, so that a case that does not end cannot hang the tests.
let private runAll () : string list =
    let problems = ResizeArray<string>()
    let mutable current = 0
    let mutable since = Stopwatch.GetTimestamp()

    let work () =
        while Volatile.Read &current < Cases do
            let problem = run current

            if not (isNull problem) then
                lock problems (fun () -> problems.Add $"case {current}: {problem}")

            Volatile.Write(&since, Stopwatch.GetTimestamp())
            Volatile.Write(&current, current + 1)

    let thread = Thread(work, IsBackground = true)
    thread.Start()
    let isLate () = Stopwatch.GetElapsedTime(Volatile.Read &since) > 12.0 * mostTime

    while thread.IsAlive && not (isLate ()) do
        thread.Join 100 |> ignore

    if thread.IsAlive then problems.Add $"case {Volatile.Read &current} does not end"
    List.ofSeq problems

let tests =
    testList
        "hostile traces"
        [ test "the traces that are changed replay as they are" {
              for lines in bases.Value do
                  let result = Replay.run ReplayMode.Strict (Trace.Read lines) null
                  Expect.isNull (box result.Divergence) "the same outputs"
                  Expect.isGreaterThan result.Lines 15 "lines"
          }
          test "a run whose datagrams claim to be longer than any buffer is refused" {
              let head = bases.Value[0] |> Array.takeWhile (fun line -> line.StartsWith '#') |> List.ofArray

              let run (segment: int64) =
                  let text =
                      head
                      @ [ "    0.000000 A in  step      now=0"
                          $"    0.000000 A in  recv      from=10.0.0.2:1 at=0 n=1 seg={segment} len=2"
                          "    0.000000 A in  pkt       p=0 i=1/1 raw=0000" ]

                  Trace.Parse(String.Join('\n', text) + "\n") |> ignore

              run 2L
              run (1L <<< 20)

              for segment in [ (1L <<< 20) + 1L; int64 Int32.MaxValue ] do
                  Expect.throwsT<TraceException> (fun () -> run segment) $"{segment} bytes"
          }
          test "10 000 changed traces end with a result or a typed error, within 5 s and 256 MB each" {
              let problems = runAll ()

              if not problems.IsEmpty then
                  let shown = String.Join("\n", List.truncate 5 problems)
                  failtest $"{problems.Length} cases:\n{shown}"
          } ]
