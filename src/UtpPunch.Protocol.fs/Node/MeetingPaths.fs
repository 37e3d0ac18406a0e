namespace UtpPunch.Protocol

/// A path that a punch has found. One peer opens a stream over it, and the other accepts the first one although it does not listen; both
/// prove that they know the key, also for further streams.
[<NoComparison>]
type internal MeetingPath =
    {
        Remote: Endpoint
        Until: Instant
        Meeting: MeetingKey
        /// Whether the first stream is open.
        IsOpen: bool
    }

/// The paths that a node has found lately.
module internal MeetingPaths =
    [<Literal>]
    let private Most = 64

    let private acceptFor = Time.seconds 40

    /// The peer that dials uses the key for a shorter time than the other one accepts it.
    let private acceptLonger = Time.seconds 10

    let add (now: Instant) (remote: Endpoint) (key: Owned) (paths: MeetingPath[]) : MeetingPath[] =
        let others = paths |> Array.filter (fun it -> now < it.Until && not (it.Remote.Equals remote))
        let kept = if others.Length >= Most then Array.tail others else others
        let meeting = MeetingKey(key.Span.ToArray(), Secrets.session (Secrets.link key))
        Array.append kept [| { Remote = remote; Until = now + acceptFor; Meeting = meeting; IsOpen = false } |]

    let private find (now: Instant) (remote: Endpoint) (paths: MeetingPath[]) =
        paths |> Array.tryFind (fun it -> now < it.Until && it.Remote.Equals remote)

    let private keyOf path : MeetingKey =
        match path with
        | Some it -> it.Meeting
        | None -> null

    /// The key for a stream that is opened here over the path to this address; null if no path was found lately.
    let keyToDial (now: Instant) remote paths = find (now + acceptLonger) remote paths |> keyOf

    /// The key for a stream that is accepted.
    let keyToAccept now remote paths = find now remote paths |> keyOf

    /// Whether the stream of a meeting is still to come from this address.
    let isAwaited now remote paths =
        match find now remote paths with
        | Some it -> not it.IsOpen
        | None -> false

    /// The first stream over the path to this address is open.
    let setOpen (remote: Endpoint) (paths: MeetingPath[]) : MeetingPath[] =
        paths |> Array.map (fun it -> if it.Remote.Equals remote then { it with IsOpen = true } else it)

    /// The peer is at another address.
    let move (before: Endpoint) (path: Endpoint) (paths: MeetingPath[]) : MeetingPath[] =
        paths |> Array.map (fun it -> if it.Remote.Equals before then { it with Remote = path } else it)
