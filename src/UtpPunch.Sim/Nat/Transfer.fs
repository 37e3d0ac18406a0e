namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// The application of a host that has one stream: it writes a little every now and then, and checks what it reads.
[<Sealed; AllowNullLiteral>]
type Transfer(own: uint64, theirs: uint64, bytes: int, chunk: int, pause: Duration) =
    let mutable stream = -1
    let mutable written = 0
    let mutable received = 0L
    let mutable nextAt = Time.never
    let mutable lastAt = 0L<us>
    let mutable gap = 0L<us>
    let mutable isFinished = false
    let mutable isEnded = false
    let moves = List<struct (Instant * Endpoint)>()
    let losses = List<Instant>()

    member _.Received = received
    /// The longest time between two deliveries so far; `Rest` begins it anew.
    member _.LongestGap = gap

    member _.Rest(now: Instant) =
        gap <- 0L<us>
        lastAt <- now

    /// Whether everything is written and acknowledged, and the peer's end has come.
    member _.IsDone = isFinished && isEnded
    member val Reason: CloseReason voption = ValueNone with get, set
    /// When the stream's path has changed, and to where, and when it was lost.
    member _.Moves = moves
    member _.Losses = losses
    member _.NextAt = nextAt

    /// Writes what is due.
    member _.Due(now: Instant) : Event list =
        if now < nextAt then
            []
        else
            let count = min chunk (bytes - written)
            let content = Array.init count (fun index -> Keyed.byteAt own (int64 (written + index)))
            written <- written + count
            nextAt <- if written < bytes then now + pause else Time.never
            let writes = [ if count > 0 then Event.Write(stream, Owned content) ]
            if written >= bytes then writes @ [ Event.Finish stream ] else writes

    /// What the application does after an effect.
    member this.Take(now: Instant, effect: Effect) : Event list =
        match effect with
        | Effect.Opened(connId, _)
        | Effect.Accepted(connId, _, _, _) when stream < 0 ->
            stream <- connId
            nextAt <- now + 1L<us>
            lastAt <- now
            []
        | Effect.Deliver(connId, payload) when connId = stream ->
            let content = Array.zeroCreate<byte> payload.Length
            payload.CopyTo(0, content.AsSpan()) |> ignore

            if Content.firstWrong theirs received (ReadOnlySpan content) >= 0 then
                Check.fail "S1" $"other bytes than were written, at {received}"

            received <- received + int64 payload.Length
            gap <- max gap (now - lastAt)
            lastAt <- now
            [ Event.Consumed(connId, payload.Length) ]
        | Effect.PathChanged(connId, remote) when connId = stream ->
            moves.Add(struct (now, remote))
            []
        | Effect.PathLost connId when connId = stream ->
            losses.Add now
            []
        | Effect.Finished connId when connId = stream ->
            isFinished <- true
            []
        | Effect.Ended connId when connId = stream ->
            isEnded <- true
            []
        | Effect.Closed(connId, reason) when connId = stream ->
            this.Reason <- ValueSome reason
            nextAt <- Time.never
            []
        | _ -> []
