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

    let addRoute (node: Node) (connection: Connection) =
        let key = routeKey node connection.Remote connection.ReceiveId
        let known = Radix.tryFind key node.Routes |> ValueOption.defaultValue [||]
        node.Routes <- Radix.add key (Array.append known [| connection.ConnId |]) node.Routes

    let removeRoute (node: Node) (connection: Connection) =
        let key = routeKey node connection.Remote connection.ReceiveId

        match Radix.tryFind key node.Routes with
        | ValueSome known ->
            let rest = Array.filter ((<>) connection.ConnId) known

            node.Routes <- if rest.Length = 0 then Radix.remove key node.Routes else Radix.add key rest node.Routes
        | ValueNone -> ()

    let find (node: Node) remote receiveId =
        match Radix.tryFind (routeKey node remote receiveId) node.Routes with
        | ValueNone -> ValueNone
        | ValueSome known ->
            let mutable found = ValueNone

            for connId in known do
                match Radix.tryFind connId node.Connections with
                | ValueSome connection when connection.ReceiveId = receiveId && connection.Remote.Equals remote ->
                    found <- ValueSome connection
                | _ -> ()

            found

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
        step.Node.Indexed <- Radix.remove connId step.Node.Indexed
        step.Node.Waiting <- Radix.remove connId step.Node.Waiting
