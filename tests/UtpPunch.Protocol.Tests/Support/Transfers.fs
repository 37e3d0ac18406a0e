module UtpPunch.Protocol.Tests.Transfers

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

let holds (limit: Duration) (conversation: Conversation) =
    let verdict = Conversation.run limit conversation

    if not verdict.Trouble.IsEmpty then
        let trouble = String.concat "; " verdict.Trouble
        failtest $"{trouble}; after {int64 verdict.Took} us of {conversation}"

    verdict

let private calm = Conversation.calm

let private bad = { Link.perfect with Loss = 200; Jitter = Time.milliseconds 50 }

let tests =
    testList
        "transfers"
        [ test "without faults both directions are complete, and nothing is retransmitted" {
              let verdict = holds (Time.seconds 10) calm
              Expect.equal (verdict.Pair.A.Count Rule.RetransmitTimeout) 0 "time-outs"
              Expect.equal (verdict.Pair.A.Count Rule.FastRetransmit) 0 "losses"
              Expect.equal (verdict.Pair.B.Count Rule.Duplicate) 0 "duplicates"
          }
          test "in the npm dialect both directions are complete" {
              holds (Time.seconds 20) { calm with Dialect = Dialect.UtpPunch } |> ignore
          }
          test "no bytes at all: both sides open, end and close" {
              holds (Time.seconds 10) { calm with FromA = 0; FromB = 0 } |> ignore
          }
          test "one fifth lost and fifty milliseconds of shuffling: a megabyte each way arrives" {
              let verdict =
                  holds (Time.seconds 300) { calm with FromA = 1 <<< 20; FromB = 1 <<< 20; LinkAB = bad; LinkBA = bad }

              printfn "lossy: %d s, A sent %d" (int64 verdict.Took / 1_000_000L) verdict.Pair.A.Sent
          }
          test "60 000 bytes written and closed over 10 kB/s arrive" {
              let slow = { Link.perfect with Rate = 10_000 }

              holds
                  (Time.seconds 60)
                  { calm with FromA = 60_000; FromB = 0; WriteSize = 60_000; LinkAB = slow; LinkBA = slow }
              |> ignore
          } ]
