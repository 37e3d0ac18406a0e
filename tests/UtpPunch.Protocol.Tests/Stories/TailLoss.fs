/// Losses at the end of the data, and many streams that share a path: loss about which acknowledgements alone say little.
module UtpPunch.Protocol.Tests.TailLoss

open System
open System.Buffers.Binary
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private isData = isType PacketType.Data
let private seqOf (datagram: byte[]) = BinaryPrimitives.ReadUInt16BigEndian(ReadOnlySpan<byte>(datagram, 16, 2))

/// How a peer reports packets that it holds out of order.
[<RequireQualifiedAccess>]
type private Tells =
    | Everything
    /// libutp's 32 bits.
    | FourBytes
    /// The npm package reports nothing.
    | Nothing

let private shorten tells (datagram: byte[]) =
    if datagram[1] = 1uy then
        match tells with
        | Tells.Everything -> ()
        // The other bits become an unknown extension.
        | Tells.FourBytes when datagram[21] > 4uy ->
            datagram[27] <- datagram[21] - 6uy
            datagram[26] <- datagram[20]
            datagram[20] <- 2uy
            datagram[21] <- 4uy
        | Tells.FourBytes -> ()
        | Tells.Nothing -> datagram[1] <- 77uy

/// The round trips to send `count` packets when each round trip may send twice as many as the one before.
let private doublings count =
    let mutable rounds = 1

    while (1 <<< rounds) <= count do
        rounds <- rounds + 1

    rounds

/// After `before` bytes have arrived, the first transmission of every packet is lost, up to the end of the data.
let private loseTail dialect tells before lost =
    let pair = pairOf { usual with Dialect = dialect } Path.perfect
    let struct (a, b) = connectedIn dialect pair
    let payload = if dialect = Dialect.Bep29 then 1380 else 1000
    let bytes = content ((before + lost) * payload)
    let seen = HashSet<uint16>()
    let mutable newest = 0
    let mutable dropped = 0

    pair.Filter <-
        fun side datagram ->
            if not (Object.ReferenceEquals(side, pair.A)) then
                shorten tells datagram
                true
            elif isData datagram && seen.Add(seqOf datagram) then
                newest <- newest + 1
                let passes = newest <= before

                if not passes then dropped <- dropped + 1

                passes
            else
                true

    write pair pair.A a bytes
    run (Time.seconds 20) pair "the rest is lost" (fun () -> dropped = lost || b.Received.Count = bytes.Length)
    let start = pair.Now
    let statistics = (Node.stream a.ConnId pair.A.Node).Value

    let probe =
        Rtt.probeAfter
            (Time.milliseconds 25)
            { Rtt.none with Smoothed = statistics.RoundTrip; Variance = statistics.RoundTripVariance }

    run (Time.seconds 120) pair "it is repaired" (fun () -> b.Received.Count = bytes.Length)
    let took = pair.Now - start
    wait (Time.seconds 1) pair
    received b bytes "what arrived"
    let after = (Node.stream a.ConnId pair.A.Node).Value
    // The probe and its answer, then twice as many in each round trip.
    let bound = 2L * probe + Time.milliseconds (20 * (2 + doublings lost))

    Expect.isLessThanOrEqual (int64 took) (int64 bound) "us to repair it"
    Expect.equal after.Timeouts 0L "time-outs"
    Expect.isLessThanOrEqual after.Retransmissions (int64 (lost + lost / 4 + 3)) "retransmissions"
    Expect.isGreaterThanOrEqual after.CongestionWindow (2 * payload) "the window that is left"

let private tails =
    [ for tells in [ Tells.Everything; Tells.FourBytes; Tells.Nothing ] do
          for before, lost in [ 20, 1; 20, 2; 20, 3; 20, 12; 100, 40; 400, 70; 400, 300 ] do
              test
                  $"a peer that reports %A{tells} of what it holds: {lost} packets lost at the end take the probe and a few round trips" {
                  loseTail Dialect.Bep29 tells before lost
              }

      for before, lost in [ 20, 1; 20, 12; 100, 50 ] do
          test $"the npm dialect: {lost} packets lost at the end take the probe and a few round trips" {
              loseTail Dialect.UtpPunch Tells.Nothing before lost
          } ]

/// Packets of one size, so that the streams differ in their use of the queue, and not in when they found the path MTU.
let private fixedSize =
    { NodeOptions.standard with
        Bep29 = { StreamOptions.bep29 with PacketSize = 1400; LargestPacket = 1400 } }

/// Bulk streams of one node over one path. `jitter` is that of the acknowledgements: without any, a stream that
/// loses its place in a full queue never gets it back from the synchronized others, as it would in a real network.
let private share (options: NodeOptions) (path: Path) jitter count (settle: Duration) (measure: Duration) blind =
    let back = { path with Rate = Rate.Unlimited; Lateness = Lateness.Uniform jitter }
    let pair = TwoNodes(TwoNodes.scenario 7UL options 64 path back, options, options)

    if blind then
        // A queue in the receiver's own socket: packets are stamped on arrival, so the measured delay does not show it.
        let offsets = Dictionary<uint16, uint32>()
        let id (datagram: byte[]) = BinaryPrimitives.ReadUInt16BigEndian(ReadOnlySpan<byte>(datagram, 2, 2))

        pair.Filter <-
            fun side datagram ->
                let offset =
                    BinaryPrimitives.ReadUInt32BigEndian(ReadOnlySpan<byte>(datagram, 4, 4)) - Time.stamp pair.Now

                if Object.ReferenceEquals(side, pair.A) then
                    offsets[id datagram] <- offset
                else
                    match offsets.TryGetValue(id datagram + 1us) with
                    | true, theirs ->
                        BinaryPrimitives.WriteUInt32BigEndian(Span<byte>(datagram, 8, 4), 10_000u + offset - theirs)
                    | _ -> ()

                true

    pair.Tell(pair.B, Event.Listen(2 * count))
    let streams = [| for _ in 1..count -> pair.Connect(pair.A, Dialect.Bep29) |]

    run (Time.seconds 10) pair "all are open" (fun () ->
        pair.B.Accepted.Count = count && streams |> Array.forall (fun stream -> stream.Opened))

    let piece = content 65_536

    let go (duration: Duration) =
        let until = pair.Now + duration

        while pair.Now < until do
            for stream in streams do
                if stream.Room >= piece.Length then
                    pair.Write(pair.A, stream, ReadOnlySpan<byte> piece) |> ignore

            let next = min until (pair.Now + Time.milliseconds 5)

            while pair.Now < next && pair.Advance() do
                ()

            for stream in pair.B.Accepted do
                stream.Received.Clear()

    let acked () =
        streams |> Array.map (fun stream -> (Node.stream stream.ConnId pair.A.Node).Value.BytesAcknowledged)

    go settle
    let before = acked ()
    go measure
    let shares = Array.map2 (-) (acked ()) before |> Array.map float
    let total = Array.sum shares
    let jain = total * total / (float count * Array.sumBy (fun share -> share * share) shares)
    let fair = total / float count
    let seconds = float (int64 measure) / 1e6
    Expect.isGreaterThanOrEqual jain 0.9 "Jain's index"
    Expect.isGreaterThanOrEqual (Array.min shares) (0.1 * fair) "the least share"
    Expect.isGreaterThanOrEqual (total / seconds / float (Path.slowest path)) 0.85 "how much of the rate is used"

/// A queue that is full when it takes that long to empty it.
let private slow rate queueMs =
    { Path.perfect with Rate = Rate.Constant rate; Queue = Queue.Tail(rate / 1000 * queueMs) }

let private shares =
    [ for count in [ 2; 4; 16 ] do
          test $"{count} streams share a short queue fairly" {
              // Long enough for several slowdowns of each.
              share fixedSize (slow 2_500_000 40) 0L<us> count (Time.seconds 5) (Time.seconds 40) false
          }
      test "16 streams share a queue of four milliseconds fairly" {
          let path = { slow 12_500_000 4 with Delay = Time.milliseconds 20 }
          share fixedSize path 0L<us> 16 (Time.seconds 5) (Time.seconds 15) false
      }
      test "64 streams share a queue that their delays do not show" {
          share fixedSize (slow 20_000_000 100) 0L<us> 64 (Time.seconds 1) (Time.seconds 5) true
      }
      test "64 streams share the receive buffer of a socket on the same machine" {
          let path = { slow 80_000_000 100 with Delay = Time.microseconds 100L }
          share fixedSize path 0L<us> 64 (Time.seconds 1) (Time.seconds 3) true
      }
      test "64 streams share a queue of which each may have four packets" {
          share fixedSize (slow 2_500_000 120) (Time.milliseconds 5) 64 (Time.seconds 3) (Time.seconds 15) true
      }
      test "a queue of acknowledgements on their way back does not delay the first slow start" {
          let widen back =
              let pair = pairOver fixedSize Path.perfect back
              let struct (a, _) = connected pair
              write pair pair.A a (content 1_000_000)
              run (Time.seconds 10) pair "all is acknowledged" (fun () -> a.Room = StreamOptions.bep29.SendBuffer)
              (Node.stream a.ConnId pair.A.Node).Value

          let free = widen Path.perfect
          let queued = widen (slow 40_000 10_000)
          Expect.isGreaterThan queued.RoundTrip (2L * free.RoundTrip) "the round trip has grown"

          Expect.isGreaterThan
              queued.CongestionWindow
              (free.CongestionWindow * 9 / 10)
              "the window, as wide as without the queue"
      }
      test "a queue of four packets: a stream uses at least half of the rate" {
          let path = { Path.perfect with Rate = Rate.Constant 1_000_000; Queue = Queue.TailPackets 4 }
          let pair = pairOf fixedSize path
          let struct (a, b) = connected pair
          write pair pair.A a (content 1_000_000)
          finish pair pair.A a
          let start = pair.Now
          run (Time.seconds 100) pair "it arrives" (fun () -> b.Received.Count = 1_000_000)
          Expect.isLessThan (pair.Now - start) (Time.seconds 3) "three times the time of the path"
      } ]

let tests = testList "tails" (tails @ shares)
