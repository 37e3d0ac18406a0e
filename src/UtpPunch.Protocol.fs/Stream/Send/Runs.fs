namespace UtpPunch.Protocol

/// Runs in the order of their numbers, each of them right behind the one before it: how they are cut and put together. In place.
module internal Runs =
    /// Splits a run in two, the first of so many packets.
    let split index count (runs: byref<Deque<Run>>) =
        let run = runs[index]

        if count < run.Count then
            runs[index] <- run.Slice(0, count)
            runs.Insert(index + 1, run.Slice(count, run.Count - count))

    /// The last of these packets was overtaken by others, the next was perhaps not.
    let splitBehind (last: SeqNr) (runs: byref<Deque<Run>>) =
        let mutable index = 0

        while index < runs.Count && last - runs[index].First >= runs[index].Count do
            index <- index + 1

        if index < runs.Count && last - runs[index].First >= 0 then
            split index (last - runs[index].First + 1) &runs

    /// All packets of a run have arrived. They become one run with those before them where that is possible: a gap that stays open
    /// for long has only a few runs behind it. Gives the place behind.
    let sack index (runs: byref<Deque<Run>>) =
        let run = runs[index].Marked Mark.Sacked

        if
            index > 0
            && runs[index - 1].Mark = Mark.Sacked
            && runs[index - 1].Transmissions = run.Transmissions
            && runs[index - 1].IsFollowedBy run
        then
            runs[index - 1] <- runs[index - 1].Joined run
            runs.Remove index
            index
        else
            runs[index] <- run
            index + 1

    /// The highest packet in flight, as a run of its own: its answer tells of all before it. A FIN only if there is no other, for
    /// behind it old clients name nothing any more. Gives its place, or -1.
    let splitHighest (runs: byref<Deque<Run>>) =
        let mutable fin = -1
        let mutable index = runs.Count - 1

        while index >= 0 && (runs[index].Mark <> Mark.InFlight || runs[index].IsFin) do
            if runs[index].Mark = Mark.InFlight then fin <- index

            index <- index - 1

        if index < 0 then
            fin
        elif runs[index].Count = 1 then
            index
        else
            split index (runs[index].Count - 1) &runs
            index + 1

    /// The oldest packet, as a run of its own, if it is in flight. Gives its place, or -1.
    let splitOldest (runs: byref<Deque<Run>>) =
        if runs[0].Mark = Mark.InFlight then
            split 0 1 &runs
            0
        else
            -1
