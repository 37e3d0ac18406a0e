namespace UtpPunch.Protocol

/// What an acknowledgement changed.
[<Struct; NoComparison>]
type Acknowledged =
    {
        /// Packets that the cumulative acknowledgement freed.
        Freed: int
        /// Bytes acknowledged for the first time, cumulatively or selectively.
        Bytes: int
        /// The packets that carried them.
        Packets: int
        /// Whether packets are among them that were sent only once: progress, and not just an answer to what was sent again.
        Fresh: bool
        /// The age of the youngest packet among them that was sent only once (Karn's rule).
        RoundTrip: Duration voption
        /// How long ago the youngest of those that were sent again went out for the last time; `Time.never` without any.
        Again: Duration
        /// Packets that were found lost.
        Lost: int
        /// Packets were found lost, the first since the last congestion was answered. Whether they are one is the congestion control's to say.
        Congested: bool
    }
