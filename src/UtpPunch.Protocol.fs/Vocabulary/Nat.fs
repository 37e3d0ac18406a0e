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

/// A NAT's mapping towards several destinations (RFC 4787, 4.1), as far as port prediction needs it.
[<Struct; RequireQualifiedAccess>]
type PortPrediction =
    /// Fewer than two destinations were compared.
    | Unknown
    /// The same port for all destinations seen.
    | EndpointIndependent
    /// Another port for each destination; the next port is `step` further, 0 if it cannot be predicted.
    | Dependent of step: int
