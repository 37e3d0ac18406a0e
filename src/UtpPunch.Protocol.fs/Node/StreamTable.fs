namespace UtpPunch.Protocol

/// The table of streams. `find` gives a stream to read; `touch` gives what the step may write.
module internal StreamTable =
    let note step rule remote = step.Context.Effects.Add(Effect.Noted(rule, remote))

    // ---- The tables ----

    /// The stream of that name, whatever its state.
    let tryStored (node: Node) connId =
        match Radix.tryFind connId node.Connections with
        | ValueNone -> Radix.tryFind connId node.Ended
        | known -> known

    /// All streams, those in TIME-WAIT last.
    let iterate (node: Node) (action: Connection.Stored -> unit) =
        Radix.iterate (fun _ stored -> action stored) node.Connections
        Radix.iterate (fun _ stored -> action stored) node.Ended

    let private number (node: Node) = Radix.count node.Connections + Radix.count node.Ended

    let private put (node: Node) (own: Connection) =
        if own.State = StreamState.TimeWait then
            node.Ended <- Radix.add own.ConnId (Connection.store own) node.Ended
        else
            node.Connections <- Radix.add own.ConnId (Connection.store own) node.Connections

    /// A stream has come to TIME-WAIT, perhaps in this step.
    let linger (node: Node) (own: Connection) =
        if (Radix.tryFind own.ConnId node.Connections).IsSome then
            node.Connections <- Radix.remove own.ConnId node.Connections
            put node own

    // ---- Routes ----

    let routeKey (node: Node) (remote: Endpoint) (receiveId: uint16) =
        int (remote.Hash node.HashKey ^^^ (uint32 receiveId * 0x9E3779B1u))

    /// Stands for a name in `Routes` where hashes collide.
    let private collision: ConnId = -1

    let private addLinked (node: Node) (connection: Connection) =
        if not (isNull connection.Linked) then
            let id = int connection.Ids.Receive
            let known = Radix.tryFind id node.LinkedIds |> ValueOption.defaultValue [||]
            node.LinkedIds <- Radix.add id (Array.append known [| connection.ConnId |]) node.LinkedIds

    let private removeLinked (node: Node) (connection: Connection) =
        if not (isNull connection.Linked) then
            let id = int connection.Ids.Receive

            match Radix.tryFind id node.LinkedIds with
            | ValueSome [| connId |] when connId = connection.ConnId -> node.LinkedIds <- Radix.remove id node.LinkedIds
            | ValueSome names ->
                node.LinkedIds <- Radix.add id (Array.filter ((<>) connection.ConnId) names) node.LinkedIds
            | ValueNone -> ()

    let addRoute (node: Node) (connection: Connection) =
        addLinked node connection
        let key = routeKey node connection.Remote connection.Ids.Receive
        AbortCodes.forget node key

        let join others = node.Collisions <- Radix.add key (Array.append others [| connection.ConnId |]) node.Collisions

        match Radix.tryFind key node.Routes with
        | ValueNone -> node.Routes <- Radix.add key connection.ConnId node.Routes
        | ValueSome known when known = collision -> join (Radix.tryFind key node.Collisions).Value
        | ValueSome known ->
            node.Routes <- Radix.add key collision node.Routes
            join [| known |]

    let removeRoute (node: Node) (connection: Connection) =
        removeLinked node connection
        let key = routeKey node connection.Remote connection.Ids.Receive

        match Radix.tryFind key node.Routes with
        | ValueSome known when known = connection.ConnId -> node.Routes <- Radix.remove key node.Routes
        | ValueSome known when known = collision ->
            let rest = Array.filter ((<>) connection.ConnId) (Radix.tryFind key node.Collisions).Value

            if rest.Length = 1 then
                node.Routes <- Radix.add key rest[0] node.Routes
                node.Collisions <- Radix.remove key node.Collisions
            else
                node.Collisions <- Radix.add key rest node.Collisions
        | _ -> ()

    let private tryReceiver (node: Node) (remote: Endpoint) receiveId connId =
        match tryStored node connId with
        | ValueSome stored when stored.Ids.Receive = receiveId && stored.Remote.Equals remote -> ValueSome stored
        | _ -> ValueNone

    let find (node: Node) remote receiveId =
        let key = routeKey node remote receiveId

        match Radix.tryFind key node.Routes with
        | ValueNone -> ValueNone
        | ValueSome known when known = collision ->
            let mutable found = ValueNone

            for connId in (Radix.tryFind key node.Collisions).Value do
                match tryReceiver node remote receiveId connId with
                | ValueSome stored -> found <- ValueSome stored
                | ValueNone -> ()

            found
        | ValueSome connId -> tryReceiver node remote receiveId connId

    let private keep step (own: Connection) =
        put step.Node own
        step.Touched.Add own

    /// A stream may hold a quarter of what is left: the more streams hold much, the less each gets, and some is always left for others
    /// (Choudhury and Hahne: dynamic thresholds).
    let private share step =
        int (min (int64 System.Int32.MaxValue) (max 0L (step.Context.Budget - step.Context.Held) / 4L))

    /// The step's own copy of a stream, which is settled at the step's end.
    let touch step (stored: Connection.Stored) =
        let isNew = stored.Generation <> step.Node.Generation
        let own = Connection.own step.Node.Generation stored

        if isNew then
            keep step own
            Receiver.setLimit (max (share step) (Receiver.held own.Receiver)) own.Receiver

        own

    let tryTouch step connId =
        match tryStored step.Node connId with
        | ValueSome stored -> ValueSome(touch step stored)
        | ValueNone -> ValueNone

    // ---- Streams of an endpoint and of an address ----

    let addressHash (node: Node) (remote: Endpoint) = (Endpoint.network remote).Hash node.HashKey

    /// Reports of the network are rare, and may be forged. An index of the streams of each endpoint would cost every stream more than the
    /// walks that these few take.
    let private reportsEvery = Time.milliseconds 20

    /// Does something with the streams of an endpoint that the network reports something of. Reports that come fast one after the other are
    /// ignored: a connect is repeated, and so is a packet that was too long.
    let reported step (remote: Endpoint) (action: Connection.Stored -> unit) =
        let node = step.Node
        let isShort = number node <= 64

        if isShort || node.Now - node.Guards.ReportedAt >= reportsEvery then
            node.Guards <- { node.Guards with ReportedAt = node.Now }

            iterate node (fun stored -> if stored.Remote.Equals remote then action stored)

    let private countsFor (node: Node) (remote: Endpoint) =
        Radix.tryFind (int (addressHash node remote)) node.Addresses |> ValueOption.defaultValue 0

    /// Whether the address of an endpoint may have another accepted stream.
    let mayAdmit (node: Node) remote = Endpoint.isLoopback remote || countsFor node remote < node.Options.MaxPerAddress

    let private changeCount (node: Node) (connection: Connection) change =
        let key = int (addressHash node connection.Remote)
        let known = countsFor node connection.Remote + change
        node.Addresses <- if known = 0 then Radix.remove key node.Addresses else Radix.add key known node.Addresses

    /// Counts the bytes that a stream holds, and the stream for its address as long as it is accepted or open.
    let recount (node: Node) (connection: Connection) =
        let held =
            match connection.State with
            | StreamState.Closed
            | StreamState.TimeWait -> 0
            // The application has dropped what it had not read.
            | _ when connection.Closing.Released ->
                Receiver.held connection.Receiver - Receiver.unread connection.Receiver
            | _ -> Receiver.held connection.Receiver

        if held <> connection.CountedBytes then
            node.Held <- node.Held + int64 (held - connection.CountedBytes)
            connection.CountedBytes <- held

        let counts =
            connection.Incoming
            && (connection.State = StreamState.SynReceived || connection.State = StreamState.Established)

        if counts <> connection.IsCounted then
            connection.IsCounted <- counts
            changeCount node connection (if counts then 1 else -1)

    /// Before the address of a stream changes; `recount` follows.
    let uncount (node: Node) (connection: Connection) =
        if connection.IsCounted then
            connection.IsCounted <- false
            changeCount node connection -1

    // ---- Counting ----

    let count (node: Node) (connection: Connection) change =
        match connection.State with
        | StreamState.SynSent -> node.Outgoing <- node.Outgoing + change
        | StreamState.SynReceived -> node.HalfOpen <- node.HalfOpen + change
        | StreamState.Established when connection.Incoming -> node.Incoming <- node.Incoming + change
        | StreamState.Established -> node.Outgoing <- node.Outgoing + change
        | StreamState.TimeWait ->
            node.Lingering <- node.Lingering + change

            if not connection.Closing.Parting.IsQuiet then node.Parting <- node.Parting + change
        | StreamState.Closed -> ()

    /// Runs what may move a stream to another state, and keeps the counts.
    let inline counted step (connection: Connection) ([<InlineIfLambda>] action: unit -> 'a) : 'a =
        count step.Node connection -1
        let result = action ()
        count step.Node connection 1
        result

    /// The link of a stream's meeting has one stream more, or less.
    let changeLink step (connection: Connection) (change: Link -> Link) =
        if not (isNull connection.Linked) then
            let tasks = step.Node.NodeTasks

            match NodeTasksState.tryLink connection.Linked.Session tasks with
            | ValueSome link -> step.Node.NodeTasks <- NodeTasksState.keepLink (change link) tasks
            | ValueNone -> ()

    /// A new stream of this step.
    let enter step (own: Connection) =
        keep step own
        addRoute step.Node own
        recount step.Node own
        count step.Node own 1
        changeLink step own (Link.enter own.ConnId)

    let leave step (connection: Connection) =
        let connId = connection.ConnId
        removeRoute step.Node connection
        changeLink step connection (Link.leave step.Node.Now connId)
        step.Node.NodeTasks <- NodeTasksState.forgetAgreement connId step.Node.NodeTasks
        step.Node.Connections <- Radix.remove connId step.Node.Connections
        step.Node.Ended <- Radix.remove connId step.Node.Ended
        step.Node.Waiting <- Radix.remove connId step.Node.Waiting

    // ---- Timers ----

    /// The stream was settled, and is due then. Waking it early is harmless, so nothing changes unless it is due sooner than known.
    let schedule (node: Node) due (connection: Connection) =
        if due < connection.WakeAt then
            connection.WakeAt <- due
            node.TimerQueue <- TimerQueue.add due connection.ConnId node.TimerQueue

    /// Touches the streams that may be due. An entry that is early costs one look.
    let wake step =
        let node = step.Node

        while TimerQueue.first node.TimerQueue <= node.Now do
            let struct (at, connId, rest) = TimerQueue.pop node.TimerQueue
            node.TimerQueue <- rest

            match tryStored node connId with
            | ValueSome stored when stored.WakeAt = at -> (touch step stored).WakeAt <- Time.never
            | _ -> ()

    /// An entry that does not count any more stays until its time comes, and a stream that sends often leaves many. They are removed once
    /// they are most.
    let compactTimerQueue (node: Node) =
        if TimerQueue.count node.TimerQueue > 64 + 2 * number node then
            node.TimerQueue <- TimerQueue.empty

            iterate node (fun stored ->
                if stored.WakeAt <> Time.never then
                    node.TimerQueue <- TimerQueue.add stored.WakeAt stored.ConnId node.TimerQueue)
