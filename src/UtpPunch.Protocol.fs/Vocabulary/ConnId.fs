namespace UtpPunch.Protocol

/// Names a stream between core and shell: even for a stream that was opened here (the caller chooses it), odd for an accepted one. Names
/// are not negative. They count up, and begin again after 2^30 streams with those that are not in use.
type ConnId = int

/// How connection ids are chosen. The dialect is never guessed: a node accepts one, and each connect names one.
[<Struct; RequireQualifiedAccess>]
type Dialect =
    /// BEP 29 as libutp implements it.
    | Bep29
    /// The npm package utp-punch: the client sends an even id, the server answers with that id plus one.
    | UtpPunch
