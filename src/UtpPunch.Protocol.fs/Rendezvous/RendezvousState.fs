namespace UtpPunch.Protocol

open System.Buffers.Binary
open System.Security.Cryptography

/// The tables of a server: registrants, rooms, limits, and cookies. Each operation takes a bounded number of steps, whatever the tables hold.
module internal RendezvousState =
    /// A cookie is valid for one to two of these.
    let private cookieAge = Time.seconds 60

    /// The visitors of a room in which no registrant stays. More of them are never needed: two that wait are introduced.
    [<Literal>]
    let private MaxVisitors = 64

    /// The visitors of a room that have one address. Only those that are not to be introduced to each other wait at the same time.
    [<Literal>]
    let private MaxVisitorsPerSource = 8

    /// Datagrams without a valid cookie per second: from one source, and in all. Their sources may be forged, so these limits must not keep out
    /// the owner of an address; they leave time for datagrams with valid cookies. No answer is larger than its request.
    [<Literal>]
    let private UnprovenPerSource = 5_000

    [<Literal>]
    let private UnprovenInAll = 50_000

    [<Literal>]
    let private AmplifiedPerSource = 100

    /// The bits of the key of a rate limit, which bound the table. Two sources with the same key share a rate limit.
    [<Literal>]
    let private SourceBits = 0xFFFF

    // ---- Hashes ----

    /// A keyed hash. The key is added between the rounds too: otherwise values that collide could be computed without it.
    let mixed (server: Rendezvous) (value: uint64) =
        let first = (value ^^^ server.HashKey) * 0x9E3779B97F4A7C15UL
        let second = ((first ^^^ (first >>> 29)) + server.HashKey) * 0xBF58476D1CE4E5B9UL
        int (second >>> 32)

    let private joined (server: Rendezvous) (first: int) (value: uint64) =
        mixed server (value + (uint64 (uint32 first) <<< 32) + uint64 (uint32 first))

    let roomKey (server: Rendezvous) (room: Borrowed) =
        joined
            server
            (mixed server (BinaryPrimitives.ReadUInt64BigEndian room.Span))
            (BinaryPrimitives.ReadUInt64BigEndian(room.Skip(8).Span))

    let private handleKey (server: Rendezvous) (remote: Endpoint) (handle: uint64) (room: int) =
        joined server (joined server room handle) (uint64 (remote.Hash server.HashKey))

    /// The prefixes of an address whose use is limited, and the multiple of the limit: an IPv4 address; /64, /56 and /48 of an IPv6 one.
    let private prefixes (server: Rendezvous) (remote: Endpoint) : struct (int * int)[] =
        if Endpoint.isIPv4 remote then
            [| struct (mixed server remote.Low, 1) |]
        else
            [| struct (joined server 64 remote.High, 1)
               struct (joined server 56 (remote.High >>> 8), 4)
               struct (joined server 48 (remote.High >>> 16), 16) |]

    let dropInvalid (server: Rendezvous) =
        server.Dropped <- server.Dropped + 1L
        server.Totals.Invalid <- server.Totals.Invalid + 1L

    /// The beginning of a nonce, by which an introduction is found.
    let keyOfNonce (nonce: Borrowed) : int = BinaryPrimitives.ReadInt32BigEndian nonce.Span

    // ---- Rate limits ----

    /// The burst of a limit is what it admits in this time.
    let private burst = Time.seconds 2

    /// When a bucket would be full again after one datagram more (ITU-T I.371, virtual scheduling).
    let private filledAt (now: Instant) (rate: int64) (bucket: Instant) : Instant =
        max now bucket + 1_000_000L<us> / rate

    /// Takes a token from the bucket of each prefix, if all have one.
    let private takeOfAll (server: Rendezvous) (remote: Endpoint) (rate: int) (buckets: Radix<Instant>) =
        let next =
            prefixes server remote
            |> Array.map (fun (struct (key, multiple)) ->
                let key = key &&& SourceBits
                let bucket = Radix.tryFind key buckets |> ValueOption.defaultValue server.Now
                struct (key, filledAt server.Now (int64 rate * int64 multiple) bucket))

        if next |> Array.forall (fun (struct (_, bucket)) -> bucket - server.Now <= burst) then
            ValueSome(next |> Array.fold (fun rest (struct (key, bucket)) -> Radix.add key bucket rest) buckets)
        else
            ValueNone

    /// Whether a datagram with a valid cookie is within the limit of its source.
    let admitsProven (server: Rendezvous) (remote: Endpoint) =
        match takeOfAll server remote server.Options.RatePerSource server.Proven with
        | ValueSome buckets ->
            server.Proven <- buckets
            true
        | ValueNone -> false

    /// Whether a datagram without a valid cookie is within the limits, `rate` for its source.
    let private admitsUnprovenAt (server: Rendezvous) (remote: Endpoint) rate =
        let inAll = filledAt server.Now (int64 UnprovenInAll) server.UnprovenInAll

        match takeOfAll server remote rate server.Unproven with
        | ValueSome buckets when inAll - server.Now <= burst ->
            server.Unproven <- buckets
            server.UnprovenInAll <- inAll
            true
        | _ -> false

    let admitsUnproven server remote = admitsUnprovenAt server remote UnprovenPerSource

    /// The same for a protocol whose answers may be larger than its requests.
    let admitsAmplified (server: Rendezvous) remote =
        admitsUnprovenAt server remote (min AmplifiedPerSource server.Options.RatePerSource)

    // ---- Numbers of registrants ----

    let private countOf key (server: Rendezvous) = Radix.tryFind key server.Counts |> ValueOption.defaultValue 0

    let private add (server: Rendezvous) key change =
        let count = countOf key server + change
        server.Counts <- if count = 0 then Radix.remove key server.Counts else Radix.add key count server.Counts

    let countRegistrant (server: Rendezvous) remote change =
        for struct (key, _) in prefixes server remote do
            add server key change

    /// Whether there is room for one registrant more from an address.
    let private isWithinQuota (server: Rendezvous) remote =
        prefixes server remote
        |> Array.forall (fun (struct (key, multiple)) ->
            int64 (countOf key server) < int64 server.Options.MaxPerSource * int64 multiple)

    let private visitorKey (server: Rendezvous) room (remote: Endpoint) =
        let struct (prefix, _) = (prefixes server remote)[0]
        joined server room (uint64 (uint32 prefix))

    // ---- Registrants ----

    let findRegistrant
        (remote: Endpoint)
        handle
        (room: Borrowed)
        (server: Rendezvous)
        : struct (int * Registrant) voption =
        match Radix.tryFind (handleKey server remote handle (roomKey server room)) server.Handles with
        | ValueSome number ->
            match Radix.tryFind number server.Registrants with
            | ValueSome it when
                it.Registration.Handle = handle && it.Registration.Room.Equals room && it.Remote.Equals remote
                ->
                ValueSome(struct (number, it))
            | _ -> ValueNone
        | ValueNone -> ValueNone

    let private keyOf server (it: Registrant) =
        handleKey server it.Remote it.Registration.Handle (roomKey server it.Registration.Room.AsBorrowed)

    let store (server: Rendezvous) number (registrant: Registrant) =
        server.Registrants <- Radix.add number registrant server.Registrants

    /// Stores a registrant, and sees to it that the server looks at it in time.
    let schedule (server: Rendezvous) number (registrant: Registrant) =
        let at = min registrant.ExpiresAt registrant.PingAt

        let isDue = registrant.WakeAt <= server.Now || registrant.WakeAt > at
        let registrant = if isDue then { registrant with WakeAt = at } else registrant

        if isDue then server.TimerQueue <- TimerQueue.add at number server.TimerQueue

        store server number registrant
        registrant

    /// A number that no registrant and no pairing has. Numbers start again at 1 when they have run out.
    let takeNumber (server: Rendezvous) : int =
        let isTaken number =
            (Radix.tryFind number server.Registrants).IsSome || (Radix.tryFind number server.Pairings).IsSome

        let after number = if number = System.Int32.MaxValue then 1 else number + 1
        let mutable number = server.Next

        while isTaken number do
            number <- after number

        server.Next <- after number
        number

    /// Whether the server has as many registrants as it may have.
    let isFull (server: Rendezvous) = Radix.count server.Registrants >= server.Options.MaxRegistrations

    /// A new registrant, with its number; none if a limit was reached.
    let addRegistrant (server: Rendezvous) (registrant: Registrant) : struct (int * Registrant) voption =
        let key = keyOf server registrant

        if
            isFull server
            || not (isWithinQuota server registrant.Remote)
            || (Radix.tryFind key server.Handles).IsSome
        then
            ValueNone
        else
            let number = takeNumber server
            server.Handles <- Radix.add key number server.Handles
            countRegistrant server registrant.Remote 1
            ValueSome(struct (number, schedule server number registrant))

    // ---- Rooms ----

    let private emptyRoom = { Visitors = Radix.empty; Services = Radix.empty }

    let private setRoom (server: Rendezvous) key (room: Room) =
        server.Rooms <-
            if Radix.count room.Visitors + Radix.count room.Services = 0 then
                Radix.remove key server.Rooms
            else
                Radix.add key room server.Rooms

    /// Takes an item out of a list: the last one takes its place.
    let private withoutIndex (server: Rendezvous) index (place: int -> RoomPlace) (list: Radix<int>) : Radix<int> =
        let last = Radix.count list - 1

        if index = last then
            Radix.remove last list
        else
            let moved = (Radix.tryFind last list).Value
            store server moved { (Radix.tryFind moved server.Registrants).Value with Place = place index }
            Radix.add index moved (Radix.remove last list)

    /// Takes a registrant out of its room.
    let leaveRoom (server: Rendezvous) number (registrant: Registrant) : Registrant =
        let key = roomKey server registrant.Registration.Room.AsBorrowed
        let room = Radix.tryFind key server.Rooms |> ValueOption.defaultValue emptyRoom

        match registrant.Place with
        | RoomPlace.Outside -> ()
        | RoomPlace.Visitor index ->
            add server (visitorKey server key registrant.Remote) -1
            server.Waiting <- server.Waiting - 1
            setRoom server key { room with Visitors = withoutIndex server index RoomPlace.Visitor room.Visitors }
        | RoomPlace.Service index ->
            server.Waiting <- server.Waiting - 1
            server.Staying <- server.Staying - 1
            setRoom server key { room with Services = withoutIndex server index RoomPlace.Service room.Services }

        let outside = { registrant with Place = RoomPlace.Outside }
        store server number outside
        outside

    /// Lets a registrant wait in its room, as the latest one; none if there are too many.
    let enterRoom (server: Rendezvous) number (registrant: Registrant) : Registrant voption =
        let key = roomKey server registrant.Registration.Room.AsBorrowed
        let room = Radix.tryFind key server.Rooms |> ValueOption.defaultValue emptyRoom
        let source = visitorKey server key registrant.Remote

        let enter place (room: Room) =
            server.Waiting <- server.Waiting + 1
            setRoom server key room
            let inside = { registrant with Place = place }
            store server number inside
            ValueSome inside

        let others = if registrant.Registration.Stays then room.Services else room.Visitors

        if Radix.count others >= server.Options.MaxPerRoom then
            ValueNone
        elif registrant.Registration.Stays then
            let index = Radix.count room.Services
            server.Staying <- server.Staying + 1
            enter (RoomPlace.Service index) { room with Services = Radix.add index number room.Services }
        elif
            countOf source server >= MaxVisitorsPerSource
            || (Radix.count room.Services = 0 && Radix.count room.Visitors >= MaxVisitors)
        then
            ValueNone
        else
            add server source 1
            let index = Radix.count room.Visitors
            enter (RoomPlace.Visitor index) { room with Visitors = Radix.add index number room.Visitors }

    /// The store need not know a registrant any more.
    let unshare (server: Rendezvous) number (registrant: Registrant) =
        if server.Shared.Instance <> 0UL && registrant.SharedAt <> Time.never then
            server.Requests.Add(StoreRequest.Unshare(registrant.Registration.Room, number))

    /// Removes a registrant.
    let removeRegistrant (server: Rendezvous) number (registrant: Registrant) =
        let registrant = leaveRoom server number registrant
        unshare server number registrant
        server.Handles <- Radix.remove (keyOf server registrant) server.Handles
        server.Registrants <- Radix.remove number server.Registrants
        countRegistrant server registrant.Remote -1

    /// An introduction is over. A client that has not acknowledged it has not learned of it, and may register again.
    let endIntroduction (server: Rendezvous) key (side: PairedPeer) =
        if not side.Acknowledged then
            match findRegistrant side.Remote side.Registration.Handle side.Registration.Room.AsBorrowed server with
            | ValueSome(struct (number, it)) when it.Pairing = ValueSome key ->
                store server number { it with Pairing = ValueNone }
            | _ -> ()

    // ---- Cookies ----

    let private cookieOf (server: Rendezvous) (age: int64) (remote: Endpoint) (handle: uint64) : Owned =
        let writer = PunchWire.Writer 0uy
        writer.Number(uint64 age, 8)
        writer.Endpoint remote
        writer.Number(handle, 8)
        let code = Secrets.mac server.Key "UtpPunch cookie" (writer.ToBytes().AsBorrowed)
        let cookie = code.Span.ToArray()
        // The parity of its age tells which of the two valid ages it has, so that one code is computed to check it.
        cookie[0] <- (cookie[0] &&& 0xFEuy) ||| byte (age &&& 1L)
        Owned cookie

    let cookie (server: Rendezvous) remote handle = cookieOf server (server.Now / cookieAge) remote handle

    let isCookie (server: Rendezvous) remote handle (cookie: Borrowed) =
        if cookie.Equals PunchWire.noCookie then
            false
        else
            let now = server.Now / cookieAge
            let age = if int64 (cookie.Span[0] &&& 1uy) = (now &&& 1L) then now else now - 1L
            CryptographicOperations.FixedTimeEquals((cookieOf server age remote handle).Span, cookie.Span)
