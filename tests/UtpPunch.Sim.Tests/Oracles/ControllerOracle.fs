/// Compares the core's integer congestion controller with RFC 6817 and slow start in floating point, over random paths.
module UtpPunch.Sim.Tests.ControllerOracle

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol

/// The state of RFC 6817's sender, in bytes.
[<NoComparison>]
type private Twin = { Window: float; Threshold: float }

/// A path, and its events.
[<NoComparison>]
type Life =
    {
        Packet: int
        TargetMs: int
        /// The npm package sends no delays.
        Measured: bool
        /// Events per thousand.
        Losses: int
        TimeOuts: int
        /// The least share of the window that the application uses, in per cent.
        Use: int
        Acknowledgements: int
        Seed: int
    }

/// RFC 6817, 2.4.2, for one acknowledgement. The first two lines of each branch are the RFC's (and RFC 5681's) text.
let private acknowledged (life: Life) slowly bytes flight queueing (twin: Twin) =
    let target = 1_000.0 * float life.TargetMs
    // "max_allowed_cwnd = flightsize + ALLOWED_INCREASE * MSS". Two things are the core's own: what is acknowledged at once may
    // be added at once, and a window that is not used stays instead of falling.
    let allowed = max twin.Window (float flight + float (max bytes life.Packet))

    if slowly then
        // RFC 5681, 3.1: "cwnd += min (N, SMSS)"; by bytes (RFC 3465) without its limit, for a step acknowledges many packets.
        { twin with Window = min (twin.Window + float bytes) allowed }
    else
        // "off_target = (TARGET - queuing_delay) / TARGET", no further below than the core lets it.
        let offTarget = max -10.0 ((target - queueing) / target)
        // "cwnd += GAIN * off_target * bytes_newly_acked * MSS / cwnd"
        let grown = twin.Window + offTarget * float bytes * float life.Packet / twin.Window

        { Window = max (float life.Packet) (min grown allowed)
          Threshold = min twin.Threshold (max twin.Window (float life.Packet)) }

/// The core computes in whole bytes. While the window falls, a rounding error of a byte grows as the window shrinks, so the last few
/// packets have the tolerance of four.
let private leeway (life: Life) twin = 1.0 + 0.01 * max twin.Window (4.0 * float life.Packet)

/// The possible states of the reference. Where window and threshold are as close as rounding errors, either branch is right.
let private choices (life: Life) bytes flight queueing (twin: Twin) =
    let isNear = abs (twin.Window - twin.Threshold) < leeway life twin
    let isCalm = queueing < 900.0 * float life.TargetMs

    [ if isCalm && (isNear || twin.Window < twin.Threshold) then
          acknowledged life true bytes flight queueing twin
      if not isCalm || isNear || twin.Window >= twin.Threshold then
          acknowledged life false bytes flight queueing twin ]

/// Feeds both with the same events, and compares them after each.
let private live (life: Life) =
    let random = System.Random life.Seed

    let mutable core =
        CongestionControls.ledbat.Start
            { Packet = life.Packet
              TargetDelay = Time.milliseconds life.TargetMs
              Window = 0
              RoundTrip = 0L<us> }

    let observe sample = core <- core.Observe &sample

    // The possible states of the reference. Branches that rounding leaves open are followed until the core shows which one it took.
    let mutable twins = [ { Window = 10.0 * float life.Packet; Threshold = infinity } ]
    let mutable queueing = 0
    let apart twin = abs (float core.Window - twin.Window)

    for index in 1 .. life.Acknowledgements do
        let flight = core.Window * random.Next(life.Use, 121) / 100

        match random.Next 1000 with
        | draw when draw < life.Losses ->
            observe { Unchecked.defaultof<CongestionSample> with IsFirstLoss = true }
            let least = 2.0 * float life.Packet
            let halves = [ for twin in twins -> { twin with Window = max least (twin.Window / 2.0) } ]

            // A loss leaves whole bytes. While the window falls, RFC 6817's formula makes a difference of one byte larger the
            // smaller the window is, so both continue from the same byte; between losses nothing is corrected.
            if halves |> List.forall (fun twin -> apart twin > leeway life twin) then
                failtest $"step {index}: a loss leaves {core.Window}, not {halves}"

            twins <- [ { Window = float core.Window; Threshold = float core.Window } ]
        | draw when draw < life.Losses + life.TimeOuts ->
            // RFC 5681, 3.1: of several time-outs in a row the first one sets the threshold.
            let isAgain twin = core.Window <= life.Packet && twin.Threshold < infinity

            twins <-
                [ for twin in twins ->
                      let threshold = if isAgain twin then twin.Threshold else float flight / 2.0
                      { Window = float life.Packet; Threshold = max (2.0 * float life.Packet) threshold } ]

            core <- core.TimedOut flight
        | _ ->
            let step = if random.Next 50 = 0 then 200_000 else 4_000
            queueing <- Math.Clamp(queueing + random.Next(-step, step + 1), 0, 1_500 * life.TargetMs)
            let bytes = min (max 1 flight) (1 + random.Next(life.Packet * (if random.Next 10 = 0 then 64 else 4)))

            observe
                { Unchecked.defaultof<CongestionSample> with
                    Bytes = bytes
                    Packets = 1
                    FlightBefore = flight
                    HasQueueing = life.Measured
                    Queueing = Time.microseconds (int64 queueing) }

            twins <-
                twins
                |> List.collect (choices life bytes flight (if life.Measured then float queueing else 0.0))
                |> List.distinct

        let near = twins |> List.filter (fun twin -> apart twin < leeway life twin)

        if near.IsEmpty then
            failtest $"step {index}: {core.Window} against {twins}, queueing {queueing} us"

        twins <- near |> List.sortBy apart |> List.truncate 8

let private life =
    gen {
        // With a smaller packet than IPv4 always carries, the core's rounding errors would be too large.
        let! packet = Gen.elements [ 548; 1000; 1380 ]
        let! targetMs = Gen.elements [ 25; 60; 100 ]
        let! measured = Gen.frequency [ 3, Gen.constant true; 1, Gen.constant false ]
        let! losses = Gen.elements [ 0; 1; 10; 100 ]
        let! timeOuts = Gen.elements [ 0; 0; 1; 10 ]
        let! part = Gen.elements [ 0; 50; 90; 100 ]
        let! seed = Gen.choose (0, Int32.MaxValue)

        return
            { Packet = packet
              TargetMs = targetMs
              Measured = measured
              Losses = losses
              TimeOuts = timeOuts
              Use = part
              Acknowledgements = 3_000
              Seed = seed }
    }

let private shrink (it: Life) =
    seq {
        if it.Acknowledgements > 1 then { it with Acknowledgements = it.Acknowledgements / 2 }

        if it.Losses > 0 then { it with Losses = 0 }

        if it.TimeOuts > 0 then { it with TimeOuts = 0 }

        if it.Use < 100 then { it with Use = 100 }
    }

type Arbitraries =
    static member Life() : Arbitrary<Life> = Arb.fromGenShrink (life, shrink)

let private config =
    { FsCheckConfig.defaultConfig with arbitrary = [ typeof<Arbitraries> ]; maxTest = 200 }

let tests =
    testList
        "controller"
        [ testPropertyWithConfig
              config
              "the core's window is RFC 6817's in floating point, to within a hundredth, after every acknowledgement, loss and time-out"
              live ]
