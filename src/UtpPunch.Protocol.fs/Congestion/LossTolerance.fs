namespace UtpPunch.Protocol

/// How much a path loses without congestion: by radio, not by routers. Shares are in 2^-28: the 1024th part of a small one is not 0.
[<Struct; NoComparison>]
type internal LossTolerance =
    {
        /// Lost among the last packets.
        Share: int
        /// The same, reduced after each congestion response: the effect of a smaller window must show first.
        Fresh: int
        /// The last losses came one by one, not together, as those of an overflowing queue do.
        Scattered: bool
        /// No queue showed when packets were last acknowledged.
        QueueEmpty: bool
    }

module internal LossTolerance =
    [<Literal>]
    let ShareBits = 28

    /// Packets that a share is taken over, with exponential weights.
    let private memory = 1024

    /// Two in a hundred, as in BBR (draft-ietf-ccwg-bbr: LossThresh): one in a hundred rarely exceeds that by chance.
    let private tolerable = (1 <<< ShareBits) / 50

    /// Nothing is known yet: half of what is tolerable.
    let none = { Share = tolerable / 2; Fresh = tolerable / 2; Scattered = true; QueueEmpty = false }

    let private fade packets share = share - int (int64 share * int64 (min memory packets) / int64 memory)

    let acknowledged packets empty tolerance =
        { tolerance with
            Share = fade packets tolerance.Share
            Fresh = fade packets tolerance.Fresh
            QueueEmpty = empty }

    let missed packets window tolerance =
        let lost = int ((int64 (min memory packets) <<< ShareBits) / int64 memory)
        let add share = fade packets share + lost

        { tolerance with
            Share = add tolerance.Share
            Fresh = add tolerance.Fresh
            Scattered = packets <= 2 + window / 32 }

    let answered tolerance = { tolerance with Fresh = min tolerance.Fresh (tolerable / 2) }

    let isAll tolerance =
        tolerance.QueueEmpty
        && tolerance.Scattered
        && tolerance.Fresh <= tolerable
        && tolerance.Share <= 2 * tolerable
