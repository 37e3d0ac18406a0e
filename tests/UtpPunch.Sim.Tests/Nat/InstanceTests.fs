/// Several instances of a rendezvous share their rooms through a store that delays, reorders and loses.
module UtpPunch.Sim.Tests.InstanceTests

open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// What may go wrong in a run.
[<NoComparison>]
type private Run =
    { Seed: uint64
      Count: int
      Rooms: int
      Ghosts: int
      Lost: int
      DelayMs: int
      Kills: bool
      Interrupts: bool }

let private runs =
    gen {
        let! seed = Gen.choose (0, 1_000_000)
        let! count = Gen.choose (2, 4)
        let! rooms = Gen.choose (1, 12)
        let! ghosts = Gen.choose (0, 6)
        let! lost = Gen.elements [ 0; 50; 200 ]
        let! delay = Gen.elements [ 1; 20; 200 ]
        let! kills = Gen.elements [ false; true ]
        let! interrupts = Gen.elements [ false; true ]

        return
            { Seed = uint64 seed
              Count = count
              Rooms = rooms
              Ghosts = ghosts
              Lost = lost
              DelayMs = delay
              Kills = kills
              Interrupts = interrupts }
    }
    |> Arb.fromGen

/// How long after its end a client is still taken for one that is there: a ping is answered within three seconds, and a proposal waits as long.
let private ghostFor = Time.seconds 7

let private draw (run: Run) index below = int (Keyed.mix (run.Seed * 1000UL + uint64 index) % uint64 below)

/// When the store is away: from when, and for how long.
let private interruption (run: Run) = struct (Time.seconds 8 + Time.milliseconds (draw run 501 2000), Time.seconds 3)

/// Two peers enter each room within two seconds; others have died in some of the rooms shortly before.
let private play (run: Run) =
    let world =
        Instances(run.Seed, run.Count, { MaxDelay = Time.milliseconds run.DelayMs; Lost = run.Lost })

    let draw = draw run

    for index in 0 .. run.Ghosts - 1 do
        let ghost = world.Enter(draw index run.Rooms, draw (100 + index) run.Count)
        world.At(Time.seconds 2 + Time.milliseconds (draw (200 + index) 1000), fun () -> world.Kill ghost)

    world.RunUntil(Time.seconds 8)

    for room in 0 .. run.Rooms - 1 do
        for peer in 0..1 do
            let at = Time.seconds 8 + Time.milliseconds (draw (300 + 2 * room + peer) 2000)

            world.At(at, fun () -> world.Enter(room, draw (400 + 2 * room + peer) run.Count) |> ignore)

    if run.Kills then
        world.At(Time.seconds 8 + Time.milliseconds (draw 500 2500), fun () -> world.KillInstance 0)

    if run.Interrupts then
        let struct (from, duration) = interruption run
        world.At(from, fun () -> world.StopStore())
        world.At(from + duration, fun () -> world.StartStore())

    world.RunUntil(Time.seconds 60)
    world

let private isLiving (peer: InstancePeer) = peer.GoneAt = Time.never

/// Whether an introduction was of a peer that was in the room.
let private check (world: Instances) =
    for peer in world.Peers do
        for struct (endpoint, at) in peer.Introduced do
            match world.Peers |> Seq.tryFind (fun it -> it.Socket.Equals(endpoint)) with
            | Some other ->
                Expect.equal other.Room peer.Room "the peer is in the room"
                Expect.isLessThan other.EnteredAt at "it has entered"
                Expect.isTrue (other.GoneAt = Time.never || at < other.GoneAt + ghostFor) "it is there"
            | None -> failtest "there is such a peer"

let private property (run: Run) =
    let world = play run
    check world

    for peer in world.Peers |> Seq.filter isLiving do
        match peer.Result with
        | ValueSome report -> Expect.equal report.Stage PunchStage.Open $"the result of peer {peer.Index}"
        | ValueNone -> failtest $"peer {peer.Index} has met no one"

    true

/// One of two peers is cut off when they are about to be introduced, at one instance or by two: then the other one may punch in vain. Cut off later, in the
/// middle of the punch, they may not agree on a path, which is the result.
[<NoComparison>]
type private Outage = { World: uint64; Instances: int; At: int; Lasts: int }

let private outages =
    gen {
        let! seed = Gen.choose (0, 1_000_000)
        let! instances = Gen.choose (1, 3)
        let! at = Gen.choose (0, 150)
        let! lasts = Gen.choose (100, 5500)
        return { World = uint64 seed; Instances = instances; At = at; Lasts = lasts }
    }
    |> Arb.fromGen

/// A punch without an answer takes up to 13 s; then its peer avoids the other one for a few seconds at first.
let private withinOfOutage = Time.seconds 20

let private meetAfterOutage (it: Outage) =
    let world = Instances(it.World, it.Instances, { MaxDelay = Time.milliseconds 5; Lost = 0 })
    let waiting = world.Enter(0, 0)
    world.RunUntil(Time.seconds 2)
    let coming = world.Enter(0, it.Instances - 1)
    let cut = if it.World % 2UL = 0UL then waiting else coming
    let from = world.Now + Time.milliseconds it.At
    world.At(from, fun () -> world.Cut(cut, Time.milliseconds it.Lasts))
    world.RunUntil(Time.seconds 60)

    for peer in [ waiting; coming ] do
        match peer.Result with
        | ValueSome report ->
            let wasUnderWay = cut.Introduced.Exists(fun (struct (_, at)) -> at < from)

            if not wasUnderWay then
                Expect.equal report.Stage PunchStage.Open $"the result of peer {peer.Index}"

            let since = from + Time.milliseconds it.Lasts
            Expect.isLessThan (peer.ResultAt - since) withinOfOutage $"the time of peer {peer.Index}"
        | ValueNone -> failtest $"peer {peer.Index} has met no one"

let private calm = { MaxDelay = Time.milliseconds 5; Lost = 0 }

/// Pairs of rooms whose peers are registered at different instances.
let private pairs (world: Instances) rooms count =
    for room in 0 .. rooms - 1 do
        world.At(world.Now + Time.milliseconds room, fun () -> world.Enter(room, room % count) |> ignore)

        world.At(
            world.Now + Time.milliseconds (room + 500),
            fun () -> world.Enter(room, (room + 1 + room / count % (count - 1)) % count) |> ignore
        )

let private allMeet (world: Instances) since within =
    for peer in world.Peers do
        Expect.isTrue
            (peer.Result.IsSome && peer.Result.Value.Stage = PunchStage.Open)
            $"peer {peer.Index} of room {peer.Room} has met its peer"

        Expect.isLessThan (peer.ResultAt - max peer.EnteredAt since) within $"the time of peer {peer.Index}"

let tests =
    testList
        "several instances"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with maxTest = 60 }
              "whatever the store delays, reorders and loses, all that wait meet, and none is introduced to one that is not there"
              (Prop.forAll runs property)
          test
              "the peers of an introduction that was torn, as its confirmations were lost before its instance was killed, are introduced again" {
              property
                  { Seed = 905487UL
                    Count = 3
                    Rooms = 10
                    Ghosts = 6
                    Lost = 200
                    DelayMs = 200
                    Kills = true
                    Interrupts = true }
              |> ignore
          }
          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with maxTest = 200 }
              "a peer is cut off while it is introduced: the two meet within seconds of its return"
              (Prop.forAll outages meetAfterOutage)
          test "the peers of 300 rooms meet across three instances, each within two seconds" {
              let world = Instances(1UL, 3, calm)
              pairs world 300 3
              world.RunUntil(Time.seconds 10)
              allMeet world (Time.milliseconds 500) (Time.milliseconds 2500)
              check world
          }
          test "an instance is killed while peers wait: they meet within five seconds by the others" {
              let world = Instances(2UL, 3, calm)

              for room in 0..29 do
                  world.Enter(room, room % 3) |> ignore

              world.RunUntil(Time.seconds 3)
              world.KillInstance 0

              for room in 0..29 do
                  world.Enter(room, (room + 1) % 3) |> ignore

              world.RunUntil(Time.seconds 20)
              allMeet world (Time.seconds 3) (Time.seconds 5)
              check world
          }
          test "the store is away while peers come: they meet within five seconds of its return" {
              let world = Instances(3UL, 3, calm)
              world.StopStore()

              for room in 0..29 do
                  world.Enter(room, room % 3) |> ignore
                  world.Enter(room, (room + 1) % 3) |> ignore

              world.RunUntil(Time.seconds 6)
              world.StartStore()
              world.RunUntil(Time.seconds 20)
              allMeet world (Time.seconds 6) (Time.seconds 5)
          }
          test "what is in the store but was written by no instance changes nothing, and counts as dropped" {
              let world = Instances(4UL, 2, calm)
              let a = world.Enter(0, 0)
              world.RunUntil(Time.seconds 2)
              let random = Random.create (Owned(Array.init 32 byte))
              let struct (bytes, _) = Random.words 400 random

              for length in 0..100 do
                  for kind in 0uy .. 7uy do
                      let message = bytes.Span.Slice(length, length).ToArray()
                      if length > 5 then "UPI1"B.CopyTo(message, 0)
                      if length > 5 then message[4] <- kind
                      world.Forge(0, StoreEvent.Told(7UL, Borrowed message))

              for number in -3 .. 20 do
                  world.Forge(0, StoreEvent.Members(number, [| { Instance = 99UL; Number = -1 } |]))

              world.RunUntil(Time.seconds 8)
              let statistics = Rendezvous.statistics (world.ServerOf 0).Value
              Expect.isGreaterThan statistics.Dropped 400L "dropped"
              let b = world.Enter(0, 1)
              world.RunUntil(Time.seconds 14)
              Expect.equal (a.Result.Value.Stage, b.Result.Value.Stage) (PunchStage.Open, PunchStage.Open) "they meet"
          } ]
