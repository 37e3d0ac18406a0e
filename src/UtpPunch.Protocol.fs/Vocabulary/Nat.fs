namespace UtpPunch.Protocol

/// How much of the remote endpoint a NAT's mapping (RFC 4787, 4.1), or the filter of a NAT or firewall (RFC 4787, 5), depends on.
[<Struct; RequireQualifiedAccess>]
type NatBehavior =
    /// Mapping: one public endpoint for all remote endpoints. Filtering: datagrams from any endpoint pass.
    | EndpointIndependent
    /// Mapping: one public endpoint for each remote address. Filtering: only addresses that were sent to.
    | AddressDependent
    /// Mapping: one public endpoint for each remote address and port. Filtering: only endpoints that were sent to.
    | AddressAndPortDependent

/// What one node sees of its NAT's mapping towards several destinations (RFC 4787, 4.1), with what port prediction needs.
[<Struct; RequireQualifiedAccess>]
type PortPrediction =
    /// There was nothing to compare.
    | Unknown
    /// The same port for all destinations seen.
    | EndpointIndependent
    /// Another port for each destination; the next one is `step` further, 0 when that is not known.
    | Dependent of step: int
