namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// What the timestamp check costs peers that are honest: machines that sleep, clocks that are set, a path that becomes longer, and
/// implementations with time stamps of their own. Every stream must end in order, and soon.
[<NoComparison>]
type HonestResult =
    {
        /// Packets that the check has dropped, at both ends.
        Dropped: int
        /// How long a message took at most, or where there is a stranger the whole stream.
        Slowest: Duration
    }

module HonestPeers =
    let private delay = Time.milliseconds 30

    let private path loss =
        { Path.perfect with Delay = delay; Loss = (if loss = 0 then Loss.Never else Loss.Each loss) }

    let private hostOf clock = { Scenario.host with Clock = clock; IdleTimeout = Time.never }

    let private scenario seed loss clockB =
        { Scenario.calm with
            Seed = seed
            NodeSeed = seed
            A = hostOf Scenario.clock
            B = hostOf { clockB with Offset = clockB.Offset + 1_234_567L }
            AB = path loss
            BA = path loss
            HealAt = Time.seconds 7_200 }

    // ---- Two cores ----

    let private twoNodes (scenario: Scenario) =
        let options = Scenario.optionsOf scenario scenario.A
        TwoNodes(scenario, options, options)

    let private dropped (actors: Actor seq) =
        actors |> Seq.sumBy (fun actor -> actor.Rules.GetValueOrDefault(Rule.TimestampOutOfRange, 0))

    /// One stream, which says a little in both directions each `every`, and the greatest time that a message has taken in excess of the path.
    /// `change` happens in the middle.
    let private converse (two: TwoNodes) (rounds: int) (every: Duration) (change: int -> unit) =
        two.Tell(two.B, Event.Listen 4)
        let a = two.Connect(two.A, Dialect.Bep29)
        let openBy = Time.seconds 30
        let isOpen () = two.B.Accepted.Count = 1 && a.Opened

        if not (two.RunUntil(openBy, Func<bool> isOpen)) then
            Check.fail "S31" "the stream does not open"

        let b = two.B.Accepted[0]
        let message = Array.create 1000 7uy
        let mutable slowest = 0L<us>

        for round in 1..rounds do
            change round
            let before = two.Now
            two.Write(two.A, a, ReadOnlySpan<byte> message) |> ignore
            two.Write(two.B, b, ReadOnlySpan<byte> message) |> ignore
            let isThere () = a.Received.Count = 1000 * round && b.Received.Count = 1000 * round

            if not (two.RunUntil(Time.seconds 1_000, Func<bool> isThere)) then
                Check.fail
                    "S31"
                    $"round {round} does not arrive, the ends are {a.Closed} and {b.Closed}; dropped: {dropped two.World.Actors}"

            slowest <- max slowest (two.Now - before)
            two.Wait every

        two.Tell(two.A, Event.Finish a.ConnId)
        two.Tell(two.B, Event.Finish b.ConnId)
        let isClosed () = a.Closed.IsSome && b.Closed.IsSome

        if
            not (two.RunUntil(Time.seconds 200, Func<bool> isClosed))
            || a.Closed <> ValueSome CloseReason.Finished
            || b.Closed <> ValueSome CloseReason.Finished
        then
            Check.fail "S31" $"the streams close with {a.Closed} and {b.Closed}"

        { Dropped = dropped two.World.Actors; Slowest = slowest }

    let private minutes count = Time.seconds (60 * count)

    /// A laptop that sleeps between two messages; whether its clock goes on.
    let private sleep (time: Duration) isStill () =
        let at = Time.seconds 12
        let steps = if isStill then [ at + time, -int64 time ] else []
        let clock = { Scenario.clock with Freezes = [ at, time ]; Steps = steps }
        let two = twoNodes (scenario 1UL 0 clock)
        // The other side says nothing meanwhile.
        converse two 8 (Time.seconds 3) (fun round -> if round = 5 then two.Wait time)

    /// A clock that is set by an hour while messages pass.
    let private set by () =
        let clock = { Scenario.clock with Steps = [ Time.seconds 12, by ] }
        converse (twoNodes (scenario 2UL 0 clock)) 40 (Time.milliseconds 500) ignore

    /// A path that becomes five seconds longer, and short again.
    let private longer () =
        let two = twoNodes (scenario 3UL 0 Scenario.clock)

        converse two 40 (Time.milliseconds 500) (fun round ->
            let extra = if round >= 15 && round < 25 then Time.seconds 5 else 0L<us>

            for carrier in two.World.Carriers do
                carrier.Path <- { carrier.Path with Delay = delay + extra })

    // ---- A core and a stranger ----

    /// A stream that the core has dialled, or the stranger, over a path that loses packets.
    let private strangerOver change loss (flow: Flow) (options: OracleOptions) stamps isDialler () =
        let mutable total = 0
        let mutable slowest = 0L<us>

        for seed in 1UL .. 8UL do
            let scenario =
                change { scenario seed loss Scenario.clock with Flows = [ { flow with FromB = isDialler } ] }

            let core = CoreMachine(Scenario.optionsOf scenario scenario.A, Keyed.mix seed, 0L<us>)
            let oracle = OracleMachine({ options with Stamps = stamps }, Keyed.mix (seed + 9UL))
            let outcome = Simulation.runOn [| core; oracle |] Unchecked.defaultof<_> scenario

            match outcome.Violation with
            | ValueSome(struct (property, why)) -> Check.fail "S31" $"seed {seed}: {property}: {why}"
            | ValueNone -> ()

            for line in outcome.Streams do
                if not (line.EndsWith "Finished") then Check.fail "S31" $"seed {seed}: {line}"

            total <- total + dropped [ outcome.World.Actors[0] ]
            let lastAt = outcome.Applications.All |> Seq.map _.ClosedAt |> Seq.max
            slowest <- max slowest lastAt

        { Dropped = total; Slowest = slowest }

    let private stranger = strangerOver id 60 (Scenario.flow 60_000) OracleOptions.standard

    let private oneWay =
        let flow = Scenario.flow 60_000
        { flow with Acceptor = { flow.Acceptor with Bytes = 0 } }

    /// Acknowledgements are lost for three seconds: it repeats what the core has received, with stamps that are older than what passes. The
    /// STATE with which the core answers spares it another time-out.
    let private unheard =
        let cut (scenario: Scenario) =
            { scenario with
                AB = { scenario.AB with Cuts = [ { From = Time.milliseconds 200; Until = Time.seconds 3 } ] } }

        let slow = { OracleOptions.standard with Window = 1; Timeout = Time.seconds 4 }
        strangerOver cut 0 oneWay slow OracleStamps.OfFirstTransmission true

    /// All of them, and how long a message may take, or the whole stream of a stranger.
    let all: struct (string * (unit -> HonestResult) * Duration)[] =
        let hour = 3_600_000_000L

        [| struct ("a machine that sleeps for ten minutes", sleep (minutes 10) false, Time.seconds 5)
           for seconds in [ 30; 60; 120; 600 ] do
               struct ($"a machine that sleeps for {seconds} s, and its clock with it",
                       sleep (Time.seconds seconds) true,
                       Time.seconds 5)
           struct ("a clock that is set an hour ahead", set hour, Time.seconds 5)
           struct ("a path that becomes five seconds longer", longer, Time.seconds 40)
           struct ("a stranger that has accepted, with the stamps of the first transmission",
                   stranger OracleStamps.OfFirstTransmission false,
                   Time.seconds 120)
           struct ("a stranger that has dialled, with the stamps of the first transmission",
                   stranger OracleStamps.OfFirstTransmission true,
                   Time.seconds 120)
           struct ("a stranger that repeats what was received, with the stamps of the first transmission",
                   unheard,
                   Time.seconds 10)
           struct ("a stranger that has accepted, with the delay at sending",
                   stranger OracleStamps.DelayAtSending false,
                   Time.seconds 120)
           struct ("a stranger that has dialled, with the delay at sending",
                   stranger OracleStamps.DelayAtSending true,
                   Time.seconds 120)
           struct ("a stranger that has accepted, whose clock is set back by an hour",
                   stranger (OracleStamps.SetBack(Time.seconds 2)) false,
                   Time.seconds 120)
           struct ("a stranger that has dialled, whose clock is set back by an hour",
                   stranger (OracleStamps.SetBack(Time.seconds 2)) true,
                   Time.seconds 120)
           struct ("a stranger that has accepted, without an echo",
                   stranger OracleStamps.NoneWhenDialled false,
                   Time.seconds 120) |]

    /// S31: what is honest passes.
    let check () =
        for struct (name, run, most) in all do
            let result =
                try
                    run ()
                with Violation(property, why) ->
                    raise (Violation(property, $"{name}: {why}"))

            if result.Slowest > most then
                Check.fail "S31" $"{name}: it takes {int64 result.Slowest} us"
