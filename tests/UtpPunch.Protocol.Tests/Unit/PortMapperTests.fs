/// What the port mapper asks routers of each kind, when, and what it makes of their answers.
module UtpPunch.Protocol.Tests.PortMapperTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.SimulatedRouter

let private at8888 = Endpoint.withPort 8888us outside
let private ms (time: Instant) = int (time / 1000L<us>)

/// A router that knows PCP, and maps to another port.
let private pcp lifetime (now: Instant) asked =
    match asked with
    | Pcp(nonce, _, 0u) -> [ pcpAnswer nonce 0 (uint32 (ms now / 1000)) 0u at8888 ]
    | Pcp(nonce, _, _) -> [ pcpAnswer nonce 0 (uint32 (ms now / 1000)) lifetime at8888 ]
    | _ -> []

let private refusing result _ asked =
    match asked with
    | Pcp(nonce, _, _) -> [ pcpAnswer nonce result 0u 0u at8888 ]
    | _ -> []

let private natPmp (now: Instant) asked =
    match asked with
    | Pcp _ -> [ otherVersion ]
    | NatPmpAddress -> [ natPmpAddressAnswer 0 (uint32 (ms now / 1000)) ]
    | NatPmpMap(port, lifetime) -> [ natPmpMapAnswer 0 (uint32 (ms now / 1000)) port lifetime ]
    | _ -> []

/// A router that knows UPnP only. `add` answers the attempts to add a mapping, by their number.
let private upnp version (add: int -> DeviceElement[] -> MapperEvent voption) =
    let mutable adds = 0

    fun (_: Instant) asked ->
        let ok id elements = [ MapperEvent.Answered(id, 200, elements) ]

        match asked with
        | Search _ -> [ found (Endpoint.withPort Ssdp.Port router) location ]
        | Get(id, _) -> ok id (description version)
        | Call(id, "GetExternalIPAddress", _) -> ok id (externalAddress "192.0.1.1")
        | Call(id, ("AddPortMapping" | "AddAnyPortMapping"), _) ->
            adds <- adds + 1

            match add adds (fault 0) with
            | ValueSome(MapperEvent.Answered(_, status, elements)) -> [ MapperEvent.Answered(id, status, elements) ]
            | ValueSome event -> [ event ]
            | ValueNone -> ok id [||]
        | Call(id, _, _) -> ok id [||]
        | _ -> []

/// Errors for the first attempts, one each; then success.
let private errors codes index _ =
    if index <= List.length codes then
        ValueSome(MapperEvent.Answered(0, 500, fault (List.item (index - 1) codes)))
    else
        ValueNone

let private callsOf action (home: Home) =
    [ for struct (_, asked) in home.Asked do
          match asked with
          | Call(_, name, body) when name = action -> body
          | _ -> () ]

let private timesOf predicate (home: Home) =
    [ for struct (at, asked) in home.Asked do
          if predicate asked then ms at ]

let private isPcp asked =
    match asked with
    | Pcp _ -> true
    | _ -> false

let private isNatPmp asked =
    match asked with
    | NatPmpMap _ -> true
    | _ -> false

let private failure answer = Home(options, answer).Failure

let private isRefused protocol code failure =
    match failure with
    | MapperFailure.Refused(its, number, _) -> its = protocol && number = code
    | _ -> false

let private argument name (body: string) = (body.Split($"<{name}>")[1]).Split('<')[0]

let private nothing _ _ : MapperEvent list = []

let tests =
    testList
        "port mapper"
        [ test "a router with PCP is asked once, and grants external endpoint and lifetime" {
              let home = Home(options, pcp 1200u)
              let lease = home.Lease
              Expect.equal lease.External at8888 "the external endpoint"
              Expect.equal lease.Lifetime (Time.seconds 1200) "the lifetime"
              Expect.equal lease.Protocol MapperProtocol.Pcp "the protocol"
              Expect.isFalse lease.IsPrivate "public"
              Expect.equal (timesOf isPcp home) [ 0 ] "one request"
              Expect.equal (ms (home.Reports[0] |> fun (struct (at, _)) -> at)) 1 "a round trip"
          }
          test "a silent router is asked at 0, 250, 750 and 1750 ms by PCP and SSDP, and given up after 5 s" {
              let home = Home(options, nothing)

              match home.Failure with
              | MapperFailure.NoAnswer after -> Expect.equal after (Time.seconds 5) "how long it was waited for"
              | _ -> failtest "no answer"

              Expect.equal (timesOf isPcp home) [ 0; 250; 750; 1750 ] "PCP"
              let searches = timesOf (fun asked -> not (isPcp asked)) home
              Expect.equal (List.distinct searches) [ 0; 250; 750; 1750 ] "SSDP"
              Expect.hasLength searches (4 * 2 * 3) "three targets, to the gateway and to the group"
          }
          test "a router without PCP is asked by NAT-PMP, for its address and the port" {
              let home = Home(options, natPmp)
              let lease = home.Lease
              Expect.equal lease.External (Endpoint.withPort client.Port outside) "the external endpoint"
              Expect.equal lease.Protocol MapperProtocol.NatPmp "the protocol"
              Expect.equal (timesOf isPcp home) [ 0 ] "PCP once"
              Expect.equal (timesOf isNatPmp home) [ 1 ] "NAT-PMP after its answer"
          }
          test "only the part of NAT-PMP that was not answered is asked for again" {
              let home =
                  Home(
                      options,
                      fun now asked ->
                          match asked with
                          | NatPmpMap _ when ms now < 700 -> []
                          | _ -> natPmp now asked
                  )

              Expect.equal home.Lease.External.Port client.Port "mapped"
              Expect.equal (timesOf isNatPmp home) [ 1; 251; 751 ] "the mapping"
              Expect.hasLength (timesOf (fun asked -> asked.IsNatPmpAddress) home) 1 "the address"
          }
          test "UPnP begins after a second without PCP and NAT-PMP" {
              for version, action in [ 1, "AddPortMapping"; 2, "AddAnyPortMapping" ] do
                  let home = Home(options, upnp version (errors []))
                  let lease = home.Lease
                  Expect.equal lease.External (Endpoint.withPort client.Port outside) "the external endpoint"
                  Expect.equal lease.Protocol MapperProtocol.Upnp "the protocol"
                  Expect.equal (timesOf (fun asked -> asked.IsGet) home) [ 1000 ] "the description"
                  Expect.equal (List.map (argument "NewLeaseDuration") (callsOf action home)) [ "3600" ] "the lease"
          }
          test "a router that refuses by PCP is asked by UPnP at once" {
              let upnp = upnp 1 (errors [])

              let home =
                  Home(options, (fun now asked -> if isPcp asked then refusing 2 now asked else upnp now asked))

              Expect.equal home.Lease.Protocol MapperProtocol.Upnp "the protocol"
              Expect.equal (timesOf (fun asked -> asked.IsGet) home) [ 1 ] "the description"
          }
          test "the result of a refusal is told" {
              for code in [ 2; 3; 4; 8; 9; 10; 11 ] do
                  Expect.isTrue (isRefused MapperProtocol.Pcp code (failure (refusing code))) $"result {code}"

              Expect.isTrue (failure (refusing 12)).IsAddressMismatch "ADDRESS_MISMATCH"

              let refuses now asked =
                  match asked with
                  | NatPmpMap _ -> [ natPmpMapAnswer 3 0u 0us 0u ]
                  | _ -> natPmp now asked

              Expect.isTrue (isRefused MapperProtocol.NatPmp 3 (failure refuses)) "NAT-PMP"
          }
          test "an external address that no host has is none" {
              for address in [ 0u; 0x7F000001u; 0xE0000001u ] do
                  let answer _ asked =
                      match asked with
                      | Pcp(nonce, _, _) -> [ pcpAnswer nonce 0 0u 120u (Endpoint.ofIPv4 address 8888us) ]
                      | _ -> []

                  Expect.isTrue (failure answer).IsNoExternalAddress $"{address:X}"
          }
          test "an external address that is private is told to be" {
              for address, isPrivate in [ 0x0A000001u, true; 0x64400001u, true; 0xC0A80001u, true; 0xC0000101u, false ] do
                  let answer _ asked =
                      match asked with
                      | Pcp(nonce, _, _) -> [ pcpAnswer nonce 0 0u 120u (Endpoint.ofIPv4 address 8888us) ]
                      | _ -> []

                  Expect.equal (Home(options, answer).Lease.IsPrivate) isPrivate $"{address:X}"
          }
          test "725 and 402 lead to a permanent lease" {
              for code in [ 725; 402 ] do
                  let home = Home(options, upnp 1 (errors [ code ]))
                  Expect.equal home.Lease.Lifetime Time.never $"{code}: without limit"

                  Expect.equal
                      (List.map (argument "NewLeaseDuration") (callsOf "AddPortMapping" home))
                      [ "3600"; "0" ]
                      "the leases"
          }
          test "718 and 501 lead to other ports, four times" {
              for code in [ 718; 501 ] do
                  let home = Home(options, upnp 1 (errors [ code; code; code; code ]))
                  let port = home.Lease.External.Port
                  let ports = List.map (argument "NewExternalPort") (callsOf "AddPortMapping" home)
                  Expect.equal ports[4] $"{port}" "the last one is mapped"
                  Expect.hasLength (List.distinct ports) 5 "all differ"
                  Expect.isGreaterThanOrEqual port 49_152us "a dynamic port"
                  let failed = failure (upnp 1 (errors (List.replicate 9 code)))
                  Expect.isTrue (isRefused MapperProtocol.Upnp code failed) "then it is a refusal"
          }
          test "724 leads to the internal port" {
              let home = Home({ options with ExternalPort = 9999us }, upnp 1 (errors [ 724 ]))
              Expect.equal home.Lease.External.Port client.Port "the internal port"

              Expect.equal
                  (List.map (argument "NewExternalPort") (callsOf "AddPortMapping" home))
                  [ "9999"; "7777" ]
                  "the ports"
          }
          test "401 leads from AddAnyPortMapping to AddPortMapping" {
              let home = Home(options, upnp 2 (errors [ 401 ]))
              Expect.equal home.Lease.External.Port client.Port "mapped"
              Expect.hasLength (callsOf "AddPortMapping" home) 1 "the older action"
          }
          test "727, 606, and 724 for the internal port, are refusals" {
              for code in [ 727; 606; 724; 728 ] do
                  let home = Home(options, upnp 1 (errors (List.replicate 9 code)))
                  Expect.isTrue (isRefused MapperProtocol.Upnp code home.Failure) $"{code}"
                  Expect.hasLength (callsOf "AddPortMapping" home) 1 "one attempt"
          }
          test "UPnP's external address 0.0.0.0 is none, and nothing is mapped" {
              let upnp = upnp 1 (errors [])

              let home =
                  Home(
                      options,
                      fun now asked ->
                          match asked with
                          | Call(id, "GetExternalIPAddress", _) ->
                              [ MapperEvent.Answered(id, 200, externalAddress "0.0.0.0") ]
                          | _ -> upnp now asked
                  )

              Expect.isTrue home.Failure.IsNoExternalAddress "none"
              Expect.isEmpty (callsOf "AddPortMapping" home) "nothing is mapped"
          }
          test "a description is fetched from the host that has answered, in the own subnet, by http, only" {
              let ssdpPort = Endpoint.withPort Ssdp.Port

              for from, location in
                  [ ssdpPort router, "http://192.168.1.9:5000/root.xml"
                    ssdpPort router, "http://198.51.100.1/root.xml"
                    ssdpPort router, "https://192.168.1.1/root.xml"
                    ssdpPort router, "http://router.example/root.xml"
                    Endpoint.ofIPv4 0xC6336401u 1900us, "http://198.51.100.1/root.xml" ] do
                  let home =
                      Home(
                          options,
                          fun _ asked ->
                              match asked with
                              | Search _ -> [ found from location ]
                              | _ -> []
                      )

                  Expect.isTrue home.Failure.IsNoAnswer location
                  Expect.isEmpty (timesOf (fun asked -> asked.IsGet) home) location
          }
          test "of several devices the gateway is the first" {
              let other = Endpoint.ofIPv4 0xC0A80105u 1900us

              let home =
                  Home(
                      options,
                      fun _ asked ->
                          match asked with
                          | Search _ ->
                              [ found other "http://192.168.1.5/desc"
                                found (Endpoint.withPort 1900us router) location ]
                          | Get(id, _) -> [ MapperEvent.Unanswered id ]
                          | _ -> []
                  )

              Expect.isTrue home.Failure.IsUnusable "neither can be used"

              let urls =
                  [ for struct (_, asked) in home.Asked do
                        match asked with
                        | Get(_, url) -> url
                        | _ -> () ]

              Expect.equal urls [ location; "http://192.168.1.5/desc" ] "both, the gateway first"
          }
          test "answers from elsewhere, with another nonce or for another port are ignored" {
              let answer _ asked =
                  match asked with
                  | Pcp(nonce, _, _) ->
                      let right = pcpAnswer nonce 0 0u 120u at8888

                      match right with
                      | MapperEvent.Received(from, datagram) ->
                          let mangled at =
                              let bytes = datagram.Span.ToArray()
                              bytes[at] <- bytes[at] ^^^ 1uy
                              MapperEvent.Received(from, Borrowed bytes)

                          [ MapperEvent.Received(Endpoint.withPort 5350us from, datagram)
                            MapperEvent.Received({ from with Low = from.Low + 5UL }, datagram)
                            mangled 30
                            mangled 36
                            mangled 41 ]
                      | _ -> []
                  | _ -> []

              Expect.isTrue (failure answer).IsNoAnswer "no answer"
          } ]
