namespace UtpPunch.Sim

open UtpPunch.Protocol

/// A host's clock, relative to the world's.
type Clock =
    {
        /// Its time at the beginning.
        Offset: int64
        /// How much faster it runs, in parts per million.
        Skew: int
        /// Steps: when, and by how much.
        Steps: (Duration * int64) list
        /// Times in which the whole host is suspended: the beginning and the duration.
        Freezes: (Duration * Duration) list
        /// Timers fire at multiples of this.
        Granularity: Duration
        /// Timers fire up to this much late.
        Late: Duration
    }

/// A host's UDP socket.
type Socket =
    {
        /// The most bytes that wait for a receive call; more are dropped.
        ReceiveBuffer: int
        /// The most datagrams of one receive call.
        Batch: int
        /// The time from the arrival of a datagram until the host receives it, with others that arrived meanwhile.
        Wake: Duration
        /// The share of datagrams, in thousandths, that the system refuses to send (EAGAIN, ENOBUFS).
        Refusals: int
    }

/// How an application ends its stream.
[<RequireQualifiedAccess>]
type Ending =
    /// Finishes after its last write.
    | Finish
    /// Finishes after its last write and the peer's end.
    | FinishLast
    /// Releases the stream after its last write.
    | Release of timeout: Duration
    /// Aborts the stream once `written` bytes are written.
    | Abort of written: int
    /// Never ends the stream.
    | Stay

/// What an application does with a stream.
type Plan =
    {
        Bytes: int
        /// Bytes of each write, with a pause after it.
        Chunk: int
        Pause: Duration
        /// Bytes of each read, or 0 for all there are, with a pause after it.
        ReadSize: int
        ReadPause: Duration
        /// After that many bytes the reader stops for `StallFor`; `Time.never` for ever.
        StallAt: int
        StallFor: Duration
        Ending: Ending
    }

/// A host: an address, a clock, a socket and a node.
type Host =
    {
        Clock: Clock
        Socket: Socket
        SendBuffer: int
        ReceiveBuffer: int
        PacketSize: int
        LargestPacket: int
        NoDelay: bool
        IdleTimeout: Duration
        /// The name of its congestion control.
        Congestion: string
    }

/// A stream from one host to the other.
type Flow =
    {
        At: Duration
        /// Whether host 1 dials host 0, instead of 0 dialling 1.
        FromB: bool
        Dialler: Plan
        Acceptor: Plan
    }

/// Packets that an attacker forges while streams run, per thousand packets sent.
type Forgery =
    {
        /// Copies of real packets from another address.
        Strange: int
        /// From the peer's address: a wrong id, a number out of range, or an acknowledgement of what was never sent.
        Spoofed: int
        /// Forged reports that packets are too long.
        Hints: int
    }

/// A complete simulation run as a value: equal scenarios give equal traces.
type Scenario =
    {
        Seed: uint64
        /// The seed of the nodes' ids and first numbers.
        NodeSeed: uint64
        Dialect: string
        A: Host
        B: Host
        AB: Path
        BA: Path
        Flows: Flow list
        Forgery: Forgery
        /// The end of all random faults.
        HealAt: Duration
        /// Whether events of one instant happen in a random order.
        PermuteTies: bool
    }

module Scenario =
    let clock = { Offset = 0L; Skew = 0; Steps = []; Freezes = []; Granularity = 1L<us>; Late = 0L<us> }

    let socket = { ReceiveBuffer = 1 <<< 20; Batch = 64; Wake = 0L<us>; Refusals = 0 }

    let host =
        { Clock = clock
          Socket = socket
          SendBuffer = StreamOptions.bep29.SendBuffer
          ReceiveBuffer = StreamOptions.bep29.ReceiveBuffer
          // The path is probed only if a scenario is about that.
          PacketSize = 1400
          LargestPacket = 1400
          NoDelay = true
          IdleTimeout = StreamOptions.bep29.IdleTimeout
          Congestion = "ledbat" }

    let plan bytes =
        { Bytes = bytes
          Chunk = 1 <<< 20
          Pause = 0L<us>
          ReadSize = 0
          ReadPause = 0L<us>
          StallAt = System.Int32.MaxValue
          StallFor = 0L<us>
          Ending = Ending.Finish }

    let flow bytes = { At = 0L<us>; FromB = false; Dialler = plan bytes; Acceptor = plan bytes }

    let calm =
        { Seed = 1UL
          NodeSeed = 1UL
          Dialect = "bep29"
          A = host
          B = host
          AB = Path.perfect
          BA = Path.perfect
          Flows = [ flow 100_000 ]
          Forgery = { Strange = 0; Spoofed = 0; Hints = 0 }
          HealAt = 0L<us>
          PermuteTies = false }

    let dialectOf scenario = if scenario.Dialect = "utp-punch" then Dialect.UtpPunch else Dialect.Bep29

    let optionsOf (scenario: Scenario) (host: Host) =
        // A scenario that is about a small buffer means all of it.
        let grown standard most buffer = if buffer = standard then most else buffer

        let adapt (options: StreamOptions) =
            { options with
                SendBuffer = host.SendBuffer
                MaxSendBuffer = grown options.SendBuffer options.MaxSendBuffer host.SendBuffer
                ReceiveBuffer = host.ReceiveBuffer
                MaxReceiveBuffer = grown options.ReceiveBuffer options.MaxReceiveBuffer host.ReceiveBuffer
                PacketSize = min options.LargestPacket host.PacketSize
                LargestPacket = min options.LargestPacket host.LargestPacket
                NoDelay = host.NoDelay
                IdleTimeout = host.IdleTimeout
                Congestion = CongestionControls.named host.Congestion }

        { NodeOptions.standard with
            Dialect = dialectOf scenario
            Bep29 = adapt NodeOptions.standard.Bep29
            UtpPunch = adapt NodeOptions.standard.UtpPunch }

    /// The time of a host's clock.
    let local (clock: Clock) (now: Instant) : Instant =
        let mutable shown = int64 now + clock.Offset + int64 now / 1000L * int64 clock.Skew / 1000L

        for at, by in clock.Steps do
            if now >= at then shown <- shown + by

        Time.microseconds shown

    /// The first instant of the world at which the clock shows at least that time, unless it is set before.
    let whenLocal (clock: Clock) (now: Instant) (shown: Instant) : Instant =
        let ahead = int64 (shown - local clock now)

        if ahead <= 0L then
            now
        else
            // Skew is small: two corrections are nearly exact, and the rest is corrected when the instant is due.
            let guess = ahead * 1_000_000L / (1_000_000L + int64 clock.Skew)
            let mutable at = now + Time.microseconds guess

            while local clock at < shown do
                at <- at + Time.microseconds (max 1L (int64 (shown - local clock at)))

            at

    /// Why a scenario is invalid; null when it is valid.
    let mistake (scenario: Scenario) : string =
        let paths = [ scenario.AB; scenario.BA ]
        let hosts = [ scenario.A; scenario.B ]
        let plans = scenario.Flows |> List.collect (fun flow -> [ flow.Dialler; flow.Acceptor ])

        let isTimeless (path: Path) =
            match path.Lateness, path.Rate with
            | Lateness.Release period, _
            | Lateness.Thinned(period, _), _
            | Lateness.Medium(period, _, _, _), _
            | Lateness.Medium(_, _, _, period), _
            | _, Rate.Alternating(_, _, period) when period <= 0L<us> -> true
            | (Lateness.Uniform time | Lateness.Exponential time), _ when time < 0L<us> -> true
            | Lateness.Medium(_, wait, pause, _), _ when wait < 0L<us> || pause < 0L<us> -> true
            | Lateness.Steps steps, _ when steps |> List.exists (fun (_, by) -> by < 0L<us>) -> true
            | _ -> path.Delay < 0L<us> || path.ReorderBy < 0L<us> || path.CopiesLate < 0L<us>

        let isRateless (path: Path) =
            match path.Rate with
            | Rate.Steps steps -> steps.IsEmpty || steps |> List.exists (fun (_, rate) -> rate <= 0)
            | Rate.Policed(rate, bucket) -> rate <= 0 || bucket < 1_500
            | Rate.Shaped(rate, bucket, peak) -> rate <= 0 || bucket <= 0 || peak < rate
            | Rate.Cellular typical -> typical < 1_000
            | Rate.Unlimited
            | Rate.Constant _
            | Rate.Alternating _ -> false

        if scenario.Flows.IsEmpty then
            "There are no Flows."
        elif scenario.Dialect <> "bep29" && scenario.Dialect <> "utp-punch" then
            $"'{scenario.Dialect}' is no Dialect: bep29 and utp-punch are."
        elif List.exists isTimeless paths then
            "Periods are longer than 0, and delays are not negative."
        elif List.exists isRateless paths then
            "Rates of Steps, Policed, Shaped and Cellular are more than 0, a policer's bucket holds a packet, and a peak is above the rate."
        elif plans |> List.exists (fun plan -> plan.Bytes < 0 || plan.Chunk <= 0 || plan.ReadSize < 0) then
            "Bytes and ReadSize are not negative, and Chunk is more than 0."
        elif hosts |> List.exists (fun host -> abs host.Clock.Skew > 500_000 || host.Clock.Late < 0L<us>) then
            "A clock's Skew is at most 500000, and Late is not negative."
        elif
            hosts
            |> List.exists (fun host -> host.SendBuffer <= 0 || host.ReceiveBuffer <= 0 || host.PacketSize < 150)
        then
            "A host's buffers hold something, and its PacketSize is at least 150."
        else
            null
