namespace UtpPunch.Protocol

/// What peers that are never heard may cost a node: probes to the addresses that they name, and places among its punches.
module internal PunchLimits =
    /// Of the probes to addresses that only a peer has named and that have not answered, as many as this are sent at once, and then one each
    /// `probePause`: 250 per second, 14 kB/s.
    [<Literal>]
    let private Burst = 250

    let private probePause = Time.milliseconds 4

    /// How many such probes may be sent; `filledAt` is when the bucket is full.
    let allowance (now: Instant) (filledAt: Instant) : int = Burst - int (max 0L<us> (filledAt - now) / probePause)

    /// `count` such probes were sent.
    let spend (now: Instant) (count: int) (filledAt: Instant) : Instant =
        if count = 0 then filledAt else max now filledAt + int64 count * probePause

    /// The punches that have heard nothing: with one address, and in all.
    [<Literal>]
    let private MaxUnheardOfSource = 32

    [<Literal>]
    let private MaxUnheard = 512

    /// From this number of punches on, those that have heard nothing end after `leastTime`.
    [<Literal>]
    let private Many = 256

    let private leastTime = Time.seconds 2

    /// An IPv4 address, or an IPv6 /64 prefix.
    let private isOneSource (a: Endpoint) (b: Endpoint) =
        if Endpoint.isIPv4 a then Endpoint.isSameAddress a b else a.High = b.High

    /// The punches that end early to make room for one with a peer at `source`; none if too many with that source have heard nothing yet. For a
    /// node that stays in a room: any number of peers is introduced to it.
    let makeRoom (now: Instant) (source: Endpoint) (punches: Radix<Punch>) : Punch[] voption =
        let unheard = ResizeArray<Punch>()

        Radix.iterate (fun _ punch -> if Punch.isUnheard punch then unheard.Add punch) punches

        let ofSource = unheard.FindAll(fun punch -> isOneSource punch.Setup.PeerObserved source).Count

        if ofSource >= MaxUnheardOfSource then
            ValueNone
        elif Radix.count punches < Many then
            ValueSome [||]
        else
            unheard.ToArray()
            |> Array.sortBy (fun punch -> struct (punch.StartedAt, punch.Setup.Session))
            |> Array.indexed
            |> Array.filter (fun (index, punch) ->
                punch.StartedAt + leastTime <= now || unheard.Count - index >= MaxUnheard)
            |> Array.map snd
            |> ValueSome
