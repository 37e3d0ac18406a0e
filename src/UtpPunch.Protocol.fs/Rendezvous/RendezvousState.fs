namespace UtpPunch.Protocol

open System.Buffers.Binary
open System.Security.Cryptography

/// The options of a rendezvous server.
[<NoComparison>]
type RendezvousOptions =
    {
        /// Its sockets, in the order of `Endpoint.Via`; clients know the first one. A socket that is bound to all addresses has no address here.
        /// With several sockets, clients can determine their NAT's mapping.
        Sockets: Endpoint[]
        /// The most registrations, in all and from one source: an IPv4 address or an IPv6 /64 prefix. A /56 prefix may have 4 times as many,
        /// and a /48 prefix 16 times.
        MaxRegistrations: int
        MaxPerSource: int
        /// The most clients that stay in one room, and the most that wait for one of these.
        MaxPerRoom: int
        /// Datagrams with a valid cookie that are accepted from one source per second; the burst is twice as many. Prefixes as above.
        RatePerSource: int
        /// How long a registration is valid unless it is renewed.
        Lifetime: Duration
        /// Whether it also serves the npm package's tracker protocol (JSON). That amplifies, and verifies no address.
        Legacy: bool
        /// Whether it also serves STUN (RFC 8489), whose answers are slightly larger than the requests. With four sockets, which are the two
        /// ports of one address and then those of another, it supports NAT behavior discovery (RFC 5780).
        Stun: bool
    }

/// The load of a server.
[<Struct; NoComparison>]
type RendezvousStatistics =
    {
        /// Clients that wait for a peer, and introductions in progress.
        Waiting: int
        Introductions: int
        /// Since the server was created.
        Introduced: int64
        Dropped: int64
    }

/// What the server keeps of a registration.
[<NoComparison>]
type internal Entry =
    {
        Room: Owned
        Handle: uint64
        Peer: Owned
        Stays: bool
        Offer: Owned
        /// Endpoints to which the client is not to be introduced; port 0 stands for all ports of the address.
        Avoided: Endpoint[]
    }

module internal Entry =
    let keep (it: Registration) =
        { Room = Borrowed.keep it.Room
          Handle = it.Handle
          Peer = Borrowed.keep it.Peer
          Stays = it.Stays
          Offer = Borrowed.keep it.Offer
          Avoided = PunchWire.endpoints it.Avoided }

    let avoids (remote: Endpoint) (entry: Entry) =
        entry.Avoided
        |> Array.exists (fun it -> Endpoint.isSameAddress it remote && (it.Port = 0us || it.Port = remote.Port))

/// Where a registrant is in its room: its index in one of the two lists.
[<Struct; RequireQualifiedAccess; NoComparison>]
type internal RoomPlace =
    /// It was introduced.
    | Outside
    | Visitor of index: int
    | Service of slot: int

/// A peer that has proved its address.
[<NoComparison>]
type internal Registrant =
    {
        Remote: Endpoint
        Registration: Entry
        ExpiresAt: Instant
        HeardAt: Instant
        /// How often it was pinged since, when first, and when that is due again; `Time.never` if it is not being pinged.
        Pings: int
        PingedAt: Instant
        PingAt: Instant
        /// When the server looks at it: the entry of the timer queue that counts.
        WakeAt: Instant
        Place: RoomPlace
        /// Its introduction. The registrant is kept until that is over, so that a late registration is not taken for a new one.
        Pairing: int voption
    }

/// The registrants that wait in a room: those that leave it when introduced, the latest ones last, and those that stay. Each list is a map
/// from 0 to its count.
[<NoComparison>]
type internal Room = { Visitors: Radix<int>; Services: Radix<int> }

/// One of the two of an introduction.
[<NoComparison>]
type internal PairedPeer = { Remote: Endpoint; Registration: Entry; Acknowledged: bool; RoundTrip: Duration }

[<NoComparison>]
type internal Pairing = { Nonce: Owned; A: PairedPeer; B: PairedPeer; Tries: int }

/// A rendezvous server: introduces clients that name the same room, and never relays. A value with a step, as `Node` is. Only the step that
/// made a copy writes to its fields.
[<NoComparison; NoEquality>]
type Rendezvous =
    internal
        {
            Options: RendezvousOptions
            /// The key of the cookies.
            Key: Owned
            /// The key of all hashes, so that senders cannot choose values that collide.
            HashKey: uint64
            mutable Now: Instant
            mutable Random: Random
            mutable Next: int
            mutable Registrants: Radix<Registrant>
            /// Registrants by the hash of handle, room and address, and rooms by the hash of their tag.
            mutable Handles: Radix<int>
            mutable Rooms: Radix<Room>
            mutable Pairings: Radix<Pairing>
            /// The number of registrants of each prefix, and of visitors of each source in each room.
            mutable Counts: Radix<int>
            /// The rate limits, each as the time at which its bucket is full again: of sources whose datagrams have valid cookies, of sources
            /// whose datagrams have none, and of all the latter together.
            mutable Proven: Radix<Instant>
            mutable Unproven: Radix<Instant>
            mutable UnprovenInAll: Instant
            /// The timers: a registrant's under its number, a pairing's under the complement of its number.
            mutable TimerQueue: TimerQueue
            mutable Tracker: LegacyTracker
            Stun: StunServer
            mutable Waiting: int
            mutable Introduced: int64
            mutable Dropped: int64
        }

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

    /// A new registrant, with its number; none if a limit was reached.
    let addRegistrant (server: Rendezvous) (registrant: Registrant) : struct (int * Registrant) voption =
        let key = keyOf server registrant

        if
            Radix.count server.Registrants >= server.Options.MaxRegistrations
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

    /// Removes a registrant.
    let removeRegistrant (server: Rendezvous) number (registrant: Registrant) =
        let registrant = leaveRoom server number registrant
        server.Handles <- Radix.remove (keyOf server registrant) server.Handles
        server.Registrants <- Radix.remove number server.Registrants
        countRegistrant server registrant.Remote -1

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
