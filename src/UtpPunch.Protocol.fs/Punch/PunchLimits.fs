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

    /// The punches of a node.
    [<Literal>]
    let Most = 4096

    /// From this number of punches on, one that is over is kept for `leastHold` only: the peer asks to use a path for 5 s.
    [<Literal>]
    let private Crowded = 1024

    let private leastHold = Time.seconds 10

    /// How long a punch that is over is kept at most.
    let hold (count: int) : Duration = if count >= Crowded then leastHold else Time.never

    /// The punches that have heard nothing: with one source, and in all.
    [<Literal>]
    let private MaxUnheardOfSource = 32

    [<Literal>]
    let private MaxUnheard = 512

    /// From this number of punches on, those that have heard nothing end after `leastTime`.
    [<Literal>]
    let private Many = 256

    let private leastTime = Time.seconds 2

    /// The punches that end early to make room for one with a peer at `source`; none if too many with that source have heard nothing yet. For a
    /// node that stays in a room: any number of peers is introduced to it.
    let makeRoom (now: Instant) (source: Endpoint) (table: PunchTable) : struct (Punch[] * PunchTable) voption =
        if PunchTable.unheardOf source table >= MaxUnheardOfSource then
            ValueNone
        elif PunchTable.count table < Many then
            ValueSome(struct ([||], table))
        else
            PunchTable.takeUnheard (fun punch count -> punch.StartedAt + leastTime <= now || count >= MaxUnheard) table
            |> ValueSome

    /// What the peer names of the hosts behind this network's NAT64 is left out.
    let withoutNat64 (prefixes: Nat64Prefix[]) (punch: Punch) : Punch =
        let mayBeProbed = CandidateFilter.isBehindNat64 prefixes >> not

        if prefixes.Length = 0 then
            punch
        else
            let offer = punch.Setup.PeerOffer

            { punch with
                Candidates = punch.Candidates |> Array.filter (fun it -> mayBeProbed it.Remote)
                Setup = { punch.Setup with PeerOffer = { offer with Hosts = Array.filter mayBeProbed offer.Hosts } } }
