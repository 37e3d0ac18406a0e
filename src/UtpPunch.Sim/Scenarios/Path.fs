namespace UtpPunch.Sim

open UtpPunch.Protocol

/// Which datagrams a path loses. Shares are in thousandths.
[<RequireQualifiedAccess>]
type Loss =
    | Never
    /// Each with the same probability (Bernoulli).
    | Each of share: int
    /// Gilbert-Elliott: two states, which may change every 10 ms: the probabilities to enter and to leave the bad one, and of loss in each.
    | Gilbert of enter: int * leave: int * inBad: int * inGood: int
    /// One in `count`.
    | Every of count: int
    /// The first `length` of every `period`.
    | Burst of length: int * period: int

/// The additional delay of a datagram.
[<RequireQualifiedAccess>]
type Lateness =
    | Never
    | Uniform of most: Duration
    | Exponential of mean: Duration
    /// Datagrams are held back and released together at every multiple of the period, as by radio links.
    | Release of period: Duration
    /// A shared medium: it is free every `period`, and after an exponentially distributed time of that mean in addition; then everything
    /// that waits is released together, in order. About once in `every` it is busy for `pause`.
    | Medium of period: Duration * wait: Duration * pause: Duration * every: Duration
    /// Datagrams are held back until the next multiple of the period; then one in `count` of them is released, the last always: a modem that
    /// thins out acknowledgements.
    | Thinned of period: Duration * count: int
    /// Another route: from an instant on, the delay is greater by that much.
    | Steps of steps: (Duration * Duration) list

/// The rate in bytes per second.
[<RequireQualifiedAccess>]
type Rate =
    | Unlimited
    | Constant of rate: int
    /// One rate for a period, the other for the next.
    | Alternating of rate: int * other: int * period: Duration
    /// From an instant on, that rate; before the first one, that of the first.
    | Steps of steps: (Duration * int) list
    /// A policer: a token bucket, and no queue. What finds no tokens is dropped.
    | Policed of rate: int * bucket: int
    /// A shaper: a token bucket with the queue. While there are tokens, datagrams leave at the peak rate.
    | Shaped of rate: int * bucket: int * peak: int
    /// A cellular link: the rate wanders around a typical one, and datagrams leave at whole milliseconds.
    | Cellular of typical: int

/// Which packet is dropped when the queue is full.
[<RequireQualifiedAccess>]
type Queue =
    /// Drop tail, with a limit in bytes.
    | Tail of bytes: int
    /// Drop tail, with a limit in packets.
    | TailPackets of packets: int
    /// Drop head, with a limit in bytes.
    | Head of bytes: int
    /// RFC 8289, with a hard limit.
    | CoDel of bytes: int
    /// RFC 8033, with a hard limit.
    | Pie of bytes: int
    /// Random early detection: the probability rises from 0 at `least` bytes to 1 at `most`.
    | Red of least: int * most: int

/// What reports to the sender that a datagram is too long.
[<RequireQualifiedAccess>]
type Telling =
    /// Nothing reports it: the path is a black hole.
    | Nobody
    /// The sender's own system, at once and without the limit (EMSGSIZE).
    | System
    /// A router on the path (ICMP), with the limit.
    | Router

/// During this time, datagrams of more than `Size` bytes of UDP payload are dropped.
type Narrow =
    {
        Size: int
        From: Duration
        Until: Duration
        Telling: Telling
        /// Whether datagrams without DF pass in fragments.
        Fragments: bool
    }

/// How a corrupted datagram is changed.
[<RequireQualifiedAccess>]
type Harm =
    /// The UDP checksum is wrong: the datagram is dropped.
    | Noticed
    | Anywhere
    | Header
    | Truncation
    /// The place of the extensions is overwritten with random bytes.
    | Extension
    /// The datagram stays valid: an unknown extension is inserted before the others, which BEP 29 permits.
    | Extended

/// Single datagrams that are dropped, also after the end of the faults.
[<RequireQualifiedAccess>]
type Drop =
    /// The n-th datagram on the path, from 0.
    | Nth of ordinal: int
    /// The n-th packet of a type (BEP 29's number), from 0.
    | Typed of packetType: int * ordinal: int
    | LongerThan of bytes: int
    /// What the sender gives to its system together with others (UDP_SEGMENT).
    | Trains

/// Everything is dropped from one instant to another; `Time.never` for ever.
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
        /// The share that is delayed by up to `ReorderBy` while others pass.
        Reorder: int
        ReorderBy: Duration
        /// The share that is duplicated: `Copies` more arrive, each up to `CopiesLate` later.
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

    /// The value of the last step until now; before the first step, `before`.
    let stepAt (now: Instant) (before: 'a) (steps: (Duration * 'a) list) =
        steps |> List.fold (fun value (at, next) -> if now >= at then next else value) before

    let rateAt (now: Instant) (path: Path) =
        match path.Rate with
        | Rate.Unlimited -> 0
        | Rate.Constant rate -> rate
        | Rate.Alternating(rate, other, period) -> if now / period % 2L = 0L then rate else other
        | Rate.Steps steps -> stepAt now (snd steps.Head) steps
        | Rate.Policed(rate, _)
        | Rate.Shaped(rate, _, _) -> rate
        | Rate.Cellular typical -> typical

    let slowest (path: Path) =
        match path.Rate with
        | Rate.Unlimited -> 0
        | Rate.Constant rate -> rate
        | Rate.Alternating(rate, other, _) -> min rate other
        | Rate.Steps steps -> steps |> List.map snd |> List.min
        | Rate.Policed(rate, _)
        | Rate.Shaped(rate, _, _) -> rate
        | Rate.Cellular typical -> typical / 8

    /// The restriction that drops a datagram of that length now, if any.
    let tooLong (now: Instant) (length: int) (mayFragment: bool) (path: Path) =
        path.Mtu
        |> List.tryFind (fun narrow ->
            length > narrow.Size
            && now >= narrow.From
            && now < narrow.Until
            && not (mayFragment && narrow.Fragments))

    /// A permanent restriction to `size` bytes that is not reported.
    let narrow size = { Size = size; From = 0L<us>; Until = Time.never; Telling = Telling.Nobody; Fragments = false }

    let isCut (now: Instant) (path: Path) =
        not path.Cuts.IsEmpty && path.Cuts |> List.exists (fun cut -> now >= cut.From && now < cut.Until)
