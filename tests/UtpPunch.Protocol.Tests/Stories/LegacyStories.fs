/// The npm package's punch and its example's tracker, with the package's defects.
module UtpPunch.Protocol.Tests.LegacyStories

open System.Collections.Generic
open System.Text
open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedRegistrant

let private bytesOf (text: string) = Owned(Encoding.ASCII.GetBytes text)
let private a = Endpoint.ofIPv4 0x0A000001u 9000us
let private b = Endpoint.ofIPv4 0x0A000002u 9000us

let private said text (datagram: Owned) = datagram.Equals(bytesOf text)

/// Two nodes that punch by the package's protocol. `isLost` decides by sender and word which words are lost; all others
/// arrive 10 ms later, from `seenAs sender`.
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
        [ test "without loss both sides succeed within a round trip, once each" {
              let struct (one, other) = punch 10 (fun _ _ -> false) id

              for report in [ one; other ] do
                  Expect.equal report.Stage PunchStage.Open "stage"
                  Expect.isLessThanOrEqual report.Elapsed (Time.milliseconds 20) "time"
          }
          test "5.32: a side that has succeeded continues to answer, so that the other one succeeds as well" {
              // The first answers of b are lost. In the package one side then reports success and the other failure.
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
              Expect.isLessThan other.Elapsed (Time.milliseconds 100) "the time of b"
              Expect.isGreaterThan one.Elapsed (Time.seconds 1) "the time of a"
          }
          test "5.33: a peer is recognized by its address, from any port" {
              let seenAs own = if own = b then Endpoint.withPort 40_001us own else own
              let struct (one, other) = punch 10 (fun _ _ -> false) seenAs
              Expect.equal (one.Stage, other.Stage) (PunchStage.Open, PunchStage.Open) "both"
              Expect.equal one.Remote (Endpoint.withPort 40_001us b) "the real endpoint of b"
          }
          test "a punch to an absent peer fails after its attempts, with the reason" {
              let struct (one, _) = punch 4 (fun _ _ -> true) id
              Expect.equal (one.Stage, one.Sent) (PunchStage.NothingHeard, 4) "silence"
              Expect.equal one.Elapsed (Time.seconds 2) "half a second each"
              let struct (one, other) = punch 4 (fun own _ -> own = a) id
              Expect.equal (one.Stage, other.Stage) (PunchStage.NotHeard, PunchStage.NothingHeard) "one way only"
          }
          test "5.38: a repeated request is answered, since introduced pairs are forgotten" {
              let mutable server = Rendezvous.create { options with Legacy = true } seed 0L<us>

              // Two pairs, one after the other, and each pair twice: as after the loss of both answers.
              for couple in [ 1u; 1u; 2u; 2u ] do
                  let listener = Endpoint.ofIPv4 (0x0A000000u + couple) 9000us
                  let dialler = Endpoint.ofIPv4 (0x0B000000u + couple) 9001us
                  let struct (next, sent) = ask "SERVER" listener server
                  Expect.isEmpty sent "alone"
                  let struct (next, sent) = ask "SERVER" listener next
                  Expect.isEmpty sent "no answer to a single peer"
                  let struct (next, sent) = ask "CLIENT" dialler next
                  server <- next

                  Expect.equal
                      (told sent)
                      [ struct (listener, $"{{\"address\":\"11.0.0.{couple}\",\"port\":9001}}")
                        struct (dialler, $"{{\"address\":\"10.0.0.{couple}\",\"port\":9000}}") ]
                      "each gets the other's address"
          }
          test "5.38: a server without the tracker option does not answer" {
              let struct (_, sent) = ask "CLIENT" b (Rendezvous.create options seed 0L<us>)
              Expect.isEmpty sent "answers"
          } ]
