/// A rendezvous server and clients that register, take cookies from its answers, and send anything.
module UtpPunch.Fuzz.RendezvousTarget

open System
open System.Collections.Generic
open UtpPunch.Protocol

let private seed = Owned(Array.init 32 byte)

let private remotes =
    Array.init 8 (fun index -> Endpoint.ofIPv4 (0x0A000001u + uint32 (index / 2)) (uint16 (4000 + index)))

let private socket index = Endpoint.ofIPv4 (0x01010101u + uint32 (index / 2)) (uint16 (3000 + index % 2))
let private named (name: int) = Array.append (Wire.be64 0xA5A5UL) (Wire.be64 (uint64 name))

/// A datagram draws at most an answer for its sender; a step that is due, introductions.
[<Literal>]
let private MostAnswers = 40

/// Legacy clients and STUN clients get more than they have sent, which is documented: the bound holds without them.
let private optionsOf (operation: Operation) : RendezvousOptions =
    let extra = operation.Below 4

    { Rendezvous.standard with
        Sockets = Array.init (operation.Of [| 1; 2; 4 |]) socket
        MaxRegistrations = operation.Of [| 2; 6; 65536 |]
        MaxPerSource = operation.Of [| 1; 4; 512 |]
        MaxPerRoom = (if extra = 3 then 3 else 10_000)
        RatePerSource = operation.Of [| 1; 100 |]
        Legacy = (extra = 1)
        Stun = (extra = 2) }

/// What a client has sent and received in this step, and what it learned before.
[<Sealed>]
type private Account() =
    member val Received = 0L with get, set
    member val Sent = 0L with get, set
    member val HasProved = false with get, set
    member val Cookies = ResizeArray<byte[]>() with get
    member val Nonce = Array.zeroCreate<byte> 16 with get, set

[<Sealed>]
type private World(features: Features, options: RendezvousOptions) =
    let mutable server = Rendezvous.create options seed 0L<us>
    let mutable now = 0L<us>
    let mutable lastKind = 0
    let accounts = Dictionary<Endpoint, Account>()
    let outputs = ResizeArray<byte>()
    let bounds = not (options.Legacy || options.Stun)

    let accountOf (remote: Endpoint) =
        let remote = Endpoint.via 0us remote

        match accounts.TryGetValue remote with
        | true, known -> known
        | _ ->
            let account = Account()
            accounts[remote] <- account
            account

    /// The kind of an answer, after that of the answer before.
    let noteAnswer (datagram: Owned) =
        let kind = if datagram.Length > 4 then int datagram.Span[4] else 0
        features.Add(1, 256 * lastKind + kind)
        lastKind <- kind

    let hear (remote: Endpoint) (datagram: Owned) =
        let account = accountOf remote
        account.Sent <- account.Sent + int64 datagram.Length
        outputs.AddRange(datagram.Span.ToArray())

        noteAnswer datagram

        match PunchWire.decode datagram.AsBorrowed with
        | ValueSome(RendezvousMessage.Challenge(_, _, cookie, _, _)) -> account.Cookies.Add(cookie.Span.ToArray())
        | ValueSome(RendezvousMessage.Introduce(_, it)) -> account.Nonce <- it.Nonce.Span.ToArray()
        | _ -> ()

        if bounds && not account.HasProved then
            Target.check
                (account.Sent <= account.Received)
                $"A step sends {account.Sent} bytes to an address without a proof, and received {account.Received} from there."

    let checkTables () =
        let statistics = Rendezvous.statistics server
        features.AddSize(2, statistics.Waiting)
        features.AddSize(3, statistics.Introductions)

        features.Add(
            4,
            64 * min 8 statistics.Waiting
            + 8 * min 7 statistics.Introductions
            + min 7 (int statistics.Introduced)
        )

        features.AddSize(5, int statistics.Dropped)
        let counts = Rendezvous.counts server
        let reported = counts.Reports |> Array.sumBy _.Count
        features.AddSize(6, int reported)
        Target.check (reported <= 2L * counts.Introduced) "There are more reports than clients were introduced."
        Target.check (counts.Staying <= counts.Waiting) "More clients stay than are in rooms."
        let members = Rendezvous.rooms 100_000 8 server |> Array.sumBy (fun it -> it.Visitors + it.Staying)
        Target.check (members = counts.Waiting) "The rooms have other members than wait."
        Target.check (statistics.Waiting <= options.MaxRegistrations) "More clients wait than may register."

    let step (received: struct (Endpoint * Borrowed)[]) =
        for account in accounts.Values do
            account.Sent <- 0L

        let struct (next, sent) = Rendezvous.step now received server
        server <- next
        Target.check (sent.Length <= MostAnswers * (1 + received.Length)) $"A step sends {sent.Length} datagrams."

        for struct (remote, datagram) in sent do
            hear remote datagram

        for account in accounts.Values do
            account.Received <- 0L

        Target.check (Rendezvous.deadline server > now) "The deadline does not lie ahead."
        checkTables ()

    member _.Now = now
    member _.Account index = accountOf remotes[index]

    member _.Wait(duration: Duration) =
        now <- now + duration
        step [||]

    member _.WaitUntilDue() =
        now <- min (Rendezvous.deadline server) (now + Time.seconds 600)
        step [||]

    /// The server must not keep the datagram: it is overwritten after the step.
    member _.Send(index: int, via: int, datagram: byte[]) =
        let account = accountOf remotes[index]
        account.Received <- account.Received + int64 datagram.Length
        let holds (cookie: byte[]) = datagram.AsSpan().IndexOf(ReadOnlySpan cookie) >= 0
        if Seq.exists holds account.Cookies then account.HasProved <- true
        let buffer = Array.copy datagram
        step [| struct (Endpoint.via (uint16 via) remotes[index], Borrowed buffer) |]
        Array.fill buffer 0 buffer.Length 0xDDuy

    member _.Output = outputs.ToArray()

// ---- Operations ----

let private cookieOf (operation: Operation) (account: Account) : byte[] =
    let cookies = account.Cookies

    match operation.Below 4 with
    | 0 -> Array.zeroCreate 16
    | _ when cookies.Count = 0 -> operation.Bytes 16
    | 1 ->
        let cookie = Array.copy cookies[cookies.Count - 1]
        cookie[operation.Below 16] <- operation.Byte()
        cookie
    | _ -> cookies[cookies.Count - 1 - operation.Below(min 3 cookies.Count)]

let private message (operation: Operation) (index: int) (account: Account) : RendezvousMessage =
    let room = Borrowed(named (operation.Below 3))
    let handle = uint64 (100 + (if operation.Below 8 = 0 then operation.Below 4 else index))
    let cookie = Borrowed(cookieOf operation account)

    match operation.Below 8 with
    | 0 -> RendezvousMessage.Observe handle
    | 2
    | 3 ->
        let nonce = Array.copy account.Nonce
        if operation.Below 4 = 0 then nonce[operation.Below 16] <- operation.Byte()
        RendezvousMessage.Acknowledge(room, handle, cookie, Borrowed nonce, Time.milliseconds (operation.Short()))
    | 1 when operation.Flag() ->
        let report =
            { Stage = PunchStage.NotHeard
              Kind = PathKind.Host
              Mapping = PortPrediction.Unknown
              PeerMapping = PortPrediction.EndpointIndependent
              Elapsed = Time.milliseconds (operation.Short()) }

        RendezvousMessage.Report(room, handle, cookie, Borrowed account.Nonce, report)
    | 1 -> RendezvousMessage.Leave(room, handle, cookie)
    | _ ->
        RendezvousMessage.Register
            { Room = room
              Handle = handle
              Peer = Borrowed(named (1000 + (if operation.Below 8 = 0 then 0 else index)))
              Cookie = cookie
              Attempt = operation.Byte()
              Stays = operation.Flag()
              Offer = Borrowed(operation.Bytes(operation.Of [| 0; 40; 250; 700 |]))
              Avoided = Borrowed(operation.Bytes(18 * operation.Of [| 0; 0; 1; 8 |])) }

let private act (world: World) (chunk: byte[]) =
    let operation = Operation chunk
    let kind = operation.Below 10
    let index = operation.Below remotes.Length
    let via = operation.Below 4

    match kind with
    | 0 -> world.Wait(Time.milliseconds (operation.Of [| 0; 1; 100; 1000; 30_000; 61_000; 130_000 |]))
    | 1 -> world.WaitUntilDue()
    | 2 -> world.Send(index, via, operation.Rest())
    | 3 ->
        // A message with one byte changed, or cut.
        let datagram = (PunchWire.encode (message operation index (world.Account index))).Span.ToArray()
        let at = operation.Short() % datagram.Length
        datagram[at] <- operation.Byte()
        let length = if operation.Flag() then datagram.Length else operation.Short() % datagram.Length
        world.Send(index, via, datagram[.. length - 1])
    | _ -> world.Send(index, via, (PunchWire.encode (message operation index (world.Account index))).Span.ToArray())

let private replay (features: Features) (input: Input) : byte[] =
    let config = Operation(if input.Length = 0 then [||] else input[0])
    let world = World(features, optionsOf config)
    Array.iter (act world) (Array.skip (min 1 input.Length) input)
    world.Output

let private run (features: Features) (input: Input) =
    let output = replay features input

    if Input.hash input % 16UL = 0UL then
        Target.check (output.AsSpan().SequenceEqual(ReadOnlySpan(replay features input))) "Two runs differ."

let private fresh (draws: Draws) : byte[] = draws.Bytes(8 + draws.Below 16)

/// Two clients of a room: they register, show their cookies, and acknowledge.
let private meeting: Input =
    let register (index: byte) cookie = [| 4uy; index; 0uy; 0uy; 1uy; cookie; 0uy; 4uy; 1uy; 0uy; 1uy |]
    let acknowledge (index: byte) = [| 4uy; index; 0uy; 0uy; 1uy; 2uy; 0uy; 2uy; 1uy; 0uy; 50uy |]

    [| [| 0uy; 1uy; 2uy; 2uy; 1uy |]
       register 0uy 0uy
       register 0uy 2uy
       register 3uy 0uy
       register 3uy 2uy
       [| 1uy |]
       acknowledge 0uy
       acknowledge 3uy
       [| 1uy |]
       [| 1uy |] |]

let target: Target =
    { Name = "rendezvous"
      About = "registrations, acknowledgements and anything else for a rendezvous server"
      Seeds = fun draws -> [ meeting; Array.init 10 (fun _ -> fresh draws) ]
      Fresh = fresh
      Run = run
      MostAllocated = struct (300_000L, 200L, 60_000L) }
