/// Each NAT of the kernel's ten probed from both sides: the ports that it gives, and whom it lets in.
module UtpPunch.Sim.Tests.NatKinds

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Punchers

/// A home behind a NAT, and a server with two addresses.
[<NoComparison; NoEquality>]
type Probed =
    {
        Internet: Internet
        Nat: Nat
        Home: Realm
        Server: Told
        /// First address and port, first address and another port, second address.
        Places: Endpoint[]
    }

let probed (model: NatModel) : Probed =
    let internet = unwatched 7UL
    let struct (home, nat) = internet.Behind(internet.Open, model, Ground.home 1)
    let struct (server, addresses) = serverAt internet 2

    { Internet = internet
      Nat = nat
      Home = home
      Server = server
      Places = [| port 3478 addresses[0]; port 3479 addresses[0]; port 3478 addresses[1] |] }

/// Lets pass what is under way.
let settle (internet: Internet) = internet.RunUntil(internet.Now + Time.milliseconds 300)

/// The outside endpoint that a place sees when the host sends there, or none if nothing came.
let seenAt (world: Probed) (host: Told) (socket: Endpoint) (place: Endpoint) : Endpoint voption =
    let before = world.Server.Inbox.Count
    host.Send(world.Internet, socket, place)
    settle world.Internet

    if world.Server.Inbox.Count > before then
        ValueSome world.Server.Inbox[before].From
    else
        ValueNone

/// Whether what a place sends to an outside endpoint comes to a host behind it.
let comesIn (world: Probed) (host: Told) (place: Endpoint) (outside: Endpoint) : bool =
    let before = host.Inbox.Count
    world.Server.Send(world.Internet, place, outside)
    settle world.Internet
    host.Inbox.Count > before

/// What ports does one socket get towards the three places?
let private portsOf model =
    let world = probed model
    let struct (host, address) = toldIn world.Internet world.Home
    let socket = port 6001 address
    [ for place in world.Places -> (seenAt world host socket place).Value.Port ]

/// Who of the three gets in when only the first was sent to? Each is asked in a world of its own, for its packet may change it.
let private entriesOf model =
    [ for place in 0..2 ->
          let world = probed model
          let struct (host, address) = toldIn world.Internet world.Home
          let outside = (seenAt world host (port 6001 address) world.Places[0]).Value
          comesIn world host world.Places[place] outside ]

/// Ports as their likeness: 0 for the first, 1 for the first unlike it, and so on.
let private pattern (ports: uint16 list) =
    let distinct = List.distinct ports
    [ for port in ports -> List.findIndex ((=) port) distinct ]

let private all = [ 0; 0; 0 ]
let private byAddress = [ 0; 0; 1 ]
let private each = [ 0; 1; 2 ]

/// The two columns that were measured.
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
        [ test "each of a kernel's ten NATs maps and filters as it was measured" {
              for (mapping, entries), struct (name, model) in Seq.zip measured NatOracle.kernel do
                  Expect.equal (pattern (portsOf model)) mapping $"{name}: ports"
                  Expect.equal (entriesOf model) entries $"{name}: who gets in"
          }
          test "each of RFC 4787's nine maps and filters as its name says" {
              for index, model in Array.indexed NatModel.nine do
                  Expect.equal
                      (pattern (portsOf model))
                      (List.item (index / 3) [ all; byAddress; each ])
                      $"{index}: ports"

                  Expect.equal (entriesOf model) [ true; index % 3 < 2; index % 3 < 1 ] $"{index}: who gets in"
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
          test "a sequential NAT goes round and round in its block, by its delta" {
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
          test "the zeroed key is all that a mapping or a filter knows of a remote" {
              let remote = Endpoint.ofIPv4 9u 99us
              let key dependence = NatModel.key dependence remote
              Expect.equal (key NatBehavior.AddressAndPortDependent) remote "all of it"
              Expect.equal (key NatBehavior.AddressDependent) (Endpoint.ofIPv4 9u 0us) "its address"

              Expect.equal
                  (key NatBehavior.EndpointIndependent)
                  (NatModel.key NatBehavior.EndpointIndependent (Endpoint.ofIPv4 8u 8us))
                  "nothing"
          } ]
