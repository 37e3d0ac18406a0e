namespace UtpPunch.Protocol

open System.Buffers.Binary

/// What holds for a rendezvous server.
[<NoComparison>]
type RendezvousOptions =
    {
        /// Its sockets, in the order of `Endpoint.Via`; the first is the one that clients know. One that is bound to all addresses stands
        /// with none. Clients that can compare how several sockets see them know what their NAT does.
        Sockets: Endpoint[]
        /// Registrations at most, in all and from one source: an IPv4 address, or the first 64 bits of an IPv6 one.
        MaxRegistrations: int
        MaxPerSource: int
        /// Datagrams a second that are looked at, from one source; twice as many at once.
        RatePerSource: int
        /// How long a registration holds if it is not renewed.
        Lifetime: Duration
        /// Whether it speaks the JSON of the npm package's tracker, too. Its answers are larger than its questions, and prove nothing.
        Legacy: bool
        /// Whether it answers STUN, too (RFC 8489): the answers are a little larger than the questions. With four sockets, which are the
        /// two ports of one address and then those of another, clients learn all about their NAT (RFC 5780).
        Stun: bool
    }

/// How much a server has to do.
[<Struct; NoComparison>]
type RendezvousStatistics =
    {
        /// Peers that wait for somebody, and introductions that are under way.
        Waiting: int
        Introductions: int
        /// Since the beginning.
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
        /// Its introduction. The guest stays known until that is over, or a registration that comes late would count as a new one.
        Pairing: int voption
    }

/// One of the two of an introduction.
[<NoComparison>]
type internal PairedPeer = { Remote: Endpoint; Registration: Entry; Acknowledged: bool; RoundTrip: Duration }

[<NoComparison>]
type internal Pairing = { Nonce: Owned; A: PairedPeer; B: PairedPeer; Tries: int }

/// What a source may still send, and how many guests it has.
[<NoComparison>]
type internal Source = { Tokens: int; FilledAt: Instant; Registrants: int }

/// A rendezvous server: introduces those who ask for the same room, and never relays. A value like `Node`, with a step of the same shape.
/// The fields are mutable for the step that made the copy, and for it alone.
[<NoComparison; NoEquality>]
type Rendezvous =
    internal
        {
            Options: RendezvousOptions
            /// Of the cookies.
            Key: Owned
            /// Keys all hashes, so that strangers cannot aim for collisions.
            HashKey: uint64
            mutable Now: Instant
            mutable Random: Random
            mutable Next: int
            mutable Registrants: Radix<Registrant>
            /// Who has a handle, and who waits in a room, by hash.
            mutable Handles: Radix<int[]>
            mutable Rooms: Radix<int[]>
            mutable Pairings: Radix<Pairing>
            mutable Sources: Radix<Source>
            /// Registrants under their own number, pairings under the complement of theirs.
            mutable TimerQueue: TimerQueue
            mutable Tracker: LegacyTracker
            Stun: StunServer
            mutable Waiting: int
            mutable Introduced: int64
            mutable Dropped: int64
        }

/// The tables of a server, as one step sees them: who is there, who has said how much, and who has proved his address.
module internal RendezvousState =
    /// Cookies are good for one to two of these.
    let private cookieAge = Time.seconds 60

    /// Sources are told apart by so many bits: two that share a place share its rate, and the table is bounded.
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

    let guestsUnder key table (server: Rendezvous) : struct (int * Registrant)[] =
        match Radix.tryFind key table with
        | ValueSome numbers ->
            [| for number in numbers do
                   match Radix.tryFind number server.Registrants with
                   | ValueSome guest -> struct (number, guest)
                   | ValueNone -> () |]
        | ValueNone -> [||]

    let findGuest (handle: uint64) (room: Borrowed) (server: Rendezvous) : struct (int * Registrant) voption =
        guestsUnder (mixed server handle) server.Handles server
        |> Array.tryFind (fun (struct (_, guest)) ->
            guest.Registration.Handle = handle && guest.Registration.Room.Equals room)
        |> ValueOption.ofOption

    let source (server: Rendezvous) (remote: Endpoint) =
        match Radix.tryFind (sourceKey server remote) server.Sources with
        | ValueSome source -> source
        | ValueNone -> { Tokens = 2 * server.Options.RatePerSource; FilledAt = server.Now; Registrants = 0 }

    let setSource (server: Rendezvous) remote source =
        server.Sources <- Radix.add (sourceKey server remote) source server.Sources

    let countGuest (server: Rendezvous) remote change =
        let known = source server remote
        setSource server remote { known with Registrants = known.Registrants + change }

    /// Whether a source has not said too much.
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
