/// The models of links: policers, shapers, cellular links, shared media, and modems that thin out acknowledgements.
module UtpPunch.Sim.Tests.LinkTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion

[<Struct>]
type private Arrival = { SentAt: Instant; At: Instant; Number: int64 }

/// Datagrams of 1472 bytes, which are 1500 with their headers, at one interval.
let private send (path: Path) seed (interval: Duration) (count: int) =
    let events = EventQueue<Datagram>()
    let arrivals = ResizeArray<Arrival>()
    let lost = ResizeArray<string>()
    let mutable now = 0L<us>

    let host =
        { new ICarrierHost with
            member _.Arrive(at, datagram, _, _) =
                arrivals.Add { SentAt = datagram.SentAt; At = at; Number = datagram.Number }

            member _.Lost(_, cause) = lost.Add cause
            member _.DepartAt at = events.Place(at, null) }

    let carrier = Carrier(path, seed, Time.never, host)

    for number in 1..count do
        let at = int64 number * interval
        events.Place(at, Datagram(int64 number, Endpoint.nowhere, Endpoint.nowhere, Array.zeroCreate 1472, at))

    while not events.IsEmpty do
        now <- events.Next

        match events.Take() with
        | null -> carrier.Depart now
        | datagram -> carrier.Offer(now, datagram)

    arrivals.ToArray(), lost.ToArray()

let private ms = Time.milliseconds
let private still = { Path.perfect with Delay = 0L<us>; Queue = Queue.Tail 1_000_000_000 }

let private isOrdered (arrivals: Arrival[]) =
    arrivals |> Array.pairwise |> Array.forall (fun (a, b) -> a.At <= b.At && a.Number < b.Number)

let tests =
    testList
        "links"
        [ test "a policer passes its bucket and then its rate, and delays nothing" {
              // 1.5 MB/s are offered for ten seconds.
              let path = { still with Rate = Rate.Policed(150_000, 30_000) }
              let arrivals, lost = send path 1UL (ms 1) 10_000
              // Until the first one comes, the bucket is full already.
              Expect.equal arrivals.Length (20 + 999) "a full bucket, and the tokens of 9.999 s"
              Expect.equal lost.Length (10_000 - arrivals.Length) "the others"
              Expect.allEqual lost "policer" "are lost to the policer"
              Expect.isTrue (arrivals |> Array.forall (fun it -> it.At = it.SentAt)) "what passes does not wait"
          }

          test "a shaper sends its bucket at the peak rate, and then its own rate" {
              let path = { still with Rate = Rate.Shaped(150_000, 30_000, 15_000_000) }
              let arrivals, _ = send path 1UL 1L<us> 120
              Expect.equal arrivals.Length 120 "all of them"
              Expect.isLessThan arrivals[19].At (ms 3) "a bucket, which is 20 datagrams, at the peak rate"
              let seconds = float (arrivals[119].At - arrivals[19].At) / 1e6
              Expect.floatClose { absolute = 0.01; relative = 0.0 } seconds 1.0 "100 more in a second"
          }

          test "rates and delays change at their steps" {
              let path = { still with Rate = Rate.Steps [ 0L<us>, 1_500_000; ms 100, 150_000 ] }
              let arrivals, _ = send path 1UL 1L<us> 110
              Expect.equal arrivals[99].At (ms 100 + 1L<us>) "100 datagrams at 1 ms each"
              Expect.equal arrivals[109].At (ms 200 + 1L<us>) "ten more at 10 ms each"

              let path = { still with Lateness = Lateness.Steps [ ms 50, ms 100; ms 80, 0L<us> ] }
              let arrivals, _ = send path 1UL (ms 10) 10
              let late = arrivals |> Array.sortBy _.Number |> Array.map (fun it -> it.At - it.SentAt)
              Expect.equal late (Array.map ms [| 0; 0; 0; 0; 100; 100; 100; 0; 0; 0 |]) "the delay that is added"
          }

          testList
              "a cellular link"
              [ for seed in 1UL .. 5UL do
                    test $"seed {seed}: it carries its capacity, at whole milliseconds, in order" {
                        let path = { still with Rate = Rate.Cellular 1_500_000 }
                        let arrivals, lost = send path seed 500L<us> 40_000
                        let again, _ = send path seed 500L<us> 40_000
                        Expect.equal arrivals again "the same once more"
                        Expect.isEmpty lost "nothing is lost"
                        Expect.isTrue (isOrdered arrivals) "the order stays"
                        Expect.isTrue (arrivals |> Array.forall (fun it -> it.At % ms 1 = 0L<us>)) "whole milliseconds"

                        // The link is busy all the time, as twice the typical rate is offered.
                        let second = Time.seconds 1
                        let capacity = Link.capacity path seed second 20

                        let carried = arrivals |> Array.filter (fun it -> it.At < 20L * second) |> Array.length |> float

                        let share = carried * 1500.0 / float (Array.sum capacity)
                        Expect.isTrue (share > 0.85 && share <= 1.001) $"{share} of the capacity is used"
                        let least, most = Array.min capacity, Array.max capacity
                        Expect.isGreaterThan (most / max 1L least) 1L "the rate wanders"
                        Expect.isLessThan most (3L * 1_500_000L) "within its range"
                    } ]

          test "a shared medium keeps the order, gathers what waits, and pauses" {
              let path = { still with Lateness = Lateness.Medium(ms 4, ms 5, ms 100, Time.seconds 2) }
              let arrivals, _ = send path 1UL (ms 1) 20_000
              Expect.isTrue (isOrdered arrivals) "the order stays"
              let instants = arrivals |> Array.distinctBy _.At |> Array.length
              // 20 s in parts of 9 ms on average, and some pauses.
              Expect.isTrue (instants > 1_600 && instants < 2_600) $"released at {instants} instants"
              let longest = arrivals |> Array.map (fun it -> it.At - it.SentAt) |> Array.max
              Expect.isTrue (longest > ms 100 && longest < ms 200) $"a pause: {longest}"
              let waits = arrivals |> Array.map (fun it -> float (it.At - it.SentAt))
              Expect.isLessThan (Array.min waits) 1000.0 "some do not wait"
          }

          test "a modem that thins out passes one in eight, and always the last of a period" {
              let path = { still with Lateness = Lateness.Thinned(ms 10, 8) }
              let arrivals, lost = send path 1UL (ms 1) 1_000
              Expect.isTrue (arrivals |> Array.forall (fun it -> it.At % ms 10 = 0L<us>)) "at the end of periods"
              Expect.equal arrivals.Length (2 * 100) "two of ten"
              Expect.allEqual lost "thinned" "the others are thinned out"
              Expect.equal (Array.last arrivals).Number 1_000L "the last one passes"
          }

          test "PIE keeps a queue of Reno at its target, and CoDel at its own" {
              for queue, least, most in [ Queue.Pie 1_000_000, 5, 30; Queue.CoDel 1_000_000, 1, 20 ] do
                  let path = Lab.bottleneck (ms 20) 20_000_000L 1_000_000
                  let path = { path with Forward = { path.Forward with Queue = queue } }
                  let flows = [ for name in [ "one"; "two"; "three" ] -> FlowPlan.from name (Sender.Model "reno") ]
                  let result = Lab.run path flows (Time.seconds 40) 1UL
                  let from, until = Time.seconds 10, Time.seconds 40
                  let median = Measure.queueing result 50 from until
                  Expect.isTrue (median > ms least && median < ms most) $"{queue}: {median}"
                  Expect.isGreaterThan (Measure.utilisation result from until) 0.85 $"{queue}: utilisation"
          }

          test "the new paths have a text" {
              let paths =
                  [ { still with Rate = Rate.Policed(150_000, 30_000); Lateness = Lateness.Thinned(ms 10, 8) }
                    { still with Rate = Rate.Shaped(1_000, 2_000, 3_000); Lateness = Lateness.Steps [ ms 1, ms 2 ] }
                    { still with Rate = Rate.Steps [ 0L<us>, 7; ms 5, 8 ]; Queue = Queue.Pie 9_000 }
                    { still with Rate = Rate.Cellular 9_000; Lateness = Lateness.Medium(ms 4, ms 5, ms 100, ms 900) } ]

              for path in paths do
                  let scenario = { Scenario.calm with AB = path }
                  Expect.equal (ScenarioText.parse (ScenarioText.print scenario)) scenario "there and back"
          }

          testList
              "in a world, with all checks"
              [ for struct (name, scenario, marks) in Directed.links do
                    test name {
                        let struct (outcome, violation) = Campaign.check scenario
                        Expect.equal violation ValueNone "no property is violated"
                        let hit = outcome.Marks.Counts.Keys
                        Expect.isEmpty (List.filter (fun mark -> not (hit.Contains mark)) marks) "every mark is hit"
                    } ] ]
