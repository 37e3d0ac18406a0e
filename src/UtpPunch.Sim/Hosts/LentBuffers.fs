namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol

module private Poison =
    let over (array: byte[]) (offset: int) (length: int) = Span<byte>(array, offset, length).Fill 0xDBuy

/// The written bytes of a stream that are not acknowledged yet.
[<Sealed>]
type private WrittenBytes() =
    let chunks = Queue<Owned>()
    let mutable written = 0L
    let mutable overwritten = 0L
    /// Bytes of the first chunk that were overwritten already.
    let mutable start = 0

    member _.Add(bytes: Owned) =
        chunks.Enqueue bytes
        written <- written + int64 bytes.Length

    /// Overwrites everything up to an offset of the stream.
    member _.Overwrite(until: int64) =
        while overwritten < until do
            let chunk = chunks.Peek()
            let count = int (min (until - overwritten) (int64 (chunk.Length - start)))
            Poison.over chunk.Array (chunk.Offset + start) count
            overwritten <- overwritten + int64 count
            start <- start + count

            if start = chunk.Length then
                chunks.Dequeue() |> ignore
                start <- 0

    member _.Written = written

/// The input buffers of one machine. Overwrites each as soon as the core must not read it any more, as an allocator poisons freed memory: a
/// received buffer after the step that it was passed to, written bytes when they were acknowledged or their stream closed. A slice that
/// was kept without a copy then shows as wrong content, in every run.
///
/// The buffers must be the machine's alone, so that nothing else is overwritten with them. Call `Stepped` when everything that reads the
/// events and effects of a step has done so.
[<Sealed>]
type LentBuffers() =
    let streams = Dictionary<ConnId, WrittenBytes>()

    /// Overwrites a datagram that was read.
    static member Overwrite(datagram: Borrowed) = Poison.over datagram.Array datagram.Offset datagram.Length

    member _.Stepped(events: Event[], effects: Effect[]) =
        for event in events do
            match event with
            | Event.Received(_, datagrams) -> Poison.over datagrams.Buffer datagrams.Offset datagrams.Length
            | Event.ConnectSimultaneously(connId, _, _, _)
            | Event.Connect(connId, _, _, _) -> streams[connId] <- WrittenBytes()
            | Event.Write(connId, bytes) ->
                match streams.TryGetValue connId with
                | true, stream -> stream.Add bytes
                // The stream is gone, and the core ignores the event.
                | _ -> Poison.over bytes.Array bytes.Offset bytes.Length
            | _ -> ()

        for effect in effects do
            match effect with
            | Effect.Accepted(connId, _, _, _) -> streams[connId] <- WrittenBytes()
            | Effect.Writable(connId, _, unacknowledged) ->
                match streams.TryGetValue connId with
                | true, stream -> stream.Overwrite(stream.Written - int64 unacknowledged)
                | _ -> ()
            | Effect.Closed(connId, _) ->
                match streams.TryGetValue connId with
                | true, stream ->
                    stream.Overwrite stream.Written
                    streams.Remove connId |> ignore
                | _ -> ()
            | _ -> ()
