namespace UtpPunch.Protocol

/// Which registrants of a room are introduced to each other, and whether they are still there.
module internal Matching =
    open RendezvousState

    /// Whether two clients may be introduced: different peers of one room, not both of which stay, and neither avoids the other.
    let areFit (remote: Endpoint) (own: Entry) (otherRemote: Endpoint) (theirs: Entry) =
        theirs.Room.Equals own.Room
        && not (theirs.Peer.Equals own.Peer)
        && not (theirs.Stays && own.Stays)
        && not (Entry.avoids otherRemote own)
        && not (Entry.avoids remote theirs)

    let private fits (server: Rendezvous) (one: Registrant) (other: Registrant) =
        other.ExpiresAt > server.Now && areFit one.Remote one.Registration other.Remote other.Registration

    /// How many members of a room are considered for an introduction.
    [<Literal>]
    let private MaxConsidered = 16

    /// A registrant that was heard within this time is there: a client that was killed would be introduced to one that then waits for a ghost.
    let private freshFor = Time.milliseconds 100

    /// How often a client is pinged, and the time for an answer to any of them: paths through satellites take most of a second.
    [<Literal>]
    let private MaxPings = 3

    let private pingEvery = Time.milliseconds 200
    let private answerWithin = Time.seconds 3

    /// Whether a registrant that waits has not answered its pings.
    let isGhost (registrant: Registrant) = registrant.Pings >= MaxPings

    /// Asks a registrant whether it is there.
    let ping (server: Rendezvous) number (registrant: Registrant) (send: RendezvousMessage -> unit) =
        send (RendezvousMessage.Ping registrant.Registration.Handle)
        server.Totals.Pinged <- server.Totals.Pinged + 1L

        let pings = registrant.Pings + 1
        let first = if registrant.Pings = 0 then server.Now else registrant.PingedAt
        let next = if pings < MaxPings then server.Now + pingEvery else first + answerWithin
        schedule server number { registrant with Pings = pings; PingedAt = first; PingAt = next } |> ignore

    /// Since when another registrant must have been heard. The one for whose sake this one was pinged has waited for the answer.
    let heardSince (server: Rendezvous) (registrant: Registrant) =
        let since = server.Now - freshFor
        if registrant.Pings > 0 then min since registrant.PingedAt else since

    /// Members of a list that fit, among `MaxConsidered` from an index downwards, in a circle: the first that was heard lately, or all others.
    let private search
        server
        (registrant: Registrant)
        since
        from
        (list: Radix<int>)
        (stale: ResizeArray<struct (int * Registrant)>)
        =
        let count = Radix.count list
        let mutable found = ValueNone
        let mutable step = 0

        while found.IsNone && step < min count MaxConsidered do
            let number = (Radix.tryFind ((from + count - step) % count) list).Value

            match Radix.tryFind number server.Registrants with
            | ValueSome other when fits server registrant other ->
                if other.HeardAt >= since then
                    found <- ValueSome(struct (number, other))
                else
                    stale.Add(struct (number, other))
            | _ -> ()

            step <- step + 1

        found

    /// A waiting registrant to which this one may be introduced: the latest visitor, otherwise one that stays (round robin). Those that were
    /// not heard lately are asked whether they are there; one that is registers again, and meets this one then.
    let partner
        (server: Rendezvous)
        (registrant: Registrant)
        since
        (send: Registrant -> RendezvousMessage -> unit)
        : struct (int * Registrant) voption =
        match Radix.tryFind (roomKey server registrant.Registration.Room.AsBorrowed) server.Rooms with
        | ValueSome room ->
            let stale = ResizeArray()

            let found =
                match search server registrant since (Radix.count room.Visitors - 1) room.Visitors stale with
                | ValueSome found -> ValueSome found
                | ValueNone when registrant.Registration.Stays -> ValueNone
                | ValueNone ->
                    let from = server.Next % max 1 (Radix.count room.Services)
                    search server registrant since from room.Services stale

            if found.IsNone then
                for struct (number, other) in stale do
                    if other.PingAt = Time.never then ping server number other (send other)

            found
        | ValueNone -> ValueNone
