namespace UtpPunch.Sim

open UtpPunch.Protocol

/// Whether a filter asks what one mapping has sent to, or what the inside endpoint has sent to by any mapping, as RFC 4787 has it
/// to the letter.
[<Struct; RequireQualifiedAccess>]
type FilterScope =
    | Mapping
    | Endpoint

/// Which outside port a new mapping gets; what is taken is passed over.
[<RequireQualifiedAccess>]
type PortAllocation =
    /// The inside port; where that is taken, one of the upper half.
    | Preserving
    /// One after the other, `delta` apart, round and round in a block.
    | Sequential of first: int * count: int * delta: int
    /// Drawn from a block for each mapping.
    | Random of first: int * count: int
    /// From a block, by what the mapping depends on: the same again after it was forgotten.
    | Hashed of first: int * count: int

/// What makes a session live longer.
[<Struct; RequireQualifiedAccess>]
type Refresh =
    | Outbound
    | Both
    /// Nothing: it ends at a fixed time after it began.
    | Never

/// What becomes of a datagram from the inside to the NAT's own outside address (RFC 4787, 6).
[<Struct; RequireQualifiedAccess>]
type Hairpin =
    | Never
    /// It comes back in with the sender's private endpoint, and nothing is filtered, since nothing came from outside.
    | InternalSource
    /// It comes back in as if it had been outside.
    | ExternalSource

/// A NAT, as far as UDP can tell.
type NatModel =
    {
        Mapping: NatBehavior
        Filter: NatBehavior
        FilterScope: FilterScope
        Ports: PortAllocation
        /// How long a session lives without an answer from outside, and with one.
        Unreplied: Duration
        Stream: Duration
        Refresh: Refresh
        Hairpin: Hairpin
        /// The clash: what comes from outside unasked is taken to be for the NAT itself. It occupies the outside port towards that remote,
        /// so a later flow from that port to that remote leaves by another one. Linux does so unless it drops or rejects such input.
        InboundCreatesState: bool
        /// A flow that began outside is answered from the port that it came to, though the mapping is dependent: conntrack.
        InboundPinsMapping: bool
        /// How many sessions it has room for.
        TableSize: int
        /// When it forgets everything and comes up with other ports; `Time.never` for not.
        RebootAt: Instant
    }

/// Why a datagram did not get through.
[<RequireQualifiedAccess>]
type DropCause =
    /// No mapping has that outside port.
    | NoMapping
    /// The mapping has not sent to whoever the filter asks about.
    | Filtered
    /// The NAT itself has the session: the clash.
    | TakenByNat
    | TableFull
    | NoPortLeft
    | NoHairpin
    /// Its time to live was over.
    | Expired
    /// Nobody has that address here, and nothing leads on.
    | NoRoute
    /// The host has no such socket.
    | NoSocket
    | Lost

/// Which endpoints a datagram goes on with.
[<Struct; RequireQualifiedAccess; NoComparison>]
type Translation =
    | Passed of source: Endpoint * destination: Endpoint
    | Dropped of cause: DropCause

module NatModel =
    /// The part of a remote endpoint that something depends on, the rest zeroed. Mapping and filter both ask this, and nothing else.
    let key (dependence: NatBehavior) (remote: Endpoint) : Endpoint =
        match dependence with
        | NatBehavior.EndpointIndependent -> { High = 0UL; Low = 0UL; Scope = 0u; Port = 0us; Via = 0us }
        | NatBehavior.AddressDependent -> { remote with Port = 0us }
        | NatBehavior.AddressAndPortDependent -> remote

    /// The NAT of RFC 4787's taxonomy: ports that tell nothing, and no quirk.
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
          RebootAt = Time.never }

    let private dependences =
        [| NatBehavior.EndpointIndependent
           NatBehavior.AddressDependent
           NatBehavior.AddressAndPortDependent |]

    /// RFC 4787's nine: mapping by mapping, filter by filter.
    let nine =
        [| for mapping in dependences do
               for filter in dependences -> rfc mapping filter |]

    /// Linux' connection tracking, which is what most homes have: everything is a session, and a session pins its ports.
    let conntrack mapping filter ports =
        { rfc mapping filter with
            Ports = ports
            Unreplied = Time.seconds 30
            Stream = Time.seconds 120
            Refresh = Refresh.Both
            InboundPinsMapping = true }
