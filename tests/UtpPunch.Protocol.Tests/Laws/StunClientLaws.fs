/// The laws of the node, for the STUN client: with any datagrams at any time, it is deterministic, and ends in time.
module UtpPunch.Protocol.Tests.StunClientLaws

open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.StunNat

/// A datagram that arrives at a client, by its relation to the last request.
type private Arrival =
    | Answer of StunClass * mapped: bool * other: bool
    | Mangled of place: int * value: int
    | RandomBytes of byte[]

let private sources = [| yield! sockets; local; Endpoint.ofIPv4 1u 1us |]

let private arrival =
    Gen.frequency
        [ 4,
          Gen.map3
              (fun kind mapped other -> Answer(kind, mapped, other))
              (Gen.elements [ StunClass.Success; StunClass.Success; StunClass.Error; StunClass.Request ])
              (Gen.elements [ true; true; false ])
              (Gen.elements [ true; false ])
          1, Gen.map2 (fun place value -> Mangled(place, value)) (Gen.choose (0, 60)) (Gen.choose (0, 255))
          1, Gen.map RandomBytes (Gen.arrayOf (Gen.map byte (Gen.choose (0, 255)))) ]

/// After that many milliseconds (or at the deadline, if that is earlier), from one of the sources.
let private script =
    Gen.listOf (Gen.zip3 (Gen.choose (0, 900)) (Gen.choose (0, sources.Length - 1)) arrival)

let private bytesOf (request: Owned) arrival =
    match arrival with
    | RandomBytes bytes -> Owned bytes
    | Mangled(place, value) ->
        let bytes = request.Span.ToArray()
        bytes[place % bytes.Length] <- byte value
        Owned bytes
    | Answer(kind, mapped, other') ->
        Stun.encode
            { Class = kind
              Method = Stun.Binding
              Id = Stun.idOf request.AsBorrowed
              Attributes =
                [| if mapped then StunAttribute.XorMappedAddress local
                   if other' then StunAttribute.OtherAddress other
                   if kind = StunClass.Error then StunAttribute.ErrorCode(420, "") |] }

let private options =
    { asking [| primary; sockets[2] |] with Timeout = Time.seconds 8; TestTimeout = Time.seconds 2 }

/// Takes a step, and repeats it in all the ways in which nothing may change.
let private stepped now events client =
    let struct (next, effects) = StunClient.step now events client
    let struct (_, again) = StunClient.step now events client
    Expect.equal again effects "the same state and events: the same effects"
    let struct (_, more) = StunClient.step now [||] next
    Expect.isEmpty more "a second step at the same instant: no effects"
    let deadline = StunClient.deadline next
    Expect.isGreaterThan deadline now "after a step the deadline lies ahead"

    if deadline <> Time.never then
        let struct (_, early) = StunClient.step (deadline - 1L<us>) [||] next
        Expect.isEmpty early "before the deadline, no events: no effects"

    struct (next, effects)

let private isDone effect =
    match effect with
    | StunEffect.Done _ -> true
    | StunEffect.Send _ -> false

let tests =
    testList
        "stun client laws"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with maxTest = 300 }
              "with any datagrams, a client is deterministic, sends a bounded number of requests, and ends once and in time"
              (fun () ->
                  Prop.forAll (Arb.fromGen script) (fun script ->
                      let random = Random.create (Owned(Array.init 32 byte))
                      let mutable client = StunClient.start options random 0L<us>
                      let mutable now = 0L<us>
                      let mutable request = Owned(Array.zeroCreate 28)
                      let all = ResizeArray<StunEffect>()

                      let turn events =
                          let struct (next, effects) = stepped now events client
                          client <- next
                          all.AddRange effects

                          for effect in effects do
                              match effect with
                              | StunEffect.Send(_, datagram) -> request <- datagram
                              | StunEffect.Done _ -> ()

                      turn [||]

                      for wait, source, arrival in script do
                          let at = now + Time.milliseconds wait

                          while StunClient.deadline client <= at do
                              now <- StunClient.deadline client
                              turn [||]

                          now <- at
                          turn [| StunEvent.Received(sources[source], (bytesOf request arrival).AsBorrowed) |]

                      while StunClient.deadline client <> Time.never do
                          now <- StunClient.deadline client
                          turn [||]

                          // Both servers, then the filter and the mapping: no more than that, with any responses.
                          Expect.isLessThanOrEqual now (Time.seconds 12) "its timeout, and twice that of a test"

                      Expect.equal (all.FindAll isDone).Count 1 "done once"
                      Expect.isTrue (isDone all[all.Count - 1]) "the result is the last effect"
                      Expect.isLessThan all.Count 30 "few datagrams"))
          test "after a suspension longer than its timeout, a client ends at once" {
              let client = StunClient.start options (Random.create (Owned(Array.init 32 byte))) 0L<us>
              let struct (client, _) = StunClient.step 0L<us> [||] client
              let struct (client, effects) = stepped (Time.seconds 100) [||] client

              match effects with
              | [| StunEffect.Done(StunOutcome.Failed(StunFailure.NoAnswer after)) |] ->
                  Expect.equal after (Time.seconds 100) "the time that has passed"
              | _ -> failtest "one effect, the result"

              Expect.equal (StunClient.deadline client) Time.never "nothing is left to do"
          }
          test "a time before the last step counts as that of the last step" {
              let client = StunClient.start options (Random.create (Owned(Array.init 32 byte))) (Time.seconds 5)

              let struct (client, sent) = StunClient.step (Time.seconds 6) [||] client
              Expect.equal sent.Length 1 "one request"
              let struct (after, effects) = StunClient.step 0L<us> [||] client
              Expect.isEmpty effects "nothing"
              Expect.equal (StunClient.deadline after) (StunClient.deadline client) "the same deadline"
          } ]
