namespace UtpPunch.Protocol

/// What an address may be used for, as far as a peer may name it.
[<Struct; RequireQualifiedAccess>]
type internal AddressScope =
    | Global
    /// Private, shared (100.64.0.0/10), unique local and link-local addresses: other hosts have them in other networks.
    | Private
    | Loopback
    /// No host has it: unspecified, multicast, broadcast, reserved.
    | Invalid

/// Which addresses of a peer's offer are probed. A peer can name any address, and whatever a node sends there is sent on the peer's behalf:
/// to a host of the node's own network, or to a third party.
module internal CandidateFilter =
    let private scopeOfIPv4 (address: uint32) =
        let isIn prefix length = (address ^^^ prefix) >>> (32 - length) = 0u

        if isIn 0x7F000000u 8 then
            AddressScope.Loopback
        elif isIn 0u 8 || address >= 0xE0000000u then
            AddressScope.Invalid
        elif
            isIn 0x0A000000u 8
            || isIn 0xAC100000u 12
            || isIn 0xC0A80000u 16
            || isIn 0x64400000u 10
            || isIn 0xA9FE0000u 16
        then
            AddressScope.Private
        else
            AddressScope.Global

    let private scopeOfIPv6 (high: uint64) (low: uint64) =
        // 64:ff9b::/96, NAT64 (RFC 6052, 3.1: its IPv4 address must be global); 64:ff9b:1::/48, local NAT64 (RFC 8215).
        if high = 0x0064_FF9B_0000_0000UL && low >>> 32 = 0UL then
            match scopeOfIPv4 (uint32 low) with
            | AddressScope.Global -> AddressScope.Global
            | _ -> AddressScope.Invalid
        elif high >>> 16 = 0x0064_FF9B_0001UL then
            AddressScope.Invalid
        // ::1, and otherwise the IPv4-compatible addresses, which are not used (RFC 4291, 2.5.5.1).
        elif high = 0UL && low = 1UL then
            AddressScope.Loopback
        elif high = 0UL && low >>> 32 = 0UL then
            AddressScope.Invalid
        elif high >>> 56 = 0xFFUL then
            AddressScope.Invalid
        // fc00::/7, fe80::/10, fec0::/10.
        elif high >>> 57 = 0x7EUL || high >>> 55 = 0x1FDUL then
            AddressScope.Private
        else
            AddressScope.Global

    let scope (endpoint: Endpoint) =
        if Endpoint.isIPv4 endpoint then
            scopeOfIPv4 (uint32 endpoint.Low)
        else
            scopeOfIPv6 endpoint.High endpoint.Low

    /// Whether an address leads through the network's NAT64 to one that is not global: to a host of the network that has it, and not to the peer.
    let isBehindNat64 (prefixes: Nat64Prefix[]) (endpoint: Endpoint) =
        prefixes
        |> Array.exists (fun prefix ->
            match Nat64.extract prefix endpoint with
            | ValueSome embedded -> scope embedded <> AddressScope.Global
            // A NAT64 may ignore bits that should be zero.
            | ValueNone -> Nat64.isIn prefix endpoint)

    /// Whether two addresses are in one subnet, if subnets are as long as usual: /24, and /64.
    let private isSameSubnet (a: Endpoint) (b: Endpoint) =
        a.High = b.High && (not (Endpoint.isIPv4 a) || (a.Low ^^^ b.Low) < 256UL)

    /// The broadcast address of the usual subnet.
    let private isBroadcast (endpoint: Endpoint) = Endpoint.isIPv4 endpoint && endpoint.Low &&& 0xFFUL = 0xFFUL

    /// Whether two nodes have the same outside address: behind one NAT, or in one IPv6 network.
    let private isSameOutside (a: Endpoint) (b: Endpoint) =
        a.Port <> 0us
        && b.Port <> 0us
        && if Endpoint.isIPv4 a then Endpoint.isSameAddress a b else a.High = b.High

    /// A node that is bound to a loopback address has no other one.
    let private isOnLoopback (plan: MeetPlan) = plan.Hosts.Length > 0 && plan.Hosts |> Array.forall Endpoint.isLoopback

    /// The endpoint that the server has observed may be probed.
    let mayBeObserved (ownObserved: Endpoint) (peerObserved: Endpoint) =
        peerObserved.Port <> 0us
        && match scope peerObserved with
           | AddressScope.Global
           | AddressScope.Private -> true
           | AddressScope.Loopback -> scope ownObserved = AddressScope.Loopback
           | AddressScope.Invalid -> false

    /// NATs and nodes do not use ports below this; services of others do.
    [<Literal>]
    let private LeastPort = 1024us

    /// A port that the peer predicts may be probed: one of the address that the server has observed.
    let mayBePredicted (peerObserved: Endpoint) (predicted: Endpoint) =
        Endpoint.isSameAddress predicted peerObserved && predicted.Port >= LeastPort

    /// An endpoint that the peer names may be probed.
    let mayBeNamed (plan: MeetPlan) (ownObserved: Endpoint) (peerObserved: Endpoint) (named: Endpoint) =
        let sharesSubnet = plan.Hosts |> Array.exists (isSameSubnet named)

        named.Port >= LeastPort
        && not (plan.Hosts |> Array.exists (fun own -> own.Equals named))
        && not (sharesSubnet && isBroadcast named)
        && match scope named with
           | AddressScope.Global -> true
           | AddressScope.Invalid -> false
           | AddressScope.Loopback when ownObserved.Port = 0us && peerObserved.Port = 0us -> isOnLoopback plan
           | AddressScope.Loopback ->
               scope ownObserved = AddressScope.Loopback && scope peerObserved = AddressScope.Loopback
           | AddressScope.Private ->
               match plan.PrivateAddresses with
               | PrivateAddressPolicy.Always -> true
               | PrivateAddressPolicy.Never -> false
               | PrivateAddressPolicy.Shared -> sharesSubnet || isSameOutside ownObserved peerObserved
