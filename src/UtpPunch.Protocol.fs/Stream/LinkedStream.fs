namespace UtpPunch.Protocol

/// What a stream of a link has in addition: what it knows of the path between the two nodes (`Link`). Immutable; an object of its own, since
/// other streams have none.
[<Sealed; AllowNullLiteral>]
type internal LinkedStream(session: uint64, key: MeetingKey, silentAt: Instant, silences: int, isSuspended: bool) =
    /// The number of the link.
    member _.Session = session
    /// Null if the stream is not of a meeting: its nodes have agreed on a key themselves.
    member _.Key = key
    /// When the peer, which was busy, counts as silent: the path may be gone.
    member _.SilentAt = silentAt
    /// How often it has been silent for so long in a row.
    member _.Silences = silences
    /// Whether the path is lost: nothing is sent until there is another one.
    member _.IsSuspended = isSuspended

module internal LinkedStream =
    let create (key: MeetingKey) : LinkedStream =
        if isNull key then null else LinkedStream(key.Session, key, Time.never, 0, false)

    let agreed session = LinkedStream(session, null, Time.never, 0, false)

    let suspend isSuspended (it: LinkedStream) = LinkedStream(it.Session, it.Key, it.SilentAt, it.Silences, isSuspended)

    let private coarseness = Time.milliseconds 100

    /// Data have arrived. `at` is when the peer counts as silent if nothing follows; a little earlier will do.
    let hear (at: Instant) (it: LinkedStream) =
        if it.Silences = 0 && it.SilentAt <> Time.never && at - it.SilentAt < coarseness then
            it
        else
            LinkedStream(it.Session, it.Key, at, 0, it.IsSuspended)

    /// The peer was silent until now; `next` is when that is looked at again.
    let miss next (it: LinkedStream) = LinkedStream(it.Session, it.Key, next, it.Silences + 1, it.IsSuspended)
