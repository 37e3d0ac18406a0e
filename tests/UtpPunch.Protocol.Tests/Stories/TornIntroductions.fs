/// Introductions of which one of two clients has not learned: it was cut off, or its instance was killed. The other one punches in vain.
module UtpPunch.Protocol.Tests.TornIntroductions

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.PlayedRendezvous

let private ms (count: int) = Time.milliseconds count

/// Go comes when the ordinary time without it has passed.
let private go (meeting: Meeting) index =
    Array.concat [ "UPN1"B; [| 0x85uy |]; meeting.Handle; introduction index; [| 0uy; 0uy |] ]

/// How many endpoints a registration asks to avoid.
let private avoidedIn (registration: byte[]) = int registration[65 + 256 * int registration[63] + int registration[64]]

/// What the registrations of these effects ask to avoid.
let private avoided effects = [ for it in sentTo server effects |> List.filter (fun it -> it[4] = 1uy) -> avoidedIn it ]

/// Lets the time pass, and returns what the registrations from then on ask to avoid.
let private until (limit: Instant) (start: Instant) effects node =
    let struct (node, effects) = runFor (limit - start) start effects node
    struct (node, List.distinct (avoided effects))

/// A peer is introduced, and never heard: the punch ends 10 s later.
let private inVain (now: Instant) index hasBegun (meeting: Meeting) node =
    let struct (node, effects) =
        receive now server (introduce meeting index peerObserved (offer peerObserved [])) node

    let struct (node, _) = runFor (ms 600) now effects node

    let struct (node, effects) =
        if hasBegun then
            receive (now + ms 600) server (go meeting index) node
        else
            struct (node, [||])

    let struct (node, _) = runFor (ms 9_300) (now + ms 600) effects node
    node

/// Two peers of a room, of which one is cut off for four seconds when they are about to be introduced; when each of them has met the other one.
let private meet instances isFirstCut =
    let world = Instances(3UL, instances, { MaxDelay = ms 5; Lost = 0 })
    let waiting = world.Enter(0, 0)
    world.RunUntil(Time.seconds 2)
    let coming = world.Enter(0, instances - 1)
    let cut = if isFirstCut then waiting else coming
    // Each message takes 20 ms. One instance asks the waiting client whether it is there, before the introductions leave.
    let at = if instances = 1 then ms 105 else ms 70
    world.At(Time.seconds 2 + at, fun () -> world.Cut(cut, Time.seconds 4))
    world.RunUntil(Time.seconds 40)

    Expect.isFalse
        (cut.Introduced.Exists(fun (struct (_, at)) -> at < Time.seconds 6))
        "it has not learned of the first"

    let other = if isFirstCut then coming else waiting
    Expect.isTrue (other.Introduced.Exists(fun (struct (_, at)) -> at < Time.seconds 6)) "the other one has"

    for peer in [ waiting; coming ] do
        Expect.equal (peer.Result |> ValueOption.map _.Stage) (ValueSome PunchStage.Open) "the result"
        // A punch takes up to 13 s, and then the other peer is avoided for 2 s.
        Expect.isLessThan peer.ResultAt (Time.seconds 20) "the time"

let tests =
    testList
        "torn introductions"
        [ test "a peer that has not acknowledged is avoided for two seconds, and for twice as long each time" {
              let meeting = begun plan ownObserved
              let mutable node = meeting.Node
              let mutable now = Time.seconds 1

              for index, seconds in [ 1, 2; 2, 4; 3, 8 ] do
                  node <- inVain now index false meeting node
                  let ended = now + Time.seconds 10
                  let after = ended + Time.seconds seconds
                  let struct (next, avoided) = until (after - ms 1) (ended - ms 100) [||] node
                  Expect.equal avoided [ 1 ] $"for {seconds} s"
                  let struct (next, avoided) = until (after + Time.seconds 3) after [||] next
                  Expect.equal avoided [ 0 ] $"after {seconds} s"
                  node <- next
                  now <- after + Time.seconds 3
          }
          test "a peer that has acknowledged, so that there is no path to it, is avoided for a minute" {
              let meeting = begun { plan with Timeout = Time.seconds 120 } ownObserved
              let node = inVain (Time.seconds 1) 1 true meeting meeting.Node
              let struct (node, avoided) = until (Time.seconds 71 - ms 1) (Time.seconds 11 - ms 100) [||] node
              Expect.equal avoided [ 1 ] "for a minute"
              let struct (_, avoided) = until (Time.seconds 75) (Time.seconds 71) [||] node
              Expect.equal avoided [ 0 ] "afterwards"
          }
          test "peers of one address whose ports change are avoided for a minute from the third one on" {
              let at second port before =
                  RendezvousClientState.avoidAlso
                      (Time.seconds second)
                      (Endpoint.withPort port peerObserved)
                      true
                      before

              let client = RendezvousClient.create 1 1 plan 1UL Owned.Empty Owned.Empty 0L<us>
              let two = [||] |> at 1 1000us |> at 2 1001us

              let asked second avoided =
                  RendezvousClientState.avoided (Time.seconds second) { client with Avoided = avoided }

              Expect.isEmpty (asked 10 two) "two"
              let three = two |> at 3 1002us
              Expect.equal (asked 10 three) [| Endpoint.withPort 0us peerObserved |] "three"
              Expect.isEmpty (asked 61 three) "after a minute"
          }
          test "one of two peers at one instance is cut off while they are introduced: they meet seconds later" {
              meet 1 true
              meet 1 false
          }
          test "one of two peers at two instances is cut off while they are introduced: they meet seconds later" {
              meet 2 true
              meet 2 false
          } ]
