/// Each of the ten measured NATs probed from both sides: which ports it allocates, and which sources it admits.
module UtpPunch.Sim.Tests.NatKinds

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Punchers

/// A home network behind a NAT, and a server with two addresses.
[<NoComparison; NoEquality>]
type Probed =
    {
        Internet: Internet
        Nat: Nat
        Home: AddressRealm
        Server: ManualHost
        /// First address and port, first address and another port, second address.
        Places: Endpoint[]
    }

let probed (model: NatModel) : Probed =
    let internet = unwatched 7UL
    let struct (home, nat) = internet.Behind(internet.Open, model, NetworkConfig.home 1)
    let struct (server, addresses) = serverAt internet 2

    { Internet = internet
      Nat = nat
      Home = home
      Server = server
      Places = [| port 3478 addresses[0]; port 3479 addresses[0]; port 3478 addresses[1] |] }

/// Runs until everything in transit has arrived.
let runBriefly (internet: Internet) = internet.RunUntil(internet.Now + Time.milliseconds 300)

/// The outside endpoint that a server sees when the host sends to it; none if nothing arrived.
let seenAt (world: Probed) (host: ManualHost) (socket: Endpoint) (place: Endpoint) : Endpoint voption =
    let before = world.Server.Inbox.Count
    host.Send(world.Internet, socket, place)
    runBriefly world.Internet

    if world.Server.Inbox.Count > before then
        ValueSome world.Server.Inbox[before].From
    else
        ValueNone

/// Whether a datagram from a server to an outside endpoint reaches the host.
let comesIn (world: Probed) (host: ManualHost) (place: Endpoint) (outside: Endpoint) : bool =
    let before = host.Inbox.Count
    world.Server.Send(world.Internet, place, outside)
    runBriefly world.Internet
    host.Inbox.Count > before

/// The outside ports of one socket towards the three endpoints of the server.
let private portsOf model =
    let world = probed model
    let struct (host, address) = manualHostIn world.Internet world.Home
    let socket = port 6001 address
    [ for place in world.Places -> (seenAt world host socket place).Value.Port ]

/// Which of the three are admitted when only the first was sent to. Each is tried in a new world, since its packet may change state.
let private entriesOf model =
    [ for place in 0..2 ->
          let world = probed model
          let struct (host, address) = manualHostIn world.Internet world.Home
          let outside = (seenAt world host (port 6001 address) world.Places[0]).Value
          comesIn world host world.Places[place] outside ]

/// Ports by identity: 0 for the first one, 1 for the first that differs from it, and so on.
let private pattern (ports: uint16 list) =
    let distinct = List.distinct ports
    [ for port in ports -> List.findIndex ((=) port) distinct ]

let private all = [ 0; 0; 0 ]
let private byAddress = [ 0; 0; 1 ]
let private each = [ 0; 1; 2 ]

/// The two measured columns.
let private measured =
    [ all, [ true; false; false ]
      all, [ true; false; false ]
      all, [ true; true; true ]
      all, [ true; true; false ]
      all, [ true; false; false ]
      byAddress, [ true; false; false ]
      each, [ true; false; false ]
      each, [ true; false; false ]
      each, [ true; true; true ]
      each, [ true; true; false ] ]

let tests =
    testList
        "NAT kinds"
        [ test "each of a kernel's ten NATs maps and filters as measured" {
              for (mapping, entries), struct (name, model) in Seq.zip measured NatOracle.kernel do
                  Expect.equal (pattern (portsOf model)) mapping $"{name}: ports"
                  Expect.equal (entriesOf model) entries $"{name}: admitted sources"
          }
          test "each of RFC 4787's nine maps and filters as its name says" {
              for index, model in Array.indexed NatModel.nine do
                  Expect.equal
                      (pattern (portsOf model))
                      (List.item (index / 3) [ all; byAddress; each ])
                      $"{index}: ports"

                  Expect.equal (entriesOf model) [ true; index % 3 < 2; index % 3 < 1 ] $"{index}: admitted sources"
          }
          test "a preserving NAT keeps the inside port, a sequential one counts, a hashing one stays in its block" {
              let ofKernel index =
                  let struct (_, model) = NatOracle.kernel[index]
                  portsOf model

              Expect.equal (ofKernel 0) [ 6001us; 6001us; 6001us ] "preserving"
              Expect.equal (ofKernel 6) [ 40_000us; 40_001us; 40_002us ] "sequential"

              for given in ofKernel 4 @ ofKernel 5 do
                  Expect.isTrue (given >= 40_000us && given < 56_384us && given <> 6001us) $"hashed: {given}"
          }
          test "a sequential NAT allocates in steps of its delta, wrapping around in its block" {
              let model =
                  { NatModel.rfc NatBehavior.AddressAndPortDependent NatBehavior.EndpointIndependent with
                      Ports = PortAllocation.Sequential(256, 8, 3) }

              let nat = Nat(model, Endpoint.ofIPv4 1u 0us, 1UL)
              let inside = Endpoint.ofIPv4 2u 9us

              let given =
                  [ for remote in 1us .. 9us ->
                        match nat.Outbound(0L<us>, inside, Endpoint.ofIPv4 3u remote) with
                        | Translation.Passed(source, _) -> int source.Port
                        | Translation.Dropped _ -> -1 ]

              Expect.equal given [ 256; 259; 262; 257; 260; 263; 258; 261; -1 ] "ports, and none when all are taken"
          }
          test "the key of a mapping or a filter is the remote endpoint with the rest zeroed" {
              let remote = Endpoint.ofIPv4 9u 99us
              let key dependence = NatModel.key dependence remote
              Expect.equal (key NatBehavior.AddressAndPortDependent) remote "all of it"
              Expect.equal (key NatBehavior.AddressDependent) (Endpoint.ofIPv4 9u 0us) "its address"

              Expect.equal
                  (key NatBehavior.EndpointIndependent)
                  (NatModel.key NatBehavior.EndpointIndependent (Endpoint.ofIPv4 8u 8us))
                  "nothing"
          } ]
