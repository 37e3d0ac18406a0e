namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Node =
    open StreamTable

    [<CompiledName "Create">]
    let create (options: NodeOptions) (seed: Owned) (now: Instant) : Node =
        let struct (high, random) = Random.next (Random.create seed)
        let struct (low, random) = Random.next random
        let struct (cookieKey, random) = Random.words 8 random

        let hashKey = (uint64 high <<< 32) ||| uint64 low

        { Options = options
          HashKey = hashKey
          Now = now
          Generation = 0L
          Random = random
          Connections = Radix.empty
          Ended = Radix.empty
          Routes = Radix.empty
          Collisions = Radix.empty
          LinkedIds = Radix.empty
          TimerQueue = TimerQueue.empty
          Backlog = ValueNone
          IsSelective = false
          Waiting = Radix.empty
          NextAccepted = 1
          Addresses = Radix.empty
          Held = 0L
          Incoming = 0
          Outgoing = 0
          HalfOpen = 0
          Lingering = 0
          Parting = 0
          Guards =
            { CookieKey = cookieKey
              StartedAt = now
              CookiesUntil = now
              StrayAt = now
              ReportedAt = now - Time.seconds 1
              EvictsAt = now
              ResetLimiters = Radix.empty
              ResetAt = now
              Refusals = ResetLimiter.create now
              Aborted = AbortCodes.create now }
          NodeTasks = NodeTasksState.create hashKey
          Nat64 = [||]
          Simultaneous = [||] }

    /// `count` fresh words of 32 bits.
    let private draw (node: Node) (count: int) : Owned =
        let struct (bytes, random) = Random.words count node.Random
        node.Random <- random
        bytes

    // ---- Receiving ----

    let private receiveReset step remote arrivedAt (packet: inref<Packet>) datagram =
        let header = packet.Header
        // It may carry either id of the stream, and these are neighbours.
        let rec search candidates =
            match candidates with
            | [] -> ValueNone
            | receiveId :: rest ->
                match Links.findAt step remote receiveId with
                | ValueSome stored when
                    stored.Ids.Receive = header.ConnectionId || stored.Ids.Send = header.ConnectionId
                    ->
                    ValueSome stored
                | _ -> search rest

        match search [ header.ConnectionId; header.ConnectionId + 1us; header.ConnectionId - 1us ] with
        | ValueNone -> note step Rule.UnknownConnection remote
        | ValueSome stored ->
            let own = touch step stored
            let key = own.MeetingKey

            let isAuthentic =
                own.State = StreamState.SynSent && not (isNull key) && MeetingKey.isAuthentic &header datagram key

            count step.Node own -1
            Closing.receiveReset step.Context arrivedAt &packet isAuthentic own
            count step.Node own 1

    let private take step remote arrivedAt (packet: inref<Packet>) datagram (own: Connection) =
        match own.State with
        | StreamState.SynReceived when own.IsUndecided -> note step Rule.UnexpectedPacket remote
        | StreamState.SynReceived ->
            if Acceptor.confirm step arrivedAt &packet.Header own then
                Input.receive step.Context arrivedAt &packet own
        | StreamState.SynSent when
            not (isNull own.Linked) && not (MeetingKey.isAuthentic &packet.Header datagram own.MeetingKey)
            ->
            note step Rule.UnexpectedPacket remote
        | StreamState.SynSent when SimultaneousOpen.yields step.Node own -> note step Rule.UnexpectedPacket remote
        | StreamState.SynSent ->
            Input.receive step.Context arrivedAt &packet own

            if own.State = StreamState.Established then
                // The peer knows this node by the address to which it has sent.
                own.Remote <- Endpoint.local remote.Local own.Remote
                KeyAgreements.start step own
        | StreamState.Closed -> note step Rule.UnknownConnection remote
        | StreamState.Established when HeaderPrediction.tryTake step.Context arrivedAt &packet own -> ()
        | StreamState.Established
        | StreamState.TimeWait ->
            Input.receive step.Context arrivedAt &packet own
            if step.Context.HasShare then KeyAgreements.hear step.Context datagram own

    let private receivePacket step remote arrivedAt (packet: inref<Packet>) datagram (own: Connection) =
        take step remote arrivedAt &packet datagram own
        if own.IsSuspended then Links.hear step remote own

    /// Takes a packet of a link's stream that comes from another endpoint than ours go to. Whether it is one.
    let private receiveLinked step remote arrivedAt (packet: inref<Packet>) datagram =
        match Links.find step remote &packet.Header with
        | struct (_, ValueSome stored) ->
            let own = touch step stored
            receivePacket step remote arrivedAt &packet datagram own
            Receiver.seal own.Receiver
            true
        | struct (isStray, ValueNone) -> isStray

    let private seal (last: Connection voption) =
        match last with
        | ValueSome own -> Receiver.seal own.Receiver
        | ValueNone -> ()

    let private receive step (remote: Endpoint) (datagrams: Datagrams) =
        let from = Nat64Translation.arrived step.Node.Nat64 remote
        let all = step.Node.NodeTasks
        let remote = if Aliases.isEmpty all.Aliases then from else Aliases.pathOf from all.Aliases
        // Nearly always all packets of a batch are for one stream.
        let mutable last = ValueNone

        for index in 0 .. datagrams.Count - 1 do
            let datagram = datagrams[index]
            let mutable packet = Unchecked.defaultof<Packet>

            // A STUN answer begins as a uTP DATA packet does.
            let isAwaited = NodeTasksState.awaits datagram step.Node.NodeTasks

            match (if isAwaited then Malformed.Foreign else Packet.decode datagram &packet) with
            | Malformed.None ->
                let header = packet.Header

                match header.Type with
                | PacketType.Syn -> Acceptor.receiveSyn step remote &packet datagram
                | PacketType.Reset -> receiveReset step remote datagrams.ArrivedAt &packet datagram
                | _ ->
                    let connection =
                        match last with
                        | ValueSome(known: Connection) when known.Ids.Receive = header.ConnectionId -> last
                        | _ ->
                            seal last

                            match find step.Node remote header.ConnectionId with
                            | ValueSome stored -> ValueSome(touch step stored)
                            | ValueNone -> ValueNone

                    match connection with
                    | ValueSome own ->
                        last <- connection
                        receivePacket step remote datagrams.ArrivedAt &packet datagram own
                    | ValueNone when receiveLinked step remote datagrams.ArrivedAt &packet datagram -> ()
                    | ValueNone ->
                        match Acceptor.tryRecall step remote datagrams.ArrivedAt &header with
                        | ValueNone ->
                            note step Rule.UnknownConnection remote
                            Acceptor.reset step remote header
                        | ValueSome own -> receivePacket step remote datagrams.ArrivedAt &packet datagram own
            | Malformed.Extension -> note step Rule.MalformedExtension remote
            | _ ->
                match NodeTasks.receive step.Context (draw step.Node) from datagram step.Node.NodeTasks with
                | ValueSome tasks -> step.Node.NodeTasks <- tasks
                | ValueNone -> step.Context.Effects.Add(Effect.Foreign(from, datagram))

        seal last

    // ---- Commands ----

    let private connect step connId remote dialect timeout primingHops =
        let node = step.Node
        Nat64Translation.keepForm step remote

        if connId &&& 1 <> 0 || connId < 0 || (tryStored node connId).IsSome then
            invalidArg (nameof connId) "A stream that is opened here gets an even name that is not in use."

        let fail reason = step.Context.Effects.Add(Effect.Closed(connId, reason))

        if node.Incoming + node.Outgoing >= node.Options.MaxConnections then
            fail CloseReason.TooManyConnections
        else
            match IdAllocator.tryDraw node remote dialect with
            | ValueNone -> fail CloseReason.TooManyConnections
            | ValueSome(struct (id, isn)) ->
                Connection.dial
                    { ConnId = connId
                      Remote = remote
                      Dialect = dialect
                      Options = NodeOptions.forDialect dialect node.Options
                      Timeout = timeout
                      PrimingHops = primingHops
                      Id = id
                      HandshakeOffset = 0u
                      Offset = IdAllocator.drawOffset node dialect
                      Meeting = MeetingPaths.keyToDial node.Now remote node.NodeTasks.Paths
                      Now = node.Now
                      Generation = node.Generation }
                    isn
                |> enter step

    let private connectSimultaneously step connId remote timeout (primingHops: int) =
        if primingHops < 1 || primingHops > 255 then
            invalidArg (nameof primingHops) "A hop limit is from 1 to 255."

        connect step connId remote Dialect.Bep29 timeout (byte primingHops)
        SimultaneousOpen.add step.Node connId remote

    let private abortWhere step predicate =
        Radix.iterate
            (fun _ (stored: Connection.Stored) ->
                if predicate stored then
                    let own = touch step stored

                    if own.IsUndecided then
                        Acceptor.dismiss step own
                    else
                        counted step own (fun () -> Commands.abort step.Context own))
            step.Node.Connections

    let private listen step backlog isSelective =
        step.Node.Backlog <- ValueSome(max 1 backlog)
        step.Node.IsSelective <- isSelective

    let private unlisten step =
        step.Node.Backlog <- ValueNone
        step.Node.IsSelective <- false

        abortWhere step (fun (stored: Connection.Stored) ->
            stored.State = StreamState.SynReceived || (Radix.tryFind stored.ConnId step.Node.Waiting).IsSome)

        step.Node.Waiting <- Radix.empty

    /// Does something with the dials to an endpoint that the network reports something of. Streams that are open do not end by it, nor those over
    /// the path of a meeting: the punch has proved that there is a way. A SYN with a small hop limit draws such a report, too.
    let inline private reportedDial step (remote: Endpoint) ([<InlineIfLambda>] action: Connection -> unit) =
        reported step remote (fun stored ->
            if stored.State = StreamState.SynSent && not stored.IsMeeting && not stored.IsSimultaneous then
                let own = touch step stored
                counted step own (fun () -> action own))

    let private unreachable step remote =
        reportedDial step remote (fun own -> Closing.close step.Context CloseReason.Unreachable own)

    let private tooLong step (remote: Endpoint) size limit =
        reported step remote (fun stored ->
            if stored.State = StreamState.Established then
                MtuProbing.tooLong step.Context size limit (touch step stored))

    /// While this node punches, a NAT of the peer may answer so: it opens when the peer sends.
    let private portUnreachable step (remote: Endpoint) (quoted: Owned) =
        match Packet.tryReadHeader quoted.AsBorrowed with
        | ValueSome header when header.Type = PacketType.Syn && not (NodeTasks.punches remote step.Node.NodeTasks) ->
            let id, number = header.ConnectionId, header.SeqNr
            reportedDial step remote (fun own -> Handshake.refuse step.Context id number own)
        | _ -> ()

    /// A command for a stream that has closed meanwhile is ignored: the application could not know.
    let inline private tell step connId ([<InlineIfLambda>] action: Connection -> unit) =
        match tryTouch step connId with
        | ValueSome own when own.State <> StreamState.Closed -> counted step own (fun () -> action own)
        | _ -> ()

    let private abortWithCode step code (own: Connection) =
        if Closing.abortWithCode step.Context code own then
            let it = { Remote = own.Remote; Receive = own.Ids.Receive; Code = code }
            AbortCodes.remember step.Node (routeKey step.Node own.Remote own.Ids.Receive) it

    let inline private tasks step ([<InlineIfLambda>] change) = step.Node.NodeTasks <- change step.Node.NodeTasks

    let private known step (remote: Endpoint) = Nat64Translation.arrived step.Node.Nat64 remote

    let private absorb step event =
        match event with
        | Event.Received(from, datagrams) -> receive step from datagrams
        | Event.Connect(connId, remote, dialect, timeout) -> connect step connId remote dialect timeout 0uy
        | Event.ConnectSimultaneously(connId, remote, timeout, primingHops) ->
            connectSimultaneously step connId remote timeout primingHops
        | Event.Listen backlog -> listen step backlog false
        | Event.ListenSelectively backlog -> listen step backlog true
        | Event.Decided(connId, admits) ->
            match tryTouch step connId with
            | ValueSome own -> Acceptor.decide step admits own
            | ValueNone -> ()
        | Event.Unlisten -> unlisten step
        | Event.Taken connId -> step.Node.Waiting <- Radix.remove connId step.Node.Waiting
        | Event.Write(connId, bytes) -> tell step connId (fun own -> Commands.write step.Context bytes own)
        | Event.Consumed(connId, count) -> tell step connId (fun own -> Commands.consume count own)
        | Event.Finish connId -> tell step connId (fun own -> Commands.finish own)
        | Event.Release(connId, timeout) -> tell step connId (fun own -> Commands.release step.Context timeout own)
        | Event.Abort connId -> tell step connId (fun own -> Commands.abort step.Context own)
        | Event.AbortWithCode(connId, code) -> tell step connId (fun own -> abortWithCode step code own)
        | Event.SetIdleTimeout(connId, duration) -> tell step connId (fun own -> Commands.setIdleTimeout duration own)
        | Event.SetCongestionControl(connId, control) ->
            tell step connId (fun own -> Commands.setCongestionControl control own)
        | Event.Unreachable remote -> unreachable step (known step remote)
        | Event.TooLong(remote, size, limit) -> tooLong step (known step remote) size limit
        | Event.PortUnreachable(remote, quoted) -> portUnreachable step (known step remote) quoted
        | Event.Meet(taskId, plan) -> tasks step (NodeTasks.meet step.Context (draw step.Node) taskId plan)
        | Event.MeetAlso(taskId, first, plan) ->
            tasks step (NodeTasks.meetAlso step.Context (draw step.Node) taskId first plan)
        | Event.PunchOffered(taskId, plan, own, peer, answers) ->
            tasks
                step
                (NodeTasks.punchOffered step.Context (draw step.Node) taskId plan own.AsBorrowed peer.AsBorrowed answers)
        | Event.PunchLegacy(taskId, remote, attempts) ->
            tasks step (NodeTasks.punchLegacy step.Context taskId remote attempts)
        | Event.Discover(taskId, options) ->
            tasks step (NodeTasks.beginDiscovery step.Context (draw step.Node) taskId options)
        | Event.NetworkChanged hosts -> Links.networkChanged step hosts
        | Event.LocalGone local -> Links.localGone step local
        | Event.Servers(taskId, servers) -> tasks step (NodeTasks.relocate step.Context taskId servers)
        | Event.Nat64 prefixes -> Nat64Translation.learn step prefixes
        | Event.Cancel taskId -> tasks step (NodeTasks.cancel step.Context taskId)

    // ---- The step ----

    let private tickTasks step random = tasks step (NodeTasks.tick step.Context random)

    /// Closes the sockets of punched paths that no stream uses any more.
    let private closeIdleSockets step =
        let node = step.Node

        if SocketNumbers.deadline node.NodeTasks.Sockets <= node.Now then
            let used = ResizeArray<int>()
            iterate node (fun it -> used.Add(int it.Remote.Via))
            node.NodeTasks <- NodeTasks.closeIdleSockets step.Context used.Contains node.NodeTasks

    /// Another SYN under other ids.
    let private redial step (connection: Connection) =
        let node = step.Node

        match IdAllocator.tryDraw node connection.Remote connection.Dialect with
        | ValueSome(struct (id, isn)) ->
            removeRoute node connection
            Handshake.redial step.Context id isn connection
            addRoute node connection
        | ValueNone -> ()

    let private settle step (connection: Connection) =
        let isKeptAlive = not (isNull connection.Linked) && Output.keepAliveAt connection <= step.Node.Now

        let needsIds = counted step connection (fun () -> Connection.settle step.Context connection)
        if not (isNull connection.Linked) then Links.watch step isKeptAlive connection

        if needsIds then redial step connection

        let node = step.Node
        recount node connection

        if connection.State = StreamState.TimeWait && node.Lingering > node.Options.MaxConnections then
            // As many as there may be live streams are enough.
            count node connection -1
            leave step connection
        elif connection.State = StreamState.Closed then
            leave step connection
        else
            if connection.State = StreamState.TimeWait then linger node connection
            schedule node (Connection.deadline connection) connection

    [<CompiledName "Step">]
    let step (now: Instant) (events: Event[]) (node: Node) : struct (Node * Effect[]) =
        let now = max now node.Now

        if events.Length = 0 && TimerQueue.first node.TimerQueue > now && node.NodeTasks.DueAt > now then
            struct (node, [||])
        else
            let step =
                { Node = { node with Now = now; Generation = node.Generation + 1L }
                  Context =
                    { Now = now
                      Effects = ResizeArray()
                      Budget = node.Options.ReceiveBudget
                      Held = node.Held
                      HasShare = false
                      Shares = [||]
                      Nat64 = node.Nat64 }
                  Touched = ResizeArray() }

            AbortCodes.settle step.Node

            for event in events do
                absorb step event

            wake step
            let random = draw step.Node
            tickTasks step random
            KeyAgreements.settle step random
            Links.settle step random
            // A link that has lost its path has begun a meeting.
            tickTasks step random
            closeIdleSockets step

            for connection in step.Touched do
                settle step connection

            // A stream may have found a reason to doubt its path.
            tickTasks step random

            compactTimerQueue step.Node
            Acceptor.forgetResets step.Node
            Nat64Translation.leave step.Node.Nat64 step.Context.Effects
            struct (step.Node, step.Context.Effects.ToArray())

    [<CompiledName "Deadline">]
    let deadline (node: Node) = min (TimerQueue.first node.TimerQueue) node.NodeTasks.DueAt

    [<CompiledName "QuietAt">]
    let quietAt (node: Node) = if node.Incoming + node.Outgoing + node.Parting > 0 then Time.never else node.Now

    [<CompiledName "Statistics">]
    let statistics (node: Node) : NodeStatistics =
        { Incoming = node.Incoming
          Outgoing = node.Outgoing
          HalfOpen = node.HalfOpen
          Lingering = node.Lingering
          HeldBytes = node.Held }

    [<CompiledName "RemoteOf">]
    let remoteOf connId (node: Node) =
        match tryStored node connId with
        | ValueSome stored -> ValueSome stored.Remote
        | ValueNone -> ValueNone

    [<CompiledName "Stream">]
    let stream connId (node: Node) =
        match tryStored node connId with
        | ValueSome stored -> ValueSome(Connection.statistics stored)
        | ValueNone -> ValueNone
