/// A network for the port mapper: a host, and a router that answers as a test says, 1 ms later.
module internal UtpPunch.Protocol.Tests.SimulatedRouter

open System
open System.Text
open Expecto
open UtpPunch.Protocol

let client = Endpoint.ofIPv4 0xC0A80102u 7777us // 192.168.1.2
let router = Endpoint.ofIPv4 0xC0A80101u 0us
let gateway = Endpoint.withPort GatewayWire.Port router
let outside = Endpoint.ofIPv4 0xC0000101u 0us // 192.0.1.1
let options = PortMapper.standard client 24 router
let seed = Owned(Array.init 32 byte)

/// A request of the mapper, as the router sees it.
[<NoComparison>]
type Asked =
    | Pcp of nonce: Owned * port: uint16 * lifetime: uint32
    | NatPmpAddress
    | NatPmpMap of suggested: uint16 * lifetime: uint32
    | Search of remote: Endpoint
    | Get of id: int * url: string
    | Call of id: int * action: string * body: string

let private word (bytes: Owned) at = Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(bytes.Span.Slice at)
let private short (bytes: Owned) at = Buffers.Binary.BinaryPrimitives.ReadUInt16BigEndian(bytes.Span.Slice at)

let askedOf effect =
    match effect with
    | MapperEffect.Send(remote, _) when remote.Port = Ssdp.Port -> ValueSome(Search remote)
    | MapperEffect.Send(_, datagram) when datagram.Length = 60 ->
        ValueSome(Pcp(datagram.Slice(24, 12), short datagram 42, word datagram 4))
    | MapperEffect.Send(_, datagram) when datagram.Length = 2 -> ValueSome NatPmpAddress
    | MapperEffect.Send(_, datagram) -> ValueSome(NatPmpMap(short datagram 6, word datagram 8))
    | MapperEffect.Request(id, address, "", _) -> ValueSome(Get(id, address.Url))
    | MapperEffect.Request(id, _, action, body) ->
        ValueSome(Call(id, (action.Trim '"').Split('#')[1], Encoding.UTF8.GetString body.Span))
    | _ -> ValueNone

/// An answer to PCP's MAP.
let pcpAnswer (nonce: Owned) result epoch lifetime (external: Endpoint) =
    let bytes = (GatewayWire.pcpMap nonce client external lifetime).Span.ToArray()
    bytes[1] <- 0x81uy
    bytes[3] <- byte result
    Array.Clear(bytes, 8, 16)
    Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan 8, epoch)
    MapperEvent.Received(gateway, Borrowed bytes)

let natPmpAnswer (parts: byte list) = MapperEvent.Received(gateway, Borrowed(Array.ofList parts))

let private bytesOf (value: uint32) = [ byte (value >>> 24); byte (value >>> 16); byte (value >>> 8); byte value ]

let natPmpAddressAnswer result epoch =
    natPmpAnswer ([ 0uy; 128uy; 0uy; byte result ] @ bytesOf epoch @ bytesOf (uint32 outside.Low))

let natPmpMapAnswer result epoch (externalPort: uint16) lifetime =
    natPmpAnswer (
        [ 0uy; 129uy; 0uy; byte result ]
        @ bytesOf epoch
        @ [ byte (client.Port >>> 8); byte client.Port; byte (externalPort >>> 8); byte externalPort ]
        @ bytesOf lifetime
    )

/// A gateway that does not know PCP (RFC 6886, 3.5).
let otherVersion = natPmpAnswer [ 0uy; 129uy; 0uy; 1uy; 0uy; 0uy; 0uy; 9uy ]

let found (from: Endpoint) location =
    let text =
        "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nlocation: "
        + location
        + "\r\n\r\n"

    MapperEvent.Received(from, Borrowed(Encoding.ASCII.GetBytes text))

let location = "http://192.168.1.1:5000/root.xml"

let private element depth name text = { Depth = depth; Name = name; Text = text }

let description version =
    [| element 0 "root" ""
       element 1 "service" ""
       element 2 "serviceType" $"urn:schemas-upnp-org:service:WANIPConnection:{version}"
       element 2 "controlURL" "/ctl" |]

let fault code = [| element 0 "Envelope" ""; element 1 "Fault" ""; element 2 "errorCode" (string code) |]

let externalAddress (text: string) = [| element 0 "NewExternalIPAddress" text |]

/// One host and its router in virtual time.
type Home(options: MapperOptions, answer: Instant -> Asked -> MapperEvent list) =
    let mutable mapper = PortMapper.start options (Random.create seed) 0L<us>
    let mutable now = 0L<us>
    let waiting = ResizeArray<struct (Instant * MapperEvent)>()

    /// All requests, with their times.
    member val Asked = ResizeArray<struct (Instant * Asked)>()
    /// All reports, with their times.
    member val Reports = ResizeArray<struct (Instant * MapperEffect)>()
    member _.Now = now
    member _.Mapper = mapper
    member val Answer = answer with get, set

    member this.Step events =
        let struct (next, effects) = PortMapper.step now events mapper
        mapper <- next
        Expect.isGreaterThan (PortMapper.deadline mapper) now "after a step the deadline lies ahead"

        for effect in effects do
            match askedOf effect with
            | ValueSome asked ->
                this.Asked.Add(struct (now, asked))

                for event in this.Answer now asked do
                    waiting.Add(struct (now + Time.milliseconds 1, event))
            | ValueNone -> this.Reports.Add(struct (now, effect))

    /// Runs until then, or until nothing is left to do.
    member this.RunUntil(until: Instant) =
        let next () =
            let mutable earliest = PortMapper.deadline mapper

            for struct (at, _) in waiting do
                earliest <- min earliest at

            earliest

        this.Step [||]

        while next () <= until && next () <> Time.never do
            now <- next ()
            let due = waiting.FindAll(fun (struct (at, _)) -> at <= now)
            waiting.RemoveAll(fun (struct (at, _)) -> at <= now) |> ignore
            this.Step [| for struct (_, event) in due -> event |]

        if until <> Time.never then now <- max now until

    member this.Run() = this.RunUntil(Time.seconds 20)

    member this.Lease =
        this.Run()

        match [ for struct (_, report) in this.Reports -> report ] with
        | MapperEffect.Mapped lease :: _ -> lease
        | other -> failtest $"{other.Length} reports, none of a mapping"

    member this.Failure =
        this.RunUntil(Time.seconds 60)

        match [ for struct (_, report) in this.Reports -> report ] with
        | [ MapperEffect.Failed failure ] ->
            Expect.equal (PortMapper.deadline this.Mapper) Time.never "nothing is left to do"
            failure
        | other -> failtest $"{other.Length} reports"
