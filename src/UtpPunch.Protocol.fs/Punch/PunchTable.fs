namespace UtpPunch.Protocol

open System.Buffers.Binary

/// The punches of a node, with what finds them without a walk: a node that stays in a room may have thousands.
[<NoComparison>]
type internal PunchTable =
    {
        /// The key of the hashes, so that peers cannot choose addresses that collide.
        HashKey: uint64
        /// By the low half of the session.
        All: Radix<Punch>
        /// When they are due, by the same key. An entry may be too early.
        Timers: TimerQueue
        /// The sessions by introduction, and by peer: the latest ones.
        ByIntroduction: Radix<int>
        ByPeer: Radix<int[]>
        /// How many punches of a task are not over.
        UnderWay: Radix<int>
        /// Those that have heard nothing: since when, how many, and how many of each source.
        Unheard: TimerQueue
        UnheardCount: int
        UnheardOf: Radix<int>
    }

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal PunchTable =
    /// Several servers may introduce one peer; others with its name are not looked for.
    [<Literal>]
    let private MaxOfPeer = 16

    let create (hashKey: uint64) : PunchTable =
        { HashKey = hashKey
          All = Radix.empty
          Timers = TimerQueue.empty
          ByIntroduction = Radix.empty
          ByPeer = Radix.empty
          UnderWay = Radix.empty
          Unheard = TimerQueue.empty
          UnheardCount = 0
          UnheardOf = Radix.empty }

    let count (table: PunchTable) = Radix.count table.All

    /// The earliest time at which a punch may be due.
    let due (table: PunchTable) : Instant = TimerQueue.first table.Timers

    let tryFind (session: uint64) (table: PunchTable) : Punch voption =
        match Radix.tryFind (int session) table.All with
        | ValueSome punch when punch.Setup.Session = session -> ValueSome punch
        | _ -> ValueNone

    /// Whether the place of that session is taken, by whichever punch.
    let isTaken (session: uint64) (table: PunchTable) = (Radix.tryFind (int session) table.All).IsSome

    // ---- Indexes ----

    let private keyOf (name: Borrowed) = BinaryPrimitives.ReadInt32BigEndian(name.Skip(name.Length - 4).Span)

    let private change key amount (counts: Radix<int>) : Radix<int> =
        let count = (Radix.tryFind key counts |> ValueOption.defaultValue 0) + amount
        if count = 0 then Radix.remove key counts else Radix.add key count counts

    let private sourceKey (remote: Endpoint) (table: PunchTable) = int ((Endpoint.network remote).Hash table.HashKey)

    /// How many punches with that source, an IPv4 address or an IPv6 /64 prefix, have heard nothing.
    let unheardOf (remote: Endpoint) (table: PunchTable) =
        Radix.tryFind (sourceKey remote table) table.UnheardOf |> ValueOption.defaultValue 0

    let private index (punch: Punch) (table: PunchTable) : PunchTable =
        let session = int punch.Setup.Session

        // Those of offers have neither an introduction nor a name.
        if punch.Setup.Introduction.Length = 0 then
            table
        else
            let peer = keyOf punch.Setup.Peer.AsBorrowed
            let others = Radix.tryFind peer table.ByPeer |> ValueOption.defaultValue [||]
            let sessions = Array.append [| session |] (Array.truncate (MaxOfPeer - 1) others)

            { table with
                ByIntroduction = Radix.add (keyOf punch.Setup.Introduction.AsBorrowed) session table.ByIntroduction
                ByPeer = Radix.add peer sessions table.ByPeer }

    let private unindex (punch: Punch) (table: PunchTable) : PunchTable =
        let session = int punch.Setup.Session

        if punch.Setup.Introduction.Length = 0 then
            table
        else
            let introduction = keyOf punch.Setup.Introduction.AsBorrowed
            let peer = keyOf punch.Setup.Peer.AsBorrowed

            let others =
                Radix.tryFind peer table.ByPeer
                |> ValueOption.defaultValue [||]
                |> Array.filter (fun it -> it <> session)

            { table with
                ByIntroduction =
                    (if Radix.tryFind introduction table.ByIntroduction = ValueSome session then
                         Radix.remove introduction table.ByIntroduction
                     else
                         table.ByIntroduction)
                ByPeer =
                    (if others.Length = 0 then
                         Radix.remove peer table.ByPeer
                     else
                         Radix.add peer others table.ByPeer) }

    // ---- Queues ----

    let private isUnheardSince (table: PunchTable) at key =
        match Radix.tryFind key table.All with
        | ValueSome punch -> Punch.isUnheard punch && punch.StartedAt = at
        | ValueNone -> false

    let private isDueAt (table: PunchTable) at key =
        match Radix.tryFind key table.All with
        | ValueSome punch -> Punch.deadline punch = at
        | ValueNone -> false

    let private addTimer (punch: Punch) (table: PunchTable) : PunchTable =
        let at = Punch.deadline punch

        if at = Time.never then
            table
        else
            let timers = TimerQueue.add at (int punch.Setup.Session) table.Timers
            { table with Timers = TimerQueue.compact (256 + 8 * count table) (isDueAt table) timers }

    let private countUnheard (punch: Punch) amount (table: PunchTable) : PunchTable =
        let total = table.UnheardCount + amount

        let since =
            if amount > 0 then
                TimerQueue.add punch.StartedAt (int punch.Setup.Session) table.Unheard
            else
                table.Unheard

        { table with
            UnheardCount = total
            UnheardOf = change (sourceKey punch.Setup.PeerObserved table) amount table.UnheardOf
            Unheard = TimerQueue.compact (64 + 2 * total) (isUnheardSince table) since }

    /// Counts what a punch was, or is.
    let private counted (punch: Punch) amount (table: PunchTable) : PunchTable =
        let table = if Punch.isUnheard punch then countUnheard punch amount table else table

        if Punch.isOver punch then
            table
        else
            { table with UnderWay = change punch.Setup.TaskId amount table.UnderWay }

    // ---- Changes ----

    let private find (punch: Punch) (table: PunchTable) = tryFind punch.Setup.Session table

    let remove (punch: Punch) (table: PunchTable) : PunchTable =
        match find punch table with
        | ValueSome before ->
            let table = { table with All = Radix.remove (int punch.Setup.Session) table.All }
            counted before -1 table |> unindex before
        | ValueNone -> table

    /// Keeps a punch, a new one or one to which something has happened.
    let set (punch: Punch) (table: PunchTable) : PunchTable =
        let key = int punch.Setup.Session
        let before = find punch table
        let table = { table with All = Radix.add key punch table.All }

        match before with
        | ValueNone -> table |> index punch |> counted punch 1 |> addTimer punch
        | ValueSome before ->
            let isCountedAlike =
                Punch.isUnheard before = Punch.isUnheard punch && Punch.isOver before = Punch.isOver punch

            let table = if isCountedAlike then table else table |> counted before -1 |> counted punch 1
            if Punch.deadline before = Punch.deadline punch then table else addTimer punch table

    /// Takes the sessions of punches that may be due out of the queue. `requeue` must follow for each, when it was looked at.
    let takeDue (now: Instant) (table: PunchTable) : struct (int[] * PunchTable) =
        let mutable found = Radix.empty
        let inOrder = ResizeArray<int>()
        let mutable timers = table.Timers

        while TimerQueue.first timers <= now do
            let struct (_, key, rest) = TimerQueue.pop timers
            timers <- rest

            if (Radix.tryFind key found).IsNone then
                found <- Radix.add key () found
                inOrder.Add key

        struct (inOrder.ToArray(), { table with Timers = timers })

    /// A punch that was due was looked at: it needs an entry, also if its deadline is the same.
    let requeue (before: Punch) (table: PunchTable) : PunchTable =
        match find before table with
        | ValueSome punch when Punch.deadline punch = Punch.deadline before -> addTimer punch table
        | _ -> table

    /// The punch that an introduction has begun.
    let ofIntroduction (introduction: Borrowed) (table: PunchTable) : Punch voption =
        match Radix.tryFind (keyOf introduction) table.ByIntroduction with
        | ValueSome key ->
            match Radix.tryFind key table.All with
            | ValueSome punch when punch.Setup.Introduction.AsBorrowed.Equals introduction -> ValueSome punch
            | _ -> ValueNone
        | ValueNone -> ValueNone

    /// The latest punches with a peer.
    let ofPeer (peer: Borrowed) (table: PunchTable) : Punch[] =
        if peer.Length = 0 then
            [||]
        else
            Radix.tryFind (keyOf peer) table.ByPeer
            |> ValueOption.defaultValue [||]
            |> Array.choose (fun key ->
                match Radix.tryFind key table.All with
                | ValueSome punch when punch.Setup.Peer.AsBorrowed.Equals peer -> Some punch
                | _ -> None)

    /// Whether a punch of a task is not over.
    let isUnderWay (taskId: TaskId) (table: PunchTable) = (Radix.tryFind taskId table.UnderWay).IsSome

    /// Takes the punches that have heard nothing out of that queue, the oldest first, as long as `isTaken` holds for one and for how many there are.
    let takeUnheard (isTaken: Punch -> int -> bool) (table: PunchTable) : struct (Punch[] * PunchTable) =
        let taken = ResizeArray<Punch>()
        let mutable queue = table.Unheard
        let mutable goesOn = true

        while goesOn && TimerQueue.count queue > 0 do
            let struct (at, key, rest) = TimerQueue.pop queue

            if not (isUnheardSince table at key) then
                queue <- rest
            else
                let punch = (Radix.tryFind key table.All).Value
                goesOn <- isTaken punch (table.UnheardCount - taken.Count)

                if goesOn then
                    taken.Add punch
                    queue <- rest

        struct (taken.ToArray(), { table with Unheard = queue })
