/// What the STUN client determines about each kind of NAT, and its results with loss, missing answers and forged ones.
module UtpPunch.Protocol.Tests.StunClientTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.StunNat

let private behaviors =
    [ NatBehavior.EndpointIndependent
      NatBehavior.AddressDependent
      NatBehavior.AddressAndPortDependent ]

/// Without a NAT, and with each kind of mapping.
let private mappings = ValueNone :: List.map ValueSome behaviors

/// Without a NAT all servers see one endpoint.
let private expectMapping (mapping: NatBehavior voption) (report: StunReport) =
    Expect.equal report.IsDirect mapping.IsNone $"whether there is a NAT, behind {mapping}"

    Expect.equal
        report.Mapping
        (mapping |> ValueOption.orElse (ValueSome NatBehavior.EndpointIndependent))
        $"the mapping behind {mapping}"

let private open' () = Nat(ValueSome NatBehavior.EndpointIndependent, NatBehavior.EndpointIndependent)

let private strict () = Nat(ValueSome NatBehavior.EndpointIndependent, NatBehavior.AddressAndPortDependent)

let private found (world: World) =
    match world.Run() with
    | StunOutcome.Found report -> report
    | StunOutcome.Failed failure -> failtest $"failed: {failure}"

let private failed (world: World) =
    match world.Run() with
    | StunOutcome.Found report -> failtest $"found {report.Mapped}"
    | StunOutcome.Failed failure -> failure

let private mappedFirst = Endpoint.ofIPv4 publicAddress 40_000us

/// A second server that is independent of the first.
let private stranger = Endpoint.ofIPv4 0xC0000263u 3478us

/// Servers that answer every request with the same attributes.
let private parrot (attributes: StunAttribute[]) kind (from: Endpoint) (datagram: Owned) =
    [ from,
      Stun.encode { Class = kind; Method = Stun.Binding; Id = Stun.idOf datagram.AsBorrowed; Attributes = attributes } ]

let tests =
    testList
        "stun client"
        [ test "every combination of mapping and filter is determined" {
              for mapping in mappings do
                  for filtering in behaviors do
                      let report = found (World(Nat(mapping, filtering), [ full ], asking [| primary |]))
                      let expected = if mapping.IsNone then local else mappedFirst
                      Expect.equal report.Mapped expected "the public endpoint"
                      expectMapping mapping report
                      Expect.equal report.Filtering (ValueSome filtering) $"the filter behind {mapping}, {filtering}"
                      Expect.equal report.RoundTrip (ValueSome(Time.milliseconds 20)) "two ways of 10 ms"
          }
          test "the result does not depend on the socket that it uses" {
              let there = Endpoint.via 3us

              for mapping in mappings do
                  let options = { asking [| there primary |] with Local = ValueSome(there local) }
                  let nat = Nat(mapping, NatBehavior.AddressDependent)
                  let report = found (World(nat, [ full ], options, Via = 3us))
                  expectMapping mapping report
                  Expect.equal report.Filtering (ValueSome NatBehavior.AddressDependent) "the filter"
          }
          test "a discovery takes three round trips, and 3 s for each test with a filtered answer" {
              let world = World(open' (), [ full ], asking [| primary |])
              found world |> ignore
              Expect.equal world.Now (Time.milliseconds 60) "binding, filter, mapping"
              let world = World(strict (), [ full ], asking [| primary |])
              found world |> ignore
              Expect.equal world.Now (Time.milliseconds 3_040) "both tests of the filter run at the same time"
          }
          test "nothing is sent to the other address before the filter is determined" {
              let world = World(strict (), [ full ], asking [| primary |])
              found world |> ignore

              let early =
                  [ for at, remote in Seq.map (fun (struct (a, r)) -> a, r) world.Sent do
                        if at < Time.seconds 3 then remote ]

              Expect.allEqual early primary "the destination"
          }
          test "without behavior discovery it takes one round trip" {
              let world = World(open' (), [ full ], { asking [| primary |] with Behaviour = false })
              let report = found world

              Expect.equal (report.Mapping, report.Filtering) (ValueNone, ValueNone) "unknown"

              Expect.equal (world.Now, world.Sent.Count) (Time.milliseconds 20, 1) "one round trip"
          }
          test "two servers with one address each show whether the mapping depends on the remote endpoint" {
              for mapping, expected in
                  [ ValueNone, ValueNone
                    ValueSome NatBehavior.EndpointIndependent, ValueSome NatBehavior.EndpointIndependent
                    ValueSome NatBehavior.AddressDependent, ValueSome NatBehavior.AddressAndPortDependent
                    ValueSome NatBehavior.AddressAndPortDependent, ValueSome NatBehavior.AddressAndPortDependent ] do
                  let nat = Nat(mapping, NatBehavior.AddressAndPortDependent)
                  let report = found (World(nat, [ only primary; only stranger ], asking [| primary; stranger |]))
                  expectMapping expected report
                  Expect.equal report.Filtering ValueNone "the filter is unknown"
          }
          test "two ports of one address do not show whether the mapping depends on the address" {
              let second = { primary with Port = 3479us }
              let nat = Nat(ValueSome NatBehavior.AddressDependent, NatBehavior.EndpointIndependent)
              let report = found (World(nat, [ only primary; only second ], asking [| primary; second |]))
              Expect.equal report.Mapping ValueNone "the mapping"
          }
          test "one server with one address gives the public endpoint, and shows whether there is a NAT" {
              let report = found (World(strict (), [ only primary ], asking [| primary |]))
              Expect.equal (report.Mapped, report.IsDirect) (mappedFirst, false) "behind a NAT"
              let nat = Nat(ValueNone, NatBehavior.EndpointIndependent)
              let report = found (World(nat, [ only primary ], asking [| primary |]))
              Expect.equal (report.Mapped, report.IsDirect) (local, true) "without one"
              Expect.equal report.Mapping ValueNone "the mapping is unknown"
          }
          test "with any two of the first datagrams lost, the result is the same" {
              for mapping in mappings do
                  for filtering in behaviors do
                      for first in 0..4 do
                          for second in first..4 do
                              for inbound in [ true; false ] do
                                  let world = World(Nat(mapping, filtering), [ full ], asking [| primary |])

                                  world.IsLost <-
                                      fun way ordinal -> way = inbound && (ordinal = first || ordinal = second)

                                  let report = found world

                                  expectMapping mapping report

                                  Expect.equal
                                      report.Filtering
                                      (ValueSome filtering)
                                      $"the filter with {first} and {second} lost, inbound: {inbound}"
          }
          test "a server that never answers is asked seven times in 39.5 s (RFC 8489, 6.2.1)" {
              let world = World(open' (), [], asking [| primary |])
              Expect.equal (failed world) (StunFailure.NoAnswer(Time.milliseconds 39_500)) "the failure"
              let times = [ for struct (at, _) in world.Sent -> int64 at / 1_000L ]
              Expect.equal times [ 0L; 500L; 1_500L; 3_500L; 7_500L; 15_500L; 31_500L ] "ms, as the RFC lists them"
          }
          test "the timeout bounds the wait, and is shared with the second server" {
              let options = { asking [| primary; stranger |] with Timeout = Time.seconds 4 }
              let world = World(open' (), [], options)
              Expect.equal (failed world) (StunFailure.NoAnswer(Time.seconds 4)) "the failure"
              let world = World(open' (), [ only stranger ], options)
              Expect.equal (found world).Server stranger "the one that answered"
              Expect.equal world.Now (Time.milliseconds 2_020) "after half the timeout"
          }
          test "a retransmitted request gives no round-trip time" {
              let world = World(open' (), [ only primary ], asking [| primary |])
              world.IsLost <- fun inbound ordinal -> not inbound && ordinal = 0
              Expect.equal (found world).RoundTrip ValueNone "the round trip"
          }
          test "an answer with another id or from another endpoint is ignored" {
              let world = World(open' (), [ only primary ], { asking [| primary |] with Timeout = Time.seconds 5 })
              let lie = [| StunAttribute.XorMappedAddress stranger |]

              world.Tamper <-
                  fun from datagram ->
                      let guessed = Stun.idOf datagram.AsBorrowed

                      let forged =
                          Stun.encode
                              { Class = StunClass.Success
                                Method = Stun.Binding
                                Id = { guessed with Last = guessed.Last ^^^ 1u }
                                Attributes = lie }

                      [ from, forged
                        yield! parrot lie StunClass.Success stranger datagram
                        yield! parrot lie StunClass.Success { primary with Port = 9us } datagram
                        from, datagram ]

              Expect.equal (found world).Mapped mappedFirst "the valid answer, which came last"
          }
          test "forged answers alone do not count" {
              let world = World(open' (), [ only primary ], { asking [| primary |] with Timeout = Time.seconds 5 })

              world.Tamper <-
                  fun _ datagram ->
                      parrot [| StunAttribute.XorMappedAddress stranger |] StunClass.Success stranger datagram

              Expect.equal (failed world) (StunFailure.NoAnswer(Time.seconds 5)) "the failure"
          }
          test "a refusal is reported with its code" {
              let world = World(open' (), [ only primary ], asking [| primary |])
              world.Tamper <- parrot [| StunAttribute.ErrorCode(500, "Server Error") |] StunClass.Error
              Expect.equal (failed world) (StunFailure.Refused(500, "Server Error")) "the failure"
              Expect.equal world.Now (Time.milliseconds 20) "at once"
          }
          test "after a refusal the second server is asked" {
              let world = World(open' (), [ only primary; only stranger ], asking [| primary; stranger |])

              world.Tamper <-
                  fun from datagram ->
                      if from = primary then
                          parrot [| StunAttribute.ErrorCode(300, "Try Alternate") |] StunClass.Error from datagram
                      else
                          [ from, datagram ]

              Expect.equal (found world).Server stranger "the one that answered"
          }
          test "answers without an address are reported as malformed, unless a valid one follows" {
              for attributes, kind in
                  [ [||], StunClass.Success
                    [||], StunClass.Error
                    [| StunAttribute.XorMappedAddress local; StunAttribute.Other(0x7777us, Borrowed.Empty) |],
                    StunClass.Success
                    [| StunAttribute.Other(0x0020us, Borrowed [| 1uy |]) |], StunClass.Success
                    [| StunAttribute.XorMappedAddress local |], StunClass.Request ] do
                  let world = World(open' (), [ only primary ], asking [| primary |])
                  world.Tamper <- parrot attributes kind
                  Expect.equal (failed world) StunFailure.Nonsense $"{kind} with {attributes.Length} attributes"

                  let world = World(open' (), [ only primary ], asking [| primary |])
                  world.Tamper <- fun from datagram -> parrot attributes kind from datagram @ [ from, datagram ]
                  Expect.equal (found world).Mapped mappedFirst "the valid answer"
          }
          test "an answer from the endpoint that was asked does not show the filter" {
              let world = World(strict (), [ full ], asking [| primary |])

              world.Tamper <- fun from datagram -> [ (if from.Low = primary.Low then primary else from), datagram ]

              let report = found world
              Expect.equal report.Filtering ValueNone "the port was not changed"
              Expect.equal report.Mapping (ValueSome NatBehavior.EndpointIndependent) "the mapping"
          }
          test "an other address that never answers does not show the filter" {
              let world = World(strict (), [ full ], asking [| primary |])
              world.Tamper <- fun from datagram -> if from.Low = primary.Low then [ from, datagram ] else []
              let report = found world

              Expect.equal (report.Mapping, report.Filtering) (ValueNone, ValueNone) "the behavior"
          }
          test "an OTHER-ADDRESS that equals the server's own is ignored" {
              let world = World(strict (), [ only primary ], asking [| primary |])

              world.Tamper <-
                  parrot
                      [| StunAttribute.XorMappedAddress mappedFirst
                         StunAttribute.OtherAddress { primary with Port = 3479us } |]
                      StunClass.Success

              Expect.equal (found world).Filtering ValueNone "the filter"
          }
          test "the same seed gives the same requests, another seed others" {
              let first seed =
                  let random = Random.create (Owned(Array.create 32 seed))
                  let client = StunClient.start (asking [| primary |]) random 0L<us>
                  let struct (_, effects) = StunClient.step 0L<us> [||] client

                  match effects with
                  | [| StunEffect.Send(_, datagram) |] -> datagram
                  | _ -> failtest "one request"

              Expect.equal (first 1uy) (first 1uy) "the same"
              Expect.notEqual (first 1uy) (first 2uy) "others"
          }
          test "a client without servers, and one without timeout, throw" {
              for options in
                  [ asking [||]
                    asking [| primary; other; stranger |]
                    { asking [| primary |] with Timeout = 0L<us> } ] do
                  Expect.throwsT<System.ArgumentException>
                      (fun () -> StunClient.start options (Random.create (Owned(Array.zeroCreate 32))) 0L<us> |> ignore)
                      "the mistake"
          } ]
