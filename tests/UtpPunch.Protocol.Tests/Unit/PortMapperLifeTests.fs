/// How the port mapper keeps a mapping: renewals, restarts of the router, losses, deletion.
module UtpPunch.Protocol.Tests.PortMapperLifeTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.SimulatedRouter

let private at8888 = Endpoint.withPort 8888us outside
let private seconds (time: Instant) = int (time / 1_000_000L<us>)
let private epoch (now: Instant) = uint32 (seconds now)

/// A router with PCP that grants `lifetime`, and is there while `isUp`.
let private router lifetime isUp (now: Instant) asked =
    match asked with
    | Pcp(nonce, _, wanted) when isUp now -> [ pcpAnswer nonce 0 (epoch now) (min wanted lifetime) at8888 ]
    | _ -> []

let private always (_: Instant) = true

let private mapsOf (home: Home) =
    [ for struct (at, asked) in home.Asked do
          match asked with
          | Pcp(_, _, lifetime) when lifetime > 0u -> at
          | _ -> () ]

let private deletionsOf (home: Home) =
    [ for struct (at, asked) in home.Asked do
          match asked with
          | Pcp(_, _, 0u)
          | NatPmpMap(_, 0u) -> at
          | Call(_, ("DeletePortMapping" | "DeletePinhole"), _) -> at
          | _ -> () ]

let private reportsOf (home: Home) = [ for struct (_, report) in home.Reports -> report ]

let private mappedAt (home: Home) =
    [ for struct (at, report) in home.Reports do
          match report with
          | MapperEffect.Mapped _ -> at
          | _ -> () ]

let private lostAt (home: Home) =
    [ for struct (at, report) in home.Reports do
          match report with
          | MapperEffect.Lost _ -> at
          | _ -> () ]

/// Closes after some time; the home afterwards, and how long it took.
let private closed (options: MapperOptions) answer (after: Duration) =
    let home = Home(options, answer)
    home.RunUntil after
    let before = home.Now
    home.Step [| MapperEvent.Close |]
    home.RunUntil(before + Time.seconds 10)
    Expect.equal (PortMapper.deadline home.Mapper) Time.never "nothing is left to do"

    match home.Reports[home.Reports.Count - 1] with
    | struct (at, MapperEffect.Closed) -> struct (home, at - before)
    | _ -> failtest "the last report is the end"

let private upnpAnswers (_: Instant) asked =
    match asked with
    | Search _ -> [ found (Endpoint.withPort Ssdp.Port SimulatedRouter.router) location ]
    | Get(id, _) -> [ MapperEvent.Answered(id, 200, description 1) ]
    | Call(id, "GetExternalIPAddress", _) -> [ MapperEvent.Answered(id, 200, externalAddress "192.0.1.1") ]
    | Call(id, _, _) -> [ MapperEvent.Answered(id, 200, [||]) ]
    | _ -> []

let tests =
    testList
        "port mapper life"
        [ test "a mapping is renewed between 1/2 and 5/8 of what was granted, and of what was asked for" {
              for wanted, granted in [ 3600, 1200u; 1200, 3600u ] do
                  let home = Home({ options with Lifetime = Time.seconds wanted }, router granted always)
                  home.RunUntil(Time.seconds 20_000)
                  let maps = mapsOf home
                  Expect.isGreaterThan maps.Length 20 "many renewals"
                  let gaps = List.pairwise maps |> List.map (fun (a, b) -> b - a)

                  Expect.isTrue
                      (gaps |> List.forall (fun gap -> gap >= Time.seconds 600 && gap <= Time.seconds 751))
                      "the times"

                  Expect.isGreaterThan (List.distinct gaps).Length 10 "they are drawn"
                  Expect.hasLength (mappedAt home) 1 "renewals are no news"
          }
          test "renewals are 4 s apart, however short the lifetime" {
              let home = Home({ options with Lifetime = Time.seconds 1 }, router 1u always)
              home.RunUntil(Time.seconds 100)
              let gaps = mapsOf home |> List.pairwise |> List.map (fun (a, b) -> b - a)
              Expect.isTrue (gaps |> List.forall (fun gap -> gap >= Time.seconds 4)) "the gaps"
              Expect.isEmpty (lostAt home) "nothing is lost"
          }
          test "a renewal asks for the port and address of the mapping" {
              let home = Home(options, router 100u always)
              home.RunUntil(Time.seconds 70)

              let ports =
                  [ for struct (_, asked) in home.Asked do
                        match asked with
                        | Pcp(_, port, _) -> port
                        | _ -> () ]

              Expect.equal ports [ client.Port; 8888us ] "its own, then the external one"
          }
          test "without an answer renewals follow at half of the rest, by all protocols, until the mapping has expired" {
              let home = Home(options, router 800u (fun now -> now < Time.seconds 1))
              home.RunUntil(Time.seconds 900)
              let attempts = mapsOf home |> List.filter (fun at -> seconds at > 1)
              let begins = attempts |> List.indexed |> List.filter (fun (i, _) -> i % 4 = 0) |> List.map snd
              Expect.isGreaterThan begins.Length 4 "several attempts"
              let gaps = List.pairwise begins |> List.map (fun (a, b) -> b - a)
              Expect.isTrue (gaps |> List.forall (fun gap -> gap >= Time.seconds 4)) "4 s apart"

              match lostAt home with
              | [ at ] ->
                  Expect.isTrue (at >= Time.seconds 800 && at < Time.seconds 806) "lost when it has expired"
                  Expect.equal (mappedAt home).Length 1 "mapped once"
              | other -> failtest $"lost {other.Length} times"
          }
          test "a lost mapping is tried again after 60 s, then at twice the pause, and reported when it is there again" {
              let isUp now = now < Time.seconds 1 || now > Time.seconds 300
              let home = Home(options, router 100u isUp)
              home.RunUntil(Time.seconds 2_000)
              Expect.hasLength (lostAt home) 1 "lost once"
              Expect.hasLength (mappedAt home) 2 "mapped again"
              Expect.isLessThan (List.last (mappedAt home)) (Time.seconds 600) "in time"
          }
          test "a router that has lost its mappings, which its epoch shows, is asked again at once" {
              let home = Home(options, router 3600u always)
              home.RunUntil(Time.seconds 500)
              // The answer to another mapper of the node.
              let nonce = Owned(Array.zeroCreate 12)
              home.Step [| pcpAnswer nonce 0 3u 100u at8888 |]
              home.RunUntil(Time.seconds 510)
              Expect.equal (mapsOf home |> List.map seconds) [ 0; 500 ] "mapped again"
              home.Step [| pcpAnswer nonce 0 510u 100u at8888 |]
              home.RunUntil(Time.seconds 520)
              Expect.hasLength (mapsOf home) 2 "an epoch that advances as time does is valid"
          }
          test "epochs within 2 s and a sixteenth are valid" {
              for at, isValid in [ 560u, true; 570u, true; 535u, false; 640u, false; 0u, false; 0xFFFFFFFFu, false ] do
                  let home = Home(options, router 3600u always)
                  home.RunUntil(Time.seconds 600)
                  home.Step [| pcpAnswer (Owned(Array.zeroCreate 12)) 0 (at + 3u) 100u at8888 |]
                  home.RunUntil(Time.seconds 601)
                  Expect.equal ((mapsOf home).Length = 1) isValid $"epoch {at}"
          }
          test "another external endpoint is news" {
              let mutable port = 8888us

              let answer now asked =
                  match asked with
                  | Pcp(nonce, _, _) -> [ pcpAnswer nonce 0 (epoch now) 100u (Endpoint.withPort port outside) ]
                  | _ -> []

              let home = Home(options, answer)
              home.RunUntil(Time.seconds 10)
              port <- 9999us
              home.RunUntil(Time.seconds 70)

              match reportsOf home with
              | [ MapperEffect.Mapped first; MapperEffect.Mapped second ] ->
                  Expect.equal (first.External.Port, second.External.Port) (8888us, 9999us) "the ports"
              | other -> failtest $"{other.Length} reports"
          }
          test "closing deletes the mapping, and ends with the router's answer" {
              let struct (home, took) = closed options (router 100u always) (Time.seconds 5)
              Expect.hasLength (deletionsOf home) 1 "one deletion"
              Expect.equal took (Time.milliseconds 1) "a round trip"
              let struct (home, took) = closed options upnpAnswers (Time.seconds 5)
              Expect.hasLength (deletionsOf home) 1 "by UPnP"
              Expect.equal took (Time.milliseconds 1) "a round trip"
          }
          test "closing takes 250 ms without an answer, and repeats the deletion once" {
              let struct (home, took) =
                  closed options (router 100u (fun now -> now < Time.seconds 1)) (Time.seconds 5)

              Expect.hasLength (deletionsOf home) 2 "two deletions"
              Expect.equal took (Time.milliseconds 250) "the limit"
          }
          test "closing during the first attempt deletes what the router may have mapped" {
              let struct (home, _) = closed options (fun _ _ -> []) (Time.milliseconds 300)
              Expect.hasLength (deletionsOf home) 2 "two deletions"

              let slow now asked =
                  match asked with
                  | Call(_, "AddPortMapping", _) -> []
                  | _ -> upnpAnswers now asked

              let struct (home, _) = closed options slow (Time.milliseconds 1_200)
              Expect.hasLength (deletionsOf home) 1 "by UPnP"
          }
          test "other addresses of the host begin a new mapping" {
              let home = Home(options, router 3600u always)
              home.RunUntil(Time.seconds 10)
              let other = { options with Client = Endpoint.ofIPv4 0x0A000002u 7777us; Gateway = gateway }
              home.Step [| MapperEvent.Restart other |]
              home.RunUntil(Time.seconds 20)

              match reportsOf home with
              | [ MapperEffect.Mapped _; MapperEffect.Lost failure; MapperEffect.Mapped _ ] ->
                  Expect.isTrue failure.IsNetworkChanged "the reason"
              | other -> failtest $"{other.Length} reports"
          }
          test "a permanent mapping is renewed as well, and deleted at the end" {
              let permanent now asked =
                  match asked with
                  | Call(id, "AddPortMapping", body) when not (body.Contains "<NewLeaseDuration>0<") ->
                      [ MapperEvent.Answered(id, 500, fault 725) ]
                  | _ -> upnpAnswers now asked

              let struct (home, _) = closed options permanent (Time.seconds 10_000)

              let adds =
                  [ for struct (_, asked) in home.Asked do
                        match asked with
                        | Call(_, "AddPortMapping", _) -> asked
                        | _ -> () ]

              Expect.isGreaterThan adds.Length 4 "renewed"
              Expect.hasLength (mappedAt home) 1 "without news"
              Expect.hasLength (deletionsOf home) 1 "deleted"
          }
          test "a UPnP router that has restarted at another port is found again" {
              let mutable port = 5000

              let moving now asked =
                  match asked with
                  | Search _ ->
                      [ found (Endpoint.withPort Ssdp.Port SimulatedRouter.router) $"http://192.168.1.1:{port}/root.xml" ]
                  | Get(_, url) when url.Contains $":{port}/" -> upnpAnswers now asked
                  | Call(id, _, _) when port = 6000 && now < Time.seconds 60 -> [ MapperEvent.Unanswered id ]
                  | _ -> upnpAnswers now asked

              let home = Home({ options with Lifetime = Time.seconds 100 }, moving)
              home.RunUntil(Time.seconds 10)
              port <- 6000
              home.RunUntil(Time.seconds 99)

              let gets =
                  [ for struct (_, asked) in home.Asked do
                        match asked with
                        | Get(_, url) -> url
                        | _ -> () ]

              Expect.equal (List.last gets) "http://192.168.1.1:6000/root.xml" "the new description"
              Expect.isEmpty (lostAt home) "before the mapping has expired"
          } ]
