namespace UtpPunch.Protocol

/// What an acknowledgement changed.
[<Struct; NoComparison>]
type internal Acknowledged =
    {
        /// Packets that the cumulative acknowledgement freed.
        Freed: int
        /// Bytes acknowledged for the first time, cumulatively or selectively.
        Bytes: int
        /// The packets that carried them.
        Packets: int
        /// Whether packets among them were sent only once: progress, and not just the answer to a retransmission.
        Fresh: bool
        /// The age of the youngest packet among them that was sent only once (Karn's rule).
        RoundTrip: Duration voption
        /// The time since the last transmission of the youngest retransmitted packet among them; `Time.never` without one.
        RetransmitAge: Duration
        /// Packets that were found lost.
        Lost: int
        /// Packets were found lost, for the first time since the last congestion response. Whether they mean congestion is for the
        /// congestion control to decide.
        Congested: bool
    }
