namespace UtpPunch.Protocol

/// Why a stream came to its end.
[<RequireQualifiedAccess>]
type CloseReason =
    /// Both sides finished, every byte of both arrived.
    | Finished
    /// The application released it, the peer acknowledged everything of ours, and what the peer kept open was reset.
    | Released
    /// We aborted it.
    | Aborted
    /// The peer never answered the SYN.
    | ConnectTimeout
    /// The peer answered the SYN with a RESET.
    | Refused
    /// The peer reset it.
    | Reset
    /// Data was sent again and again, and nothing was acknowledged.
    | TimedOut
    /// Nothing at all was heard for the idle time-out.
    | IdleTimeout
    /// The network has no way to the peer.
    | Unreachable
    /// The node already has as many streams as it may have.
    | TooManyConnections
