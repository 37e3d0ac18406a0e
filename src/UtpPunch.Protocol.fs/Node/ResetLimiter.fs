namespace UtpPunch.Protocol

/// How many RESETs may be sent to an address in answer to packets that belong to no stream: a token bucket, so that forged packets cannot
/// make the node flood a third party. Addresses share 256 buckets, by a keyed hash: a limit for all together would tell an attacker, by
/// the RESETs that its own address gets, which forged packets drew one (CVE-2016-5696). For the same reason the rate varies at random.
[<Struct; NoComparison; NoEquality>]
type internal ResetLimiter =
    internal
        {
            /// When the bucket was empty.
            EmptyAt: Instant
        }

module internal ResetLimiter =
    let private burst = 32L
    let private refillEvery = Time.milliseconds 20

    /// The bits of an address's hash that choose its bucket.
    let bucket (hash: uint32) = int (hash &&& 0xFFu)

    /// After how long without a RESET every bucket is full.
    let fullAfter = 2L * burst * refillEvery

    /// A full bucket.
    let create (now: Instant) = { EmptyAt = now - burst * refillEvery }

    let hasToken (now: Instant) limiter = now - limiter.EmptyAt >= refillEvery

    /// Takes a token if there is one. A token costs the time of half a one up to one and a half, by `random`.
    let tryTake (now: Instant) (random: uint32) limiter =
        let tokens = (now - limiter.EmptyAt) / refillEvery

        if tokens = 0L then
            struct (false, limiter)
        else
            let start = max limiter.EmptyAt (now - burst * refillEvery)
            let cost = refillEvery / 2L + int64 (random % uint32 (int64 refillEvery)) * 1L<us>
            struct (true, { EmptyAt = start + cost })
