namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol
open UtpPunch.Sim

/// What one end of a flow uses of the lab.
type ILabLine =
    /// Sends a datagram to the other end. False: the system refuses it as too long (EMSGSIZE).
    abstract Send: bytes: byte[] * mayFragment: bool -> bool
    /// The application has received payload bytes.
    abstract Delivered: count: int -> unit
    /// The flow has ended before its time.
    abstract Failed: reason: string -> unit

/// One end of a flow. The lab calls it when a datagram arrives and when its deadline has come.
type ILabEnd =
    abstract Receive: now: Instant * datagram: Datagram -> unit
    abstract Wake: now: Instant -> unit
    /// When to wake it if nothing arrives before.
    abstract Deadline: Instant
    /// None of a receiver.
    abstract Belief: Belief voption

/// One of our nodes with one stream, and its application. It dials if it has supplies, and otherwise accepts; it reads at once.
[<Sealed>]
type UtpEnd(plan: FlowPlan, options: NodeOptions, host: LabHost, seed: uint64, isSender: bool, line: ILabLine) =
    let clock = host.Clock
    let isPlain = clock = Scenario.clock
    let self = Endpoint.ofIPv4 0x0A000001u 5000us
    let peer = Endpoint.ofIPv4 0x0A000002u 6000us
    let remote = if isSender then peer else self
    let seedBytes = Owned(Array.init 32 (fun i -> UtpPunch.Tracing.Keyed.byteAt seed (int64 i)))

    let local now = if isPlain then now else Scenario.local clock now

    let mutable node = Node.create options seedBytes (local 0L<us>)
    let pending = ResizeArray<Event>()
    let mutable connId: ConnId = 0
    let mutable isDialled = false
    let mutable isClosed = false
    let mutable room = (NodeOptions.forDialect Dialect.Bep29 options).SendBuffer
    /// Bytes of a supply with a rate that were not written yet, and the instant up to which they are counted.
    let mutable ready = 0L
    let mutable suppliedAt = plan.From
    /// Bytes that the application has read and the node does not know of yet.
    let mutable unreported = 0
    let mutable reportAt = Time.never
    let mutable receiveAt = Time.never
    let mutable feedAt = if isSender then plan.From else Time.never
    let mutable abortAt = if isSender then plan.Until else Time.never
    let mutable timerAt = Time.never

    /// The contents do not matter: all writes lend the same bytes.
    static let contents: byte[] = Array.zeroCreate 65_536

    let timer (now: Instant) =
        let deadline = Node.deadline node

        if deadline = Time.never then
            Time.never
        elif isPlain then
            max deadline (now + 1L<us>)
        else
            let due = Scenario.whenLocal clock now deadline
            let draw = UtpPunch.Tracing.Keyed.bits seed 80 (int64 due)

            let late =
                if clock.Late = 0L<us> then
                    0L<us>
                else
                    Time.microseconds (int64 (draw % uint64 (int64 clock.Late + 1L)))

            let granularity = max 1L<us> clock.Granularity
            max (now + 1L<us>) ((due + late + granularity - 1L<us>) / granularity * granularity)

    let write count =
        let mutable left = count

        while left > 0 do
            let size = min left contents.Length
            pending.Add(Event.Write(connId, Owned(contents, 0, size)))
            left <- left - size

        room <- room - count

    /// Writes what is ready and fits.
    let feed (now: Instant) =
        let struct (rate, next) = FlowPlan.supplyAt now plan

        if rate = System.Int64.MaxValue then
            feedAt <- next
            ready <- 0L
            suppliedAt <- now
            // Larger writes cost the lab less; the buffer never runs dry.
            if room >= min contents.Length ((NodeOptions.forDialect Dialect.Bep29 options).SendBuffer / 4) then
                write room
        else
            ready <- ready + rate * int64 (now - suppliedAt)
            suppliedAt <- now
            let count = int (min (int64 room) (ready / 1_000_000L))
            feedAt <- if rate = 0L then next else min next (now + Time.milliseconds 5)

            if count > 0 then
                ready <- ready - int64 count * 1_000_000L
                write count

    let perform (effect: Effect) =
        match effect with
        | Effect.Send(_, train) ->
            for index in 0 .. train.Count - 1 do
                let length = train.LengthOf index
                let bytes = System.GC.AllocateUninitializedArray<byte> length
                train.Write(index, System.Span<byte> bytes) |> ignore

                if not (line.Send(bytes, train.MayFragment)) then
                    pending.Add(Event.TooLong(remote, length, 0))
        | Effect.Deliver(_, payload) ->
            line.Delivered payload.Length
            unreported <- unreported + payload.Length
        | Effect.Writable(_, bytes, _) -> room <- bytes
        | Effect.Accepted(name, _, _, _) ->
            connId <- name
            pending.Add(Event.Taken name)
        | Effect.Closed(_, reason) ->
            isClosed <- true

            if isSender && (abortAt <> Time.never || plan.Until = Time.never) then
                line.Failed(string reason)
        | Effect.Opened _
        | Effect.PacketSized _
        | Effect.PathChanged _
        | Effect.Asked _
        | Effect.ResetWithCode _
        | Effect.PathLost _
        | Effect.Ended _
        | Effect.Finished _
        | Effect.Foreign _
        | Effect.SendDatagram _
        | Effect.OpenSockets _
        | Effect.CloseSockets _
        | Effect.SendAlone _
        | Effect.ServerSilent _
        | Effect.Registered _
        | Effect.Introduced _
        | Effect.Punched _
        | Effect.Discovered _
        | Effect.Noted _ -> ()

    let step (now: Instant) =
        let mutable isDone = false

        while not isDone do
            if unreported > 0 && not isClosed then
                pending.Add(Event.Consumed(connId, unreported))
                unreported <- 0

            let batch = pending.ToArray()
            pending.Clear()
            let struct (next, effects) = Node.step (local now) batch node
            node <- next

            for effect in effects do
                perform effect

            if isSender && not isClosed && now >= plan.From then feed now

            isDone <- pending.Count = 0

        // A reader tells at once, but a step for each packet would double the lab's work: what it has read goes along with the next
        // packet, or follows after a millisecond.
        reportAt <- if unreported > 0 && not isClosed then now + Time.milliseconds 1 else Time.never
        timerAt <- timer now

    do
        if not isSender then
            pending.Add(Event.Listen 4)
            step 0L<us>

    interface ILabEnd with
        member _.Receive(now, datagram) =
            let datagrams = Datagrams.One(Borrowed datagram.Bytes, local now)
            pending.Add(Event.Received((if isSender then peer else self), datagrams))

            if host.Wake = 0L<us> then step now
            elif receiveAt = Time.never then receiveAt <- now + host.Wake

        member _.Wake now =
            if now >= receiveAt then receiveAt <- Time.never

            if now >= abortAt && not isClosed then
                abortAt <- Time.never
                feedAt <- Time.never
                pending.Add(Event.Abort connId)
                isClosed <- true
            elif isSender && not isDialled && now >= plan.From then
                isDialled <- true
                feedAt <- Time.never
                pending.Add(Event.Connect(connId, remote, Dialect.Bep29, Time.seconds 60))

            step now

        member _.Deadline =
            min (min (min receiveAt reportAt) timerAt) (if isClosed then Time.never else min feedAt abortAt)

        member _.Belief =
            if not isSender then
                ValueNone
            else
                match Node.stream connId node with
                | ValueSome stream ->
                    ValueSome
                        { Window = int64 stream.CongestionWindow
                          Flight = int64 stream.InFlight
                          RoundTrip = stream.RoundTrip
                          Queueing = stream.QueueingDelay
                          PacingRate = stream.PacingRate
                          Phase = stream.Phase
                          Retransmissions = stream.Retransmissions
                          Timeouts = stream.Timeouts }
                | ValueNone -> ValueNone
