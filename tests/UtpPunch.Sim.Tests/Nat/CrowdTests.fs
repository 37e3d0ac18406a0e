/// Rooms with many members, and a node that is met by thousands of peers. `bench room` has the same with ten thousand members.
module UtpPunch.Sim.Tests.CrowdTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

let private noMeter = Unchecked.defaultof<ICrowdMeter>

let private options = { Rendezvous.standard with RatePerSource = 100_000 }

let tests =
    testList
        "rooms with many members"
        [ test "of 401 nodes that would stay in a room for 400, the last one learns that the room is full" {
              let crowd = Crowd({ options with MaxPerRoom = 400 }, 1UL, noMeter)
              crowd.EnterAll(400, 200, true)
              crowd.RunUntil(crowd.Now + Time.seconds 2)
              Expect.equal crowd.Statistics.Waiting 400 "they stay"
              crowd.Enter true |> ignore
              crowd.RunUntil(crowd.Now + Time.seconds 1)
              Expect.equal (crowd.Count PunchStage.RoomFull) 1 "the refusal"
              Expect.equal crowd.Statistics.Waiting 400 "the others still stay"
          }
          test "visitors of a room in which 300 nodes stay meet one each" {
              let crowd = Crowd(options, 2UL, noMeter)
              crowd.EnterAll(300, 200, true)
              crowd.RunUntil(crowd.Now + Time.seconds 2)
              crowd.EnterAll(400, 200, false)
              crowd.RunUntil(crowd.Now + Time.seconds 10)
              Expect.equal (crowd.Count PunchStage.Open) 400 "paths"
              Expect.equal crowd.Opened 400 "streams"
              Expect.equal crowd.Statistics.Waiting 300 "the members are still there"
          }
          test "a node that stays is met by 3000 peers, 200 a second, and keeps a bounded number of punches" {
              let crowd = Crowd(options, 3UL, noMeter)
              let service = crowd.Enter true
              let mutable most = 0

              for _ in 1..30 do
                  crowd.EnterAll(100, 200, false)
                  most <- max most (PunchTable.count (crowd.Node service).NodeTasks.Punches)

              crowd.RunUntil(crowd.Now + Time.seconds 10)
              Expect.equal (crowd.Count PunchStage.Open) 3000 "paths"
              Expect.equal crowd.Opened 3000 "streams"
              Expect.isGreaterThan most 1024 "the times are shorter only when there are many"
              // 1024 that are kept for two minutes, and those of ten seconds.
              Expect.isLessThan most 3200 "punches that are kept"
              crowd.RunUntil(crowd.Now + Time.seconds 130)
              let left = (crowd.Node service).NodeTasks.Punches
              Expect.equal (PunchTable.count left) 0 "punches afterwards"
              Expect.equal left.UnheardCount 0 "those that have heard nothing"
              Expect.equal (Radix.count left.UnheardOf) 0 "their sources"
              Expect.equal (Radix.count left.UnderWay) 0 "those under way"
              Expect.equal (Radix.count left.ByIntroduction) 0 "introductions"
              Expect.equal (Radix.count left.ByPeer) 0 "peers"
          } ]
