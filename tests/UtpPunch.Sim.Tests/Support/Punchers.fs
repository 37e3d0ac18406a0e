/// Hosts for an imagined internet: a server that tells what it sees, a host that does as it is told, and two punchers so naive that
/// one can say by heart what they get through.
module UtpPunch.Sim.Tests.Punchers

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.Text
open UtpPunch.Protocol
open UtpPunch.Sim

let port (number: int) (address: Endpoint) : Endpoint = { address with Port = uint16 number }

/// An endpoint as the servers here write it.
let private written (endpoint: Endpoint) =
    let bytes = Array.zeroCreate<byte> 18
    BinaryPrimitives.WriteUInt64BigEndian(Span(bytes, 0, 8), endpoint.High)
    BinaryPrimitives.WriteUInt64BigEndian(Span(bytes, 8, 8), endpoint.Low)
    BinaryPrimitives.WriteUInt16BigEndian(Span(bytes, 16, 2), endpoint.Port)
    bytes

let readEndpoint (bytes: byte[]) : Endpoint =
    { High = BinaryPrimitives.ReadUInt64BigEndian(ReadOnlySpan(bytes, 0, 8))
      Low = BinaryPrimitives.ReadUInt64BigEndian(ReadOnlySpan(bytes, 8, 8))
      Scope = 0u
      Port = BinaryPrimitives.ReadUInt16BigEndian(ReadOnlySpan(bytes, 16, 2))
      Via = 0us }

let private ordinaryTtl = 64

/// Sends what it is told to, and keeps what it gets. A server also tells whoever asks from where the question came.
[<Sealed>]
type Told(isServer: bool) =
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
        /// Accepts a probe from anywhere, answers there and probes there too; else it hears nobody but the advertised endpoint.
        IsReflexive: bool
        Interval: Duration
        Count: int
        /// The first of them go so far that they open the own NAT, and die before they come to the other.
        Primed: int
        /// So many ports above the advertised one are probed as well.
        Predicted: int
    }

/// Ten probes in five seconds, as the npm package does it.
let naive =
    { IsReflexive = false; Interval = Time.milliseconds 500; Count = 10; Primed = 0; Predicted = 0 }

let reflexive = { naive with IsReflexive = true }

let private probe = Encoding.ASCII.GetBytes "PUNCH"
let private answer = Encoding.ASCII.GetBytes "PUNCHED"
let private primingTtl = 4

/// Asks a server for its outside endpoint. When it is told to, probes the peer's: a probe is answered, and whoever has answered one and
/// got an answer has met the peer.
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
    /// Everybody that it heard of.
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
                    // Before its first probe it does not listen.
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

/// A server on the open internet with as many addresses.
let serverAt (internet: Internet) count : struct (Told * Endpoint[]) =
    let server = Told true
    let addresses = Array.init count (fun _ -> internet.Open.NewAddress())
    internet.Settle(internet.Open, addresses, server)
    struct (server, addresses)

/// A host in a network.
let toldIn (internet: Internet) (realm: Realm) : struct (Told * Endpoint) =
    let host = Told false
    let address = realm.NewAddress()
    internet.Settle(realm, [| address |], host)
    struct (host, address)

/// Two punchers in two networks, each told of the other's endpoint as the server sees it; the second begins later. Whether both know
/// that they have met.
let punchBy (internet: Internet) (server: Endpoint) probing (late: Duration) (a: Realm) (b: Realm) : bool =
    let settled number (realm: Realm) =
        let address = realm.NewAddress()
        let puncher = Puncher(probing, port number address, server)
        internet.Settle(realm, [| address |], puncher)
        puncher

    let a = settled 6001 a
    let b = settled 7002 b
    internet.RunUntil(Time.seconds 1)
    a.Begin(internet, Time.milliseconds 1001, b.Outside.Value)
    b.Begin(internet, Time.milliseconds 1001 + late, a.Outside.Value)
    internet.RunUntil(Time.seconds 10)
    a.HasMet && b.HasMet

/// An internet that nobody watches.
let unwatched seed = Internet(seed, Ground.openInternet, Unchecked.defaultof<IInternetWatcher>)

/// The same behind a NAT of its own each.
let punch (seed: uint64) (probing: Probing) (late: Duration) (a: NatModel) (b: NatModel) : bool =
    let internet = unwatched seed
    let struct (_, servers) = serverAt internet 1
    let struct (homeA, _) = internet.Behind(internet.Open, a, Ground.home 1)
    let struct (homeB, _) = internet.Behind(internet.Open, b, Ground.home 2)
    punchBy internet (port 3478 servers[0]) probing late homeA homeB
