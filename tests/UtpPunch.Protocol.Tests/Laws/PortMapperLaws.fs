/// The laws of the node, for the port mapper: with any answers at any time, it is deterministic, asks for little, and always ends.
module UtpPunch.Protocol.Tests.PortMapperLaws

open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.SimulatedRouter

/// What arrives at a mapper.
type private Arrival =
    | Granted of result: int * lifetime: int * address: uint32
    | NatPmp of address: bool * result: int * lifetime: int
    | Other
    | Device of from: int * location: int
    | Reply of status: int * kind: int
    | Silence
    | Mangled of at: int * value: int
    | RandomBytes of byte[]
    | Moved

let private locations =
    [| location
       "http://192.168.1.5/x"
       "http://198.51.100.1/x"
       "http://[2001:db8::1]/x"
       "https://192.168.1.1/x"
       "nonsense" |]

let private hosts =
    [| router; Endpoint.ofIPv4 0xC0A80105u 0us; Endpoint.ofIPv4 0xC6336401u 0us |]
    |> Array.map (Endpoint.withPort Ssdp.Port)

let private bodies =
    [| description 1
       description 2
       [||]
       externalAddress "192.0.1.1"
       externalAddress "10.0.0.1"
       externalAddress "0.0.0.0"
       externalAddress "x"
       [| { Depth = 0; Name = "NewReservedPort"; Text = "5" } |]
       for code in [ 401; 402; 501; 606; 718; 724; 725; 727; 70000 ] do
           fault code |]

let private arrival =
    Gen.frequency
        [ 4,
          Gen.map3
              (fun r l a -> Granted(r, l, a))
              (Gen.elements [ 0; 0; 0; 1; 2; 8; 12 ])
              (Gen.choose (0, 9000))
              (Gen.elements [ 0xC0000101u; 0u; 0x0A000001u ])
          3,
          Gen.map3
              (fun a r l -> NatPmp(a, r, l))
              (Gen.elements [ true; false ])
              (Gen.elements [ 0; 0; 0; 3 ])
              (Gen.choose (0, 9000))
          2, Gen.constant Other
          3,
          Gen.map2 (fun f l -> Device(f, l)) (Gen.choose (0, hosts.Length - 1)) (Gen.choose (0, locations.Length - 1))
          8,
          Gen.map2 (fun s k -> Reply(s, k)) (Gen.elements [ 200; 200; 500; 404; 0 ]) (Gen.choose (0, bodies.Length - 1))
          1, Gen.constant Silence
          1, Gen.map2 (fun at value -> Mangled(at, value)) (Gen.choose (0, 59)) (Gen.choose (0, 255))
          1, Gen.map RandomBytes (Gen.arrayOf (Gen.map byte (Gen.choose (0, 255))))
          1, Gen.constant Moved ]

let private waits = Gen.frequency [ 6, Gen.choose (0, 600); 1, Gen.choose (0, 4_000_000) ]
let private script = Gen.listOf (Gen.zip waits arrival)

let private bytes (all: byte[]) = MapperEvent.Received(gateway, Borrowed all)

let private eventOf (nonce: Owned) request now arrival =
    let epoch = uint32 (now / 1_000_000L<us>)

    match arrival with
    | Granted(result, lifetime, address) ->
        pcpAnswer nonce result epoch (uint32 lifetime) (Endpoint.ofIPv4 address 8888us)
    | NatPmp(true, result, _) -> natPmpAddressAnswer result epoch
    | NatPmp(false, result, lifetime) -> natPmpMapAnswer result epoch 8888us (uint32 lifetime)
    | Other -> otherVersion
    | Device(from, location) -> found hosts[from] locations[location]
    | Reply(status, kind) -> MapperEvent.Answered(request, status, bodies[kind])
    | Silence -> MapperEvent.Unanswered request
    | Mangled(at, value) ->
        let all = (GatewayWire.pcpMap nonce client gateway 9u).Span.ToArray()
        all[1] <- 0x81uy
        all[at] <- byte value
        bytes all
    | RandomBytes all -> bytes (Array.append [| 2uy; 129uy |] all)
    | Moved -> MapperEvent.Restart options

/// Takes a step, and repeats it in all the ways in which nothing may change.
let private stepped now events mapper =
    let struct (next, effects) = PortMapper.step now events mapper
    let struct (_, again) = PortMapper.step now events mapper
    Expect.equal (Array.map string again) (Array.map string effects) "the same state and events: the same effects"
    Expect.equal again.Length effects.Length "as many"
    let struct (_, more) = PortMapper.step now [||] next
    Expect.isEmpty more "a second step at the same instant: no effects"
    let deadline = PortMapper.deadline next
    Expect.isGreaterThan deadline now "after a step the deadline lies ahead"

    if deadline <> Time.never then
        let struct (_, early) = PortMapper.step (deadline - 1L<us>) [||] next
        Expect.isEmpty early "before the deadline, no events: no effects"

    struct (next, effects)

type private Run() =
    member val Mapper = PortMapper.start options (Random.create seed) 0L<us> with get, set
    member val Now = 0L<us> with get, set
    member val Request = 0 with get, set
    member val Sent = 0 with get, set
    member val Steps = 0 with get, set
    member val Ends = 0 with get, set
    member val HasMapping = false with get, set
    member val WasLost = false with get, set

    member this.Step events =
        let struct (next, effects) = stepped this.Now events this.Mapper
        this.Mapper <- next
        this.Steps <- this.Steps + 1

        for effect in effects do
            Expect.equal this.Ends 0 "nothing follows the end"

            match effect with
            | MapperEffect.Send _ -> this.Sent <- this.Sent + 1
            | MapperEffect.Request(id, address, _, _) ->
                Expect.isTrue (HttpAddress.isSameSubnet 24 address.Remote client) "requests stay in the network"
                this.Sent <- this.Sent + 1
                this.Request <- id
            | MapperEffect.Mapped lease
            | MapperEffect.Renewed lease ->
                Expect.isGreaterThan lease.ExpiresAt this.Now "it has not expired"
                this.HasMapping <- true
            | MapperEffect.Lost _ ->
                Expect.isTrue this.HasMapping "only a mapping is lost"
                this.HasMapping <- false
                this.WasLost <- true
            | MapperEffect.Failed _ ->
                Expect.isFalse this.HasMapping "nothing was mapped"
                this.Ends <- this.Ends + 1
            | MapperEffect.Closed -> this.Ends <- this.Ends + 1

    /// Runs to a time, without answers.
    member this.Pass until =
        while PortMapper.deadline this.Mapper <= until && PortMapper.deadline this.Mapper <> Time.never do
            this.Now <- PortMapper.deadline this.Mapper
            this.Step [||]

        this.Now <- max this.Now until

let tests =
    testList
        "port mapper laws"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with maxTest = 500 }
              "with any answers, a mapper is deterministic, sends a bounded number of requests, and ends once within 250 ms"
              (fun () ->
                  Prop.forAll (Arb.fromGen script) (fun script ->
                      let run = Run()
                      run.Step [||]

                      for wait, arrival in script do
                          run.Pass(run.Now + Time.milliseconds wait)
                          run.Step [| eventOf run.Mapper.Nonce run.Request run.Now arrival |]

                      // An attempt is 4 requests and 24 searches and some calls, and there is one in 4 s at most.
                      let attempts = 2 + script.Length + int (run.Now / Time.seconds 4)
                      Expect.isLessThan run.Sent (60 * attempts) "few datagrams"
                      let closedAt = run.Now
                      run.Step [| MapperEvent.Close |]
                      run.Pass(run.Now + Time.seconds 10)
                      Expect.equal (PortMapper.deadline run.Mapper) Time.never "nothing is left to do"
                      Expect.equal run.Ends 1 "one end"
                      Expect.isLessThanOrEqual closedAt run.Now "in time"))
          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with maxTest = 200 }
              "without answers any more, the first attempt ends within its 5 s, and a mapping is lost when it has expired"
              (fun () ->
                  Prop.forAll (Arb.fromGen (Gen.listOf (Gen.zip (Gen.choose (0, 600)) arrival))) (fun script ->
                      let run = Run()
                      run.Step [||]

                      for wait, arrival in script do
                          run.Pass(run.Now + Time.milliseconds wait)

                          if arrival <> Moved then
                              run.Step [| eventOf run.Mapper.Nonce run.Request run.Now arrival |]

                      run.Pass(run.Now + Time.seconds 6)
                      Expect.isTrue (run.HasMapping || run.WasLost || run.Ends = 1) "mapped or failed"
                      run.Pass(run.Now + Time.seconds 86_500)
                      Expect.isFalse run.HasMapping "lost"
                      // With pauses of half an hour.
                      Expect.isLessThan run.Steps 5_000 "few steps")) ]
