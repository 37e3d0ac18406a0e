namespace UtpPunch.Protocol

/// Who may come in: SYNs, what proves that their sender receives, and RESETs for those who knock at no door.
module internal Acceptor =
    open StreamTable

    /// RESETs to strangers: a burst of 64, then a hundred a second.
    let resetBurst = 64
    let private resetEvery = Time.milliseconds 10

    // ---- Drawing numbers ----

    let private draw (node: Node) =
        let struct (bits, random) = Random.next node.Random
        node.Random <- random
        bits

    /// An id that no stream to that peer uses, and a sequence number; none when a hundred draws found no free id.
    let drawIds (node: Node) remote dialect =
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
                && (find node remote (Connection.receiveIdOf dialect false id)).IsNone

            if isFree then ValueSome(struct (id, isn))
            elif tries = 0 then ValueNone
            else search (tries - 1)

        search 100

    // ---- Packets for nobody ----

    let reset step remote (header: Header) =
        let node = step.Node
        let refill = (node.Now - node.ResetsRefilledAt) / resetEvery

        if refill > 0L then
            node.Resets <- int (min (int64 resetBurst) (int64 node.Resets + refill))
            node.ResetsRefilledAt <- node.ResetsRefilledAt + refill * resetEvery

        if node.Resets = 0 then
            note step Rule.ResetSuppressed remote
        else
            node.Resets <- node.Resets - 1

            let id =
                match node.Options.Dialect with
                // As libutp answers: the id and the number of the packet in question.
                | Dialect.Bep29 -> header.ConnectionId
                // The npm package looks for the id under which it receives.
                | Dialect.UtpPunch -> header.ConnectionId ^^^ 1us

            let answer =
                { Type = PacketType.Reset
                  ConnectionId = id
                  Timestamp = Time.stamp node.Now
                  TimestampDifference = 0u
                  Window = 0u
                  SeqNr = SeqNr 0us
                  AckNr = header.SeqNr }

            step.Context.Effects.Add(Effect.Send(remote, Train(answer, Owned.Empty, Owned.Empty, 0)))

    // ---- Acceptor ----

    /// Half-open streams are kept in the order in which they came; the oldest gives way to a newer one, so that a flood of
    /// forged SYNs costs an honest peer no more than it must.
    let private evictOldest step =
        let node = step.Node
        let mutable searching = true

        while searching && node.OldestHalfOpen < node.NextAccepted do
            match Radix.tryFind node.OldestHalfOpen node.Connections with
            | ValueSome connection when connection.Phase = Phase.SynReceived ->
                let own = touch step connection
                note step Rule.HalfOpenEvicted own.Remote
                counted step own (fun () -> Ending.close step.Context CloseReason.Aborted own)
                searching <- false
            | _ -> ()

            node.OldestHalfOpen <- node.OldestHalfOpen + 2

    let private admit step remote (packet: inref<Packet>) =
        let syn = packet.Header
        let node = step.Node

        if node.HalfOpen >= node.Options.MaxHalfOpen then evictOldest step

        let dialect = node.Options.Dialect
        let first = SeqNr(uint16 (draw node))
        let connId = node.NextAccepted
        node.NextAccepted <- connId + 2

        let own =
            Connection.admit
                connId
                remote
                dialect
                (NodeOptions.forDialect dialect node.Options)
                node.Options.HalfOpenTimeout
                syn
                first
                node.Now
            |> enter step

        MtuProbing.meet packet.Bits own

    let receiveSyn step remote (packet: inref<Packet>) =
        let header = packet.Header
        let node = step.Node
        let dialect = node.Options.Dialect
        let known = find node remote (Connection.receiveIdOf dialect true header.ConnectionId)

        match known with
        | ValueSome connection when Handshake.isOpenedBy header connection && connection.Phase <> Phase.Dead ->
            Handshake.repeatSynAck step.Context (touch step connection)
        | ValueSome connection when connection.Phase <> Phase.Lingering -> note step Rule.IdCollision remote
        | _ ->
            if dialect = Dialect.UtpPunch && header.ConnectionId &&& 1us <> 0us then
                note step Rule.UnexpectedPacket remote
            else
                match node.Backlog with
                | ValueNone when not (NodeTasks.isExpected node.Now remote node.NodeTasks) ->
                    note step Rule.NotListening remote
                    reset step remote header
                | ValueSome backlog when Radix.count node.Waiting >= backlog -> note step Rule.AcceptQueueFull remote
                | _ when
                    node.Incoming + node.Outgoing >= node.Options.MaxConnections
                    // A thousand million names are used up.
                    || node.NextAccepted >= System.Int32.MaxValue - 2
                    ->
                    note step Rule.TooManyConnections remote
                | _ ->
                    // The ids of a stream that only lingers are free for a peer that came back.
                    match known with
                    | ValueSome old ->
                        let own = touch step old
                        counted step own (fun () -> Ending.forget own)
                        removeRoute node own
                    | ValueNone -> ()

                    admit step remote &packet

    /// The first packet that proves that a half-open stream's peer receives. Whether the stream is open now.
    let confirm step header (connection: Connection) =
        let node = step.Node

        if not (Handshake.confirms header connection) then
            note step Rule.AckOutOfRange connection.Remote
            false
        else
            match node.Backlog with
            | _ when node.Incoming + node.Outgoing >= node.Options.MaxConnections ->
                note step Rule.TooManyConnections connection.Remote
                false
            | ValueSome backlog when Radix.count node.Waiting < backlog ->
                counted step connection (fun () -> Handshake.confirm step.Context connection)
                node.Waiting <- Radix.add connection.ConnId () node.Waiting
                true
            | ValueNone when NodeTasks.isExpected node.Now connection.Remote node.NodeTasks ->
                counted step connection (fun () -> Handshake.confirm step.Context connection)
                true
            | _ ->
                note step Rule.AcceptQueueFull connection.Remote
                false
