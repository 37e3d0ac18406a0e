namespace UtpPunch.Protocol

/// The state of a stream as a whole; while it is established, each direction has a state of its own. The names are those of
/// RFC 9293, 3.3.2. What moves a stream from one state to another is in `Connection.fsi` and docs/states.md.
[<Struct; RequireQualifiedAccess>]
type StreamState =
    /// We sent a SYN.
    | SynSent
    /// We answered a SYN; its sender has not yet proved that it receives. Nothing but the SYN-ACK is sent there.
    | SynReceived
    | Established
    /// Both directions have ended. A repeated FIN is still acknowledged, in case our last acknowledgement was lost.
    | TimeWait
    | Closed

/// The direction from here to the peer.
[<Struct; RequireQualifiedAccess>]
type SendState =
    /// The application may write.
    | Open
    /// The application has finished; the FIN follows what is queued.
    | FinQueued
    /// The FIN was sent and is not acknowledged (FIN-WAIT-1, CLOSING, LAST-ACK).
    | FinWait
    /// The peer has acknowledged everything, the FIN included (FIN-WAIT-2). The application has not been told yet.
    | FinAcked
    /// The application was told: `Effect.Finished`.
    | Finished

/// The direction from the peer to here.
[<Struct; RequireQualifiedAccess>]
type ReceiveState =
    /// The peer may send more. A FIN that arrived ahead of missing packets changes nothing yet.
    | Open
    /// Everything up to the peer's FIN is here (CLOSE-WAIT). The application has not been told yet.
    | FinReceived
    /// The application was told: `Effect.Ended`.
    | Ended
