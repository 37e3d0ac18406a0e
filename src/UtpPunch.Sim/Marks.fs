namespace UtpPunch.Sim

open System.Collections.Generic

/// What was seen to happen, by name and how often: a campaign that never meets what it claims to test is red.
[<Sealed>]
type Marks() =
    let counts = SortedDictionary<string, int64>(System.StringComparer.Ordinal)

    member _.Counts = counts

    member _.Hit(name: string) =
        match counts.TryGetValue name with
        | true, count -> counts[name] <- count + 1L
        | _ -> counts[name] <- 1L

    member _.Add(other: Marks) =
        for KeyValue(name, count) in other.Counts do
            match counts.TryGetValue name with
            | true, known -> counts[name] <- known + count
            | _ -> counts[name] <- count
