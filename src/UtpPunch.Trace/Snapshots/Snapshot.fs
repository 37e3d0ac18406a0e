namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

module Snapshot =
    /// "utp2".
    [<Literal>]
    let private Magic = 0x75747032u

    [<CompiledName "Take">]
    let take (payloads: bool) (node: Node) : byte[] =
        let writer = SnapshotWriter payloads
        writer.UInt32 Magic
        writer.UInt64 SnapshotGenerated.Layout
        writer.Flag payloads
        SnapshotGenerated.writeNode writer node
        writer.ToArray()

    [<CompiledName "Restore">]
    let restore (snapshot: byte[]) : Node =
        let reader = SnapshotReader snapshot

        if reader.UInt32() <> Magic then reader.Fail "it does not begin like one"

        if reader.UInt64() <> SnapshotGenerated.Layout then
            reader.Fail "its state has other fields"

        reader.KeepContents(reader.Flag())
        let node = SnapshotGenerated.readNode reader

        if not reader.IsAtEnd then reader.Fail "there is more than a node"

        node
