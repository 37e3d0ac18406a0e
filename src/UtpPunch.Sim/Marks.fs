namespace UtpPunch.Sim

open System.Collections.Generic

/// What was seen to happen, by name and how often: a campaign that never meets what it claims to test is red.
[<Sealed>]
type Marks() =
    let counts = Dictionary<string, int64>()

    let add name count =
        match counts.TryGetValue name with
        | true, known -> counts[name] <- known + count
        | _ -> counts[name] <- count

    /// In the order of the names.
    member _.Counts = SortedDictionary<string, int64>(counts, System.StringComparer.Ordinal)

    member _.Hit(name: string) = add name 1L

    member _.Add(other: Marks) =
        for KeyValue(name, count) in other.Counts do
            add name count
