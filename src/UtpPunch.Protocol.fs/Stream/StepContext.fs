namespace UtpPunch.Protocol

/// What a step hands to the streams that it touches, and where their effects go.
[<NoComparison; NoEquality>]
type internal StepContext =
    {
        Now: Instant
        Effects: ResizeArray<Effect>
        /// Bytes that the node may hold of what it has received, and those that it does.
        Budget: int64
        mutable Held: int64
        /// Whether the packet that was taken last has a share of a key; and all shares of the step.
        mutable HasShare: bool
        mutable Shares: struct (ConnId * Owned)[]
        /// The prefixes of the network's NAT64.
        mutable Nat64: Nat64Prefix[]
    }
