/// Two machines of any kind (core or oracle) in one world: each must understand the other.
module UtpPunch.Sim.Tests.Crossing

open System
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// The machine at an end.
type Kind =
    | Core
    /// The oracle with that many packets in flight, with or without selective acknowledgements.
    | Oracle of window: int * sacks: bool

/// A scenario of one flow, and the machines.
[<NoComparison>]
type Crossing =
    {
        Scenario: Scenario
        Dialler: Kind
        Acceptor: Kind
        /// Whether the sequence numbers wrap within a few dozen packets.
        Wraps: bool
    }

    member this.Dialect = Scenario.dialectOf this.Scenario

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

/// Runs until both ends have closed or the time is over, then lets everything in transit arrive. Returns the failures, and the time
/// of the end.
let run (limit: Duration) (crossing: Crossing) : struct (string list * Instant) =
    let machine dials kind =
        machineOf crossing dials (Keyed.mix (crossing.Scenario.Seed + (if dials then 1UL else 2UL))) kind

    let machines = [| machine true crossing.Dialler; machine false crossing.Acceptor |]
    let world = World(crossing.Scenario, machines, Unchecked.defaultof<_>)
    let applications = Applications world

    let failures =
        try
            applications.Start()

            while not applications.AreDone && world.Advance limit do
                ()

            let calmBy = world.Now + Time.seconds 10

            while world.Advance calmBy do
                ()

            [ if applications.All.Count <> 2 then $"{applications.All.Count} ends have opened"

              for app in applications.All do
                  if app.Closed <> ValueSome CloseReason.Finished || not app.Ended || not app.Finished then
                      let amounts = $"{app.Reads.Delivered} of {app.Reads.Written} bytes read"
                      $"{app.Name} closed with %A{app.Closed}, ended {app.Ended}, finished {app.Finished}, {amounts}" ]
        with Violation(property, why) ->
            [ $"{property}: {why}" ]

    let closed = [ for app in applications.All -> app.ClosedAt ]
    struct (failures, List.fold max 0L<us> closed)
