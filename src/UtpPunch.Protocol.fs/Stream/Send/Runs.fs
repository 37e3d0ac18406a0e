namespace UtpPunch.Protocol

/// Cuts and joins runs, in place. They are in the order of their numbers, without gaps.
module internal Runs =
    /// Splits a run in two; the first part has `count` packets.
    let split index count (runs: byref<Deque<Run>>) =
        let run = runs[index]

        if count < run.Count then
            runs[index] <- run.Slice(0, count)
            runs.Insert(index + 1, run.Slice(count, run.Count - count))

    /// The index of the run that holds this packet, which is outstanding: by bisection.
    let find (number: SeqNr) (runs: byref<Deque<Run>>) : int =
        let mutable low = 0
        let mutable high = runs.Count

        while high - low > 1 do
            let middle = (low + high) / 2

            if number - runs[middle].First >= 0 then low <- middle else high <- middle

        low

    /// Splits the run that holds this packet behind it.
    let splitBehind (last: SeqNr) (runs: byref<Deque<Run>>) =
        let mutable index = 0

        while index < runs.Count && last - runs[index].First >= runs[index].Count do
            index <- index + 1

        if index < runs.Count && last - runs[index].First >= 0 then
            split index (last - runs[index].First + 1) &runs

    /// Marks a run as selectively acknowledged, and joins it with the run before it where that is possible: behind a gap that stays
    /// open for long there are only a few runs. Gives the index behind it.
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

    /// Splits off the highest packet in flight: its acknowledgement covers all before it. A FIN only if there is no other, since old clients
    /// name nothing behind it. Gives its index, or -1.
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

    /// Splits off the oldest packet if it is in flight. Gives its index, or -1.
    let splitOldest (runs: byref<Deque<Run>>) =
        if runs[0].Mark = Mark.InFlight then
            split 0 1 &runs
            0
        else
            -1
