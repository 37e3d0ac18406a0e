namespace UtpPunch.Protocol

/// Draws the ids, the sequence numbers and the clocks of streams that are opened here.
module internal IdAllocator =
    /// 32 fresh bits.
    let draw (node: Node) =
        let struct (bits, random) = Random.next node.Random
        node.Random <- random
        bits

    /// What is added to the clock of a stream. The npm package's dialect has no use for it.
    let drawOffset node dialect =
        match dialect with
        | Dialect.Bep29 -> draw node
        | Dialect.UtpPunch -> 0u

    /// An id that no stream to that peer uses, and the SYN's number; none when a hundred draws have found no free id.
    let tryDraw (node: Node) remote dialect =
        let rec search tries =
            let bits = draw node
            let isn = SeqNr(uint16 (bits >>> 16))

            let id =
                match dialect with
                // libutp keeps ids in 32 bits and loses the responder's id 0x10000.
                | Dialect.Bep29 -> uint16 bits
                | Dialect.UtpPunch -> uint16 bits &&& 0xFFFEus

            let isFree =
                (dialect = Dialect.UtpPunch || id <> 0xFFFFus)
                && (StreamTable.find node remote (Ids.receive dialect false id)).IsNone

            if isFree then ValueSome(struct (id, isn))
            elif tries = 0 then ValueNone
            else search (tries - 1)

        search 100
