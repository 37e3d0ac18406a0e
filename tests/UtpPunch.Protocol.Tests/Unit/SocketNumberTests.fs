/// The socket numbers of birthday probing, compared with a reference table of all 65 535 of them.
module UtpPunch.Protocol.Tests.SocketNumberTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing

let private minutes count = Time.seconds (60 * count)

/// The last use of a number, and since when it has been unused; never used if negative.
[<RequireQualifiedAccess>]
type private Known =
    | Probing
    | Path
    | Unused of since: Instant

let private isTaken now known =
    match known with
    | Known.Probing
    | Known.Path -> true
    | Known.Unused since -> since >= 0L<us> && now < since + minutes 2

let tests =
    testList
        "socket numbers"
        [ test "numbers are allocated from 1 on, and 0 when none are left" {
              let mutable ranges = [||]

              for index in 0..254 do
                  let struct (first, next) = SocketNumbers.take 0L<us> 256 ranges
                  Expect.equal first (1 + 256 * index) "the first of a range"
                  ranges <- next

              let struct (none, ranges) = SocketNumbers.take 0L<us> 256 ranges
              Expect.equal none 0 "no range is left; 255 numbers are free"
              let struct (rest, _) = SocketNumbers.take 0L<us> 255 ranges
              Expect.equal rest 65281 "a range of 255"
          }
          test "a number is not used again for two minutes, and that of a path as long as a stream uses it" {
              let struct (first, ranges) = SocketNumbers.take 0L<us> 4 [||]
              let ranges = SocketNumbers.release (minutes 1) first 2 ranges
              let struct (second, _) = SocketNumbers.take (minutes 3 - 1L<us>) 2 ranges
              Expect.equal second 5 "before the time is over"
              let struct (third, _) = SocketNumbers.take (minutes 3) 2 ranges
              Expect.equal third 3 "around the path"
              Expect.equal (SocketNumbers.deadline ranges) (minutes 3) "when the path is checked"
              let struct (closed, used) = SocketNumbers.closeIdle (minutes 3) (fun it -> it = 2) ranges
              Expect.isEmpty closed "while a stream uses it"
              let struct (closed, unused) = SocketNumbers.closeIdle (minutes 5) (fun _ -> false) used
              Expect.equal closed [| 2 |] "once none does"
              Expect.equal (SocketNumbers.deadline unused) Time.never "no path is left"
              let struct (fourth, _) = SocketNumbers.take (minutes 7 - 1L<us>) 4 unused
              Expect.equal fourth 3 "its number is reserved"
              let struct (fifth, _) = SocketNumbers.take (minutes 7) 4 unused
              Expect.equal fifth 1 "its number is free"
          }
          test "in any sequence, no number is allocated that is in use, or was within two minutes" {
              for seed in 1UL .. 50UL do
                  let draw kind below = int (Keyed.below below seed kind 0L)
                  let known = Array.create 65536 (Known.Unused -1L<us>)
                  let open' = ResizeArray<struct (int * int)>()
                  let mutable ranges = [||]
                  let mutable now = 0L<us>

                  for turn in 1..200 do
                      now <- now + Time.seconds (draw (turn * 8) 40)

                      match draw (turn * 8 + 1) 4 with
                      | 0
                      | 1 ->
                          let count = 1 + draw (turn * 8 + 2) 3000
                          let struct (first, next) = SocketNumbers.take now count ranges
                          ranges <- next

                          if first > 0 then
                              Expect.isLessThanOrEqual (first + count - 1) 65535 "the last number"

                              for number in first .. first + count - 1 do
                                  Expect.isFalse (isTaken now known[number]) $"{number} is free, seed {seed}"
                                  known[number] <- Known.Probing

                              open'.Add(struct (first, count))
                      | 2 when open'.Count > 0 ->
                          let index = draw (turn * 8 + 3) open'.Count
                          let struct (first, count) = open'[index]
                          open'.RemoveAt index
                          let kept = if draw (turn * 8 + 4) 2 = 0 then 0 else first + draw (turn * 8 + 5) count
                          ranges <- SocketNumbers.release now first kept ranges

                          for number in first .. first + count - 1 do
                              known[number] <- if number = kept then Known.Path else Known.Unused now
                      | _ ->
                          let isUsed number = number % 3 = 0
                          let struct (closed, next) = SocketNumbers.closeIdle now isUsed ranges
                          ranges <- next

                          for number in closed do
                              Expect.isTrue (known[number] = Known.Path && not (isUsed number)) "it was idle"
                              known[number] <- Known.Unused now
          } ]
