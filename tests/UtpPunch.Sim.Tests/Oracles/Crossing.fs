/// A stream between two machines of any kind (core or oracle) over two links: each must understand the other.
module UtpPunch.Sim.Tests.Crossing

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// The machine at an end.
type Kind =
    | Core
    /// The oracle with that many packets in flight, with or without selective acknowledgements.
    | Oracle of window: int * sacks: bool

/// The bytes to transfer, and the links.
[<NoComparison>]
type Crossing =
    {
        Seed: uint64
        Dialect: Dialect
        Dialler: Kind
        Acceptor: Kind
        FromDialler: int
        FromAcceptor: int
        /// The most bytes that an application writes at once.
        WriteSize: int
        LinkAB: Link
        LinkBA: Link
        /// Whether the sequence numbers wrap within a few dozen packets.
        Wraps: bool
    }

let private payloadSize dialect =
    match dialect with
    | Dialect.Bep29 -> 1300
    | Dialect.UtpPunch -> 1000

let private made (crossing: Crossing) seed kind : IMachine =
    match kind with
    | Core -> CoreMachine({ NodeOptions.standard with Dialect = crossing.Dialect }, seed, 0L<us>)
    | Oracle(window, sacks) ->
        OracleMachine(
            { OracleOptions.standard with
                Dialect = crossing.Dialect
                Window = window
                PayloadSize = payloadSize crossing.Dialect
                Sacks = sacks },
            seed
        )

let private syn =
    let header =
        { Type = PacketType.Syn
          ConnectionId = 100us
          Timestamp = 0u
          TimestampDifference = 0u
          Window = 1u <<< 20
          SeqNr = SeqNr 1us
          AckNr = SeqNr 0us }

    let datagram = Array.zeroCreate<byte> Packet.HeaderLength
    Packet.encode &header Owned.Empty 0UL Owned.Empty (Span<byte>(datagram)) |> ignore
    Owned datagram

/// The number in the first packet of a new machine, which dials or accepts.
let private firstNumber (crossing: Crossing) dials (machine: IMachine) =
    let elsewhere = Endpoint.ofIPv4 3u 5000us

    let events =
        if dials then
            [| Event.Connect(0, elsewhere, crossing.Dialect, Time.seconds 1) |]
        else
            [| Event.Listen 1; Event.Received(elsewhere, Datagrams.One(syn.AsBorrowed, 0L<us>)) |]

    machine.Step(0L<us>, events)
    |> Array.pick (fun effect ->
        match effect with
        | Effect.Send(_, train) -> Some train.Header.SeqNr.Value
        | _ -> None)

/// The first number follows from the machine's seed, so a seed is searched that gives the wanted number.
let private machineOf (crossing: Crossing) dials seed kind : IMachine =
    let suits seed = not crossing.Wraps || firstNumber crossing dials (made crossing seed kind) >= 0xFFC0us
    let seeds = Seq.initInfinite (fun index -> Keyed.mix (seed + uint64 index))
    made crossing (Seq.find suits seeds) kind

/// A machine, and the one stream of its application, which writes the stream of the key `writes` and expects that of `reads`.
[<Sealed; AllowNullLiteral>]
type private Party
    (name: string, machine: IMachine, endpoint: Endpoint, writes: uint64, size: int, reads: uint64, expected: int) =
    let failures = ResizeArray<string>()
    let mutable connId = -1
    let mutable room = 0
    let mutable written = 0
    let mutable read = 0
    let mutable finishing = false
    let mutable ended = false
    let mutable finished = false
    let mutable closed = ValueNone

    member _.Machine = machine
    member _.Endpoint = endpoint
    member val Busy: Instant = 0L<us> with get, set
    member val Sent = 0L with get, set
    member _.IsDone = closed.IsSome

    /// Processes an effect as the application.
    member _.Notice(effect: Effect, answers: ResizeArray<Event>) =
        if closed.IsSome && (Describe.connIdOf effect).IsSome then
            failures.Add $"{name}: {Describe.effect effect} after it closed"

        match effect with
        | Effect.Accepted(id, _, _)
        | Effect.Opened(id, _) ->
            if connId >= 0 then failures.Add $"{name} opened twice"

            connId <- id
            room <- 1 <<< 20
            if id &&& 1 = 1 then answers.Add(Event.Taken id)
        | Effect.Deliver(id, payload) ->
            for value in Describe.flatten payload do
                if failures.Count = 0 && value <> Keyed.byteAt reads (int64 read) then
                    failures.Add $"{name} received a wrong byte at {read}"

                read <- read + 1

            if ended then failures.Add $"{name} received bytes behind the end"

            answers.Add(Event.Consumed(id, payload.Length))
        | Effect.Writable(_, free) -> room <- free
        | Effect.Ended _ ->
            if ended then failures.Add $"{name} saw the end twice"

            if read <> expected then
                failures.Add $"{name} saw the end after {read} of {expected} bytes"

            ended <- true
        | Effect.Finished _ ->
            if not finishing then failures.Add $"{name} finished without being asked"

            finished <- true
        | Effect.Closed(_, reason) -> closed <- ValueSome reason
        | Effect.Foreign _ -> failures.Add $"{name} received something foreign"
        | Effect.PacketSized _
        | Effect.Send _
        | Effect.SendDatagram _
        | Effect.OpenSockets _
        | Effect.CloseSockets _
        | Effect.Registered _
        | Effect.Introduced _
        | Effect.Punched _
        | Effect.Discovered _
        | Effect.Noted _ -> ()

    /// The application's next action, if there is one.
    member _.Act(writeSize: int) : Event voption =
        if connId < 0 || closed.IsSome || finishing then
            ValueNone
        elif written = size then
            finishing <- true
            ValueSome(Event.Finish connId)
        else
            let length = min (min room writeSize) (size - written)

            if length = 0 then
                ValueNone
            else
                let chunk = Array.init length (fun i -> Keyed.byteAt writes (int64 (written + i)))
                written <- written + length
                room <- room - length
                ValueSome(Event.Write(connId, Owned chunk))

    /// What failed.
    member _.Failures =
        [ yield! failures

          match closed with
          | ValueSome CloseReason.Finished -> if not (ended && finished) then $"{name} closed without an end"
          | ValueSome reason -> $"{name} closed with %A{reason}"
          | ValueNone -> $"{name} never closed: received {read} of {expected}, wrote {written} of {size}" ]

/// Runs until both ends have closed or the time is over, then lets everything in transit arrive. Returns the failures, and the time
/// of the end.
let run (limit: Duration) (crossing: Crossing) : struct (string list * Instant) =
    let keyA = Keyed.mix (crossing.Seed ^^^ 0xAAAAUL)
    let keyB = Keyed.mix (crossing.Seed ^^^ 0xBBBBUL)

    let party name address kind writes size reads expected =
        let machine = machineOf crossing (address = 1u) (Keyed.mix (crossing.Seed + uint64 address)) kind
        Party(name, machine, Endpoint.ofIPv4 address 5000us, writes, size, reads, expected)

    let a = party "the dialler" 1u crossing.Dialler keyA crossing.FromDialler keyB crossing.FromAcceptor
    let b = party "the acceptor" 2u crossing.Acceptor keyB crossing.FromAcceptor keyA crossing.FromDialler
    let queue = PriorityQueue<struct (Party * byte[]), struct (int64 * int64)>()
    let mutable now: Instant = 0L<us>
    let mutable placed = 0L

    let carry (side: Party) (train: Train) =
        let struct (target, link) =
            if Object.ReferenceEquals(side, a) then
                struct (b, crossing.LinkAB)
            else
                struct (a, crossing.LinkBA)

        for index in 0 .. train.Count - 1 do
            let datagram = Array.zeroCreate (train.LengthOf index)
            train.Write(index, Span<byte>(datagram)) |> ignore
            let seed = Keyed.mix (crossing.Seed ^^^ side.Endpoint.Low)
            let struct (fate, until) = Link.carry seed side.Sent now side.Busy datagram.Length link
            side.Sent <- side.Sent + 1L
            side.Busy <- until

            for at in fate.Arrivals do
                placed <- placed + 1L
                queue.Enqueue(struct (target, datagram), struct (int64 at, placed))

    let rec tell (side: Party) (events: Event[]) =
        let answers = ResizeArray<Event>()

        for effect in side.Machine.Step(now, events) do
            side.Notice(effect, answers)

            match effect with
            | Effect.Send(_, train) -> carry side train
            | _ -> ()

        if answers.Count > 0 then tell side (answers.ToArray())

        match side.Act crossing.WriteSize with
        | ValueSome event -> tell side [| event |]
        | ValueNone -> ()

    tell b [| Event.Listen 16 |]
    tell a [| Event.Connect(0, b.Endpoint, crossing.Dialect, Time.seconds 120) |]
    let mutable going = true

    while going do
        let due = min a.Machine.Deadline b.Machine.Deadline

        let arrival =
            match queue.TryPeek() with
            | true, _, struct (at, _) -> Time.microseconds at
            | _ -> Time.never

        if min due arrival > limit || (a.IsDone && b.IsDone && queue.Count = 0) then
            going <- false
        else
            now <- max now (min due arrival)

            if arrival <= due then
                let struct (target, datagram) = queue.Dequeue()
                let from = if Object.ReferenceEquals(target, a) then b.Endpoint else a.Endpoint
                tell target [| Event.Received(from, Datagrams.One(Borrowed datagram, now)) |]
            else
                if a.Machine.Deadline <= now then tell a [||]

                if b.Machine.Deadline <= now then tell b [||]

    struct (a.Failures @ b.Failures, now)
