namespace UtpPunch.Protocol

/// A meeting may go on at several servers, each of which may introduce the same peer: punches of one group with one peer go on side by side, under
/// different keys, until the lower peer chooses a path in one of them.
module internal PunchGroups =
    /// Whether a punch is one of another meeting of the group.
    let private isOfOther (group: TaskId) (taskId: TaskId) (punch: Punch) =
        punch.Setup.Group = group && punch.Setup.TaskId <> taskId

    let private isChosen (punch: Punch) =
        match punch.Phase with
        | PunchPhase.Choosing _
        | PunchPhase.Open _ -> true
        | PunchPhase.Probing
        | PunchPhase.Failed _ -> false

    /// Whether a client that does not stay punches with another peer, or has found a path to it: it takes no second one.
    let isTaken (group: TaskId) taskId (peer: Borrowed) (punches: PunchTable) =
        let mutable found = false

        Radix.iterate
            (fun _ it ->
                if
                    isOfOther group taskId it
                    && (isChosen it || not (Punch.isOver it))
                    && not (it.Setup.Peer.Equals peer)
                then
                    found <- true)
            punches.All

        found

    /// Whether there is a path to the peer already, which another server has introduced.
    let isMet (group: TaskId) taskId (peer: Borrowed) (punches: PunchTable) =
        PunchTable.ofPeer peer punches |> Array.exists (fun it -> isOfOther group taskId it && isChosen it)

    /// The other punches with the peer of one whose path is chosen.
    let others (punch: Punch) (punches: PunchTable) : Punch[] =
        PunchTable.ofPeer punch.Setup.Peer.AsBorrowed punches
        |> Array.filter (fun it -> isOfOther punch.Setup.Group punch.Setup.TaskId it && not (Punch.isOver it))
