namespace UtpPunch.Protocol

/// Where the search stands (RFC 8899, 5.2).
[<Struct; RequireQualifiedAccess>]
type MtuState =
    /// At the size that it began with, or fell to; no search is under way.
    | Base
    | Searching
    /// Nothing larger passes, as far as is known.
    | Complete
    /// Not even the base passes.
    | Error

/// Packetization layer path MTU discovery (RFC 8899) for one stream: how large its packets may be. A value. Sizes are bytes of UDP
/// payload. It sends nothing: `MtuProbing` does.
[<NoComparison; NoEquality>]
type PathMtu =
    internal
        {
            State: MtuState
            /// PLPMTU.
            Size: int
            /// What the stream began with.
            Start: int
            /// Our own MAX_PLPMTU; no more than `Start` when there is no search.
            Most: int
            /// MAX_PLPMTU with this peer; 0 if it answers no probes.
            Largest: int
            IsIPv4: bool
            /// Sizes from here on have failed.
            Ceiling: int
            /// PROBED_SIZE, 0 for none; `DueAt` is `never` while it waits to be retransmitted.
            Probed: int
            ProbeId: byte
            /// PROBE_COUNT: how often that size was sent.
            Count: int
            /// Probes that this search may still send.
            Left: int
            DueAt: Instant
            /// When the next search begins; `never` while it is not known.
            SearchAt: Instant
        }
