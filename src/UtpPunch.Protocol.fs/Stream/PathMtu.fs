namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal PathMtu =
    [<Literal>]
    let MaxProbes = 3

    [<Literal>]
    let MaxSearchProbes = 48

    /// Differences below this are not worth a probe.
    [<Literal>]
    let private Step = 16

    /// RFC 8899, 5.1.2: BASE_PLPMTU.
    [<Literal>]
    let private BasePlpmtu = 1200

    /// RFC 8899, 5.1.1: PMTU_RAISE_TIMER.
    let private raiseAfter = Time.seconds 600

    /// When a search may begin after packets have vanished: the cause may not have been their size, and may be over by then.
    let private searchRetryAfter = Time.seconds 10

    let private basis it = min BasePlpmtu it.Start
    let private floor it = min ExtensionBits.Least it.Start

    let create isIPv4 (options: StreamOptions) =
        let most = min options.LargestPacket (options.SendBuffer / 4)

        { State = MtuState.Base
          Size = options.PacketSize
          Start = options.PacketSize
          // IP's length field holds 65535, of which the headers of IP and UDP take a part.
          Most = (if isIPv4 then min most ExtensionBits.Most else min most (65535 - 48))
          Largest = 0
          IsIPv4 = isIPv4
          Ceiling = System.Int32.MaxValue
          Probed = 0
          ProbeId = 0uy
          Count = 0
          Left = 0
          DueAt = Time.never
          SearchAt = Time.never }

    /// A search begins, from where it stands.
    let private search ceiling it =
        { it with
            State = MtuState.Searching
            Ceiling = ceiling
            Probed = 0
            Count = 0
            Left = MaxSearchProbes
            DueAt = Time.never
            SearchAt = Time.never }

    let meet (largest: int) it =
        if it.Most > it.Start then
            { it with Largest = min it.Most largest } |> search System.Int32.MaxValue
        else
            it

    let restart isIPv4 options it =
        let fresh = { create isIPv4 options with ProbeId = it.ProbeId }
        if it.Largest > 0 then meet it.Largest fresh else fresh

    let isMet it = it.Largest > 0
    let state it = it.State
    let size it = it.Size
    let probed it = it.Probed
    let probeId it = it.ProbeId
    let dueAt it = it.DueAt

    let private idle it = { it with Probed = 0; Count = 0; DueAt = Time.never }

    let private fail it = { idle it with Ceiling = min it.Ceiling it.Probed }

    let expire (now: Instant) it =
        if now < it.DueAt then it
        elif it.Count >= MaxProbes then fail it
        else { it with DueAt = Time.never }

    let wake (now: Instant) it =
        if now < it.SearchAt then
            it
        elif it.Largest = 0 then
            // This peer answers no probes: all that can be tried is what the stream began with.
            { it with State = MtuState.Base; Size = it.Start; SearchAt = Time.never }
        else
            // After PMTU_RAISE_TIMER every size is tried; after packets have vanished, what is smaller than they were.
            let hasFallen = it.State = MtuState.Base || it.State = MtuState.Error
            search (if hasFallen then it.Ceiling else System.Int32.MaxValue) it

    /// The size to try next: what common paths carry, then the middle between what passes and what does not; 0 for none.
    let private candidate cap it =
        let top = min it.Largest cap
        let limit = min it.Ceiling (top + 1)

        // The largest size of all is tried even if it is only a few bytes more.
        if limit - it.Size < Step && not (limit > it.Largest && it.Largest > it.Size) then
            0
        else
            let fits rung = rung > it.Size && rung < limit
            let headers = if it.IsIPv4 then 28 else 48

            if fits (basis it) then
                basis it
            elif fits (1500 - headers) then
                1500 - headers
            elif fits (9000 - headers) then
                9000 - headers
            elif fits top then
                top
            // Routers and tunnels like multiples of eight.
            else
                max (it.Size + 1) ((it.Size + limit) / 2 &&& ~~~7)

    let private complete (now: Instant) it =
        { idle it with
            State = MtuState.Complete
            SearchAt = (if it.SearchAt = Time.never then now + raiseAfter else it.SearchAt) }

    let probe (now: Instant) (timeout: Duration) (cap: int) it =
        if it.State <> MtuState.Searching || it.DueAt <> Time.never then
            it
        else
            let wanted = if it.Probed > 0 && it.Probed <= cap then it.Probed else candidate cap it

            if wanted = 0 || it.Left = 0 then
                complete now it
            else
                let count = if wanted = it.Probed then it.Count else 0

                { it with
                    Probed = wanted
                    ProbeId = it.ProbeId + 1uy
                    Count = count + 1
                    Left = it.Left - 1
                    DueAt = now + min (timeout * (1L <<< count)) (max timeout (Time.seconds 1)) }

    let confirm (id: byte) (size: int) it =
        if it.Probed > 0 && size = it.Probed && int (it.ProbeId - id) < it.Count then
            { idle it with Size = size }
        else
            it

    /// Packets were larger than the path carries. The search may find that size again, but nothing above.
    let private shrink (now: Instant) size ceiling it =
        { idle it with
            State = (if isMet it then MtuState.Searching else MtuState.Base)
            Size = size
            Ceiling = min it.Ceiling ceiling
            SearchAt = min it.SearchAt (now + raiseAfter) }

    let tooLong (now: Instant) (size: int) (limit: int) it =
        if limit <> 0 && (limit < ExtensionBits.Least || limit >= size) then
            it
        else
            let it = if it.Probed > 0 && size = it.Probed then fail it else it
            let passes = if limit > 0 then limit else size - 1

            if passes >= it.Size then
                { it with Ceiling = min it.Ceiling (passes + 1) }
            elif it.Size <= basis it then
                it
            elif limit > 0 then
                // The report may be forged: the search finds out whether what has passed until now still does.
                shrink now (max (basis it) limit) (it.Size + 1) it
            else
                shrink now (basis it) size it

    let vanish (now: Instant) (inARow: int) (oldest: int) (longest: int) it =
        let fall vanished size state =
            { idle it with
                State = state
                Size = size
                Ceiling = min it.Ceiling (min it.Size vanished)
                SearchAt = now + (if isMet it then searchRetryAfter else raiseAfter) }

        if longest > basis it && it.Size > basis it && inARow >= 2 then
            fall longest (basis it) MtuState.Base
        elif oldest <= basis it && oldest > floor it && it.Size > floor it && inARow >= 3 then
            // It was sent with DF each time: larger packets behind it are not the cause.
            fall oldest (floor it) MtuState.Error
        else
            it
