namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// A node as bytes and back: where a trace begins that was cut off at its front. The bytes mean something to the same build only.
module Snapshot =
    /// The node's bytes. Without `payloads`, what the node holds of its streams' contents becomes zeroes.
    [<CompiledName "Take">]
    val take: payloads: bool -> node: Node -> byte[]

    /// A node that will do what that node would have done. Throws `FormatException` when another build took the snapshot, or it is none.
    [<CompiledName "Restore">]
    val restore: snapshot: byte[] -> Node
