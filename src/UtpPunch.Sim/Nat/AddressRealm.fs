namespace UtpPunch.Sim

open System.Collections.Generic
open UtpPunch.Protocol

/// A datagram that arrived at one of a host's sockets.
[<Struct; NoComparison; NoEquality>]
type ToHost = { Socket: Endpoint; From: Endpoint; Bytes: byte[] }

/// A datagram that a host sends from one of its sockets.
[<Struct; NoComparison; NoEquality>]
type FromHost = { Socket: Endpoint; To: Endpoint; Ttl: int; Bytes: byte[] }

/// A host with one or more addresses. It may open and close any number of sockets in any step.
type IInternetHost =
    /// Processes the datagrams that arrived at one instant, and returns those to send. No arrivals: the deadline is due, or it was woken.
    abstract Step: now: Instant * arrived: ToHost[] -> FromHost[]
    /// When the next step is due without arrivals: later than the last step, or `Time.never`.
    abstract Deadline: Instant
    abstract IsOpen: socket: Endpoint -> bool

/// A datagram in transit, with its endpoints in the current network.
[<Struct; NoComparison; NoEquality>]
type TransitDatagram = { Number: int64; Source: Endpoint; Destination: Endpoint; Ttl: int; Bytes: byte[] }

/// An event of a datagram. When a NAT forwards it, the datagram is shown as translated.
[<Struct; RequireQualifiedAccess>]
type DatagramEvent =
    | Sent
    | WentOut
    | CameIn
    | Hairpinned
    | Delivered
    | Dropped of cause: DropCause

/// Observes the events of all datagrams; `place` is the name of the network.
type IInternetWatcher =
    abstract Saw: now: Instant * place: string * datagram: TransitDatagram * what: DatagramEvent -> unit

/// The parameters of a network: its first address, the path between any two places in it, and its number of hops.
[<NoComparison>]
type NetworkConfig = { Name: string; First: uint32; Path: Path; Hops: int }

module NetworkConfig =
    /// The open internet: 20 ms one way and eight hops.
    let openInternet =
        { Name = "internet"
          First = 0xCB007101u // 203.0.113.1
          Path = { Path.perfect with Delay = Time.milliseconds 20 }
          Hops = 8 }

    /// A carrier's network with addresses of RFC 6598.
    let carrier (number: int) =
        { Name = $"carrier {number}"
          First = 0x64400001u + (uint32 number <<< 8) // 100.64.number.1
          Path = { Path.perfect with Delay = Time.milliseconds 2 }
          Hops = 1 }

    /// A private network over the internet, as VPNs between peers make them, with addresses of RFC 6598.
    let overlay =
        { Name = "overlay"
          First = 0x64508001u // 100.80.128.1
          Path = { Path.perfect with Delay = Time.milliseconds 25 }
          Hops = 0 }

    /// A home network.
    let home (number: int) =
        { Name = $"home {number}"
          First = 0xC0A80002u + (uint32 number <<< 8) // 192.168.number.2
          Path = { Path.perfect with Delay = Time.microseconds 100L }
          Hops = 0 }

[<RequireQualifiedAccess; NoComparison; ReferenceEquality>]
type internal Middlebox =
    | Nat of Nat
    | Firewall of Firewall
    | Nat64 of Nat64Gateway

    member this.Outbound(now, source, destination) =
        match this with
        | Nat nat -> nat.Outbound(now, source, destination)
        | Firewall firewall -> firewall.Outbound(now, source, destination)
        | Nat64 gateway -> gateway.Outbound(now, source, destination)

    member this.Inbound(now, source, destination) =
        match this with
        | Nat nat -> nat.Inbound(now, source, destination)
        | Firewall firewall -> firewall.Inbound(now, source, destination)
        | Nat64 gateway -> gateway.Inbound(now, source, destination)

/// A host in a network.
[<Sealed; AllowNullLiteral>]
type internal AttachedHost(host: IInternetHost, realm: AddressRealm, addresses: Endpoint[]) =
    member _.Host = host
    member _.Realm = realm
    member _.Addresses = addresses
    member _.IsAt(endpoint: Endpoint) = Array.contains { endpoint with Port = 0us } addresses
    member val TimerAt = Time.never with get, set

/// A NAT for IPv4, a firewall for IPv6, or a NAT64 from IPv6 to IPv4, between an inner and an outer network.
and [<Sealed; AllowNullLiteral>] internal Gateway(box: Middlebox, inner: AddressRealm, outer: AddressRealm) =
    member _.Box = box
    member _.Inner = inner
    member _.Outer = outer

/// The next hop of a datagram: a host, or a gateway in either direction.
and [<RequireQualifiedAccess; NoComparison; ReferenceEquality>] internal Target =
    | Host of AttachedHost
    | Inward of Gateway
    | Outward of Gateway

/// An address realm (RFC 2663): the open internet, or the network behind a NAT. Its addresses are valid only within it.
and [<Sealed; AllowNullLiteral>] AddressRealm internal (config: NetworkConfig, index: int) =
    let places = Dictionary<Endpoint, Target>()
    let mutable given = 0u
    let mutable givenIPv6 = 0UL
    member _.Config = config
    member internal _.Index = index
    /// The NAT towards the outer network; null for the open internet.
    member val internal Exit: Gateway = null with get, set
    /// The firewall towards the open internet; null for that, and for a network without IPv6.
    member val internal ExitIPv6: Gateway = null with get, set
    /// The NAT64 towards the open internet, for what stands behind its prefix; null for none.
    member val internal ExitNat64: Gateway = null with get, set
    member val internal Carrier: Carrier = Unchecked.defaultof<_> with get, set
    member internal _.Place(address: Endpoint, target: Target) = places.Add({ address with Port = 0us }, target)
    member internal _.Remove(address: Endpoint) = places.Remove { address with Port = 0us } |> ignore

    member internal this.Find(destination: Endpoint) : Target voption =
        match places.TryGetValue { destination with Port = 0us } with
        | true, target -> ValueSome target
        | _ ->
            let isBehindNat64 =
                match this.ExitNat64 with
                | null -> false
                | gateway ->
                    match gateway.Box with
                    | Middlebox.Nat64 it -> it.IsBehind destination
                    | Middlebox.Nat _
                    | Middlebox.Firewall _ -> false

            let exit =
                if Endpoint.isIPv4 destination then this.Exit
                elif isBehindNat64 then this.ExitNat64
                else this.ExitIPv6

            match exit with
            | null -> ValueNone
            | gateway -> ValueSome(Target.Outward gateway)

    /// Allocates an address; its port is 0.
    member _.NewAddress() =
        given <- given + 1u
        Endpoint.ofIPv4 (config.First + given - 1u) 0us

    /// Allocates an IPv6 address, which is valid everywhere: on the open internet each one in a /64 prefix of its own, otherwise all of a
    /// network in one.
    member _.NewIPv6Address() =
        givenIPv6 <- givenIPv6 + 1UL

        if index = 0 then
            Endpoint.ofIPv6 (0x2001_0DB8_0000_0000UL + givenIPv6) 1UL 0us
        else
            Endpoint.ofIPv6 (0x2001_0DB8_0001_0000UL + uint64 index) (givenIPv6 + 1UL) 0us
