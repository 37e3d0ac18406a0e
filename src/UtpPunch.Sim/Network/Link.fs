namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A token bucket, which is full at first. Tokens are kept in millionths of a byte, so that none is lost by rounding.
[<Sealed>]
type TokenBucket(rate: int, bucket: int) =
    let most = int64 bucket * 1_000_000L
    let mutable tokens = most
    let mutable filledAt = 0L<us>

    let fill (now: Instant) =
        if now > filledAt then
            // After that time it is full in any case; the product stays in range.
            let elapsed = min (int64 (now - filledAt)) (most / int64 rate + 1L)
            tokens <- min most (tokens + elapsed * int64 rate)
            filledAt <- now

    /// Takes the tokens of a datagram if there are enough.
    member _.TryTake(now: Instant, bytes: int) =
        fill now
        let wanted = int64 bytes * 1_000_000L
        let isThere = tokens >= wanted
        if isThere then tokens <- tokens - wanted
        isThere

    /// Takes the tokens of a datagram, and returns the instant from which on there are enough. A datagram that is larger than the bucket waits
    /// for its tokens as well.
    member _.Take(now: Instant, bytes: int) : Instant =
        fill now
        tokens <- tokens - int64 bytes * 1_000_000L

        if tokens >= 0L then
            now
        else
            now + Time.microseconds ((-tokens + int64 rate - 1L) / int64 rate)

/// The rate of a cellular link, as a random walk: in slots of 20 ms, by eighths of an octave, with a tendency to the typical rate, from an eighth
/// of it to nearly three times that. About once in ten seconds there is an outage of 100 to 400 ms. After the measurements of Winstein,
/// Sivaraman and Balakrishnan (2013), whose traces (Mahimahi's) are not redistributed here.
[<Sealed>]
type CellularRate(typical: int, seed: uint64) =
    let rates = ResizeArray<int>()
    let mutable level = 0
    let mutable outage = 0

    // 1024 * 2^(n/8).
    static let eighths = [| 1024L; 1117L; 1218L; 1328L; 1448L; 1579L; 1722L; 1878L |]

    let draw purpose slot limit = Keyed.below limit seed purpose (int64 slot)

    let next slot =
        // Towards the typical rate: the further away, the more often.
        let pull = draw 21 slot 48

        let step = draw 20 slot 3 - 1 + (if pull < abs level then -(sign level) else 0)
        level <- max -24 (min 12 (level + step))

        if outage > 0 then outage <- outage - 1
        elif draw 22 slot 500 = 0 then outage <- 5 + draw 23 slot 16

        if outage > 0 then
            0
        else
            let octave = level >>> 3
            let fraction = eighths[level - 8 * octave]
            let scaled = int64 typical * fraction / 1024L
            int (if octave >= 0 then scaled <<< octave else scaled >>> -octave) |> max 1

    static member Slot = Time.milliseconds 20

    /// The rate in the slot that contains an instant.
    member _.At(now: Instant) =
        let slot = int (now / CellularRate.Slot)

        while rates.Count <= slot do
            rates.Add(next rates.Count)

        rates[slot]

    /// When bytes have been sent, from an instant on.
    member this.Sent(from: Instant, bytes: int) : Instant =
        let mutable at = from
        let mutable left = int64 bytes * 1_000_000L

        while left > 0L do
            let rate = int64 (this.At at)
            let ends = (at / CellularRate.Slot + 1L) * CellularRate.Slot
            let room = rate * int64 (ends - at)

            if room >= left then
                at <- at + Time.microseconds ((left + rate - 1L) / rate)
                left <- 0L
            else
                left <- left - room
                at <- ends

        at

/// The link of a path: when a datagram has been sent, and what the policer and the medium do.
[<Sealed>]
type Link(path: Path, seed: uint64) =
    let tokens =
        match path.Rate with
        | Rate.Policed(rate, bucket)
        | Rate.Shaped(rate, bucket, _) -> TokenBucket(rate, bucket)
        | Rate.Unlimited
        | Rate.Constant _
        | Rate.Alternating _
        | Rate.Steps _
        | Rate.Cellular _ -> Unchecked.defaultof<_>

    let cellular =
        match path.Rate with
        | Rate.Cellular typical -> CellularRate(typical, seed)
        | _ -> Unchecked.defaultof<_>

    /// Until when the cellular link has sent what was given to it, before this is rounded to whole milliseconds.
    let mutable sentUntil = 0L<us>
    let mutable freeAt = 0L<us>
    let mutable grants = 0L

    let at rate (now: Instant) bytes = now + Time.microseconds (max 1L (int64 bytes * 1_000_000L / int64 (max 1 rate)))

    member _.HasQueue =
        match path.Rate with
        | Rate.Unlimited
        | Rate.Policed _ -> false
        | Rate.Constant _
        | Rate.Alternating _
        | Rate.Steps _
        | Rate.Shaped _
        | Rate.Cellular _ -> true

    /// False if the policer drops a datagram.
    member _.Admits(now: Instant, bytes: int) =
        match path.Rate with
        | Rate.Policed _ -> tokens.TryTake(now, bytes)
        | _ -> true

    /// When the first datagram of the queue has been sent; `idle` if nothing was sent just before.
    member _.Serve(now: Instant, bytes: int, idle: bool) : Instant =
        match path.Rate with
        | Rate.Shaped(_, _, peak) -> max (tokens.Take(now, bytes)) (at peak now bytes)
        | Rate.Cellular _ ->
            sentUntil <- cellular.Sent((if idle then now else sentUntil), bytes)
            let millisecond = Time.milliseconds 1
            max now ((sentUntil + millisecond - 1L<us>) / millisecond * millisecond)
        | _ -> at (Path.rateAt now path) now bytes

    /// When the medium is free for a datagram that has to be sent now.
    member _.FreeAt(now: Instant) : Instant =
        match path.Lateness with
        | Lateness.Medium(period, wait, pause, every) ->
            while freeAt < now do
                let waits = Fixed.exponential (int64 wait) (Keyed.bits seed 30 grants)
                let share = max 1L (int64 every / int64 (period + wait))
                let pauses = int64 (Keyed.bits seed 31 grants % uint64 share) = 0L
                grants <- grants + 1L
                freeAt <- freeAt + period + Time.microseconds waits + (if pauses then pause else 0L<us>)

            freeAt
        | _ -> now

module Link =
    /// The bytes that a path can carry in each of `count` periods, headers included; 0 where nothing limits it.
    let capacity (path: Path) (seed: uint64) (period: Duration) count : int64[] =
        match path.Rate with
        | Rate.Cellular typical ->
            let rate = CellularRate(typical, seed)

            [| for index in 0 .. count - 1 ->
                   let mutable sum = 0L
                   let mutable at = int64 index * period

                   while at < int64 (index + 1) * period do
                       let until = min (int64 (index + 1) * period) ((at / CellularRate.Slot + 1L) * CellularRate.Slot)
                       sum <- sum + int64 (rate.At at) * int64 (until - at)
                       at <- until

                   sum / 1_000_000L |]
        | _ ->
            [| for index in 0 .. count - 1 ->
                   int64 (Path.rateAt (int64 index * period) path) * int64 period / 1_000_000L |]
