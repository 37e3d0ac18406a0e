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

/// The paths that a node has found lately, by the hash of the peer's endpoint, and the keys in the order in which the paths end. An entry of
/// that queue counts only if the path ends at its time.
[<NoComparison>]
type internal MeetingPaths = { HashKey: uint64; Entries: Radix<MeetingPath>; Ends: TimerQueue }

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal MeetingPaths =
    /// Paths of this many peers at once: of 100 peers a second, for as long as a path is kept. The one that ends first is forgotten.
    [<Literal>]
    let private Most = 4096

    let private acceptFor = Time.seconds 40

    /// The peer that dials uses the key for a shorter time than the other one accepts it.
    let private acceptLonger = Time.seconds 10

    let create (hashKey: uint64) : MeetingPaths = { HashKey = hashKey; Entries = Radix.empty; Ends = TimerQueue.empty }

    let private placeOf (remote: Endpoint) (paths: MeetingPaths) = int (remote.Hash paths.HashKey)

    let private keep (path: MeetingPath) (paths: MeetingPaths) : MeetingPaths =
        let key = placeOf path.Remote paths

        { paths with
            Entries = Radix.add key path paths.Entries
            Ends = TimerQueue.add path.Until key paths.Ends }

    /// Without the paths that have ended, and with room for one more.
    let private makeRoom (now: Instant) (paths: MeetingPaths) : MeetingPaths =
        let mutable paths = paths

        while TimerQueue.first paths.Ends <= now
              || (Radix.count paths.Entries >= Most && TimerQueue.count paths.Ends > 0) do
            let struct (at, key, rest) = TimerQueue.pop paths.Ends

            let entries =
                match Radix.tryFind key paths.Entries with
                | ValueSome path when path.Until = at -> Radix.remove key paths.Entries
                | _ -> paths.Entries

            paths <- { paths with Entries = entries; Ends = rest }

        paths

    let add (now: Instant) (remote: Endpoint) (key: Owned) (paths: MeetingPaths) : MeetingPaths =
        let meeting = MeetingKey(key.Span.ToArray(), Secrets.session (Secrets.link key))

        makeRoom now paths
        |> keep { Remote = remote; Until = now + acceptFor; Meeting = meeting; IsOpen = false }

    let private find (now: Instant) (remote: Endpoint) (paths: MeetingPaths) =
        if Radix.count paths.Entries = 0 then
            ValueNone
        else
            match Radix.tryFind (placeOf remote paths) paths.Entries with
            | ValueSome path when now < path.Until && path.Remote.Equals remote -> ValueSome path
            | _ -> ValueNone

    let private keyOf path : MeetingKey =
        match path with
        | ValueSome it -> it.Meeting
        | ValueNone -> null

    /// The key for a stream that is opened here over the path to this address; null if no path was found lately.
    let keyToDial (now: Instant) remote paths = find (now + acceptLonger) remote paths |> keyOf

    /// The key for a stream that is accepted.
    let keyToAccept now remote paths = find now remote paths |> keyOf

    /// Whether the stream of a meeting is still to come from this address.
    let isAwaited now remote paths =
        match find now remote paths with
        | ValueSome it -> not it.IsOpen
        | ValueNone -> false

    /// The first stream over the path to this address is open.
    let setOpen (now: Instant) (remote: Endpoint) (paths: MeetingPaths) : MeetingPaths =
        match find now remote paths with
        | ValueSome it ->
            { paths with Entries = Radix.add (placeOf remote paths) { it with IsOpen = true } paths.Entries }
        | ValueNone -> paths

    /// The peer is at another address.
    let move (now: Instant) (before: Endpoint) (path: Endpoint) (paths: MeetingPaths) : MeetingPaths =
        match find now before paths with
        | ValueSome it ->
            { paths with Entries = Radix.remove (placeOf before paths) paths.Entries }
            |> keep { it with Remote = path }
        | ValueNone -> paths
