namespace UtpPunch.Protocol

/// A peer whose packets come from another address than ours go to.
[<NoComparison>]
type internal Alias = { From: Endpoint; Path: Endpoint; Since: Instant }

/// The aliases by the hash of the address that the packets come from, and the keys by age. An entry of that queue counts only if the alias
/// has its time.
[<NoComparison>]
type internal Aliases = { HashKey: uint64; Entries: Radix<Alias>; Ages: TimerQueue }

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Aliases =
    /// The oldest is forgotten.
    [<Literal>]
    let private Most = 4096

    let create (hashKey: uint64) : Aliases = { HashKey = hashKey; Entries = Radix.empty; Ages = TimerQueue.empty }

    let isEmpty (aliases: Aliases) = Radix.count aliases.Entries = 0

    let private placeOf (from: Endpoint) (aliases: Aliases) = int (from.Hash aliases.HashKey)

    let private withoutOldest (aliases: Aliases) : Aliases =
        let struct (at, key, rest) = TimerQueue.pop aliases.Ages

        match Radix.tryFind key aliases.Entries with
        | ValueSome alias when alias.Since = at ->
            { aliases with Entries = Radix.remove key aliases.Entries; Ages = rest }
        | _ -> { aliases with Ages = rest }

    /// The peer's packets come from `from`, and those to it go to `path`.
    let set (now: Instant) (from: Endpoint) (path: Endpoint) (aliases: Aliases) : Aliases =
        let key = placeOf from aliases

        if from.Equals path then
            if isEmpty aliases then
                aliases
            else
                { aliases with Entries = Radix.remove key aliases.Entries }
        else
            let mutable aliases = aliases

            while TimerQueue.count aliases.Ages >= Most do
                aliases <- withoutOldest aliases

            { aliases with
                Entries = Radix.add key { From = from; Path = path; Since = now } aliases.Entries
                Ages = TimerQueue.add now key aliases.Ages }

    /// The address under which the sender of a packet is known.
    let pathOf (from: Endpoint) (aliases: Aliases) : Endpoint =
        match Radix.tryFind (placeOf from aliases) aliases.Entries with
        | ValueSome alias when alias.From.Equals from -> Endpoint.local from.Local alias.Path
        | _ -> from
