/// A network for STUN: one client behind a NAT of any kind, servers with up to four sockets, and 10 ms each way.
module internal UtpPunch.Protocol.Tests.StunNat

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol

let publicAddress = 0xCB007107u // 203.0.113.7
let local = Endpoint.ofIPv4 0x0A000002u 5000us
let primary = Endpoint.ofIPv4 0xC6336401u 3478us // 198.51.100.1
let other = Endpoint.ofIPv4 0xC6336402u 3479us

let sockets =
    [| primary; { primary with Port = other.Port }; { other with Port = primary.Port }; other |]

let private addressOf (endpoint: Endpoint) = { endpoint with Port = 0us }

/// The part of the remote endpoint that a mapping depends on.
let private mappingKey behaviour (remote: Endpoint) =
    match behaviour with
    | ValueSome NatBehavior.AddressDependent -> addressOf remote
    | ValueSome NatBehavior.AddressAndPortDependent -> remote
    | ValueSome NatBehavior.EndpointIndependent
    | ValueNone -> { remote with High = 0UL; Low = 0UL; Port = 0us }

let private admits behaviour (contacted: ResizeArray<Endpoint>) (remote: Endpoint) =
    match behaviour with
    | NatBehavior.AddressDependent -> contacted.Exists(fun it -> addressOf it = addressOf remote)
    | NatBehavior.AddressAndPortDependent -> contacted.Contains remote
    | NatBehavior.EndpointIndependent -> true

/// RFC 4787's two behaviors for one private endpoint; without a mapping there is no NAT, but a firewall.
[<Sealed>]
type Nat(mapping: NatBehavior voption, filtering: NatBehavior) =
    let ports = Dictionary<Endpoint, uint16>()
    let contacted = Dictionary<uint16, ResizeArray<Endpoint>>()

    member _.Out(remote: Endpoint) : Endpoint =
        let key = mappingKey mapping remote

        if not (ports.ContainsKey key) then
            let port = if mapping.IsNone then local.Port else uint16 (40_000 + ports.Count)
            ports[key] <- port
            contacted[port] <- ResizeArray()

        contacted[ports[key]].Add remote

        if mapping.IsNone then local else Endpoint.ofIPv4 publicAddress ports[key]

    member _.Admits(remote: Endpoint, target: Endpoint) =
        contacted.ContainsKey target.Port && admits filtering contacted[target.Port] remote

/// A datagram in transit, and when it arrives. `Inbound` is on its way to the client.
[<NoComparison>]
type private Flight = { At: Instant; From: Endpoint; To: Endpoint; Datagram: Owned; Inbound: bool }

let private delay = Time.milliseconds 10

[<Sealed>]
type World(nat: Nat, servers: (StunServer * Endpoint voption[]) list, options: StunOptions) =
    let flights = ResizeArray<Flight>()
    let sent = ResizeArray<struct (Instant * Endpoint)>()
    let outcomes = ResizeArray<StunOutcome>()
    let mutable client = StunClient.start options (Random.create (Owned(Array.init 32 byte))) 0L<us>
    let mutable now = 0L<us>

    /// Which datagrams are lost: by their direction (towards the client or not) and the number of earlier ones in that direction.
    member val IsLost: bool -> int -> bool = (fun _ _ -> false) with get, set

    /// What an attacker, or a broken server, sends instead of an answer: source and bytes.
    member val Tamper: Endpoint -> Owned -> (Endpoint * Owned) list =
        (fun from datagram -> [ from, datagram ]) with get, set

    member val private Out = 0 with get, set
    member val private In = 0 with get, set
    member _.Sent = sent
    member _.Now = now

    /// The socket of the node that the client uses: the node stamps received datagrams with it.
    member val Via = 0us with get, set

    member private this.Serve(flight: Flight) =
        for server, sockets in servers do
            let socket = Array.IndexOf(sockets, ValueSome flight.To)

            if socket >= 0 then
                match StunServer.answer socket flight.From flight.Datagram.AsBorrowed server with
                | ValueSome answer ->
                    for from, datagram in this.Tamper sockets[answer.Socket].Value answer.Datagram do
                        let isLost = this.IsLost true this.In
                        this.In <- this.In + 1

                        if not isLost && nat.Admits(from, answer.Remote) then
                            flights.Add
                                { At = now + delay; From = from; To = local; Datagram = datagram; Inbound = true }
                | ValueNone -> ()

    member private this.Step events =
        let struct (next, effects) = StunClient.step now events client
        client <- next

        for effect in effects do
            match effect with
            | StunEffect.Done outcome -> outcomes.Add outcome
            | StunEffect.Send(remote, datagram) ->
                Expect.equal remote.Via this.Via "the socket of the request"
                let remote = { remote with Via = 0us }
                sent.Add(struct (now, remote))
                let isLost = this.IsLost false this.Out
                this.Out <- this.Out + 1

                if not isLost then
                    flights.Add
                        { At = now + delay; From = nat.Out remote; To = remote; Datagram = datagram; Inbound = false }

    /// Runs until the client has ended, and returns its result.
    member this.Run() : StunOutcome =
        this.Step [||]

        while outcomes.Count = 0 do
            let at = Seq.fold (fun earliest flight -> min earliest flight.At) (StunClient.deadline client) flights
            if at = Time.never then failtest "The client waits for nothing."
            now <- at
            let landed = flights.FindAll(fun flight -> flight.At <= now)
            flights.RemoveAll(fun flight -> flight.At <= now) |> ignore

            for flight in landed do
                if not flight.Inbound then this.Serve flight

            this.Step
                [| for flight in landed do
                       if flight.Inbound then
                           StunEvent.Received({ flight.From with Via = this.Via }, flight.Datagram.AsBorrowed) |]

        Expect.equal (StunClient.deadline client) Time.never "the deadline of a client that has ended"
        Expect.equal outcomes.Count 1 "results"
        outcomes[0]

/// A server with these of the four sockets.
let serverWith (sockets: Endpoint voption[]) = StunServer.create (ValueSome "in-test") sockets, sockets

let full = serverWith (Array.map ValueSome sockets)
let only (endpoint: Endpoint) = serverWith [| ValueSome endpoint |]
let asking servers = { StunClient.standard servers with Local = ValueSome local }
