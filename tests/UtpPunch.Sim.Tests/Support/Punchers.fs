/// Hosts of a simulated internet: a server that reports the source of a request, a host that a test controls, and two minimal punchers
/// whose results are known in closed form.
module UtpPunch.Sim.Tests.Punchers

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.Text
open UtpPunch.Protocol
open UtpPunch.Sim

let port (number: int) (address: Endpoint) : Endpoint = { address with Port = uint16 number }

/// An endpoint as these servers encode it.
let private written (endpoint: Endpoint) =
    let bytes = Array.zeroCreate<byte> 18
    BinaryPrimitives.WriteUInt64BigEndian(Span(bytes, 0, 8), endpoint.High)
    BinaryPrimitives.WriteUInt64BigEndian(Span(bytes, 8, 8), endpoint.Low)
    BinaryPrimitives.WriteUInt16BigEndian(Span(bytes, 16, 2), endpoint.Port)
    bytes

let readEndpoint (bytes: byte[]) : Endpoint =
    Endpoint.ofIPv6
        (BinaryPrimitives.ReadUInt64BigEndian(ReadOnlySpan(bytes, 0, 8)))
        (BinaryPrimitives.ReadUInt64BigEndian(ReadOnlySpan(bytes, 8, 8)))
        (BinaryPrimitives.ReadUInt16BigEndian(ReadOnlySpan(bytes, 16, 2)))

let private ordinaryTtl = 64

/// Sends what a test tells it to, and keeps what it receives. A server also answers each request with its source endpoint.
[<Sealed>]
type ManualHost(isServer: bool) =
    let outbox = Queue<FromHost>()
    let inbox = List<ToHost>()

    member _.Inbox = inbox

    member this.Send(internet: Internet, socket: Endpoint, target: Endpoint, ?ttl: int) =
        outbox.Enqueue
            { Socket = socket
              To = target
              Ttl = defaultArg ttl ordinaryTtl
              Bytes = Encoding.ASCII.GetBytes "?" }

        internet.Wake this

    interface IInternetHost with
        member _.Step(_, arrived) =
            inbox.AddRange arrived

            if isServer then
                for question in arrived do
                    if question.Bytes.Length = 1 then
                        outbox.Enqueue
                            { Socket = question.Socket
                              To = question.From
                              Ttl = ordinaryTtl
                              Bytes = written question.From }

            let sent = outbox.ToArray()
            outbox.Clear()
            sent

        member _.Deadline = Time.never
        member _.IsOpen _ = true

/// How a puncher probes.
[<NoComparison>]
type Probing =
    {
        /// Accepts a probe from any source, answers it, and probes the source as well; otherwise accepts only the advertised endpoint.
        IsReflexive: bool
        Interval: Duration
        Count: int
        /// The first probes have a TTL that opens the sender's NAT and expires before the peer's.
        Primed: int
        /// The number of ports above the advertised one that are probed as well.
        Predicted: int
    }

/// Ten probes in five seconds, as the npm package sends them.
let naive =
    { IsReflexive = false; Interval = Time.milliseconds 500; Count = 10; Primed = 0; Predicted = 0 }

let reflexive = { naive with IsReflexive = true }

let private probe = Encoding.ASCII.GetBytes "PUNCH"
let private answer = Encoding.ASCII.GetBytes "PUNCHED"
let private primingTtl = 4

/// Asks a server for its outside endpoint, and probes the peer's when told to. It answers each probe. It has succeeded when it has
/// answered a probe and received an answer.
[<Sealed>]
type Puncher(probing: Probing, socket: Endpoint, server: Endpoint) =
    let targets = List<Endpoint>()
    let sources = HashSet<Endpoint>()
    let mutable asked = false
    let mutable outside = ValueNone
    let mutable sent = 0
    let mutable nextAt = Time.milliseconds 1
    let mutable answered = false
    let mutable confirmed = false

    member _.Socket = socket
    member _.Outside: Endpoint voption = outside
    member _.HasMet = answered && confirmed
    /// The sources of all packets that it has accepted.
    member _.Sources = sources

    member this.Begin(internet: Internet, at: Instant, peer: Endpoint) =
        for ahead in 0 .. probing.Predicted do
            targets.Add(port (int peer.Port + ahead) peer)

        nextAt <- at
        internet.Wake this

    interface IInternetHost with
        member _.Step(now, arrived) =
            let out = List<FromHost>()
            let send target ttl bytes = out.Add { Socket = socket; To = target; Ttl = ttl; Bytes = bytes }

            for incoming in arrived do
                if incoming.From = server then
                    outside <- ValueSome(readEndpoint incoming.Bytes)
                elif
                    // It does not listen before its first probe.
                    (sent > 0 || (targets.Count > 0 && nextAt <= now))
                    && (probing.IsReflexive || incoming.From = targets[0])
                then
                    sources.Add incoming.From |> ignore

                    if probing.IsReflexive && not (targets.Contains incoming.From) && targets.Count < 16 then
                        targets.Add incoming.From

                    if incoming.Bytes.Length = probe.Length then
                        answered <- true
                        send incoming.From ordinaryTtl answer
                    else
                        confirmed <- true

            if nextAt <= now then
                if not asked then
                    asked <- true
                    nextAt <- Time.never
                    send server ordinaryTtl (Encoding.ASCII.GetBytes "?")
                else
                    for target in targets do
                        send target (if sent < probing.Primed then primingTtl else ordinaryTtl) probe

                    sent <- sent + 1
                    nextAt <- if sent = probing.Count then Time.never else now + probing.Interval

            out.ToArray()

        member _.Deadline = nextAt
        member _.IsOpen other = other = socket

/// A server on the open internet with `count` addresses.
let serverAt (internet: Internet) count : struct (ManualHost * Endpoint[]) =
    let server = ManualHost true
    let addresses = Array.init count (fun _ -> internet.Open.NewAddress())
    internet.AddHost(internet.Open, addresses, server)
    struct (server, addresses)

/// A host in a network.
let manualHostIn (internet: Internet) (realm: AddressRealm) : struct (ManualHost * Endpoint) =
    let host = ManualHost false
    let address = realm.NewAddress()
    internet.AddHost(realm, [| address |], host)
    struct (host, address)

/// Two punchers in two networks. Each is told the other's endpoint as the server sees it; the second begins later. Whether both
/// succeed.
let punchBy
    (internet: Internet)
    (server: Endpoint)
    probing
    (late: Duration)
    (a: AddressRealm)
    (b: AddressRealm)
    : bool =
    let settled number (realm: AddressRealm) =
        let address = realm.NewAddress()
        let puncher = Puncher(probing, port number address, server)
        internet.AddHost(realm, [| address |], puncher)
        puncher

    let a = settled 6001 a
    let b = settled 7002 b
    internet.RunUntil(Time.seconds 1)
    a.Begin(internet, Time.milliseconds 1001, b.Outside.Value)
    b.Begin(internet, Time.milliseconds 1001 + late, a.Outside.Value)
    internet.RunUntil(Time.seconds 10)
    a.HasMet && b.HasMet

/// An internet without a watcher.
let unwatched seed = Internet(seed, NetworkConfig.openInternet, Unchecked.defaultof<IInternetWatcher>)

/// The same, each behind its own NAT.
let punch (seed: uint64) (probing: Probing) (late: Duration) (a: NatModel) (b: NatModel) : bool =
    let internet = unwatched seed
    let struct (_, servers) = serverAt internet 1
    let struct (homeA, _) = internet.Behind(internet.Open, a, NetworkConfig.home 1)
    let struct (homeB, _) = internet.Behind(internet.Open, b, NetworkConfig.home 2)
    punchBy internet (port 3478 servers[0]) probing late homeA homeB
