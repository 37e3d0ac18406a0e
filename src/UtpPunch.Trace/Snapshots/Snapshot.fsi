namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// A node as bytes and back: the start of a trace that was cut off at its front. Only the build that wrote the bytes can read them.
module Snapshot =
    /// The node's bytes. Without `payloads`, the contents of streams are left out, and are zeroes when they are read.
    [<CompiledName "Take">]
    val take: payloads: bool -> node: Node -> byte[]

    /// A node that does what the other node would have done. Throws `FormatException` when the bytes are not a snapshot of this build. Any
    /// bytes may be passed: what is allocated is bounded by their number.
    [<CompiledName "Restore">]
    val restore: snapshot: byte[] -> Node
