/// STUN: the codec, a server with four sockets, and a client whose servers answer with anything.
module UtpPunch.Fuzz.StunTarget

open System
open UtpPunch.Protocol

let private key = Owned(Array.init 20 byte)
let private address index = Endpoint.ofIPv4 (0x0A000001u + uint32 (index / 2)) (uint16 (3478 + index % 2))

let private server =
    StunServer.create (ValueSome "fuzz") [| for index in 0..3 -> ValueSome(address index) |]

let private client = Endpoint.ofIPv4 0x0A0000FFu 4000us

/// Longer than a request by these attributes at most: four endpoints over IPv4, unknown attributes, the software, a fingerprint.
[<Literal>]
let private Longer = 400

let private decode (datagram: byte[]) : struct (StunMalformed * StunMessage) =
    let mutable message = Unchecked.defaultof<StunMessage>
    let malformed = Stun.decode (Borrowed datagram) &message
    struct (malformed, message)

// ---- The codec ----

/// Texts that are not UTF-8 become longer and cannot always be encoded; paddings are not kept, and four bytes may stand for a port.
let private isExact (attribute: StunAttribute) =
    match attribute with
    | StunAttribute.Software text
    | StunAttribute.ErrorCode(_, text) -> not (text.Contains '\uFFFD')
    | _ -> true

let private runCodec (features: Features) (datagram: byte[]) =
    let struct (malformed, message) = decode datagram
    features.Add(1, int malformed)

    if malformed = StunMalformed.None then
        for attribute in message.Attributes do
            features.Add(2, Case<StunAttribute>.Of attribute)

        features.AddText(3, string (Stun.checkIntegrity key (Borrowed datagram)))
        features.AddText(4, string (Stun.checkIntegritySha256 key (Borrowed datagram)))
        features.AddSize(5, (Stun.unknownRequired message).Length)
        features.Add(6, (if (Stun.mapped message).IsSome then 1 else 0))

        if Array.forall isExact message.Attributes then
            let encoded = Stun.encode message
            let struct (again, message) = decode (encoded.Span.ToArray())
            Target.check (again = StunMalformed.None) $"An encoded message is malformed: {again}."
            Target.check ((Stun.encode message).Equals encoded) "A message changes when it is encoded and decoded."

// ---- The server ----

let private runServer (features: Features) (socket: int) (datagram: byte[]) =
    match StunServer.answer socket client (Borrowed datagram) server with
    | ValueNone -> features.Add(10, socket)
    | ValueSome answer ->
        features.Add(11, 4 * socket + answer.Socket)
        let struct (malformed, message) = decode (answer.Datagram.Span.ToArray())
        Target.check (malformed = StunMalformed.None) $"An answer is malformed: {malformed}."
        features.Add(12, int message.Class * 16 + message.Attributes.Length)
        Target.check (Endpoint.isSameAddress answer.Remote client) "An answer goes to another address."
        let length = answer.Datagram.Length

        Target.check
            (length <= datagram.Length + Longer)
            $"An answer has {length} bytes, its request {datagram.Length}."

// ---- The client ----

/// An answer to a request: its id, and attributes as the operation says.
let private answer (operation: Operation) (request: Owned) : byte[] =
    let endpoint () = Endpoint.ofIPv4 (operation.Word()) (uint16 (operation.Short()))

    let attribute () =
        match operation.Below 7 with
        | 0 -> StunAttribute.XorMappedAddress(endpoint ())
        | 1 -> StunAttribute.MappedAddress(endpoint ())
        | 2 -> StunAttribute.OtherAddress(address (operation.Below 4))
        | 3 -> StunAttribute.ResponseOrigin(address (operation.Below 4))
        | 4 -> StunAttribute.ErrorCode(300 + operation.Below 255, "no")
        | 5 -> StunAttribute.UnknownAttributes [| uint16 (operation.Short()) |]
        | _ -> StunAttribute.Other(uint16 (operation.Short()), Borrowed(operation.Bytes 4))

    let message =
        { Class = operation.Of [| StunClass.Success; StunClass.Success; StunClass.Error; StunClass.Request |]
          Method = Stun.Binding
          Id = Stun.idOf request.AsBorrowed
          Attributes = Array.init (operation.Below 5) (fun _ -> attribute ()) }

    let encoded = Stun.encode message
    (if operation.Flag() then encoded else Stun.withFingerprint encoded).Span.ToArray()

let private options second =
    let servers = if second then [| address 0; Endpoint.ofIPv4 0x0A000064u 3478us |] else [| address 0 |]
    { StunClient.standard servers with Local = ValueSome client }

/// Steps until the client is done, or has no more operations and no more time-outs.
let private runClient (features: Features) (input: Input) =
    let config = Operation(if input.Length = 0 then [||] else input[0])

    let mutable it =
        StunClient.start (options (config.Flag())) (Random.create (Owned(Array.init 32 byte))) 0L<us>

    let mutable now = 0L<us>
    let mutable isDone = false
    let mutable sent = 0
    let mutable request = ValueNone

    let step events =
        let struct (next, effects) = StunClient.step now events it
        it <- next
        Target.check (effects.Length <= 8) $"A step of the client has {effects.Length} effects."

        for effect in effects do
            match effect with
            | StunEffect.Send(remote, datagram) ->
                sent <- sent + 1
                request <- ValueSome struct (remote, datagram)
            | StunEffect.Done outcome ->
                Target.check (not isDone) "The client is done twice."
                isDone <- true

                features.AddText(
                    20,
                    (match outcome with
                     | StunOutcome.Found _ -> "found"
                     | StunOutcome.Failed it -> string (Case<StunFailure>.Of it))
                )

    let act (chunk: byte[]) =
        let operation = Operation chunk

        match operation.Below 4, request with
        | 0, _ -> now <- now + Time.milliseconds (operation.Of [| 0; 1; 100; 500; 3000 |])
        | 1, _ -> now <- min (StunClient.deadline it) (now + Time.seconds 100)
        | 2, ValueSome(struct (remote, _)) -> step [| StunEvent.Received(remote, Borrowed(operation.Rest())) |]
        | _, ValueSome(struct (remote, datagram)) ->
            let from = if operation.Flag() then remote else address (operation.Below 4)
            step [| StunEvent.Received(from, Borrowed(answer operation datagram)) |]
        | _ -> ()

        step [||]

    step [||]
    Array.iter act (Array.skip (min 1 input.Length) input)

    while not isDone do
        Target.check (StunClient.deadline it < Time.never) "A client that is not done waits for nothing."
        now <- max now (StunClient.deadline it)
        step [||]

    features.Add(21, sent)
    Target.check (sent <= 60) $"The client has sent {sent} requests."
    Target.check (StunClient.deadline it = Time.never) "A client that is done has a deadline."

let private run (features: Features) (input: Input) =
    for chunk in input do
        runCodec features chunk

        for socket in 0..3 do
            runServer features socket chunk

    runClient features input

// ---- Fresh operations ----

let private message (draws: Draws) : byte[] =
    let value = draws.Bytes(4 * draws.Below 8)

    let kind =
        draws.Of [| 1; 3; 6; 8; 9; 0xA; 0x14; 0x1C; 0x20; 0x26; 0x27; 0x8022; 0x8028; 0x802B; 0x802C; 0x7777 |]

    let attribute = Array.concat [ Wire.be16 kind; Wire.be16 value.Length; value ]
    let body = Array.concat (Array.init (draws.Below 3) (fun _ -> attribute))
    let type' = draws.Of [| 1; 0x101; 0x111; 0x11; 2 |]

    let whole =
        Array.concat
            [ Wire.be16 type'
              Wire.be16 body.Length
              [| 0x21uy; 0x12uy; 0xA4uy; 0x42uy |]
              draws.Bytes 12
              body ]

    match draws.Below 4 with
    | 0 -> (Stun.withFingerprint (Owned whole)).Span.ToArray()
    | 1 -> (Stun.withIntegrity key (Owned whole)).Span.ToArray()
    | 2 -> (Stun.withIntegritySha256 key (Owned whole)).Span.ToArray()
    | _ -> whole

let target: Target =
    { Name = "stun"
      About = "messages for the STUN codec and server, and answers for the client"
      Seeds = fun draws -> [ for _ in 1..20 -> Array.init 3 (fun _ -> message draws) ]
      Fresh = fun draws -> if draws.OneIn 2 then message draws else draws.Bytes(draws.Below 30)
      Run = run
      MostAllocated = struct (300_000L, 200L, 60_000L) }
