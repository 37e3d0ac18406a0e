namespace UtpPunch.Sim

open UtpPunch.Protocol

/// PIE (RFC 8033): drops arriving datagrams with a probability that follows the delay of the queue, and how that delay changes. The probability is
/// in 2^-40, so that no step of it is lost by rounding.
[<Sealed>]
type PieControl() =
    let one = 1L <<< 40
    let target = Time.milliseconds 15
    let period = Time.milliseconds 15
    let mutable probability = 0L
    let mutable before = 0L<us>
    let mutable updatedAt = 0L<us>
    let mutable burst = Time.milliseconds 150

    /// RFC 8033, 4.2: the smaller the probability, the smaller its steps.
    let divisor () =
        if probability < one / 1_000_000L then 2048L
        elif probability < one / 100_000L then 512L
        elif probability < one / 10_000L then 128L
        elif probability < one / 1_000L then 32L
        elif probability < one / 100L then 8L
        elif probability < one / 10L then 2L
        else 1L

    let update (delay: Duration) =
        // alpha is 1/8 and beta 5/4 a second.
        let error = int64 (delay - target) + 10L * int64 (delay - before)
        let step = error * (one / 8_000_000L) / divisor ()
        // RFC 8033, 5.2: at most 2 % at once, unless the probability is small.
        let step = if probability >= one / 10L then min step (one / 50L) else step

        let decayed =
            if delay = 0L<us> && before = 0L<us> then
                probability - probability / 50L
            else
                probability + step

        probability <- decayed |> max 0L |> min one

        if probability = 0L && delay < target / 2L && before < target / 2L then
            burst <- Time.milliseconds 150
        else
            burst <- max 0L<us> (burst - period)

        before <- delay

    /// Whether an arriving datagram is dropped, when what is in the queue takes `delay` to send; from 64 random bits.
    member _.Drops(now: Instant, delay: Duration, bits: uint64) =
        // After an idle time, a hundred updates are as good as all of them.
        if now - updatedAt > 100L * period then updatedAt <- now - 100L * period

        while updatedAt + period <= now do
            updatedAt <- updatedAt + period
            update delay

        let isSafe = burst > 0L<us> || (before < target / 2L && probability < one / 5L)
        not isSafe && int64 (bits >>> 24) < probability
