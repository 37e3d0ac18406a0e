namespace UtpPunch.Protocol

/// Names a stream on both sides of the boundary: even when opened here (the caller picks it), odd when accepted, counting up,
/// never used again.
type ConnId = int

/// How ids travel. Nothing guesses: a node accepts one dialect, and each connect says which it dials.
[<Struct; RequireQualifiedAccess>]
type Dialect =
    /// BEP 29 as libutp speaks it.
    | Bep29
    /// The npm package utp-punch: the client sends an even id, the server answers with that id plus one.
    | UtpPunch
