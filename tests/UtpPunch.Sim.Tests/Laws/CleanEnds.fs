/// L10: a process that exits as soon as its node allows leaves its peer with an orderly end. Over paths with random loss, for every loss
/// around the end, over links with an outage, and with peers that retransmit their FIN as libutp does.
module UtpPunch.Sim.Tests.CleanEnds

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// The number of transfers of each kind; the figures of docs/ends.md need 20 000.
let private transfers =
    match Environment.GetEnvironmentVariable "UTP_ENDS" with
    | null -> 4_000
    | count -> int count

let private failures (cases: EndsCase[]) : (EndsCase * EndsOutcome)[] =
    cases
    |> Array.Parallel.map (fun case -> case, EndsCampaign.run case)
    |> Array.filter (fun (_, outcome) -> outcome.Failure <> "")

let private expectAtMost limit cases =
    let failed = failures cases

    if failed.Length > limit then
        let case, outcome = failed[0]
        failtest $"{failed.Length} of {cases.Length} ends failed, the first one: {outcome.Failure}\n%A{case}"

let private drawn loss count change =
    [| for seed in 1..count -> change (EndsCampaign.drawn loss (Keyed.mix (uint64 seed))) |]

let private kinds =
    [ "our own nodes", id
      "foreign peers", (fun case -> { case with ForeignPeers = true })
      "the npm dialect", (fun case -> { case with Dialect = Dialect.UtpPunch }) ]

let private campaigns =
    [ for name, change in kinds do
          for loss, perFailure in [ 0, Int32.MaxValue; 100, 10_000; 250, 1_000 ] do
              test $"{name}, {loss} of 1000 lost each way: at most one end in {perFailure} fails" {
                  let count = if name = "our own nodes" then transfers else transfers / 2
                  expectAtMost (count / perFailure) (drawn loss count change)
              } ]

/// Every set of losses among the first datagrams from the first FIN on.
let private among = 8

let private orders =
    [ EndOrder.Dialler; EndOrder.Acceptor; EndOrder.AtOnce; EndOrder.HalfClosed(Time.seconds 10) ]

let private everyLoss =
    [ for name, change in kinds do
          test $"{name}: every set of losses among the {among} datagrams from the first FIN on, in every order of ends" {
              expectAtMost
                  0
                  [| for order in orders do
                         for bytes in [ 0; 3_000 ] do
                             for lostSyns in 0..2 do
                                 for drops in 0UL .. (1UL <<< among) - 1UL do
                                     change
                                         { EndsCampaign.calm with
                                             Seed = Keyed.mix drops
                                             Order = order
                                             FromDialler = bytes
                                             LostSyns = lostSyns
                                             Drops = drops } |]
          } ]

let private outages =
    [ test "a link that is down for 5 s just as a transfer ends: both sides end in order, within 10 s after the outage" {
          let cases =
              drawn 0 2_000 (fun case ->
                  { case with
                      RoundTrip = Time.milliseconds 40
                      // To an acceptor, a dialler whose third SYN arrives is not one of our own nodes.
                      LostSyns = min 1 case.LostSyns
                      Outage = Time.seconds 5
                      OutageAfter = Time.milliseconds (Keyed.below 100 case.Seed 99 0L) })

          expectAtMost 0 cases

          for case in cases do
              let outcome = EndsCampaign.run case
              Expect.isLessThanOrEqual outcome.LastExit (Time.seconds 15) $"%A{case}"
      } ]

/// A peer that retransmits its FIN after 1, 2, 4 and 8 s, as libutp does, and then gives up; whether it answers later packets by a
/// RESET. Returns whether it received the acknowledgement, if the node has its FIN, and how long the node stayed.
let private againstLibutp loss (answers: bool) (seed: uint64) : struct (bool * Duration) =
    let draws = ref 0L

    let survives () =
        draws.Value <- draws.Value + 1L
        Keyed.below 1000 seed 1 draws.Value >= loss

    let oneWay = Time.milliseconds (1 + Keyed.below 150 seed 2 0L)
    let peer = ScriptedPeer seed
    peer.Connect()
    peer.Answer()
    peer.Step [| Event.Finish 0 |]
    peer.Acknowledge 1
    let start = peer.Now
    let fin = peer.Next

    let sayFin () = if survives () then peer.Say(PacketType.Fin, peer.Id, fin, peer.First, [||], [||])

    let mutable heard = peer.Heard.Count
    let mutable finAt = start
    let mutable backOff = Time.seconds 1
    let mutable tries = 0
    let mutable isAcknowledged = false
    let mutable resetAt = Time.never
    let isQuiet () = peer.Closed.IsSome && Node.quietAt peer.Node <= peer.Now

    while not (isQuiet ()) && peer.Now - start < Time.seconds 60 do
        if not isAcknowledged && peer.Now >= finAt && tries < 5 then
            tries <- tries + 1
            sayFin ()
            finAt <- peer.Now + backOff
            backOff <- 2L * backOff

        if peer.Now >= resetAt then
            resetAt <- Time.never
            peer.Say(PacketType.Reset, peer.Id, fin + 1, peer.First + 1, [||], [||])

        while heard < peer.Heard.Count do
            let packet = peer.Heard[heard]
            heard <- heard + 1

            if packet.Header.AckNr = fin && survives () then
                if isAcknowledged && answers && resetAt = Time.never && survives () then
                    resetAt <- peer.Now + 2L * oneWay

                isAcknowledged <- true

        if not (isQuiet ()) then peer.Wait(Time.milliseconds 5)

    struct (isAcknowledged || peer.Closed.IsNone, peer.Now - start)

let private libutp =
    [ for answers in [ true; false ] do
          for loss, perFailure in [ 0, Int32.MaxValue; 100, 10_000; 250, 1_000 ] do
              test
                  $"a peer with libutp's time-outs that resets unknown streams: {answers}, {loss} of 1000 lost: at most one in {perFailure} misses the end" {
                  let count = transfers / 2
                  let ends = Array.Parallel.map (uint64 >> againstLibutp loss answers) [| 1..count |]
                  let missed = ends |> Array.filter (fun (struct (isAcknowledged, _)) -> not isAcknowledged)

                  Expect.isLessThanOrEqual missed.Length (count / perFailure) "peers that missed the acknowledgement"

                  if loss = 0 then
                      for struct (_, stay) in ends do
                          Expect.isLessThanOrEqual stay (Time.milliseconds 1_100) "how long the node stays"
              } ]

let tests = testList "clean ends" (campaigns @ everyLoss @ outages @ libutp)
