namespace UtpPunch.Protocol

/// The table of streams, as one step sees it.
module internal StreamTable =
    let note step rule remote = step.Context.Effects.Add(Effect.Noted(rule, remote))

    // ---- Who is who ----

    let routeKey (node: Node) (remote: Endpoint) (receiveId: uint16) =
        int (remote.Hash node.HashKey ^^^ (uint32 receiveId * 0x9E3779B1u))

    /// Stands for a name where hashes collide.
    let private collision: ConnId = -1

    let addRoute (node: Node) (connection: Connection) =
        let key = routeKey node connection.Remote connection.ReceiveId

        let join others = node.Collisions <- Radix.add key (Array.append others [| connection.ConnId |]) node.Collisions

        match Radix.tryFind key node.Routes with
        | ValueNone -> node.Routes <- Radix.add key connection.ConnId node.Routes
        | ValueSome known when known = collision -> join (Radix.tryFind key node.Collisions).Value
        | ValueSome known ->
            node.Routes <- Radix.add key collision node.Routes
            join [| known |]

    let removeRoute (node: Node) (connection: Connection) =
        let key = routeKey node connection.Remote connection.ReceiveId

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
        match Radix.tryFind connId node.Connections with
        | ValueSome connection when connection.ReceiveId = receiveId && connection.Remote.Equals remote ->
            ValueSome connection
        | _ -> ValueNone

    let find (node: Node) remote receiveId =
        let key = routeKey node remote receiveId

        match Radix.tryFind key node.Routes with
        | ValueNone -> ValueNone
        | ValueSome known when known = collision ->
            let mutable found = ValueNone

            for connId in (Radix.tryFind key node.Collisions).Value do
                match tryReceiver node remote receiveId connId with
                | ValueSome connection -> found <- ValueSome connection
                | ValueNone -> ()

            found
        | ValueSome connId -> tryReceiver node remote receiveId connId

    /// The step's own copy of a stream, which settles at its end.
    let touch step (connection: Connection) =
        if connection.Generation = step.Node.Generation then
            connection
        else
            let own = Connection.copy step.Node.Generation connection
            step.Node.Connections <- Radix.add own.ConnId own step.Node.Connections
            step.Touched.Add own
            own

    let tryTouch step connId =
        match Radix.tryFind connId step.Node.Connections with
        | ValueSome connection -> ValueSome(touch step connection)
        | ValueNone -> ValueNone

    // ---- Counting ----

    let count (node: Node) (connection: Connection) change =
        match connection.Phase with
        | Phase.SynSent -> node.Outgoing <- node.Outgoing + change
        | Phase.SynReceived -> node.HalfOpen <- node.HalfOpen + change
        | Phase.Open when connection.Incoming -> node.Incoming <- node.Incoming + change
        | Phase.Open -> node.Outgoing <- node.Outgoing + change
        | Phase.Lingering ->
            node.Lingering <- node.Lingering + change

            if not connection.Parting.IsQuiet then node.Parting <- node.Parting + change
        | Phase.Dead -> ()

    /// Runs what may move a stream to another phase, and keeps the counts.
    let inline counted step (connection: Connection) ([<InlineIfLambda>] action: unit -> unit) =
        count step.Node connection -1
        action ()
        count step.Node connection 1

    let enter step (connection: Connection) =
        let own = touch step connection
        addRoute step.Node own
        count step.Node own 1
        own

    let leave step (connection: Connection) =
        let connId = connection.ConnId
        removeRoute step.Node connection
        step.Node.Connections <- Radix.remove connId step.Node.Connections
        step.Node.Waiting <- Radix.remove connId step.Node.Waiting

    // ---- Who is due ----

    /// The stream has settled. Waking it early is harmless, so nothing happens unless it is due sooner than was known.
    let schedule (node: Node) due (connection: Connection) =
        if due < connection.WakeAt then
            connection.WakeAt <- due
            node.TimerQueue <- TimerQueue.add due connection.ConnId node.TimerQueue

    /// Touches whoever may be due. An entry that is early costs one look.
    let wake step =
        let node = step.Node

        while TimerQueue.first node.TimerQueue <= node.Now do
            let struct (at, connId, rest) = TimerQueue.pop node.TimerQueue
            node.TimerQueue <- rest

            match Radix.tryFind connId node.Connections with
            | ValueSome connection when connection.WakeAt = at -> (touch step connection).WakeAt <- Time.never
            | _ -> ()

    /// An entry that counts no more stays until its time comes; a stream that speaks often leaves many. They go once they are most.
    let compactTimerQueue (node: Node) =
        if TimerQueue.count node.TimerQueue > 64 + 2 * Radix.count node.Connections then
            node.TimerQueue <- TimerQueue.empty

            Radix.iterate
                (fun connId (connection: Connection) ->
                    if connection.WakeAt <> Time.never then
                        node.TimerQueue <- TimerQueue.add connection.WakeAt connId node.TimerQueue)
                node.Connections
