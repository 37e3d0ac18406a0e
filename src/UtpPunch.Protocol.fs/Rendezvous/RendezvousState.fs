namespace UtpPunch.Protocol

open System.Buffers.Binary

/// The options of a rendezvous server.
[<NoComparison>]
type RendezvousOptions =
    {
        /// Its sockets, in the order of `Endpoint.Via`; clients know the first one. A socket that is bound to all addresses has no address here.
        /// With several sockets, clients can determine their NAT's mapping.
        Sockets: Endpoint[]
        /// The most registrations, in all and from one source: an IPv4 address, or the first 64 bits of an IPv6 one.
        MaxRegistrations: int
        MaxPerSource: int
        /// Datagrams per second that are accepted from one source; the burst is twice as many.
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
type internal Entry = { Room: Owned; Handle: uint64; Peer: Owned; Stays: bool; Offer: Owned }

module internal Entry =
    let keep (it: Registration) =
        { Room = Borrowed.keep it.Room
          Handle = it.Handle
          Peer = Borrowed.keep it.Peer
          Stays = it.Stays
          Offer = Borrowed.keep it.Offer }

/// A peer that has proved its address.
[<NoComparison>]
type internal Registrant =
    {
        Remote: Endpoint
        Registration: Entry
        ExpiresAt: Instant
        /// Its introduction. The registrant is kept until that is over, so that a late registration is not taken for a new one.
        Pairing: int voption
    }

/// One of the two of an introduction.
[<NoComparison>]
type internal PairedPeer = { Remote: Endpoint; Registration: Entry; Acknowledged: bool; RoundTrip: Duration }

[<NoComparison>]
type internal Pairing = { Nonce: Owned; A: PairedPeer; B: PairedPeer; Tries: int }

/// The rate limit and the number of registrants of a source.
[<NoComparison>]
type internal Source = { Tokens: int; FilledAt: Instant; Registrants: int }

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
            /// Registrants by the hash of their handle, and waiting registrants by the hash of their room.
            mutable Handles: Radix<int[]>
            mutable Rooms: Radix<int[]>
            mutable Pairings: Radix<Pairing>
            mutable Sources: Radix<Source>
            /// The timers: a registrant's under its number, a pairing's under the complement of its number.
            mutable TimerQueue: TimerQueue
            mutable Tracker: LegacyTracker
            Stun: StunServer
            mutable Waiting: int
            mutable Introduced: int64
            mutable Dropped: int64
        }

/// The tables of a server: registrants, rate limits, and cookies.
module internal RendezvousState =
    /// A cookie is valid for one to two of these.
    let private cookieAge = Time.seconds 60

    /// The bits of a source's key, which bound the table. Two sources with the same key share a rate limit.
    [<Literal>]
    let private SourceBits = 0xFFFF

    // ---- Tables ----

    let mixed (server: Rendezvous) (value: uint64) =
        let product = (value ^^^ server.HashKey) * 0x9E3779B97F4A7C15UL
        int (product >>> 32)

    let roomKey (server: Rendezvous) (room: Borrowed) =
        mixed
            server
            (BinaryPrimitives.ReadUInt64BigEndian room.Span
             + BinaryPrimitives.ReadUInt64LittleEndian(room.Skip(8).Span) * 31UL)

    let sourceKey (server: Rendezvous) (remote: Endpoint) =
        let address = if Endpoint.isIPv4 remote then remote.Low else remote.High
        mixed server address &&& SourceBits

    let insert key number table =
        let known = Radix.tryFind key table |> ValueOption.defaultValue [||]
        Radix.add key (Array.append known [| number |]) table

    let without key number table =
        match Radix.tryFind key table with
        | ValueSome known ->
            let rest = Array.filter ((<>) number) known
            if rest.Length = 0 then Radix.remove key table else Radix.add key rest table
        | ValueNone -> table

    let registrantsUnder key table (server: Rendezvous) : struct (int * Registrant)[] =
        match Radix.tryFind key table with
        | ValueSome numbers ->
            [| for number in numbers do
                   match Radix.tryFind number server.Registrants with
                   | ValueSome registrant -> struct (number, registrant)
                   | ValueNone -> () |]
        | ValueNone -> [||]

    let findRegistrant (handle: uint64) (room: Borrowed) (server: Rendezvous) : struct (int * Registrant) voption =
        registrantsUnder (mixed server handle) server.Handles server
        |> Array.tryFind (fun (struct (_, registrant)) ->
            registrant.Registration.Handle = handle && registrant.Registration.Room.Equals room)
        |> ValueOption.ofOption

    let source (server: Rendezvous) (remote: Endpoint) =
        match Radix.tryFind (sourceKey server remote) server.Sources with
        | ValueSome source -> source
        | ValueNone -> { Tokens = 2 * server.Options.RatePerSource; FilledAt = server.Now; Registrants = 0 }

    let setSource (server: Rendezvous) remote source =
        server.Sources <- Radix.add (sourceKey server remote) source server.Sources

    let countRegistrant (server: Rendezvous) remote change =
        let known = source server remote
        setSource server remote { known with Registrants = known.Registrants + change }

    /// Takes a token of the source's rate limit, if it has one left.
    let admits (server: Rendezvous) (remote: Endpoint) =
        let rate = server.Options.RatePerSource
        let known = source server remote
        let earned = int64 (server.Now - known.FilledAt) * int64 rate / 1_000_000L

        let known =
            if earned > 0L then
                let tokens = int (min (int64 (2 * rate)) (int64 known.Tokens + earned))
                { known with Tokens = tokens; FilledAt = server.Now }
            else
                known

        setSource server remote { known with Tokens = max 0 (known.Tokens - 1) }
        known.Tokens > 0

    // ---- Cookies ----

    let cookieOf (server: Rendezvous) (age: int64) (remote: Endpoint) (handle: uint64) : Owned =
        let writer = PunchWire.Writer 0uy
        writer.Number(uint64 age, 8)
        writer.Endpoint remote
        writer.Number(handle, 8)
        Secrets.mac server.Key "UtpPunch cookie" (writer.ToBytes().AsBorrowed)

    let cookie (server: Rendezvous) remote handle = cookieOf server (server.Now / cookieAge) remote handle

    let isCookie (server: Rendezvous) remote handle (cookie: Borrowed) =
        let age = server.Now / cookieAge

        cookie.Equals(cookieOf server age remote handle)
        || cookie.Equals(cookieOf server (age - 1L) remote handle)
