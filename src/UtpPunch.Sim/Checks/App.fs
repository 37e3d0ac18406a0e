namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// One direction of a stream: bytes written and bytes delivered. Checks S1, S2 and S15, unless the path changes bytes and UDP's
/// checksum does not detect it (`isTrusted` is false): uTP has no checksum of its own.
[<Sealed>]
type Ledger(key: uint64, isTrusted: bool) =
    member _.Key = key
    member val Written = 0L with get, set
    member val Finished = false with get, set
    member val Delivered = 0L with get, set
    member val Ended = false with get, set

    /// Delivered bytes must be the written ones, in order.
    member this.Deliver(name: string, payload: Payload) =
        let mutable rest = payload.Length
        let mutable at = payload.Offset
        let pieceSize = if payload.Size = 0 then payload.Length else payload.Size

        while rest > 0 do
            let count = min pieceSize rest
            let piece = ReadOnlySpan<byte>(payload.Buffer, at, count)
            let wrong = Content.firstWrong key this.Delivered piece

            if wrong >= 0 && isTrusted then
                Check.fail "S1" $"{name}: the byte at {this.Delivered + int64 wrong} is not the one that was written"

            this.Delivered <- this.Delivered + int64 count
            rest <- rest - count
            at <- at + payload.Stride

        if this.Delivered > this.Written && isTrusted then
            Check.fail "S1" $"{name}: {this.Delivered} bytes delivered of {this.Written} written"

        if this.Ended then Check.fail "S2" $"{name}: bytes after the end"

    member this.End(name: string) =
        this.Ended <- true

        if isTrusted && (not this.Finished || this.Delivered <> this.Written) then
            Check.fail "S2" $"{name}: the end after {this.Delivered} of {this.Written} bytes"

/// The application at one end of a stream, which follows its plan.
[<Sealed; AllowNullLiteral>]
type App(name: string, connId: ConnId, flow: int, plan: Plan, writes: Ledger, reads: Ledger, room: int) =
    let mutable unread = 0
    let mutable taken = 0
    let mutable writeAt = 0L<us>
    let mutable readAt = 0L<us>
    let mutable stalled = false
    let mutable over = false

    member _.Name = name
    member _.ConnId = connId
    member _.Flow = flow
    member _.Plan = plan
    member _.Writes = writes
    /// That with which it aborts its stream, if its plan is to: another one for each end.
    member _.ErrorCode = uint32 (Keyed.mix writes.Key)

    member _.Aborts =
        match plan.Ending with
        | Ending.Abort _ -> true
        | _ -> false

    member _.Reads = reads
    /// The time of its next read.
    member _.ReadAt = readAt
    member val Room = room with get, set
    /// The time of its scheduled wake-up; `Time.never` for none.
    member val WakeAt = Time.never with get, set
    member val Closed: CloseReason voption = ValueNone with get, set
    member val ClosedAt = 0L<us> with get, set
    member val Ended = false with get, set
    member val Finished = false with get, set
    member val Released = false with get, set

    member _.Take(payload: Payload) = unread <- unread + payload.Length

    member private this.Read(now: Instant, events: ResizeArray<Event>) =
        if taken >= plan.StallAt && not stalled then
            stalled <- true
            readAt <- Time.after plan.StallFor now

        if unread > 0 && now >= readAt then
            let count = if plan.ReadSize = 0 then unread else min plan.ReadSize unread
            unread <- unread - count
            taken <- taken + count
            readAt <- now + plan.ReadPause
            events.Add(Event.Consumed(connId, count))

    member private this.Write(now: Instant, events: ResizeArray<Event>) =
        let limit =
            match plan.Ending with
            | Ending.Abort written -> min written plan.Bytes
            | _ -> plan.Bytes

        let mutable going = now >= writeAt

        while going do
            let count = min (min plan.Chunk this.Room) (limit - int writes.Written)

            if count <= 0 then
                going <- false
            else
                let chunk = GC.AllocateUninitializedArray<byte> count
                Keyed.fill writes.Key writes.Written (Span<byte> chunk)
                writes.Written <- writes.Written + int64 count
                this.Room <- this.Room - count
                events.Add(Event.Write(connId, Owned chunk))

                if plan.Pause > 0L<us> then
                    writeAt <- now + plan.Pause
                    going <- false

        if writes.Written >= int64 limit && not over then
            match plan.Ending with
            | Ending.Finish ->
                over <- true
                writes.Finished <- true
                events.Add(Event.Finish connId)
            | Ending.FinishLast ->
                if this.Ended then
                    over <- true
                    writes.Finished <- true
                    events.Add(Event.Finish connId)
            | Ending.Release timeout ->
                over <- true
                writes.Finished <- true
                // Bytes that still arrive are discarded.
                this.Released <- true
                events.Add(Event.Release(connId, timeout))
            | Ending.Abort _ ->
                over <- true
                events.Add(Event.AbortWithCode(connId, this.ErrorCode))
            | Ending.Stay -> ()

    /// Takes the actions that are due.
    member this.Act(now: Instant, events: ResizeArray<Event>) =
        if this.Closed.IsNone then
            this.Read(now, events)
            this.Write(now, events)

    /// When it must be called again; `Time.never` if only an effect can change something.
    member this.NextAt(now: Instant) =
        if this.Closed.IsSome then
            Time.never
        else
            let reading = if unread > 0 then max readAt (now + 1L<us>) else Time.never

            let writing =
                if not over && writes.Written < int64 plan.Bytes && this.Room > 0 && plan.Pause > 0L<us> then
                    max writeAt (now + 1L<us>)
                else
                    Time.never

            if readAt = Time.never then writing else min reading writing
