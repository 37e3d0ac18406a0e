/// The memory of idle streams in a node.
module UtpPunch.Protocol.Tests.Footprint

open System
open System.Runtime.CompilerServices
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.Story

let private count = 1000

/// Streams over which a byte was sent each way, and the two nodes after an idle period.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private idle migrates (silence: Duration) : Node[] =
    let streams = { StreamOptions.bep29 with Migrates = migrates }
    let pair = pairOf { NodeOptions.standard with Bep29 = streams } Path.perfect
    pair.Tell(pair.B, Event.Listen count)

    for index in 1..count do
        let a = pair.Connect(pair.A, Dialect.Bep29)
        run (Time.seconds 10) pair "both sides are open" (fun () -> a.Opened && pair.B.Accepted.Count = index)
        let b = pair.B.Accepted[index - 1]
        pair.Tell(pair.B, Event.Taken b.ConnId)
        write pair pair.A a [| 1uy |]
        write pair pair.B b [| 1uy |]

    wait silence pair
    [| pair.A.Node; pair.B.Node |]

/// Streams over which a byte was sent each way, in TIME-WAIT at both nodes.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private ended () : Node[] =
    let streams = { StreamOptions.bep29 with Congestion = CongestionControls.bbr }
    let pair = pairOf { NodeOptions.standard with Bep29 = streams } Path.perfect
    pair.Tell(pair.B, Event.Listen count)

    for index in 1..count do
        let a = pair.Connect(pair.A, Dialect.Bep29)
        run (Time.seconds 10) pair "both sides are open" (fun () -> a.Opened && pair.B.Accepted.Count = index)
        let b = pair.B.Accepted[index - 1]
        pair.Tell(pair.B, Event.Taken b.ConnId)
        write pair pair.A a [| 1uy |]
        write pair pair.B b [| 1uy |]
        finish pair pair.A a
        finish pair pair.B b
        run (Time.seconds 10) pair "both sides are closed" (fun () -> a.Closed.IsSome && b.Closed.IsSome)

    let lingering (side: Side) = (Node.statistics side.Node).Lingering
    Expect.equal (lingering pair.A, lingering pair.B) (count, count) "streams in TIME-WAIT"
    [| pair.A.Node; pair.B.Node |]

let private memory () =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    GC.GetTotalMemory true

/// The memory that is freed with the node, per stream: nothing else has to be subtracted.
let private costs (nodes: Node[]) =
    [ for index in 0 .. nodes.Length - 1 do
          let before = memory ()
          nodes[index] <- Unchecked.defaultof<Node>
          int (before - memory ()) / count ]

let private costAtMost limit (nodes: unit -> Node[]) =
    // The median: now and then the runtime allocates or frees memory of its own.
    let turns = [ for _ in 1..3 -> costs (nodes ()) ]

    for side in 0..1 do
        let cost = turns |> List.map (List.item side) |> List.sort |> List.item 1
        Expect.isLessThanOrEqual cost limit $"bytes of a stream at side {side}"
        Expect.isGreaterThan cost 500 "it was measured"

let private costsAtMost limit migrates silence = costAtMost limit (fun () -> idle migrates silence)

let private pings =
    test "a stream that sends often takes no more memory than one that sends seldom" {
        let pair = calmPair ()
        let struct (a, b) = connected pair

        let ping () =
            for _ in 1..100 do
                write pair pair.A a [| 1uy |]
                wait (Time.milliseconds 40) pair
                write pair pair.B b [| 1uy |]
                wait (Time.milliseconds 40) pair

        let size () = (Snapshot.take false pair.A.Node).Length + (Snapshot.take false pair.B.Node).Length

        ping ()
        let before = size ()
        ping ()
        ping ()
        Expect.isLessThan (size ()) (before + 500) "bytes of both nodes"
    }

let tests =
    testList
        "footprint"
        [ pings
          testSequenced
          <| testList
              "idle"
              [ test "an idle stream costs the node at most 1750 bytes" { costsAtMost 1750 false (Time.seconds 2) }
                test "after a quarter of an hour it costs at most 1880 bytes" {
                    costsAtMost 1880 false (Time.seconds 900)
                }
                test "one in TIME-WAIT costs at most 1850 bytes" { costAtMost 1850 ended }
                test "one that survives its path costs at most 2800 bytes, after a quarter of an hour, too" {
                    costsAtMost 2800 true (Time.seconds 900)
                } ] ]
