namespace UtpPunch.Protocol

/// What to do now.
[<NoComparison>]
type Effect =
    /// The train is valid until the next step.
    | Send of remote: Endpoint * train: Train
    /// In order, each byte once. The payload is valid for as long as the shell keeps the received buffer that it lies in.
    | Deliver of connId: ConnId * payload: Payload
    /// May this peer open a stream? Its SYN is not answered before `Event.Decided`, and is forgotten if that takes longer than half-open streams
    /// may. The address has proved nothing yet, unless there are many half-open streams, or many peers were refused lately.
    | Asked of connId: ConnId * remote: Endpoint
    /// A peer opened a stream, and its address has proved that it receives. `isMeeting`: over a path that a punch has found, by the peer of
    /// that meeting, which has proved that it knows the key.
    | Accepted of connId: ConnId * remote: Endpoint * connectionId: uint16 * isMeeting: bool
    /// A stream that we dialled is open.
    | Opened of connId: ConnId * connectionId: uint16
    /// The send buffer has room for `room` bytes more. The last `unacknowledged` written bytes are not acknowledged yet; the core refers to
    /// no written byte before these.
    | Writable of connId: ConnId * room: int * unacknowledged: int
    /// From here on a full packet of this stream carries `payload` bytes.
    | PacketSized of connId: ConnId * payload: int
    /// The stream's packets go to this endpoint from here on: the peer's address has changed, or that of this node, or a path that was lost
    /// is found again.
    | PathChanged of connId: ConnId * remote: Endpoint
    /// There is no path to the peer. The stream waits until one is found, which `PathChanged` tells, or closes.
    | PathLost of connId: ConnId
    /// The peer has finished, and every byte was delivered.
    | Ended of connId: ConnId
    /// The peer has acknowledged every byte and the FIN.
    | Finished of connId: ConnId
    /// The peer has reset the stream by `Event.AbortWithCode`. `Closed` follows, with `Reset`.
    | ResetWithCode of connId: ConnId * code: uint32
    /// The last effect that names this stream. The core refers to none of its written bytes any more.
    | Closed of connId: ConnId * reason: CloseReason
    /// A datagram that is neither uTP nor for one of the node's own tasks. It lies in the received buffer, as a payload may.
    | Foreign of from: Endpoint * datagram: Borrowed
    /// Send a datagram that is not uTP, with a hop limit of `hops`; 0 for the system's default. The bytes never change.
    | SendDatagram of remote: Endpoint * datagram: Owned * hops: int
    /// From now on, for that time, give the packets of trains to this endpoint to the system one by one: the path loses what it gets together.
    | SendAlone of remote: Endpoint * duration: Duration
    /// Open `count` more sockets, whose `Via` are `first`, `first + 1` and so on.
    | OpenSockets of first: int * count: int
    /// Close the sockets of a range, except the one whose `Via` is `keep`; 0 keeps none.
    | CloseSockets of first: int * count: int * keep: int
    /// The rendezvous has registered this node.
    | Registered of taskId: TaskId * observed: Endpoint * mapping: PortPrediction
    /// No address of the rendezvous answers: look its name up again (`Event.Servers`).
    | ServerSilent of taskId: TaskId
    /// The rendezvous has introduced a peer, and the punch has begun.
    | Introduced of taskId: TaskId * peer: Endpoint
    /// The result of a punch. The last effect that names this task, unless it stays in its room.
    | Punched of taskId: TaskId * report: PunchReport
    /// The result of a discovery. The last effect that names this task.
    | Discovered of taskId: TaskId * outcome: StunOutcome
    /// An uncommon rule fired.
    | Noted of rule: Rule * remote: Endpoint
