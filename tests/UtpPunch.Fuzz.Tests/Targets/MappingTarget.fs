/// Port mapping: the formats of PCP, NAT-PMP, SSDP and URLs, and a mapper whose router answers with anything.
module UtpPunch.Fuzz.MappingTarget

open System
open System.Text
open UtpPunch.Protocol

let private client = Endpoint.ofIPv4 0xC0A80102u 7777us
let private router = Endpoint.ofIPv4 0xC0A80101u 0us
let private options = PortMapper.standard client 24 router
let private other = Endpoint.ofIPv4 0xC0A80109u 1900us
let private origin = (HttpAddress.read "http://192.168.1.1:5000/root.xml").Value

// ---- The formats ----

let private runFormats (features: Features) (datagram: byte[]) =
    match GatewayWire.read (Borrowed datagram) with
    | ValueSome answer -> features.Add(1, Case<GatewayAnswer>.Of answer)
    | ValueNone -> features.Add(1, 9)

    let text = Encoding.Latin1.GetString datagram
    features.Add(2, (if (Ssdp.location (Borrowed datagram)).IsSome then 1 else 0))
    features.Add(3, (if (HttpAddress.read ("http://" + text)).IsSome then 1 else 0))

    match HttpAddress.resolve origin text with
    | ValueSome address ->
        Target.check (Endpoint.isSameAddress address.Remote origin.Remote) "A control URL names another host."
    | ValueNone -> ()

    match HttpAddress.ofText text with
    | ValueSome address ->
        features.Add(4, 1)
        let again = HttpAddress.ofText (HttpAddress.toText address)
        Target.check (again.IsSome && Endpoint.isSameAddress again.Value address) "An address changes as text."
    | ValueNone -> ()

// ---- The mapper ----

let private element name text = { Depth = 2; Name = name; Text = text }

let private elements (operation: Operation) =
    let urn = "urn:schemas-upnp-org:service:WANIPConnection:"

    [| for _ in 1 .. operation.Below 4 do
           match operation.Below 7 with
           | 0 ->
               element "serviceType" (urn + string (1 + operation.Below 2))
               element "controlURL" "/ctl"
           | 1 -> element "controlURL" (operation.Of [| "/x"; "http://198.51.100.1/"; "//x"; "" |])
           | 2 -> element "NewExternalIPAddress" (operation.Of [| "192.0.1.1"; "10.0.0.1"; "0.0.0.0"; "::1"; "x" |])
           | 3 -> element "errorCode" (string (operation.Of [| 401; 402; 501; 606; 718; 724; 725; 727; 70000 |]))
           | 4 -> element "NewReservedPort" (string (operation.Short()))
           | 5 -> element "UniqueID" "7"
           | _ -> element "service" "" |]

/// An answer of PCP to the last request, with fields as the operation says.
let private granted (operation: Operation) (nonce: Owned) =
    let external =
        Endpoint.ofIPv4 (operation.Of [| 0xC0000101u; 0x0A000001u; 0u |]) (uint16 (operation.Short()))

    let bytes = (GatewayWire.pcpMap nonce client external (uint32 (operation.Short()))).Span.ToArray()
    bytes[1] <- 0x81uy
    bytes[3] <- operation.Of [| 0uy; 0uy; 0uy; 1uy; 2uy; 12uy |]
    Array.Clear(bytes, 8, 16)
    bytes[11] <- operation.Byte()
    bytes

let private natPmp (operation: Operation) =
    let bytes: byte[] = Array.zeroCreate 16
    bytes[1] <- operation.Of [| 128uy; 129uy |]
    bytes[3] <- operation.Of [| 0uy; 0uy; 0uy; 1uy; 3uy |]
    bytes[7] <- operation.Byte()
    bytes[8] <- operation.Of [| byte (client.Port >>> 8); 192uy |]
    bytes[9] <- byte client.Port
    bytes[10] <- operation.Byte()
    bytes[14] <- operation.Byte()
    bytes

let private located (operation: Operation) =
    let where =
        operation.Of
            [| "http://192.168.1.1:5000/root.xml"
               "http://192.168.1.9/"
               "http://198.51.100.1/"
               "https://192.168.1.1/" |]

    Encoding.ASCII.GetBytes("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION: " + where + "\r\n\r\n")

let private eventOf (operation: Operation) (mapper: PortMapper) request =
    let received from bytes = MapperEvent.Received(from, Borrowed bytes)
    let ssdp = operation.Of [| Endpoint.withPort 1900us router; other |]

    match operation.Below 8 with
    | 0 -> received options.Gateway (granted operation mapper.Nonce)
    | 1 -> received options.Gateway (natPmp operation)
    | 2 -> received ssdp (located operation)
    | 3
    | 4 -> MapperEvent.Answered(request, operation.Of [| 200; 200; 500; 404 |], elements operation)
    | 5 -> MapperEvent.Unanswered request
    | 6 -> received options.Gateway (operation.Bytes 70)
    | _ -> MapperEvent.Restart options

/// One mapper, its time, and what it has done.
type private Run(features: Features) =
    let mutable it = PortMapper.start options (Random.create (Owned(Array.init 32 byte))) 0L<us>
    let mutable now = 0L<us>
    let mutable request = 0
    let mutable ends = 0
    let mutable hasMapping = false

    member _.Deadline = PortMapper.deadline it

    member _.Step events =
        let struct (next, effects) = PortMapper.step now events it
        it <- next
        Target.check (effects.Length <= 40) $"A step of the mapper has {effects.Length} effects."
        Target.check (PortMapper.deadline it > now) "After a step nothing is due."

        for effect in effects do
            features.Add(10, Case<MapperEffect>.Of effect)
            Target.check (ends = 0) "Something follows the end."

            match effect with
            | MapperEffect.Send _ -> ()
            | MapperEffect.Request(id, address, _, _) ->
                request <- id
                Target.check (HttpAddress.isSameSubnet 24 address.Remote client) "A request leaves the network."
            | MapperEffect.Mapped lease
            | MapperEffect.Renewed lease ->
                hasMapping <- true
                features.AddText(11, string (Case<MapperProtocol>.Of lease.Protocol))
            | MapperEffect.Lost failure ->
                Target.check hasMapping "What was not mapped is lost."
                hasMapping <- false
                features.AddText(12, string (Case<MapperFailure>.Of failure))
            | MapperEffect.Failed failure ->
                Target.check (not hasMapping) "A mapping fails."
                ends <- ends + 1
                features.AddText(13, string (Case<MapperFailure>.Of failure))
            | MapperEffect.Closed -> ends <- ends + 1

    member this.Act(chunk: byte[]) =
        let operation = Operation chunk

        match operation.Below 4 with
        | 0 -> now <- now + Time.milliseconds (operation.Of [| 0; 1; 250; 1000; 5000; 2_000_000 |])
        | 1 -> if this.Deadline < Time.never then now <- max now this.Deadline
        | _ -> this.Step [| eventOf operation it request |]

        this.Step [||]

    member this.Finish() =
        let closedAt = now
        this.Step [| MapperEvent.Close |]

        while this.Deadline < Time.never do
            now <- this.Deadline
            this.Step [||]

        Target.check (ends = 1) $"The mapper has ended {ends} times."
        Target.check (now - closedAt <= Time.milliseconds 250) "Closing takes longer than 250 ms."

let private run (features: Features) (input: Input) =
    Array.iter (runFormats features) input
    let run = Run features
    run.Step [||]
    Array.iter run.Act input
    run.Finish()

let private texts =
    [| "192.168.1.1:80/x"
       "2001:db8::1"
       "[2001:db8::1]:5/"
       "10.0.0.1"
       "/ctl?a=1"
       "http://192.168.1.1/" |]

let private fresh (draws: Draws) : byte[] =
    match draws.Below 4 with
    | 0 -> Encoding.ASCII.GetBytes(draws.Of texts)
    | 1 -> Array.append [| draws.Of [| 0uy; 2uy |]; draws.Of [| 128uy; 129uy |] |] (draws.Bytes(draws.Below 60))
    | _ -> draws.Bytes(3 + draws.Below 20)

let target: Target =
    { Name = "mapping"
      About = "answers of gateways, devices and URLs for the formats, and for a port mapper"
      Seeds = fun draws -> [ for _ in 1..20 -> Array.init 8 (fun _ -> fresh draws) ]
      Fresh = fresh
      Run = run
      MostAllocated = struct (400_000L, 400L, 200_000L) }
