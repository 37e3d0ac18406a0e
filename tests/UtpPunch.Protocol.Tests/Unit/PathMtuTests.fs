/// Unit tests of the search for the path MTU: RFC 8899's state machine with paths of every width.
module UtpPunch.Protocol.Tests.PathMtuTests

open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Tracing

let private options = StreamOptions.bep29
let private timeout = Time.milliseconds 100
let private fresh largest = PathMtu.create true options |> PathMtu.meet largest

/// Searches to the end on a path of that width, where `loses` decides which probes are lost. Returns the sizes tried.
let private searchOn width (loses: int -> bool) cap start =
    let mutable mtu: PathMtu = start
    let mutable now = 0L<us>
    let tried = ResizeArray<int>()
    let mutable going = true

    while going do
        let next = PathMtu.probe now timeout cap mtu
        going <- PathMtu.state next = MtuState.Searching
        let isSent = going && PathMtu.probeId next <> PathMtu.probeId mtu
        mtu <- next

        if isSent then
            let size = PathMtu.probed mtu
            tried.Add size

            if size <= width && not (loses tried.Count) then
                mtu <- PathMtu.confirm (PathMtu.probeId mtu) size mtu
            else
                now <- PathMtu.dueAt mtu
                mtu <- PathMtu.expire now mtu

    struct (mtu, tried.ToArray(), now)

let private never (_: int) = false

let private found width =
    let struct (mtu, _, _) = searchOn width never 65535 (fresh 65507)
    PathMtu.size mtu

let private property name check = testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 500 } name check

let tests =
    testList
        "path MTU"
        [ test "the widths of common paths are found to the byte" {
              for width in [ 1200; 1464; 1472; 8972; 65507 ] do
                  Expect.equal (found width) width $"a path of {width} bytes"
          }
          test "over IPv6 they are twenty bytes less" {
              for width in [ 1200; 1432; 1452; 8952; 65487 ] do
                  let start = PathMtu.create false options |> PathMtu.meet 65507
                  let struct (mtu, _, _) = searchOn width never 65535 start
                  Expect.equal (PathMtu.size mtu) width $"a path of {width} bytes"
          }
          test "a plain Ethernet path is tried first, and then only what is larger" {
              let struct (_, tried, _) = searchOn 1472 never 65535 (fresh 65507)
              Expect.equal tried[..3] [| 1472; 8972; 8972; 8972 |] "1472 passes, 8972 does not"
              Expect.all tried[1..] (fun size -> size > 1472) "nothing smaller"
          }
          test "no probe is larger than the peer's and our own limits, or than a quarter of a buffer" {
              let largest start cap =
                  let struct (mtu, tried, _) = searchOn 65507 never cap start
                  Expect.equal (PathMtu.size mtu) (Array.max tried) "the largest passes"
                  PathMtu.size mtu

              Expect.equal (largest (fresh 9000) 65535) 9000 "the peer"
              Expect.equal (largest (fresh 65507) 16_384) 16_384 "its window"

              let small = { options with LargestPacket = 4_000 }
              Expect.equal (largest (PathMtu.create true small |> PathMtu.meet 65507) 65535) 4_000 "the options"
              let small = { options with SendBuffer = 65_536 }
              Expect.equal (largest (PathMtu.create true small |> PathMtu.meet 65507) 65535) 16_384 "the buffer"
          }
          property "any path: within 16 bytes of its width, three losses a size, and 48 probes at most" (fun () ->
              let widths = Gen.oneof [ Gen.choose (1200, 1600); Gen.choose (1200, 65507) ]

              Prop.forAll (Arb.fromGen widths) (fun width ->
                  let struct (mtu, tried, _) = searchOn width never 65535 (fresh 65507)
                  let size = PathMtu.size mtu
                  let failed = tried |> Array.filter (fun size -> size > width) |> Array.countBy id
                  Expect.isLessThanOrEqual size width "what passes"
                  Expect.isGreaterThan (size + 16) (min width 65507) "close to it"
                  Expect.all failed (fun (_, count) -> count = PathMtu.MaxProbes) "each tried three times"
                  Expect.isLessThanOrEqual tried.Length PathMtu.MaxSearchProbes "probes"))
          property "whatever is lost, a search ends after 48 probes at most, and never below where it began" (fun () ->
              let paths = Gen.zip (Gen.choose (500, 65507)) (Gen.zip (Gen.choose (0, 100)) (Gen.choose (1, 1000000)))

              Prop.forAll (Arb.fromGen paths) (fun (width, (share, seed)) ->
                  let loses count = Keyed.below 100 (uint64 seed) 1 (int64 count) < share
                  let struct (mtu, tried, _) = searchOn width loses 65535 (fresh 65507)
                  Expect.isLessThanOrEqual tried.Length PathMtu.MaxSearchProbes "probes"
                  Expect.isGreaterThanOrEqual (PathMtu.size mtu) 1200 "the base"
                  Expect.equal (PathMtu.state mtu) MtuState.Complete "the state"))
          test "the next search begins 600 s later, and not before" {
              let struct (mtu, _, now) = searchOn 1472 never 65535 (fresh 65507)
              let due = now + Time.seconds 600
              Expect.equal (PathMtu.state (PathMtu.wake (due - 1L<us>) mtu)) MtuState.Complete "before"
              let again = PathMtu.wake due mtu
              Expect.equal (PathMtu.state again) MtuState.Searching "then"
              let struct (mtu, _, _) = searchOn 8972 never 65535 again
              Expect.equal (PathMtu.size mtu) 8972 "the path is wider now"
          }
          test "an answer counts only for the probed size and its last three ids" {
              let mtu = PathMtu.probe 0L<us> timeout 65535 (fresh 65507)
              let id = PathMtu.probeId mtu
              let confirmed id size = PathMtu.size (PathMtu.confirm id size mtu)
              Expect.equal (confirmed id 1472) 1472 "the probe"
              Expect.equal (confirmed id 1471) 1200 "another size"
              Expect.equal (confirmed (id + 1uy) 1472) 1200 "an id to come"
              Expect.equal (confirmed (id - 1uy) 1472) 1200 "an id that was never sent with that size"

              let again = mtu |> PathMtu.expire (PathMtu.dueAt mtu) |> PathMtu.probe (PathMtu.dueAt mtu) timeout 65535

              Expect.equal (PathMtu.size (PathMtu.confirm id 1472 again)) 1472 "a late answer to the first of two"
          }
          test "no report makes a packet smaller than the base, and an impossible limit is ignored" {
              let struct (wide, _, _) = searchOn 65507 never 65535 (fresh 65507)

              for size, limit, left in
                  [ 65507, 1472, 1472
                    65507, 1000, 1200
                    65507, 547, 65507
                    65507, 70_000, 65507
                    65507, 0, 1200
                    900, 0, 1200
                    1500, 548, 1200 ] do
                  let mtu = PathMtu.tooLong 0L<us> size limit wide
                  Expect.equal (PathMtu.size mtu) left $"{size} bytes are too long, {limit} pass"
                  let struct (mtu, _, _) = searchOn 65507 never 65535 mtu
                  Expect.isGreaterThanOrEqual (PathMtu.size mtu) left "the size after the next search"
          }
          test "two time-outs in a row at more than the base: the base; three at the base: 548" {
              let struct (wide, _, now) = searchOn 1472 never 65535 (fresh 65507)
              let size inARow longest mtu = PathMtu.size (PathMtu.vanish now inARow longest longest mtu)
              Expect.equal (size 1 1472 wide) 1472 "one"
              Expect.equal (size 2 1200 wide) 1472 "with packets of the base size"
              Expect.equal (size 2 1472 wide) 1200 "two"
              let fallen = PathMtu.vanish now 2 1472 1472 wide
              Expect.equal (PathMtu.state fallen) MtuState.Base "the state"
              Expect.equal (size 2 1200 fallen) 1200 "two at the base"
              Expect.equal (size 9 1472 fallen) 1200 "with packets of an earlier size"
              let error = PathMtu.vanish now 3 1200 1472 fallen
              Expect.equal (PathMtu.size error) 548 "three"
              Expect.equal (PathMtu.state error) MtuState.Error "the state"
              Expect.equal (size 9 548 error) 548 "the least size"

              // Ten seconds later a search begins, below the sizes that were lost.
              let again = PathMtu.wake (now + Time.seconds 10) error
              let struct (mtu, tried, _) = searchOn 1000 never 65535 again
              Expect.isLessThan (abs (PathMtu.size mtu - 1000)) 16 "what passes now"
              Expect.all tried (fun size -> size < 1200) "below the sizes that were lost"
          }
          test "with a peer that answers no probes there is no search, and the first size returns after 600 s" {
              let mtu = PathMtu.create true options
              Expect.isTrue (obj.ReferenceEquals(mtu, PathMtu.probe 0L<us> timeout 65535 mtu)) "no probe"
              let fallen = PathMtu.vanish 0L<us> 3 1200 1200 mtu
              Expect.equal (PathMtu.size fallen) 548 "after time-outs"
              Expect.equal (PathMtu.size (PathMtu.wake (Time.seconds 600) fallen)) 1200 "after 600 s"
          } ]
