namespace UtpPunch.Sim

open UtpPunch.Protocol

/// Which datagrams a path loses. Shares are in thousandths.
[<RequireQualifiedAccess>]
type Loss =
    | Never
    /// Each with the same chance (Bernoulli).
    | Each of share: int
    /// Gilbert and Elliott's two states, looked at every 10 ms: chances to enter and to leave the bad one, and of loss in each.
    | Gilbert of enter: int * leave: int * inBad: int * inGood: int
    /// One in `count`.
    | Every of count: int
    /// The first `length` of every `period`.
    | Burst of length: int * period: int

/// How much longer than the delay a datagram takes.
[<RequireQualifiedAccess>]
type Lateness =
    | Never
    | Uniform of most: Duration
    | Exponential of mean: Duration
    /// Held back and let go together at every full period, as radio links do.
    | Release of period: Duration

/// Bytes a second.
[<RequireQualifiedAccess>]
type Rate =
    | Unlimited
    | Constant of rate: int
    /// One for a period, the other for the next.
    | Alternating of rate: int * other: int * period: Duration

/// Who is dropped when more arrives than the rate carries.
[<RequireQualifiedAccess>]
type Queue =
    /// The newcomer, when so many bytes wait.
    | Tail of bytes: int
    /// The newcomer, when so many packets wait.
    | TailPackets of packets: int
    /// The oldest, when so many bytes wait.
    | Head of bytes: int
    /// RFC 8289, with a hard limit.
    | CoDel of bytes: int
    /// Random early detection: from none at `least` bytes to all at `most`.
    | Red of least: int * most: int

/// Who tells the sender that a datagram is too long.
[<RequireQualifiedAccess>]
type Telling =
    /// Nobody: it vanishes in a black hole.
    | Nobody
    /// The sender's own system, at once, and not how long it may be (EMSGSIZE).
    | System
    /// A router on the way (ICMP), and how long it may be.
    | Router

/// Datagrams of more than `Size` bytes of UDP payload do not pass, from one instant to another.
type Narrow =
    {
        Size: int
        From: Duration
        Until: Duration
        Telling: Telling
        /// Those without DF do: they are fragmented, and the fragments pass.
        Fragments: bool
    }

/// What is done to a corrupted datagram.
[<RequireQualifiedAccess>]
type Harm =
    /// UDP's checksum finds it: it is dropped.
    | Noticed
    | Anywhere
    | Header
    | Truncation
    /// Garbage where extensions would be.
    | Extension
    /// None: an extension that nobody knows stands in front of the others, as the BEP has it.
    | Extended

/// Single datagrams that are dropped, calm or not.
[<RequireQualifiedAccess>]
type Drop =
    /// The n-th that enters the path, from 0.
    | Nth of ordinal: int
    /// The n-th of a type (BEP 29's number), from 0.
    | Typed of packetType: int * ordinal: int
    | LongerThan of bytes: int

/// Nothing passes from one instant to another; `Time.never` for good.
[<Struct>]
type Cut = { From: Duration; Until: Duration }

/// One direction between two hosts.
type Path =
    {
        Delay: Duration
        Lateness: Lateness
        Rate: Rate
        Queue: Queue
        Loss: Loss
        Drops: Drop list
        /// The share that is held back by up to `ReorderBy` while others pass.
        Reorder: int
        ReorderBy: Duration
        /// The share of which `Copies` more arrive, each up to `CopiesLate` later.
        Duplication: int
        Copies: int
        CopiesLate: Duration
        Corruption: int
        Harm: Harm
        Mtu: Narrow list
        Cuts: Cut list
    }

module Path =
    let perfect =
        { Delay = Time.milliseconds 10
          Lateness = Lateness.Never
          Rate = Rate.Unlimited
          Queue = Queue.Tail 200_000
          Loss = Loss.Never
          Drops = []
          Reorder = 0
          ReorderBy = 0L<us>
          Duplication = 0
          Copies = 1
          CopiesLate = 0L<us>
          Corruption = 0
          Harm = Harm.Noticed
          Mtu = []
          Cuts = [] }

    let rateAt (now: Instant) (path: Path) =
        match path.Rate with
        | Rate.Unlimited -> 0
        | Rate.Constant rate -> rate
        | Rate.Alternating(rate, other, period) -> if now / period % 2L = 0L then rate else other

    let slowest (path: Path) =
        match path.Rate with
        | Rate.Unlimited -> 0
        | Rate.Constant rate -> rate
        | Rate.Alternating(rate, other, _) -> min rate other

    /// What keeps a datagram of that length back now.
    let tooLong (now: Instant) (length: int) (mayFragment: bool) (path: Path) =
        path.Mtu
        |> List.tryFind (fun narrow ->
            length > narrow.Size
            && now >= narrow.From
            && now < narrow.Until
            && not (mayFragment && narrow.Fragments))

    /// Of so many bytes, always, and nobody tells.
    let narrow size = { Size = size; From = 0L<us>; Until = Time.never; Telling = Telling.Nobody; Fragments = false }

    let isCut (now: Instant) (path: Path) =
        not path.Cuts.IsEmpty && path.Cuts |> List.exists (fun cut -> now >= cut.From && now < cut.Until)
