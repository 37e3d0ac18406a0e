namespace UtpPunch.Protocol

/// Meetings that a node holds by itself, to find a lost path again: their names are negative, and the application hears nothing of them.
module internal OwnTasks =
    let ofLink (session: uint64) : TaskId = -1 - int (session &&& 0x7FFF_FFFFUL)

    let isOwn (taskId: TaskId) = taskId < 0

    /// Tells the application of a task of its own.
    let tell (context: StepContext) (taskId: TaskId) effect = if not (isOwn taskId) then context.Effects.Add effect
