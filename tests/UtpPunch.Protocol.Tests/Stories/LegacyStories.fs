/// The npm package's punch and its example's tracker, with what went wrong there.
module UtpPunch.Protocol.Tests.LegacyStories

open System.Collections.Generic
open System.Text
open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Guest

let private bytesOf (text: string) = Owned(Encoding.ASCII.GetBytes text)
let private a = Endpoint.ofIPv4 0x0A000001u 9000us
let private b = Endpoint.ofIPv4 0x0A000002u 9000us

let private said text (datagram: Owned) = datagram.Equals(bytesOf text)

/// Two nodes that punch each other in the package's way. A word is lost when `isLost` says so of its sender and itself; what is not
/// arrives 10 ms later, from `seenAs sender`.
let private punch attempts (isLost: Endpoint -> Owned -> bool) (seenAs: Endpoint -> Endpoint) =
    let nodes = Dictionary<Endpoint, Node>()
    let reports = Dictionary<Endpoint, PunchReport>()
    let queue = PriorityQueue<struct (Endpoint * Endpoint * Owned), int64>()
    let mutable now = 0L<us>

    let take own events =
        let struct (node, effects) = Node.step now events nodes[own]
        nodes[own] <- node

        for effect in effects do
            match effect with
            | Effect.SendDatagram(remote, datagram, _) when not (isLost own datagram) ->
                let target = if Endpoint.isSameAddress remote a then a else b
                queue.Enqueue(struct (target, seenAs own, datagram), int64 (now + Time.milliseconds 10))
            | Effect.Punched(_, report) -> reports.Add(own, report)
            | _ -> ()

    for own in [ a; b ] do
        nodes[own] <- Node.create NodeOptions.standard seed 0L<us>

    take a [| Event.PunchLegacy(1, b, attempts) |]
    take b [| Event.PunchLegacy(1, a, attempts) |]

    while now < Time.seconds 60 do
        let arrival =
            match queue.TryPeek() with
            | true, _, at -> Time.microseconds at
            | _ -> Time.never

        let due = min (Node.deadline nodes[a]) (Node.deadline nodes[b])
        now <- min (min arrival due) (Time.seconds 60)

        if arrival <= now then
            let struct (target, from, datagram) = queue.Dequeue()
            take target [| Event.Received(from, Datagrams.One(datagram.AsBorrowed, now)) |]

        for own in [ a; b ] do
            if Node.deadline nodes[own] <= now then take own [||]

    struct (reports[a], reports[b])

let private ask name (from: Endpoint) server =
    step (Time.seconds 1) [ struct (from, Encoding.ASCII.GetBytes $"{{\"name\":\"{name}\"}}") ] server

let private told (sent: struct (Endpoint * Owned)[]) =
    [ for struct (remote, datagram) in sent -> struct (remote, Encoding.ASCII.GetString datagram.Span) ]

let tests =
    testList
        "legacy"
        [ test "both sides of a calm punch are done within a round trip, once each" {
              let struct (one, other) = punch 10 (fun _ _ -> false) id

              for report in [ one; other ] do
                  Expect.equal report.Stage PunchStage.Open "stage"
                  Expect.isLessThanOrEqual report.Elapsed (Time.milliseconds 20) "time"
          }
          test "5.32: a side that is done answers on, so that the other one comes to its end as well" {
              // The first answers of b are lost, as they were when one side said true and the other false.
              let mutable lost = 0

              let isLost own datagram =
                  if own = b && said "PUNCHED" datagram && lost < 4 then
                      lost <- lost + 1
                      true
                  else
                      false

              let struct (one, other) = punch 10 isLost id
              Expect.equal lost 4 "answers lost"
              Expect.equal (one.Stage, other.Stage) (PunchStage.Open, PunchStage.Open) "both"
              Expect.isLessThan other.Elapsed (Time.milliseconds 100) "b was done long before"
              Expect.isGreaterThan one.Elapsed (Time.seconds 1) "than a"
          }
          test "5.33: a peer is known by its address, whatever port its packets come from" {
              let seenAs own = if own = b then Endpoint.withPort 40_001us own else own
              let struct (one, other) = punch 10 (fun _ _ -> false) seenAs
              Expect.equal (one.Stage, other.Stage) (PunchStage.Open, PunchStage.Open) "both"
              Expect.equal one.Remote (Endpoint.withPort 40_001us b) "where b really is"
          }
          test "a peer that is not there is given up after its attempts, each told why" {
              let struct (one, _) = punch 4 (fun _ _ -> true) id
              Expect.equal (one.Stage, one.Sent) (PunchStage.NothingHeard, 4) "silence"
              Expect.equal one.Elapsed (Time.seconds 2) "half a second each"
              let struct (one, other) = punch 4 (fun own _ -> own = a) id
              Expect.equal (one.Stage, other.Stage) (PunchStage.NotHeard, PunchStage.NothingHeard) "one way only"
          }
          test "5.38: whoever asks again is told, since nothing is remembered of a couple that was introduced" {
              let mutable server = Rendezvous.create { options with Legacy = true } seed 0L<us>

              // Two couples, one after the other, and each couple twice: as after the loss of both answers.
              for couple in [ 1u; 1u; 2u; 2u ] do
                  let listener = Endpoint.ofIPv4 (0x0A000000u + couple) 9000us
                  let dialler = Endpoint.ofIPv4 (0x0B000000u + couple) 9001us
                  let struct (next, sent) = ask "SERVER" listener server
                  Expect.isEmpty sent "alone"
                  let struct (next, sent) = ask "SERVER" listener next
                  Expect.isEmpty sent "alone still"
                  let struct (next, sent) = ask "CLIENT" dialler next
                  server <- next

                  Expect.equal
                      (told sent)
                      [ struct (listener, $"{{\"address\":\"11.0.0.{couple}\",\"port\":9001}}")
                        struct (dialler, $"{{\"address\":\"10.0.0.{couple}\",\"port\":9000}}") ]
                      "each is told the other"
          }
          test "5.38: a tracker that was not asked for answers nobody" {
              let struct (_, sent) = ask "CLIENT" b (Rendezvous.create options seed 0L<us>)
              Expect.isEmpty sent "answers"
          } ]
