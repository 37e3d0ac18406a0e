namespace UtpPunch.Protocol

/// Where a node meets a NAT64 (RFC 6146): datagrams to IPv4 addresses leave for the address behind the prefix, and what comes from there comes
/// from the IPv4 address. Everything else in a node, its peers and its application know the IPv4 address only, as if this host had IPv4 behind a
/// NAT; the traces of datagrams have what the socket sees. Private addresses are not translated: the NAT64 would lead to hosts of the network that
/// has it (RFC 6052, 3.1), and this host may have some of its own.
module internal Nat64Translation =
    let private isTranslated (remote: Endpoint) = CandidateFilter.scope remote = AddressScope.Global

    /// The endpoint under which the node knows the source of a datagram.
    let arrived (prefixes: Nat64Prefix[]) (from: Endpoint) : Endpoint =
        if prefixes.Length = 0 then
            from
        else
            match Nat64.extract prefixes[0] from with
            | ValueSome embedded when isTranslated embedded -> embedded
            | _ -> from

    /// The endpoint to which a datagram goes.
    let leaving (prefixes: Nat64Prefix[]) (remote: Endpoint) : Endpoint =
        if prefixes.Length > 0 && Endpoint.isIPv4 remote && isTranslated remote then
            Nat64.embed prefixes[0] remote
        else
            remote

    /// What a step sends.
    let leave (prefixes: Nat64Prefix[]) (effects: ResizeArray<Effect>) =
        if prefixes.Length > 0 then
            for index in 0 .. effects.Count - 1 do
                match effects[index] with
                | Effect.Send(remote, train) -> effects[index] <- Effect.Send(leaving prefixes remote, train)
                | Effect.SendDatagram(remote, datagram, hops) ->
                    effects[index] <- Effect.SendDatagram(leaving prefixes remote, datagram, hops)
                | Effect.SendAlone(remote, duration) ->
                    effects[index] <- Effect.SendAlone(leaving prefixes remote, duration)
                | _ -> ()

    /// A stream to the IPv6 form of an address behind the NAT64: its packets come from the IPv4 address.
    let keepForm step (remote: Endpoint) =
        let node = step.Node
        let known = arrived node.Nat64 remote

        if not (known.Equals remote) then
            let tasks = node.NodeTasks
            node.NodeTasks <- { tasks with Aliases = Aliases.set node.Now known remote tasks.Aliases }

    /// Streams that were opened to the IPv6 form of an address go on there.
    let learn step (prefixes: Nat64Prefix[]) =
        let node = step.Node
        node.Nat64 <- Array.filter Nat64.isValid prefixes
        step.Context.Nat64 <- node.Nat64

        if node.Nat64.Length > 0 then
            StreamTable.iterate node (fun stored -> keepForm step stored.Remote)
