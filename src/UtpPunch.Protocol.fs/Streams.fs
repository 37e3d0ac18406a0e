namespace UtpPunch.Protocol

/// The state of one UDP socket: who talks to whom, who may come in, what is due when. A value: nothing reachable from it ever
/// changes, and any thread may read an old one. What it does is in the files below this one: `Accepting`, and `Node` itself.
/// The fields are mutable for the step that made the copy, and for it alone.
[<NoComparison; NoEquality>]
type Node =
    internal
        {
            Options: NodeOptions
            /// Keys the hash of the routes, so that strangers cannot aim for collisions.
            HashKey: uint64
            mutable Now: Instant
            mutable Generation: int64
            mutable Random: Random
            mutable Connections: Radix<Connection>
            /// Who receives from an endpoint under an id, by hash; `crowd` where several do.
            mutable Routes: Radix<ConnId>
            mutable Crowds: Radix<ConnId[]>
            /// Who may be due when. An entry counts only if the stream's `WakeAt` says the same.
            mutable Agenda: Agenda
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
            mutable ResetsRefilledAt: Instant
            mutable Introductions: Introductions
        }

/// What one step works on: its own copy of the node, and the streams that it has touched, in that order.
[<NoComparison; NoEquality>]
type internal Step = { Node: Node; Turn: Turn; Touched: ResizeArray<Connection> }

/// The table of streams, as one step sees it.
module internal Streams =
    let note step rule remote = step.Turn.Effects.Add(Effect.Noted(rule, remote))

    // ---- Who is who ----

    let routeKey (node: Node) (remote: Endpoint) (receiveId: uint16) =
        int (remote.Hash node.HashKey ^^^ (uint32 receiveId * 0x9E3779B1u))

    /// Stands for a name where hashes collide.
    let private crowd: ConnId = -1

    let addRoute (node: Node) (connection: Connection) =
        let key = routeKey node connection.Remote connection.ReceiveId

        let join others = node.Crowds <- Radix.add key (Array.append others [| connection.ConnId |]) node.Crowds

        match Radix.tryFind key node.Routes with
        | ValueNone -> node.Routes <- Radix.add key connection.ConnId node.Routes
        | ValueSome known when known = crowd -> join (Radix.tryFind key node.Crowds).Value
        | ValueSome known ->
            node.Routes <- Radix.add key crowd node.Routes
            join [| known |]

    let removeRoute (node: Node) (connection: Connection) =
        let key = routeKey node connection.Remote connection.ReceiveId

        match Radix.tryFind key node.Routes with
        | ValueSome known when known = connection.ConnId -> node.Routes <- Radix.remove key node.Routes
        | ValueSome known when known = crowd ->
            let rest = Array.filter ((<>) connection.ConnId) (Radix.tryFind key node.Crowds).Value

            if rest.Length = 1 then
                node.Routes <- Radix.add key rest[0] node.Routes
                node.Crowds <- Radix.remove key node.Crowds
            else
                node.Crowds <- Radix.add key rest node.Crowds
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
        | ValueSome known when known = crowd ->
            let mutable found = ValueNone

            for connId in (Radix.tryFind key node.Crowds).Value do
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
        | Phase.Lingering -> node.Lingering <- node.Lingering + change
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
            node.Agenda <- Agenda.add due connection.ConnId node.Agenda

    /// Touches whoever may be due. An entry that is early costs one look.
    let wake step =
        let node = step.Node

        while Agenda.first node.Agenda <= node.Now do
            let struct (at, connId, rest) = Agenda.pop node.Agenda
            node.Agenda <- rest

            match Radix.tryFind connId node.Connections with
            | ValueSome connection when connection.WakeAt = at -> (touch step connection).WakeAt <- Time.never
            | _ -> ()

    /// An entry that counts no more stays until its time comes; a stream that speaks often leaves many. They go once they are most.
    let tidyAgenda (node: Node) =
        if Agenda.count node.Agenda > 64 + 2 * Radix.count node.Connections then
            node.Agenda <- Agenda.empty

            Radix.iterate
                (fun connId (connection: Connection) ->
                    if connection.WakeAt <> Time.never then
                        node.Agenda <- Agenda.add connection.WakeAt connId node.Agenda)
                node.Connections
