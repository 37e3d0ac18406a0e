namespace UtpPunch.Sim

open System.Collections.Generic
open UtpPunch.Protocol

/// A datagram that came to one of a host's sockets.
[<Struct; NoComparison; NoEquality>]
type ToHost = { Socket: Endpoint; From: Endpoint; Bytes: byte[] }

/// A datagram that a host sends from one of its sockets.
[<Struct; NoComparison; NoEquality>]
type FromHost = { Socket: Endpoint; To: Endpoint; Ttl: int; Bytes: byte[] }

/// What lives at one or several addresses. It has a socket at each endpoint that it says is open, as many as it likes, and may open
/// and close them in any step.
type IInternetHost =
    /// What it is told, all at one instant, and what it sends. Nothing arrived: its deadline came, or somebody woke it.
    abstract Step: now: Instant * arrived: ToHost[] -> FromHost[]
    /// When it wants its next step without being told anything: later than the step before, `Time.never` for not.
    abstract Deadline: Instant
    abstract IsOpen: socket: Endpoint -> bool

/// A datagram under way, with the endpoints that it has where it is.
[<Struct; NoComparison; NoEquality>]
type Parcel = { Number: int64; Source: Endpoint; Destination: Endpoint; Ttl: int; Bytes: byte[] }

/// What happened to a parcel. A NAT that lets it pass shows it as it is behind the NAT.
[<Struct; RequireQualifiedAccess>]
type Happening =
    | Sent
    | WentOut
    | CameIn
    | Hairpinned
    | Delivered
    | Dropped of cause: DropCause

/// Sees everything that happens to datagrams, and where: the name of a network.
type IInternetWatcher =
    abstract Saw: now: Instant * place: string * parcel: Parcel * what: Happening -> unit

/// One network's terms: its addresses from the first on, the link that carries from any place in it to any other, and how many
/// routers stand between.
[<NoComparison>]
type Ground = { Name: string; First: uint32; Link: Link; Hops: int }

module Ground =
    /// The open internet: 20 ms one way and eight hops.
    let openInternet =
        { Name = "internet"
          First = 0xCB007101u // 203.0.113.1
          Link = { Link.perfect with Delay = Time.milliseconds 20 }
          Hops = 8 }

    /// A carrier's network, with addresses of RFC 6598.
    let carrier (number: int) =
        { Name = $"carrier {number}"
          First = 0x64400001u + (uint32 number <<< 8) // 100.64.number.1
          Link = { Link.perfect with Delay = Time.milliseconds 2 }
          Hops = 1 }

    /// A home's network, one cable long.
    let home (number: int) =
        { Name = $"home {number}"
          First = 0xC0A80002u + (uint32 number <<< 8) // 192.168.number.2
          Link = { Link.perfect with Delay = Time.microseconds 100L }
          Hops = 0 }

/// A host where it stands.
[<Sealed; AllowNullLiteral>]
type internal Resident(host: IInternetHost, realm: Realm, addresses: Endpoint[]) =
    member _.Host = host
    member _.Realm = realm
    member _.IsAt(endpoint: Endpoint) = Array.contains { endpoint with Port = 0us } addresses
    member val TimerAt = Time.never with get, set

/// A NAT, between the network behind it and the one before it.
and [<Sealed; AllowNullLiteral>] internal Gateway(nat: Nat, inner: Realm, outer: Realm) =
    member _.Nat = nat
    member _.Inner = inner
    member _.Outer = outer

/// Where a parcel goes from a place in a network: to a host, or into or out of what lies behind a NAT.
and [<RequireQualifiedAccess; NoComparison; ReferenceEquality>] internal Target =
    | Host of Resident
    | Inward of Gateway
    | Outward of Gateway

/// A network: the open internet, or what lies behind a NAT. Its addresses mean nothing elsewhere.
and [<Sealed; AllowNullLiteral>] Realm internal (ground: Ground, index: int) =
    let places = Dictionary<Endpoint, Target>()
    let mutable given = 0u
    member _.Ground = ground
    member internal _.Index = index
    /// The way out; the open internet has none.
    member val internal Exit: Gateway = null with get, set
    member val internal Carried = 0L with get, set
    member val internal BusyUntil: Instant = 0L<us> with get, set
    member internal _.Place(address: Endpoint, target: Target) = places.Add({ address with Port = 0us }, target)

    member internal this.Find(destination: Endpoint) : Target voption =
        match places.TryGetValue { destination with Port = 0us } with
        | true, target -> ValueSome target
        | _ when isNull this.Exit -> ValueNone
        | _ -> ValueSome(Target.Outward this.Exit)

    /// An address that nobody has yet, with port 0.
    member _.NewAddress() =
        given <- given + 1u
        Endpoint.ofIPv4 (ground.First + given - 1u) 0us
