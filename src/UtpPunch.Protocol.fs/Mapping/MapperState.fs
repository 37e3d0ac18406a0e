namespace UtpPunch.Protocol

/// The protocol by which a gateway maps a port.
[<RequireQualifiedAccess>]
type internal MapperProtocol =
    | Pcp
    | NatPmp
    | Upnp

[<NoComparison>]
type internal MapperOptions =
    {
        /// The node's own endpoint towards the gateway: the source of the requests, and the internal endpoint of the mapping.
        Client: Endpoint
        /// The length of the prefix of the client's subnet.
        PrefixLength: int
        /// Where PCP and NAT-PMP are asked.
        Gateway: Endpoint
        /// Where UPnP gateways are searched for.
        Searches: Endpoint[]
        /// The external port to suggest; 0 for the internal one.
        ExternalPort: uint16
        /// The lifetime to ask for.
        Lifetime: Duration
        /// How long an attempt may take.
        Timeout: Duration
        /// The only protocol to use, if not all of them.
        Only: MapperProtocol voption
    }

/// Why there is no mapping.
[<NoComparison; RequireQualifiedAccess>]
type internal MapperFailure =
    /// Neither PCP, nor NAT-PMP, nor UPnP has answered.
    | NoAnswer of after: Duration
    | Refused of protocol: MapperProtocol * code: int * name: string
    /// The gateway has no outside address.
    | NoExternalAddress of protocol: MapperProtocol
    /// PCP's ADDRESS_MISMATCH: there is a NAT between this host and the gateway.
    | AddressMismatch
    /// A UPnP device has answered, but has no service that maps ports, or its answers cannot be used.
    | Unusable
    /// The host has other addresses now.
    | NetworkChanged

/// A mapping.
[<NoComparison>]
type internal MapperLease =
    {
        Protocol: MapperProtocol
        External: Endpoint
        /// From the last answer on; `Time.never` for one that the gateway keeps until it is deleted.
        Lifetime: Duration
        /// When it must have been renewed. A permanent mapping is renewed too: the gateway may forget it when it restarts.
        ExpiresAt: Instant
        /// Whether the external address is not a public one: there is a further NAT.
        IsPrivate: bool
    }

[<NoComparison; RequireQualifiedAccess>]
type internal MapperEvent =
    /// A datagram at the node's socket that looks like an answer of a gateway, or like one to a search.
    | Received of from: Endpoint * datagram: Borrowed
    /// The answer to a request: its status, and the elements of its body.
    | Answered of request: int * status: int * elements: DeviceElement[]
    /// There is no answer, or none that can be used.
    | Unanswered of request: int
    /// The network has changed: begin anew.
    | Restart of options: MapperOptions
    /// Delete the mapping, and end.
    | Close

[<NoComparison; RequireQualifiedAccess>]
type internal MapperEffect =
    | Send of remote: Endpoint * datagram: Owned
    /// An HTTP request to the URL at its endpoint: a GET without a SOAPAction, otherwise a POST.
    | Request of request: int * address: HttpAddress * soapAction: string * body: Owned
    /// The port is mapped: for the first time, or to another endpoint than before.
    | Mapped of lease: MapperLease
    /// The same mapping lasts for longer.
    | Renewed of lease: MapperLease
    /// The port is not mapped any more. Attempts to map it go on.
    | Lost of failure: MapperFailure
    /// The first attempt has failed; the last effect.
    | Failed of failure: MapperFailure
    /// The mapping was deleted, or there was no time for it; the last effect.
    | Closed

/// What the outstanding HTTP request is for.
[<Struct; RequireQualifiedAccess>]
type internal UpnpStage =
    | Idle
    /// The description of a device.
    | Describing
    /// The external address.
    | Asking
    /// Adding a mapping or a pinhole.
    | Adding
    /// Prolonging a pinhole.
    | Updating

/// How far the UPnP part of an attempt is.
[<NoComparison>]
type internal UpnpState =
    {
        Stage: UpnpStage
        /// The number of the outstanding request, and when it is given up.
        Request: int
        Until: Instant
        Device: HttpAddress voption
        /// The services that were not tried in vain, the current one first.
        Controls: IgdControl[]
        External: Endpoint voption
        /// The external port that is asked for.
        Port: uint16
        IsPermanent: bool
        /// Whether AddAnyPortMapping may be used.
        IsAny: bool
        /// How many other ports were asked for after a conflict.
        OtherPorts: int
        Pinhole: uint16 voption
    }

/// An attempt to make a mapping, or to renew it.
[<NoComparison>]
type internal MapperAttempt =
    {
        StartedAt: Instant
        GivesUpAt: Instant
        /// PCP or NAT-PMP, whichever is asked by datagrams.
        Protocol: MapperProtocol
        /// Whether datagrams are sent to the gateway, and its answers are taken.
        Asks: bool
        /// How often the gateway was asked by this protocol, and when it is asked next.
        Rounds: int
        RoundAt: Instant
        RoundsFrom: Instant
        /// How often UPnP was searched for, and when it is next.
        Searches: int
        SearchAt: Instant
        /// NAT-PMP answers in two parts.
        Address: Endpoint voption
        Port: struct (uint16 * uint32) voption
        /// The descriptions of UPnP devices that were found, and not tried yet.
        Devices: HttpAddress[]
        /// How many devices were found.
        Found: int
        UpnpFrom: Instant
        Failure: MapperFailure voption
    }

[<NoComparison; RequireQualifiedAccess>]
type internal MapperStage =
    | Attempting of attempt: MapperAttempt
    /// Nothing is to do before.
    | Resting of until: Instant
    /// The mapping is deleted: by which protocol, how often, when next, and until when.
    | Closing of protocol: MapperProtocol * sent: int * nextAt: Instant * until: Instant
    | Over

/// Maps a UDP port at the gateway, and renews the mapping.
[<NoComparison>]
type internal PortMapper =
    {
        Options: MapperOptions
        Random: Random
        Now: Instant
        /// PCP's Mapping Nonce, which the gateway requires to renew or delete the mapping (RFC 6887, 11.2).
        Nonce: Owned
        Stage: MapperStage
        Lease: MapperLease voption
        /// Whether there was a mapping: then attempts go on.
        WasMapped: bool
        /// The attempts that have failed since there was a mapping, or since it was renewed.
        Failures: int
        /// When the last attempt has begun.
        AttemptedAt: Instant
        /// The gateway's Epoch Time, and when it was told.
        Epoch: struct (uint32 * Instant) voption
        Upnp: UpnpState
        /// The UPnP state with which the mapping was made: renews and deletes it.
        Held: UpnpState
        NextRequest: int
    }
