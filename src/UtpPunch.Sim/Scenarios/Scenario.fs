namespace UtpPunch.Sim

open UtpPunch.Protocol

/// A host's clock, by the world's.
type Clock =
    {
        /// What it shows at the beginning.
        Offset: int64
        /// How much faster it runs, in millionths.
        Skew: int
        /// Jumps: when, and by how much.
        Steps: (Duration * int64) list
        /// The whole host stands still: from when, for how long.
        Freezes: (Duration * Duration) list
        /// Timers fire at full multiples of this.
        Granularity: Duration
        /// Timers fire up to this much late.
        Late: Duration
    }

/// A host's UDP socket.
type Socket =
    {
        /// Bytes that wait for a receive call; what comes on top is dropped.
        ReceiveBuffer: int
        /// Datagrams that one receive call gives, at most.
        Batch: int
        /// How long the host takes to wake up for a datagram; meanwhile others join it.
        Wake: Duration
        /// The share of datagrams, in thousandths, that the system refuses to send (EAGAIN, ENOBUFS).
        Refusals: int
    }

/// How an application ends its stream.
[<RequireQualifiedAccess>]
type Ending =
    /// Once everything is written.
    | Finish
    /// Once everything is written and the peer's end was seen.
    | FinishLast
    /// Lets go once everything is written.
    | Release of timeout: Duration
    /// Resets it once so many bytes are written.
    | Abort of written: int
    /// Never.
    | Stay

/// What an application does with a stream.
type Plan =
    {
        Bytes: int
        /// So much at once, with a pause behind it.
        Chunk: int
        Pause: Duration
        /// So much at once, all for 0, with a pause behind it.
        ReadSize: int
        ReadPause: Duration
        /// Once so many bytes were read, the reader stands still for that long; `Time.never` for good.
        StallAt: int
        StallFor: Duration
        Ending: Ending
    }

/// A host: an address, a clock, a socket and a node.
type Host =
    { Clock: Clock
      Socket: Socket
      SendBuffer: int
      ReceiveBuffer: int
      PacketSize: int
      LargestPacket: int
      NoDelay: bool
      IdleTimeout: Duration }

/// A stream from one host to the other.
type Flow =
    {
        At: Duration
        /// Host 0 dials host 1, or the other way round.
        FromB: bool
        Dialler: Plan
        Acceptor: Plan
    }

/// Packets that a third party forges while streams run; in thousandths of those that are sent.
type Forgery =
    {
        /// Copies of real packets under another address.
        Strange: int
        /// Under the peer's address: a wrong id, a number that is out of range, an acknowledgement of what was never sent.
        Spoofed: int
        /// Hints to the sender that its packets are too long.
        Hints: int
    }

/// Everything that happens in a world, as a value: the same scenario gives the same trace.
type Scenario =
    {
        Seed: uint64
        /// Where the nodes get their ids and first numbers from.
        NodeSeed: uint64
        Dialect: string
        A: Host
        B: Host
        AB: Path
        BA: Path
        Flows: Flow list
        Forgery: Forgery
        /// Chaos ends here, and calm begins.
        HealAt: Duration
        /// Events of one instant happen in a drawn order.
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
          // Nothing is searched for unless a scenario is about that.
          PacketSize = 1400
          LargestPacket = 1400
          NoDelay = true
          IdleTimeout = StreamOptions.bep29.IdleTimeout }

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
        let adapt (options: StreamOptions) =
            { options with
                SendBuffer = host.SendBuffer
                ReceiveBuffer = host.ReceiveBuffer
                PacketSize = min options.LargestPacket host.PacketSize
                LargestPacket = min options.LargestPacket host.LargestPacket
                NoDelay = host.NoDelay
                IdleTimeout = host.IdleTimeout }

        { NodeOptions.standard with
            Dialect = dialectOf scenario
            Bep29 = adapt NodeOptions.standard.Bep29
            UtpPunch = adapt NodeOptions.standard.UtpPunch }

    /// What a host's clock shows.
    let local (clock: Clock) (now: Instant) : Instant =
        let mutable shown = int64 now + clock.Offset + int64 now / 1000L * int64 clock.Skew / 1000L

        for at, by in clock.Steps do
            if now >= at then shown <- shown + by

        Time.microseconds shown

    /// The first instant of the world at which the clock shows at least that, if it does not jump before.
    let whenLocal (clock: Clock) (now: Instant) (shown: Instant) : Instant =
        let ahead = int64 (shown - local clock now)

        if ahead <= 0L then
            now
        else
            // Skew is small: two corrections find it, and what is left is looked at again when it is due.
            let guess = ahead * 1_000_000L / (1_000_000L + int64 clock.Skew)
            let mutable at = now + Time.microseconds guess

            while local clock at < shown do
                at <- at + Time.microseconds (max 1L (int64 (shown - local clock at)))

            at

    /// Why nothing can run like that; null when it can.
    let mistake (scenario: Scenario) : string =
        let paths = [ scenario.AB; scenario.BA ]
        let hosts = [ scenario.A; scenario.B ]
        let plans = scenario.Flows |> List.collect (fun flow -> [ flow.Dialler; flow.Acceptor ])

        let isTimeless (path: Path) =
            match path.Lateness, path.Rate with
            | Lateness.Release period, _
            | _, Rate.Alternating(_, _, period) when period <= 0L<us> -> true
            | (Lateness.Uniform time | Lateness.Exponential time), _ when time < 0L<us> -> true
            | _ -> path.Delay < 0L<us> || path.ReorderBy < 0L<us> || path.CopiesLate < 0L<us>

        if scenario.Flows.IsEmpty then
            "There are no Flows."
        elif scenario.Dialect <> "bep29" && scenario.Dialect <> "utp-punch" then
            $"'{scenario.Dialect}' is no Dialect: bep29 and utp-punch are."
        elif List.exists isTimeless paths then
            "Periods are longer than 0, and delays are not negative."
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
