namespace UtpPunch.Protocol

/// A meeting may go on at several servers, each of which may introduce the same peer: punches of one group with one peer go on side by side, under
/// different keys, until the lower peer chooses a path in one of them.
module internal PunchGroups =
    /// Whether a punch is one of another meeting of the group.
    let private isOfOther (group: TaskId) (taskId: TaskId) (punch: Punch) =
        punch.Setup.Group = group && punch.Setup.TaskId <> taskId

    let private exists (predicate: Punch -> bool) (punches: Radix<Punch>) =
        let mutable found = false
        Radix.iterate (fun _ punch -> if predicate punch then found <- true) punches
        found

    let private isChosen (punch: Punch) =
        match punch.Phase with
        | PunchPhase.Choosing _
        | PunchPhase.Open _ -> true
        | PunchPhase.Probing
        | PunchPhase.Failed _ -> false

    /// Whether a client that does not stay punches with another peer, or has found a path to it: it takes no second one.
    let isTaken (group: TaskId) taskId (peer: Borrowed) (punches: Radix<Punch>) =
        punches
        |> exists (fun it ->
            isOfOther group taskId it
            && (isChosen it || not (Punch.isOver it))
            && not (it.Setup.Peer.Equals peer))

    /// Whether there is a path to the peer already, which another server has introduced.
    let isMet (group: TaskId) taskId (peer: Borrowed) (punches: Radix<Punch>) =
        punches |> exists (fun it -> isOfOther group taskId it && isChosen it && it.Setup.Peer.Equals peer)

    /// The other punches with the peer of one whose path is chosen.
    let others (punch: Punch) (punches: Radix<Punch>) : Punch[] =
        let found = ResizeArray<Punch>()

        Radix.iterate
            (fun _ (it: Punch) ->
                if
                    isOfOther punch.Setup.Group punch.Setup.TaskId it
                    && it.Setup.Peer.Equals punch.Setup.Peer
                    && not (Punch.isOver it)
                then
                    found.Add it)
            punches

        found.ToArray()
