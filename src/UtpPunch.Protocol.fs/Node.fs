namespace UtpPunch.Protocol

/// The fields are mutable for the step that made the copy, and for it alone.
[<NoComparison; NoEquality>]
type Node =
    private
        { Options: NodeOptions
          /// Keys the hash of the routes, so that strangers cannot aim for collisions.
          HashKey: uint64
          mutable Now: Instant
          mutable Generation: int64
          mutable Random: Random
          mutable Connections: Radix<Connection>
          /// Who receives from an endpoint under an id, by hash.
          mutable Routes: Radix<ConnId[]>
          /// Who may be due when. An entry counts only if `Indexed` says the same.
          mutable Agenda: Agenda
          mutable Indexed: Radix<Instant>
          mutable Backlog: int voption
          /// Accepted streams that the application has not taken.
          mutable Waiting: Radix<unit>
          mutable LastOpened: ConnId
          mutable NextAccepted: ConnId
          /// No half-open stream is older than this one.
          mutable OldestHalfOpen: ConnId
          mutable Incoming: int
          mutable Outgoing: int
          mutable HalfOpen: int
          mutable Lingering: int
          mutable Quiet: Instant
          mutable Resets: int
          mutable ResetsRefilledAt: Instant }

module Node =
    /// RESETs to strangers: a burst of 64, then a hundred a second.
    let private resetBurst = 64
    let private resetEvery = Time.milliseconds 10

    [<CompiledName "Create">]
    let create (options: NodeOptions) (seed: Bytes) (now: Instant) : Node =
        let struct (high, random) = Random.next (Random.create seed)
        let struct (low, random) = Random.next random

        { Options = options
          HashKey = (uint64 high <<< 32) ||| uint64 low
          Now = now
          Generation = 0L
          Random = random
          Connections = Radix.empty
          Routes = Radix.empty
          Agenda = Agenda.empty
          Indexed = Radix.empty
          Backlog = ValueNone
          Waiting = Radix.empty
          LastOpened = -2
          NextAccepted = 1
          OldestHalfOpen = 1
          Incoming = 0
          Outgoing = 0
          HalfOpen = 0
          Lingering = 0
          Quiet = now
          Resets = resetBurst
          ResetsRefilledAt = now }

    /// What one step works on: its own copy of the node, and the streams that it has touched, in that order.
    [<NoComparison; NoEquality>]
    type private Step =
        { Node: Node
          Turn: Turn
          Touched: ResizeArray<Connection> }

    let private note step rule remote =
        step.Turn.Effects.Add(Effect.Noted(rule, remote))

    // ---- Who is who ----

    let private routeKey (node: Node) (remote: Endpoint) (receiveId: uint16) =
        int (remote.Hash node.HashKey ^^^ (uint32 receiveId * 0x9E3779B1u))

    let private addRoute (node: Node) connection =
        let key = routeKey node (Connection.remote connection) (Connection.receiveId connection)
        let known = Radix.tryFind key node.Routes |> ValueOption.defaultValue [||]
        node.Routes <- Radix.add key (Array.append known [| Connection.connId connection |]) node.Routes

    let private removeRoute (node: Node) connection =
        let key = routeKey node (Connection.remote connection) (Connection.receiveId connection)

        match Radix.tryFind key node.Routes with
        | ValueSome known ->
            let rest = Array.filter ((<>) (Connection.connId connection)) known

            node.Routes <-
                if rest.Length = 0 then
                    Radix.remove key node.Routes
                else
                    Radix.add key rest node.Routes
        | ValueNone -> ()

    let private find (node: Node) remote receiveId =
        match Radix.tryFind (routeKey node remote receiveId) node.Routes with
        | ValueNone -> ValueNone
        | ValueSome known ->
            let mutable found = ValueNone

            for connId in known do
                match Radix.tryFind connId node.Connections with
                | ValueSome connection when
                    Connection.receiveId connection = receiveId
                    && (Connection.remote connection).Equals remote
                    ->
                    found <- ValueSome connection
                | _ -> ()

            found

    /// The step's own copy of a stream, which settles at its end.
    let private touch step connection =
        if Connection.generation connection = step.Node.Generation then
            connection
        else
            let own = Connection.copy step.Node.Generation connection
            step.Node.Connections <- Radix.add (Connection.connId own) own step.Node.Connections
            step.Touched.Add own
            own

    let private tryTouch step connId =
        match Radix.tryFind connId step.Node.Connections with
        | ValueSome connection -> ValueSome(touch step connection)
        | ValueNone -> ValueNone

    // ---- Counting ----

    let private count (node: Node) connection change =
        match Connection.phase connection with
        | Phase.SynSent -> node.Outgoing <- node.Outgoing + change
        | Phase.SynReceived -> node.HalfOpen <- node.HalfOpen + change
        | Phase.Open when Connection.isIncoming connection -> node.Incoming <- node.Incoming + change
        | Phase.Open -> node.Outgoing <- node.Outgoing + change
        | Phase.Lingering -> node.Lingering <- node.Lingering + change
        | Phase.Dead -> ()

    /// Runs what may move a stream to another phase, and keeps the counts.
    let inline private counted step connection ([<InlineIfLambda>] action: unit -> unit) =
        count step.Node connection -1
        action ()
        count step.Node connection 1

    let private enter step connection =
        let own = touch step connection
        addRoute step.Node own
        count step.Node own 1
        own

    let private leave step connection =
        let connId = Connection.connId connection
        removeRoute step.Node connection
        step.Node.Connections <- Radix.remove connId step.Node.Connections
        step.Node.Indexed <- Radix.remove connId step.Node.Indexed
        step.Node.Waiting <- Radix.remove connId step.Node.Waiting

    // ---- Drawing numbers ----

    let private draw (node: Node) =
        let struct (bits, random) = Random.next node.Random
        node.Random <- random
        bits

    /// An id that no stream to that peer uses, and a sequence number; none when a hundred draws found no free id.
    let private drawIds (node: Node) remote dialect =
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

    let private reset step remote (header: Header) =
        let node = step.Node
        let refill = int ((node.Now - node.ResetsRefilledAt) / resetEvery)

        if refill > 0 then
            node.Resets <- int (min (int64 resetBurst) (int64 node.Resets + int64 refill))
            node.ResetsRefilledAt <- node.ResetsRefilledAt + int64 refill * resetEvery

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

            step.Turn.Effects.Add(Effect.Send(remote, Train(answer, Bytes.Empty, Bytes.Empty, 0)))

    // ---- Accepting ----

    /// Half-open streams are kept in the order in which they came; the oldest gives way to a newer one, so that a flood of
    /// forged SYNs costs an honest peer no more than it must.
    let private evictOldest step =
        let node = step.Node
        let mutable searching = true

        while searching && node.OldestHalfOpen < node.NextAccepted do
            match Radix.tryFind node.OldestHalfOpen node.Connections with
            | ValueSome connection when Connection.phase connection = Phase.SynReceived ->
                let own = touch step connection
                note step Rule.HalfOpenEvicted (Connection.remote own)
                counted step own (fun () -> Connection.close step.Turn CloseReason.Aborted own)
                searching <- false
            | _ -> ()

            node.OldestHalfOpen <- node.OldestHalfOpen + 2

    let private admit step remote (syn: Header) =
        let node = step.Node

        if node.HalfOpen >= node.Options.MaxHalfOpen then
            evictOldest step

        let dialect = node.Options.Dialect
        let first = SeqNr(uint16 (draw node))
        let connId = node.NextAccepted
        node.NextAccepted <- connId + 2

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
        |> ignore

    let private receiveSyn step remote (header: Header) =
        let node = step.Node
        let dialect = node.Options.Dialect
        let known = find node remote (Connection.receiveIdOf dialect true header.ConnectionId)

        match known with
        | ValueSome connection when
            Connection.isOpenedBy header connection
            && Connection.phase connection <> Phase.Dead
            ->
            Connection.repeatSynAck step.Turn (touch step connection)
        | ValueSome connection when Connection.phase connection <> Phase.Lingering ->
            note step Rule.IdCollision remote
        | _ ->
            if dialect = Dialect.UtpPunch && header.ConnectionId &&& 1us <> 0us then
                note step Rule.UnexpectedPacket remote
            else
                match node.Backlog with
                | ValueNone ->
                    note step Rule.NotListening remote
                    reset step remote header
                | ValueSome backlog when Radix.count node.Waiting >= backlog ->
                    note step Rule.AcceptQueueFull remote
                | ValueSome _ when node.Incoming + node.Outgoing >= node.Options.MaxConnections ->
                    note step Rule.TooManyConnections remote
                | ValueSome _ ->
                    // The ids of a stream that only lingers are free for a peer that came back.
                    match known with
                    | ValueSome old ->
                        let own = touch step old
                        counted step own (fun () -> Connection.forget own)
                        removeRoute node own
                    | ValueNone -> ()

                    admit step remote header

    /// The first packet that proves that a half-open stream's peer receives. Whether the stream is open now.
    let private confirm step header connection =
        let node = step.Node

        if not (Connection.confirms header connection) then
            note step Rule.AckOutOfRange (Connection.remote connection)
            false
        else
            match node.Backlog with
            | _ when node.Incoming + node.Outgoing >= node.Options.MaxConnections ->
                note step Rule.TooManyConnections (Connection.remote connection)
                false
            | ValueSome backlog when Radix.count node.Waiting < backlog ->
                counted step connection (fun () -> Connection.confirm step.Turn connection)
                node.Waiting <- Radix.add (Connection.connId connection) () node.Waiting
                true
            | _ ->
                note step Rule.AcceptQueueFull (Connection.remote connection)
                false

    // ---- Receiving ----

    let private receiveReset step remote (header: Header) =
        // It may carry either id of the stream, and these are neighbours.
        let rec search candidates =
            match candidates with
            | [] -> note step Rule.UnknownConnection remote
            | receiveId :: rest ->
                match find step.Node remote receiveId with
                | ValueSome connection when
                    Connection.receiveId connection = header.ConnectionId
                    || Connection.sendId connection = header.ConnectionId
                    ->
                    let own = touch step connection
                    counted step own (fun () -> Connection.receiveReset step.Turn header own)
                | _ -> search rest

        search [ header.ConnectionId; header.ConnectionId + 1us; header.ConnectionId - 1us ]

    let private receivePacket step remote arrivedAt (packet: inref<Packet>) connection =
        let own = touch step connection

        match Connection.phase own with
        | Phase.SynReceived ->
            if confirm step packet.Header own then
                Connection.receive step.Turn arrivedAt &packet own
        | Phase.Dead -> note step Rule.UnknownConnection remote
        | Phase.SynSent
        | Phase.Open
        | Phase.Lingering -> Connection.receive step.Turn arrivedAt &packet own

    let private receive step (remote: Endpoint) (datagrams: Datagrams) =
        // Nearly always all packets of a batch are for one stream.
        let mutable last = ValueNone

        for index in 0 .. datagrams.Count - 1 do
            let datagram = datagrams[index]
            let mutable packet = Unchecked.defaultof<Packet>

            match Wire.decode datagram &packet with
            | Malformed.None ->
                let header = packet.Header

                match header.Type with
                | PacketType.Syn -> receiveSyn step remote header
                | PacketType.Reset -> receiveReset step remote header
                | _ ->
                    let connection =
                        match last with
                        | ValueSome known when Connection.receiveId known = header.ConnectionId -> last
                        | _ -> find step.Node remote header.ConnectionId

                    match connection with
                    | ValueSome connection ->
                        let own = touch step connection
                        last <- ValueSome own
                        receivePacket step remote datagrams.ArrivedAt &packet own
                    | ValueNone ->
                        note step Rule.UnknownConnection remote
                        reset step remote header
            | Malformed.Extension -> note step Rule.MalformedExtension remote
            | _ -> step.Turn.Effects.Add(Effect.Foreign(remote, datagram))

    // ---- What the application says ----

    let private connect step connId remote dialect patience =
        let node = step.Node

        if connId &&& 1 <> 0 || connId <= node.LastOpened then
            invalidArg (nameof connId) "A stream that is opened here gets an even name, larger than any before."

        node.LastOpened <- connId
        let fail reason = step.Turn.Effects.Add(Effect.Closed(connId, reason))

        if node.Incoming + node.Outgoing >= node.Options.MaxConnections then
            fail CloseReason.TooManyConnections
        else
            match drawIds node remote dialect with
            | ValueNone -> fail CloseReason.TooManyConnections
            | ValueSome(struct (id, isn)) ->
                let options = NodeOptions.forDialect dialect node.Options

                Connection.dial connId remote dialect options patience id isn node.Now
                |> enter step
                |> ignore

    let private abortWhere step predicate =
        Radix.iterate
            (fun _ connection ->
                if predicate connection then
                    let own = touch step connection
                    counted step own (fun () -> Connection.abort step.Turn own))
            step.Node.Connections

    let private unlisten step =
        step.Node.Backlog <- ValueNone

        abortWhere step (fun connection ->
            Connection.phase connection = Phase.SynReceived
            || (Radix.tryFind (Connection.connId connection) step.Node.Waiting).IsSome)

        step.Node.Waiting <- Radix.empty

    let private unreachable step (remote: Endpoint) =
        Radix.iterate
            (fun _ connection ->
                if
                    Connection.phase connection = Phase.SynSent
                    && (Connection.remote connection).Equals remote
                then
                    let own = touch step connection
                    counted step own (fun () -> Connection.close step.Turn CloseReason.Unreachable own))
            step.Node.Connections

    /// What the application says of a stream that has closed meanwhile is ignored: it could not know.
    let inline private tell step connId ([<InlineIfLambda>] action: Connection -> unit) =
        match tryTouch step connId with
        | ValueSome own when Connection.phase own <> Phase.Dead -> counted step own (fun () -> action own)
        | _ -> ()

    let private absorb step event =
        match event with
        | Event.Received(from, datagrams) -> receive step from datagrams
        | Event.Connect(connId, remote, dialect, patience) -> connect step connId remote dialect patience
        | Event.Listen backlog -> step.Node.Backlog <- ValueSome(max 1 backlog)
        | Event.Unlisten -> unlisten step
        | Event.Taken connId -> step.Node.Waiting <- Radix.remove connId step.Node.Waiting
        | Event.Write(connId, bytes) -> tell step connId (Connection.write bytes)
        | Event.Consumed(connId, count) -> tell step connId (Connection.consume count)
        | Event.Finish connId -> tell step connId Connection.finish
        | Event.Release(connId, patience) -> tell step connId (Connection.release step.Turn patience)
        | Event.Abort connId -> tell step connId (Connection.abort step.Turn)
        | Event.SetIdleTimeout(connId, duration) -> tell step connId (Connection.setIdleTimeout duration)
        | Event.Unreachable remote -> unreachable step remote

    // ---- The step ----

    /// Another SYN under other ids.
    let private redial step connection =
        let node = step.Node

        match drawIds node (Connection.remote connection) (Connection.dialect connection) with
        | ValueSome(struct (id, isn)) ->
            removeRoute node connection
            Connection.redial step.Turn id isn connection
            addRoute node connection
        | ValueNone -> ()

    let private settle step connection =
        counted step connection (fun () -> Connection.settle step.Turn connection)

        if Connection.wantsIds connection then
            redial step connection

        let node = step.Node
        let connId = Connection.connId connection

        if Connection.phase connection = Phase.Lingering then
            node.Quiet <- max node.Quiet (Connection.quietAt connection)

        if Connection.phase connection = Phase.Lingering && node.Lingering > node.Options.MaxConnections then
            // As many as there may be live ones is enough.
            count node connection -1
            leave step connection
        elif Connection.phase connection = Phase.Dead then
            leave step connection
        else
            let due = Connection.deadline connection

            match Radix.tryFind connId node.Indexed with
            | ValueSome known when known <= due -> ()
            | _ ->
                node.Indexed <- Radix.add connId due node.Indexed
                node.Agenda <- Agenda.add due connId node.Agenda

    /// Touches whoever may be due. An entry that is early costs one look.
    let private wake step =
        let node = step.Node

        while Agenda.first node.Agenda <= node.Now do
            let struct (at, connId, rest) = Agenda.pop node.Agenda
            node.Agenda <- rest

            match Radix.tryFind connId node.Indexed with
            | ValueSome known when known = at ->
                node.Indexed <- Radix.remove connId node.Indexed
                tryTouch step connId |> ignore
            | _ -> ()

    [<CompiledName "Step">]
    let step (now: Instant) (events: Event[]) (node: Node) : struct (Node * Effect[]) =
        let now = max now node.Now

        if events.Length = 0 && Agenda.first node.Agenda > now then
            struct (node, [||])
        else
            let step =
                { Node =
                    { node with
                        Now = now
                        Generation = node.Generation + 1L }
                  Turn =
                    { Now = now
                      Effects = ResizeArray() }
                  Touched = ResizeArray() }

            for event in events do
                absorb step event

            wake step

            for connection in step.Touched do
                settle step connection

            struct (step.Node, step.Turn.Effects.ToArray())

    [<CompiledName "Deadline">]
    let deadline (node: Node) = Agenda.first node.Agenda

    [<CompiledName "QuietAt">]
    let quietAt (node: Node) =
        if node.Incoming + node.Outgoing > 0 then
            Time.never
        else
            node.Quiet

    [<CompiledName "Statistics">]
    let statistics (node: Node) : NodeStatistics =
        { Incoming = node.Incoming
          Outgoing = node.Outgoing
          HalfOpen = node.HalfOpen
          Lingering = node.Lingering }

    [<CompiledName "Stream">]
    let stream connId (node: Node) =
        match Radix.tryFind connId node.Connections with
        | ValueSome connection when Connection.phase connection <> Phase.Lingering ->
            ValueSome(Connection.statistics connection)
        | _ -> ValueNone
