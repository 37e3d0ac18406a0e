namespace UtpPunch.Protocol

/// SYNs, what proves that their sender receives, and RESETs for packets that belong to no stream.
module internal Acceptor =
    open StreamTable

    /// Answers a packet that belongs to no stream with a RESET, as far as the limiter allows.
    let reset step remote (header: Header) =
        let node = step.Node
        let struct (mayReset, limiter) = ResetLimiter.tryTake node.Now node.ResetLimiter
        node.ResetLimiter <- limiter

        if not mayReset then
            note step Rule.ResetSuppressed remote
        else
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

    /// Closes the oldest half-open stream in favour of a newer one, so that a flood of forged SYNs cannot keep an honest peer out.
    let private evictOldest step =
        let node = step.Node
        let mutable searching = true

        while searching && node.OldestHalfOpen < node.NextAccepted do
            match Radix.tryFind node.OldestHalfOpen node.Connections with
            | ValueSome stored when stored.State = StreamState.SynReceived ->
                let own = touch step stored
                note step Rule.HalfOpenEvicted own.Remote
                counted step own (fun () -> Closing.close step.Context CloseReason.Aborted own)
                searching <- false
            | _ -> ()

            node.OldestHalfOpen <- node.OldestHalfOpen + 2

    let private admit step remote (packet: inref<Packet>) =
        let syn = packet.Header
        let node = step.Node

        if node.HalfOpen >= node.Options.MaxHalfOpen then evictOldest step

        let dialect = node.Options.Dialect
        let first = IdAllocator.drawSeqNr node
        let connId = node.NextAccepted
        node.NextAccepted <- connId + 2

        let own =
            Connection.admit
                { ConnId = connId
                  Remote = remote
                  Dialect = dialect
                  Options = NodeOptions.forDialect dialect node.Options
                  Timeout = node.Options.HalfOpenTimeout
                  Id = syn.ConnectionId
                  Now = node.Now
                  Generation = node.Generation }
                syn.SeqNr
                first

        enter step own
        MtuProbing.meet packet.Bits own

    let receiveSyn step remote (packet: inref<Packet>) =
        let header = packet.Header
        let node = step.Node
        let dialect = node.Options.Dialect
        let known = find node remote (Ids.receive dialect true header.ConnectionId)

        match known with
        | ValueSome stored when stored.Incoming && stored.Ids.Syn = header.SeqNr && stored.State <> StreamState.Closed ->
            Handshake.repeatSynAck step.Context (touch step stored)
        | ValueSome stored when stored.State <> StreamState.TimeWait -> note step Rule.IdCollision remote
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
                    // All names of accepted streams are used up.
                    || node.NextAccepted >= System.Int32.MaxValue - 2
                    ->
                    note step Rule.TooManyConnections remote
                | _ ->
                    // The ids of a stream in TIME-WAIT are free for a peer that connects again (RFC 9293, 3.6.1).
                    match known with
                    | ValueSome stored ->
                        let own = touch step stored
                        counted step own (fun () -> Closing.forget own)
                        removeRoute node own
                    | ValueNone -> ()

                    admit step remote &packet

    /// Takes the first packet that proves that a half-open stream's peer receives. Whether the stream is open now.
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
