/// Devices and routers that drop what the system has not yet cut into packets (UDP_SEGMENT).
module UtpPunch.Protocol.Tests.LostTrains

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private eating = { Path.perfect with Drops = [ Drop.Trains ] }

/// A writes a megabyte; how long that takes, and how often A is told to send packets one by one.
let private transfer limit (pair: TwoNodes) =
    let struct (a, b) = connected pair
    let bytes = content 900_000
    let began = pair.Now
    write pair pair.A a bytes
    finish pair pair.A a
    run limit pair "the bytes arrive" (fun () -> b.Ended)
    received b bytes "unchanged"
    struct (pair.Now - began, pair.A.Count Rule.TrainsLost)

let tests =
    testList
        "lost trains"
        [ test "a path that drops trains costs two seconds at most, once" {
              let pair = pairOf usual eating
              let struct (took, told) = transfer (Time.seconds 30) pair
              let struct (clean, _) = transfer (Time.seconds 30) (calmPair ())
              Expect.isLessThan took (clean + Time.seconds 2) "the first stream"
              Expect.equal told 1 "how often it is found out"
          }
          test "loss of any kind that takes single packets as well is not taken for that" {
              let quarter = { Path.perfect with Loss = Loss.Each 250 }
              let bursts = { Path.perfect with Loss = Loss.Gilbert(50, 300, 900, 5) }
              let slow = { Path.perfect with Rate = Rate.Constant 200_000; Queue = Queue.Tail 12_000 }

              for path in [ { Path.perfect with Loss = Loss.Each 100 }; quarter; bursts; slow ] do
                  let struct (_, told) = transfer (Time.seconds 600) (pairOf usual path)
                  Expect.equal told 0 $"%A{path.Loss}"
          } ]
