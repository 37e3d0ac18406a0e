namespace UtpPunch.Protocol

/// How a NAT picks the public endpoint of what leaves one private endpoint (RFC 4787, 4.1).
[<Struct; RequireQualifiedAccess>]
type MappingBehaviour =
    /// The public endpoint is the local one.
    | NoNat
    /// One public endpoint, whoever is written to.
    | EndpointIndependent
    /// Another one for each remote address.
    | AddressDependent
    /// Another one for each remote address and port.
    | AddressAndPortDependent
    | Unknown

/// What a NAT, or a firewall, lets in to an endpoint that something has left (RFC 4787, 5).
[<Struct; RequireQualifiedAccess>]
type FilteringBehaviour =
    /// Datagrams from anybody.
    | EndpointIndependent
    /// Datagrams from any port of an address that was written to.
    | AddressDependent
    /// Datagrams from endpoints that were written to.
    | AddressAndPortDependent
    | Unknown
