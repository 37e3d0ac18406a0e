namespace UtpPunch.Protocol

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

/// A client that is registered at an instance of the rendezvous.
[<Struct; NoComparison>]
type RoomMember = { Instance: uint64; Number: int }

/// What a server asks of the store that it shares with other instances.
[<RequireQualifiedAccess; NoComparison>]
type StoreRequest =
    /// A client waits in a room, for that time unless it is told again. The answer is `StoreEvent.Members`.
    | Share of room: Owned * number: int * stays: bool * lifetime: Duration
    /// It does not wait there any more.
    | Unshare of room: Owned * number: int
    /// A message for another instance.
    | Send of instance: uint64 * message: Owned

/// What the store tells a server.
[<RequireQualifiedAccess; NoComparison>]
type StoreEvent =
    /// Clients of other instances that wait in the room of a client.
    | Members of number: int * others: RoomMember[]
    /// A message of another instance.
    | Told of instance: uint64 * message: Borrowed
    /// A message had no receiver: the instance is gone.
    | Undelivered of message: Borrowed
    /// The store has been away and may have forgotten what it knew.
    | Restored

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

    /// As a registration for another instance, which has no use for the cookie.
    let toRegistration (it: Entry) : Registration =
        { Room = it.Room.AsBorrowed
          Handle = it.Handle
          Peer = it.Peer.AsBorrowed
          Cookie = PunchWire.noCookie.AsBorrowed
          Attempt = 0uy
          Stays = it.Stays
          Offer = it.Offer.AsBorrowed
          Avoided = (PunchWire.encodeEndpoints it.Avoided).AsBorrowed }

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
        /// When the store was last told of it.
        SharedAt: Instant
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

/// A client here is proposed to clients of other instances, one after the other.
[<NoComparison>]
type internal Proposal = { Nonce: Owned; Number: int; Others: RoomMember[]; Tries: int; NextAt: Instant }

/// An introduction of a client here to one of another instance. It is confirmed when both instances know of it.
[<NoComparison>]
type internal SharedPairing =
    {
        Nonce: Owned
        Number: int
        Own: PairedPeer
        Other: PairedPeer
        /// Its instance, and its number there if this instance has proposed; otherwise 0.
        Instance: uint64
        OtherNumber: int
        IsConfirmed: bool
        Tries: int
        NextAt: Instant
    }

/// What a server that shares its rooms has under way, by the beginning of the nonce, which is negative.
[<NoComparison>]
type internal SharedRooms =
    {
        /// The name of this instance; 0 if it shares nothing.
        Instance: uint64
        Proposals: Radix<Proposal>
        Pairings: Radix<SharedPairing>
        /// When they are due. An entry may be too early.
        Timers: TimerQueue
    }

/// An introduction of which clients may report, each once.
[<NoComparison>]
type internal Reportable = { Nonce: Owned; Clients: struct (Endpoint * uint64)[]; Until: Instant }

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
            mutable Shared: SharedRooms
            /// What this step asks of the store.
            mutable Requests: ResizeArray<StoreRequest>
            /// By the beginning of the nonce, and when they are forgotten; and the number of reports of each kind.
            mutable Reportable: Radix<Reportable>
            mutable ReportTimers: TimerQueue
            mutable Reported: Radix<int64>
            mutable Waiting: int
            mutable Staying: int
            mutable Introduced: int64
            mutable Dropped: int64
            mutable Totals: RendezvousTotals
        }
