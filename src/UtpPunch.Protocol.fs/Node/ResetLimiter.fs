namespace UtpPunch.Protocol

/// How many RESETs may be sent in answer to packets that belong to no stream: a token bucket, so that forged packets cannot make the node
/// flood a third party. A burst of 64, then a hundred a second.
[<Struct; NoComparison; NoEquality>]
type internal ResetLimiter =
    internal
        {
            /// When the bucket was empty: it has gained one token each 10 ms since.
            EmptyAt: Instant
        }

module internal ResetLimiter =
    let private burst = 64L
    let private refillEvery = Time.milliseconds 10

    /// A full bucket.
    let create now = { EmptyAt = now - burst * refillEvery }

    /// Takes a token if there is one.
    let tryTake (now: Instant) limiter =
        let tokens = (now - limiter.EmptyAt) / refillEvery

        if tokens = 0L then
            struct (false, limiter)
        else
            let surplus = max 0L (tokens - burst)
            struct (true, { EmptyAt = limiter.EmptyAt + (surplus + 1L) * refillEvery })
