namespace UtpPunch.Protocol

/// What a peer sends to the other one through the rendezvous: its further addresses, and its NAT's mapping.
[<NoComparison>]
type internal Offer =
    {
        /// Sixteen bytes for the key of the punch.
        Nonce: Owned
        Birthday: bool
        Mapping: PortPrediction
        /// The endpoint at which the rendezvous sees it. An offer that comes from elsewhere was replayed.
        Observed: Endpoint
        /// Its last observed endpoint: ports are predicted from here.
        Last: Endpoint
        Hosts: Endpoint[]
    }

module internal Offer =
    [<Literal>]
    let private Version = 1uy

    [<Literal>]
    let MaxHosts = 8

    /// How many ports after the last one are predicted.
    [<Literal>]
    let private Ahead = 8

    /// A larger step is taken for chance.
    [<Literal>]
    let private LargestStep = 64

    let write (offer: Offer) : Owned =
        // The text begins with "UPN1", as every message does. The version follows in the place of a message's kind; there is no handle.
        // `read` does not check the prefix: the code of the seal has authenticated the text.
        let writer = PunchWire.Writer Version
        writer.Bytes offer.Nonce.AsBorrowed
        writer.Byte(if offer.Birthday then 1uy else 0uy)

        match offer.Mapping with
        | PortPrediction.Unknown -> writer.Number(0UL, 3)
        | PortPrediction.EndpointIndependent -> writer.Number(0x010000UL, 3)
        | PortPrediction.Dependent step -> writer.Number(0x020000UL ||| uint64 (uint16 (int16 step)), 3)

        writer.Endpoint offer.Observed
        writer.Endpoint offer.Last
        let hosts = Array.truncate MaxHosts offer.Hosts
        writer.Byte(byte hosts.Length)

        for host in hosts do
            writer.Endpoint host

        writer.ToBytes()

    let read (bytes: Borrowed) : Offer voption =
        let reader = PunchWire.Reader bytes

        if reader.Byte() <> Version then
            ValueNone
        else
            let nonce = reader.Bytes PunchWire.TagLength
            let birthday = reader.Byte() = 1uy
            let kind = reader.Byte()
            let step = int (int16 (reader.Number 2))

            let mapping =
                match kind with
                | 1uy -> PortPrediction.EndpointIndependent
                | 2uy -> PortPrediction.Dependent step
                | _ -> PortPrediction.Unknown

            let observed = reader.Endpoint()
            let last = reader.Endpoint()
            let hosts = Array.init (min MaxHosts (int (reader.Byte()))) (fun _ -> reader.Endpoint())

            if reader.IsWithin then
                ValueSome
                    { Nonce = Borrowed.keep nonce
                      Birthday = birthday
                      Mapping = mapping
                      Observed = observed
                      Last = last
                      Hosts = hosts }
            else
                ValueNone

    /// The mapping, from the endpoints that different sockets of the rendezvous saw, in the order in which they were asked.
    let mappingOf (views: Endpoint[]) : PortPrediction =
        let steps = Array.pairwise views |> Array.map (fun (a, b) -> int b.Port - int a.Port)

        if steps.Length = 0 then
            PortPrediction.Unknown
        elif steps |> Array.forall (fun step -> step = 0) then
            PortPrediction.EndpointIndependent
        elif abs steps[0] <= LargestStep && steps |> Array.forall (fun step -> step = steps[0]) then
            PortPrediction.Dependent steps[0]
        else
            PortPrediction.Dependent 0

    /// The ports that the peer's NAT will probably use towards this node.
    let private predicted (offer: Offer) : Endpoint[] =
        match offer.Mapping with
        | PortPrediction.Dependent step when step <> 0 ->
            [| for count in 1..Ahead do
                   let port = int offer.Last.Port + count * step
                   if port > 0 && port < 65536 then Endpoint.withPort (uint16 port) offer.Last |]
        | _ -> [||]

    /// Whether a host that a node names is a port that its router has mapped to it: at the address that the rendezvous observes, and not the
    /// port from which the NAT sends. Without a NAT both would be the same; and a mapping of the observed port is the observed endpoint.
    let isMapped (observed: Endpoint) (host: Endpoint) =
        Endpoint.isSameAddress host observed && host.Port <> observed.Port

    /// The candidates in their order. Predictions come first: each new destination moves a sequential NAT one port further, so both peers must
    /// count alike. The peer's host addresses precede them if both peers have one public address.
    let candidates
        (plan: MeetPlan)
        (ownObserved: Endpoint)
        (peerObserved: Endpoint)
        (offer: Offer)
        : struct (Endpoint * PathKind)[] =
        let isAllowed (struct (endpoint, kind)) =
            match kind with
            | PathKind.Host -> CandidateFilter.mayBeNamed plan ownObserved peerObserved endpoint
            | PathKind.Predicted
            | PathKind.Mapped -> CandidateFilter.mayBePredicted peerObserved endpoint
            | PathKind.Observed
            | PathKind.Reflexive
            | PathKind.Birthday -> true

        // A router maps one port to a node; other ports of its address may be those of its neighbors.
        let first = offer.Hosts |> Array.tryFindIndex (isMapped peerObserved) |> Option.defaultValue -1

        let named =
            offer.Hosts
            |> Array.mapi (fun index host -> struct (host, (if index = first then PathKind.Mapped else PathKind.Host)))

        let mapped, hosts = named |> Array.partition (fun (struct (_, kind)) -> kind = PathKind.Mapped)
        let predicted = predicted offer |> Array.map (fun port -> struct (port, PathKind.Predicted))

        let outside =
            if CandidateFilter.mayBeObserved ownObserved peerObserved then
                Array.concat [| predicted; mapped; [| struct (peerObserved, PathKind.Observed) |] |]
            else
                [||]

        let all =
            if Endpoint.isSameAddress ownObserved peerObserved then
                Array.append hosts outside
            else
                Array.append outside hosts

        let known = ResizeArray<struct (Endpoint * PathKind)>()

        for struct (endpoint, kind) in all do
            if
                isAllowed (struct (endpoint, kind))
                && not (known.Exists(fun (struct (other, _)) -> other.Equals endpoint))
            then
                known.Add(struct (endpoint, kind))

        known.ToArray()
