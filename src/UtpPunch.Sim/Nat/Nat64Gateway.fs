namespace UtpPunch.Sim

open UtpPunch.Protocol

/// A stateful NAT64 (RFC 6146): a NAT whose inside has IPv6 and whose outside has IPv4. Inside, an IPv4 address stands behind a prefix.
[<Sealed>]
type Nat64Gateway(prefix: Nat64Prefix, nat: Nat) =
    let ofInside (destination: Endpoint) (translate: Endpoint -> Translation) =
        match Nat64.extract prefix destination with
        | ValueSome embedded -> translate embedded
        | ValueNone -> Translation.Dropped DropCause.NoRoute

    /// Back to the inside, where the source stands behind the prefix.
    let toInside (translation: Translation) =
        match translation with
        | Translation.Passed(source, destination) when Endpoint.isIPv4 source ->
            Translation.Passed(Nat64.embed prefix source, destination)
        | Translation.Passed _
        | Translation.Dropped _ -> translation

    member _.Nat = nat
    member _.Prefix = prefix
    member _.IsBehind(destination: Endpoint) = (Nat64.extract prefix destination).IsSome

    /// Whether a destination inside is the NAT64's own address outside.
    member _.IsOutside(destination: Endpoint) =
        match Nat64.extract prefix destination with
        | ValueSome embedded -> nat.IsOutside embedded
        | ValueNone -> false

    member _.Outbound(now: Instant, source: Endpoint, destination: Endpoint) : Translation =
        ofInside destination (fun embedded -> nat.Outbound(now, source, embedded))

    member _.Inbound(now: Instant, source: Endpoint, destination: Endpoint) : Translation =
        toInside (nat.Inbound(now, source, destination))

    member _.Hairpin(now: Instant, source: Endpoint, destination: Endpoint) : Translation =
        ofInside destination (fun embedded -> toInside (nat.Hairpin(now, source, embedded)))

module Nat64Gateway =
    /// RFC 6146, 3: "Endpoint-Independent Mapping", and filtering that depends on nothing or on the address.
    let models =
        [| NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.EndpointIndependent
           NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.AddressDependent |]
