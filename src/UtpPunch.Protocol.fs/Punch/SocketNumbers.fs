namespace UtpPunch.Protocol

/// What the sockets of a range are used for.
[<RequireQualifiedAccess; NoComparison>]
type internal SocketUse =
    /// They are open, and a punch probes with them.
    | Probing
    /// One socket, which leads to a peer. At that time it is closed, unless a stream uses it.
    | Path of until: Instant
    /// They are closed. Datagrams to them may still be under way, so their numbers are taken again only after that time.
    | Closed of until: Instant

/// Sockets with consecutive numbers.
[<NoComparison>]
type internal SocketRange = { First: int; Count: int; Use: SocketUse }

/// The numbers (`Endpoint.Via`) of the sockets that birthday probing opens. Number 0 is the socket that the node is bound to. Ranges are
/// ordered by their first number and do not overlap.
module internal SocketNumbers =
    [<Literal>]
    let private Highest = 65535

    /// How long a number is not used again. A NAT keeps a UDP mapping for 2 minutes at least (RFC 4787, REQ-5).
    let private quarantine = Time.seconds 120

    /// How long a path is kept open for a stream: as long as the punch itself keeps it open.
    let private idle = Time.seconds 120

    /// Takes the least free range of `count` numbers: its first number, or 0 if there is none.
    let take now count (ranges: SocketRange[]) : struct (int * SocketRange[]) =
        let isTaken (it: SocketRange) =
            match it.Use with
            | SocketUse.Closed until -> now < until
            | SocketUse.Probing
            | SocketUse.Path _ -> true

        let taken = Array.filter isTaken ranges
        let mutable first = 1

        for range in taken do
            if range.First < first + count then first <- range.First + range.Count

        if first + count - 1 > Highest then
            struct (0, taken)
        else
            let range = { First = first; Count = count; Use = SocketUse.Probing }
            struct (first, Array.append taken [| range |] |> Array.sortBy _.First)

    /// The punch whose range begins with `first` is over. The path that it has found uses the number `kept`, if that is one of the range.
    let release now first kept (ranges: SocketRange[]) : SocketRange[] =
        let closed first count =
            if count > 0 then
                [| { First = first; Count = count; Use = SocketUse.Closed(now + quarantine) } |]
            else
                [||]

        let split (it: SocketRange) =
            if it.First <> first then
                [| it |]
            elif kept < first || kept >= first + it.Count then
                closed first it.Count
            else
                Array.concat
                    [| closed first (kept - first)
                       [| { First = kept; Count = 1; Use = SocketUse.Path(now + idle) } |]
                       closed (kept + 1) (first + it.Count - kept - 1) |]

        Array.collect split ranges

    /// When `closeIdle` is due.
    let deadline (ranges: SocketRange[]) : Instant =
        let earlier due (it: SocketRange) =
            match it.Use with
            | SocketUse.Path until -> min due until
            | SocketUse.Probing
            | SocketUse.Closed _ -> due

        if ranges.Length = 0 then Time.never else Array.fold earlier Time.never ranges

    /// Gives up the paths that are due and that no stream uses: their numbers, and the ranges without them.
    let closeIdle now (isUsed: int -> bool) (ranges: SocketRange[]) : struct (int[] * SocketRange[]) =
        let isIdle (it: SocketRange) =
            match it.Use with
            | SocketUse.Path until -> until <= now && not (isUsed it.First)
            | SocketUse.Probing
            | SocketUse.Closed _ -> false

        let next (it: SocketRange) =
            match it.Use with
            | SocketUse.Path until when until <= now ->
                if isUsed it.First then
                    { it with Use = SocketUse.Path(now + idle) }
                else
                    { it with Use = SocketUse.Closed(now + quarantine) }
            | SocketUse.Path _
            | SocketUse.Probing
            | SocketUse.Closed _ -> it

        struct (ranges |> Array.filter isIdle |> Array.map _.First, Array.map next ranges)
