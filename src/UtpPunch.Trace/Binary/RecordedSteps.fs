namespace UtpPunch.Tracing

open System.Collections.Generic
open UtpPunch.Protocol

/// Steps in binary, one behind the other: what a node records of itself. Of payloads it keeps hashes, or everything when `full`. Nothing
/// that the core holds is kept.
[<Sealed; NoComparison; NoEquality>]
type TraceRecording private (bytes: GrowingBytes, full: bool) =
    let writer = BinaryWriter(bytes, full)
    static member internal Step = 0uy
    static member internal Fault = 255uy

    new(capacity: int, full: bool) = TraceRecording(GrowingBytes capacity, full)

    /// Bytes recorded, and bytes that it has room for without growing.
    member _.Length = bytes.Length
    member _.Capacity = bytes.Capacity

    /// Forgets what was recorded behind this length.
    member _.Truncate(length: int) = bytes.Truncate length

    member _.Copy() = TraceRecording(bytes.Copy(), full)

    /// A step, before it is taken.
    member _.Begin(now: Instant, events: Event[]) : unit =
        bytes.Byte TraceRecording.Step
        bytes.Signed(int64 now)
        writer.Leave()

        for event in events do
            match event with
            | Event.Received(from, datagrams) ->
                // Not through the schema, which would make another event of it.
                bytes.Byte Kinds.received.Code
                writer.Received(from, datagrams) |> ignore
            | _ ->
                writer.Leave()
                Schema.event writer event |> ignore

    /// What the step did.
    member _.Complete(effects: Effect[]) : unit =
        for effect in effects do
            match effect with
            | Effect.Send(remote, train) ->
                bytes.Byte Kinds.sent.Code
                writer.Sent(remote, train) |> ignore
            | _ -> Schema.effect writer effect |> ignore

    /// The step threw.
    member _.Fail() : unit = bytes.Byte TraceRecording.Fault

    member internal _.Bytes = bytes
    member internal _.IsFull = full

/// Takes the steps out of a recording again, one after the other.
[<Sealed; NoComparison; NoEquality>]
type TraceRecordingReader(recording: TraceRecording) =
    let hashes = Queue<uint64>()
    let reader = BinaryReader(recording.Bytes, recording.IsFull, hashes)
    let events = ResizeArray<Event>()
    let effects = ResizeArray<Effect>()
    let mutable now = 0L<us>
    let mutable hasFailed = false

    let isEvent (code: byte) = code > TraceRecording.Step && code < Kinds.FirstEffect
    let isEffect (code: byte) = code >= Kinds.FirstEffect && code < TraceRecording.Fault

    /// The time and the events of the step that `Read` has read, and what it did.
    member _.Now: Instant = now
    member _.Events = events.ToArray()
    member _.Effects = effects.ToArray()
    /// Whether the step threw.
    member _.HasFailed = hasFailed

    /// The hashes of the step's packets, in their order: what `TracePayloads.Hashed` asks for.
    member _.NextHash() = hashes.Dequeue()

    /// Reads the next step; false at the end.
    member _.Read() : bool =
        events.Clear()
        effects.Clear()

        if reader.IsAtEnd then
            false
        else
            reader.Byte() |> ignore
            now <- Time.microseconds (reader.Signed())
            reader.Leave()

            while not reader.IsAtEnd && isEvent (reader.Peek()) do
                let code = reader.Byte()
                if code <> Kinds.received.Code then reader.Leave()
                events.Add(Schema.event reader (TemplateIndex.events.OfCode code))

            while not reader.IsAtEnd && isEffect (reader.Peek()) do
                effects.Add(Schema.effect reader (TemplateIndex.effects.OfCode(reader.Byte())))

            hasFailed <- not reader.IsAtEnd && reader.Peek() = TraceRecording.Fault
            if hasFailed then reader.Byte() |> ignore

            true
