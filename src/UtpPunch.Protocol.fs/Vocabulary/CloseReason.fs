namespace UtpPunch.Protocol

/// Why a stream came to its end.
[<RequireQualifiedAccess>]
type CloseReason =
    /// Both sides finished, every byte of both arrived.
    | Finished
    /// The application released it, the peer acknowledged everything of this side, and what the peer kept open was reset.
    | Released
    /// The application aborted it.
    | Aborted
    /// The peer never answered the SYN.
    | ConnectTimeout
    /// The peer answered the SYN with a RESET; or two SYNs in a row met a port without a socket (`Event.PortUnreachable`).
    | Refused
    /// The peer reset it.
    | Reset
    /// Data was outstanding, and nothing was acknowledged for `GiveUpAfter`.
    | TimedOut
    /// No packet was received for the idle time-out.
    | IdleTimeout
    /// The network has no route to the peer.
    | Unreachable
    /// The node has as many streams as it may have.
    | TooManyConnections
