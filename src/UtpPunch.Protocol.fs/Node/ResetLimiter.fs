namespace UtpPunch.Protocol

/// How many RESETs may go to senders that no stream knows: a token bucket, so that forged packets cannot make the node flood a third
/// party. A burst of 64, then a hundred a second.
[<Struct; NoComparison; NoEquality>]
type internal ResetLimiter = { Tokens: int; RefilledAt: Instant }

module internal ResetLimiter =
    let private burst = 64
    let private refillEvery = Time.milliseconds 10

    let create now = { Tokens = burst; RefilledAt = now }

    let private refill (now: Instant) limiter =
        let fresh = (now - limiter.RefilledAt) / refillEvery

        if fresh > 0L then
            { Tokens = int (min (int64 burst) (int64 limiter.Tokens + fresh))
              RefilledAt = limiter.RefilledAt + fresh * refillEvery }
        else
            limiter

    /// Takes a token if there is one.
    let tryTake now limiter =
        let limiter = refill now limiter

        if limiter.Tokens = 0 then
            struct (false, limiter)
        else
            struct (true, { limiter with Tokens = limiter.Tokens - 1 })
