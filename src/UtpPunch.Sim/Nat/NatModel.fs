namespace UtpPunch.Sim

open UtpPunch.Protocol

/// The scope of a filter: the remote endpoints that one mapping has sent to, or those that the inside endpoint has sent to through any
/// mapping (RFC 4787, 5, taken literally).
[<Struct; RequireQualifiedAccess>]
type FilterScope =
    | Mapping
    | Endpoint

/// How the outside port of a new mapping is allocated; ports in use are skipped.
[<RequireQualifiedAccess>]
type PortAllocation =
    /// The inside port; if it is in use, a port of the upper half.
    | Preserving
    /// Sequential, `delta` apart, wrapping around in a block.
    | Sequential of first: int * count: int * delta: int
    /// A random port of a block.
    | Random of first: int * count: int
    /// A port of a block, by a hash of the mapping's key: the same port again after the mapping has expired.
    | Hashed of first: int * count: int

/// Which datagrams refresh a session (RFC 4787, 4.3).
[<Struct; RequireQualifiedAccess>]
type Refresh =
    | Outbound
    | Both
    /// None: the session expires a fixed time after its first datagram.
    | Never

/// How a datagram from the inside to the NAT's own outside address is treated (RFC 4787, 6).
[<Struct; RequireQualifiedAccess>]
type Hairpin =
    | Never
    /// Forwarded with the sender's private endpoint, and not filtered, since it did not come from outside.
    | InternalSource
    /// Forwarded with the sender's outside endpoint, and filtered as if it had come from outside.
    | ExternalSource

/// The behavior of a NAT for UDP.
type NatModel =
    {
        Mapping: NatBehavior
        Filter: NatBehavior
        FilterScope: FilterScope
        Ports: PortAllocation
        /// The timeouts of sessions without and with an answer from outside.
        Unreplied: Duration
        Stream: Duration
        Refresh: Refresh
        Hairpin: Hairpin
        /// Unsolicited inbound datagrams create a session of the NAT itself. It occupies the outside port towards that remote endpoint, so a
        /// later flow from that port to that endpoint gets another one (a collision). Linux does so unless it drops or rejects such input.
        InboundCreatesState: bool
        /// A flow that began outside is answered from the port that it arrived at, even if the mapping depends on the remote (conntrack).
        InboundPinsMapping: bool
        /// The most sessions.
        TableSize: int
        /// When the NAT reboots: it loses all state and allocates other ports. `Time.never` for never.
        RebootAt: Instant
        /// Maps ports on request, as PCP, NAT-PMP and UPnP ask for (`Nat.Map`).
        Mapper: bool
    }

/// Why a datagram was dropped.
[<RequireQualifiedAccess>]
type DropCause =
    /// No mapping has that outside port.
    | NoMapping
    /// The filter has no entry for the source.
    | Filtered
    /// The session belongs to the NAT itself (see `InboundCreatesState`).
    | TakenByNat
    | TableFull
    | NoPortLeft
    | NoHairpin
    /// The TTL has expired.
    | Expired
    /// No host in this network has that address, and there is no gateway.
    | NoRoute
    /// The host has no such socket.
    | NoSocket
    | Lost

/// The endpoints of a translated datagram.
[<Struct; RequireQualifiedAccess; NoComparison>]
type Translation =
    | Passed of source: Endpoint * destination: Endpoint
    | Dropped of cause: DropCause

module NatModel =
    /// The part of a remote endpoint that a mapping or filter depends on, with the rest zeroed. Mappings and filters use nothing else.
    let key (dependence: NatBehavior) (remote: Endpoint) : Endpoint =
        match dependence with
        | NatBehavior.EndpointIndependent -> Endpoint.ofIPv6 0UL 0UL 0us
        | NatBehavior.AddressDependent -> { remote with Port = 0us }
        | NatBehavior.AddressAndPortDependent -> remote

    /// A NAT in the terms of RFC 4787: random ports, and no quirks.
    let rfc mapping filter =
        { Mapping = mapping
          Filter = filter
          FilterScope = FilterScope.Mapping
          Ports = PortAllocation.Random(20_000, 40_000)
          Unreplied = Time.seconds 120
          Stream = Time.seconds 300
          Refresh = Refresh.Outbound
          Hairpin = Hairpin.Never
          InboundCreatesState = false
          InboundPinsMapping = false
          TableSize = 65_536
          RebootAt = Time.never
          Mapper = false }

    let private dependences =
        [| NatBehavior.EndpointIndependent
           NatBehavior.AddressDependent
           NatBehavior.AddressAndPortDependent |]

    /// The nine combinations of RFC 4787's mapping and filtering behaviors.
    let nine =
        [| for mapping in dependences do
               for filter in dependences -> rfc mapping filter |]

    /// Linux connection tracking, the most common home NAT: all state is in sessions, and a session pins its port.
    let conntrack mapping filter ports =
        { rfc mapping filter with
            Ports = ports
            Unreplied = Time.seconds 30
            Stream = Time.seconds 120
            Refresh = Refresh.Both
            InboundPinsMapping = true }
