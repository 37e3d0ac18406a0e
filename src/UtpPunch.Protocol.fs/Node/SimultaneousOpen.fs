namespace UtpPunch.Protocol

/// Streams that this node and the peer open at the same time (BEP 55). A node that does not listen accepts the peer's stream in place of its own,
/// so that one is left at both ends: if both SYNs arrive, the one with the lower id. A node that listens gets both, as the BEP says.
module internal SimultaneousOpen =
    open StreamTable

    /// Peers of further ones are not accepted without a listener.
    [<Literal>]
    let private Most = 256

    let private isDialling (node: Node) (it: Simultaneous) =
        match Radix.tryFind it.Own node.Connections with
        | ValueSome own -> own.State = StreamState.SynSent
        | ValueNone -> false

    let add (node: Node) (connId: ConnId) (remote: Endpoint) =
        let alive = node.Simultaneous |> Array.filter (isDialling node)
        let kept = if alive.Length >= Most then Array.tail alive else alive
        node.Simultaneous <- Array.append kept [| { Own = connId; Remote = remote; Incoming = 0 } |]

    /// The peer's half-open stream, if there is one.
    let private incomingOf (node: Node) (it: Simultaneous) : Connection.Stored voption =
        match Radix.tryFind it.Incoming node.Connections with
        | ValueSome stored when it.Incoming > 0 && stored.State = StreamState.SynReceived -> ValueSome stored
        | _ -> ValueNone

    let private tryFind (node: Node) (predicate: Simultaneous -> bool) : Simultaneous voption =
        if node.Simultaneous.Length = 0 || node.Backlog.IsSome then
            ValueNone
        else
            match node.Simultaneous |> Array.tryFind (fun it -> predicate it && isDialling node it) with
            | Some it -> ValueSome it
            | None -> ValueNone

    /// Whether a SYN from there is expected: this node dials that peer, and the peer's stream is not half-open yet.
    let isExpected (node: Node) (remote: Endpoint) =
        match tryFind node (fun it -> it.Remote.Equals remote) with
        | ValueSome it -> (incomingOf node it).IsNone
        | ValueNone -> false

    /// The peer's stream is half-open.
    let accept (node: Node) (remote: Endpoint) (connId: ConnId) =
        node.Simultaneous <-
            node.Simultaneous
            |> Array.map (fun it ->
                if it.Remote.Equals remote && isDialling node it then
                    { it with Incoming = connId }
                else
                    it)

    /// Whether a half-open stream is to take the place of one that this node dials.
    let isAccepted (node: Node) (connId: ConnId) = (tryFind node (fun it -> it.Incoming = connId)).IsSome

    /// The peer's stream is open, and the own one is not needed.
    let confirm step (connId: ConnId) =
        match tryFind step.Node (fun it -> it.Incoming = connId) with
        | ValueSome it ->
            match tryTouch step it.Own with
            | ValueSome own -> counted step own (fun () -> Closing.close step.Context CloseReason.Aborted own)
            | ValueNone -> ()
        | ValueNone -> ()

    /// Whether the peer's stream comes before an own one whose SYN was answered: as long as it is half-open, which ends when the peer has
    /// confirmed it, or after a while.
    let yields (node: Node) (own: Connection) =
        own.IsSimultaneous
        && match tryFind node (fun it -> it.Own = own.ConnId) with
           | ValueSome it ->
               match incomingOf node it with
               | ValueSome other ->
                   // A SYN carries the id under which its sender receives.
                   struct (other.Ids.Send, other.Ids.Syn.Value) < struct (own.Ids.Receive, own.Ids.Syn.Value)
               | ValueNone -> false
           | ValueNone -> false
