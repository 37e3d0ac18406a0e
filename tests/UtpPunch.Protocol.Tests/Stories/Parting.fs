/// Streams whose application or process has ended: released streams, and the farewell that lets a process exit (docs/ends.md).
module UtpPunch.Protocol.Tests.Parting

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story
open UtpPunch.Protocol.Tests.Closing

let private isState = isType PacketType.State

let private released =
    [ test "what was written before the release still arrives, and the peer learns that its data is not read" {
          let options = bep29 (fun options -> { options with ReceiveBuffer = 10_000 })
          let pair = pairOf options Path.perfect
          let struct (a, b) = connected pair
          let bytes = content 100_000
          a.Reads <- false
          write pair pair.B b bytes
          wait (Time.seconds 1) pair
          write pair pair.A a bytes
          let before = (Node.stream b.ConnId pair.B.Node).Value.BytesAcknowledged
          pair.Tell(pair.A, Event.Release(a.ConnId, Time.seconds 10))
          run (Time.seconds 60) pair "both close" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
          received b bytes "what B received"
          Expect.isTrue b.Ended "B was told of the end"
          Expect.isLessThanOrEqual before 10_000L "bytes of B that were acknowledged"
          Expect.equal a.Closed (ValueSome CloseReason.Released) "A's close"
          Expect.equal b.Closed (ValueSome CloseReason.Reset) "B's close"
      }
      test "a writer to a released stream learns of it after one write" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          pair.Tell(pair.A, Event.Release(a.ConnId, Time.seconds 60))
          run (Time.seconds 5) pair "A's end is acknowledged" (fun () -> a.Finished && b.Ended)
          let start = pair.Now
          write pair pair.B b (content 1_000)
          run (Time.seconds 1) pair "B closes" (fun () -> b.Closed.IsSome)
          Expect.equal b.Closed (ValueSome CloseReason.Reset) "B's close"
          Expect.isLessThanOrEqual (pair.Now - start) (Time.milliseconds 20) "the time: a round trip later"
          Expect.equal a.Closed (ValueSome CloseReason.Released) "A's close"
      }
      test "the peer may end a released stream in order as long as it sends nothing" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          write pair pair.A a (content 5_000)
          pair.Tell(pair.A, Event.Release(a.ConnId, Time.seconds 60))
          run (Time.seconds 5) pair "B sees the end" (fun () -> b.Ended)
          wait (Time.seconds 20) pair
          finish pair pair.B b
          bothFinish (Time.seconds 5) pair a b
      }
      test "after its timeout without progress, a released stream ends well for us if everything was acknowledged" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          pair.Tell(pair.A, Event.Release(a.ConnId, Time.seconds 10))
          run (Time.seconds 5) pair "B sees the end" (fun () -> b.Ended)
          wait (Time.seconds 20) pair
          Expect.equal a.Closed (ValueSome CloseReason.Released) "A's close"
          Expect.equal b.Closed (ValueSome CloseReason.Reset) "B's close"
      }
      test
          "a peer that ends first and forgets the stream: every byte was acknowledged, so the stream ends well after its timeout" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          write pair pair.A a (content 5_000)
          finish pair pair.B b
          run (Time.seconds 5) pair "A has the end, B all bytes" (fun () -> a.Ended && b.Received.Count = 5_000)
          pair.Filter <- Func<_, _, _>(fun _ _ -> false)
          pair.Tell(pair.A, Event.Release(a.ConnId, Time.seconds 10))
          wait (Time.seconds 20) pair
          Expect.isTrue a.Finished "A's writes are complete"
          Expect.equal a.Closed (ValueSome CloseReason.Finished) "A's close"
      }
      test "after its timeout without progress, a released stream is aborted if something was not acknowledged" {
          let pair = calmPair ()
          let struct (a, _) = connected pair
          pair.Filter <- Func<_, _, _>(fun _ _ -> false)
          pair.Tell(pair.A, Event.Release(a.ConnId, Time.seconds 10))
          wait (Time.seconds 20) pair
          Expect.equal a.Closed (ValueSome CloseReason.Aborted) "A's close"
      }
      test "a process that is about to exit does not wait for a peer that stays open once everything was acknowledged" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          write pair pair.A a (content 50_000)
          pair.Tell(pair.A, Event.Release(a.ConnId, 0L<us>))
          let start = pair.Now
          run (Time.seconds 5) pair "both close" (fun () -> a.Closed.IsSome && b.Closed.IsSome)
          Expect.isLessThanOrEqual (pair.Now - start) (Time.milliseconds 800) "when"
          received b (content 50_000) "what B received"
          Expect.isTrue b.Ended "B was told of the end"
          Expect.equal a.Closed (ValueSome CloseReason.Released) "A's close"
          Expect.equal b.Closed (ValueSome CloseReason.Reset) "B's close"
      }
      test "a process that is about to exit waits for a peer that ends in answer" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          pair.Tell(pair.A, Event.Release(a.ConnId, 0L<us>))
          run (Time.seconds 5) pair "B sees the end" (fun () -> b.Ended)
          wait (Time.milliseconds 50) pair
          finish pair pair.B b
          bothFinish (Time.seconds 5) pair a b
      }
      test "bytes that arrive in the step of the release count as unread" {
          let struct (scripted, peer) = accepted ()

          scripted.Tell(
              Event.Received(here, Datagrams.One(Borrowed(peer.Make(PacketType.Data, 0, content 10)), scripted.Now)),
              Event.Release(1, Time.seconds 10)
          )
          |> ignore

          Expect.equal (scripted.Closed 1) None "the stream is open until everything was acknowledged"
          peer.State(1, 1) |> ignore
          Expect.equal (scripted.Closed 1) (Some CloseReason.Released) "closed"
          Expect.isTrue (scripted.Fresh() |> Array.exists (fun packet -> packet.Type = PacketType.Reset)) "the RESET"
      }
      test "the peer's end in the step in which the timeout expires is acknowledged in it" {
          let struct (scripted, peer) = accepted ()
          scripted.Tell(Event.Release(1, Time.seconds 10)) |> ignore
          peer.State(1, 0) |> ignore
          let at = scripted.Now + Time.seconds 10
          scripted.Wait(Time.seconds 10 - Time.milliseconds 1)
          let fin = Datagrams.One(Borrowed(peer.Make(PacketType.Fin, 0, [||])), at)
          let struct (node, effects) = Node.step at [| Event.Received(here, fin) |] scripted.Node

          let acknowledges =
              effects
              |> Array.exists (fun effect ->
                  match effect with
                  | Effect.Send(_, train) -> train.Header.Type = PacketType.State && train.Header.AckNr = peer.First
                  | _ -> false)

          Expect.isTrue acknowledges "the end is acknowledged"
          Expect.isGreaterThan (Node.deadline node) at "what is left to do lies ahead"
      }
      test "releasing a stream that is not yet open closes it" {
          let scripted = ScriptedPeer usual
          scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
          scripted.Tell(Event.Release(0, Time.seconds 10)) |> ignore
          Expect.equal (scripted.Closed 0) (Some CloseReason.Aborted) "closed"
      } ]

/// The datagrams of a side, with and without these extension bits.
let private isKind kind (datagram: byte[]) =
    let mutable packet = Unchecked.defaultof<Packet>

    Packet.decode (Borrowed datagram) &packet = Malformed.None
    && ExtensionBits.kindOf packet.Bits = kind

let private isEnquiry = isKind ExtensionBits.Kind.Enquiry
let private isFarewell = isKind ExtensionBits.Kind.Farewell
let private mayExit (side: Side) = Node.quietAt side.Node <> Time.never

/// A ends, then B; counts the packets of both from B's end on.
let private part (pair: TwoNodes) drops =
    let struct (a, b) = connected pair
    finish pair pair.A a
    run (Time.seconds 5) pair "B sees the end" (fun () -> b.Ended && a.Finished)
    wait (Time.milliseconds 200) pair
    drops pair
    let before = pair.A.Sent + pair.B.Sent
    let start = pair.Now
    finish pair pair.B b
    run (Time.seconds 60) pair "both may exit" (fun () -> mayExit pair.A && mayExit pair.B)
    bothFinish (Time.seconds 1) pair a b
    struct (pair.A.Sent + pair.B.Sent - before, pair.Now - start)

let private parting =
    [ test "without loss the side that ended first may exit a round trip after the other's end, for one more packet" {
          let struct (packets, took) = part (calmPair ()) ignore
          Expect.equal packets 3 "the FIN, its acknowledgement, which enquires, and the farewell"
          Expect.isLessThanOrEqual took (Time.milliseconds 65) "when both may exit"
      }
      test "a lost farewell is requested again, and repeated" {
          let pair = calmPair ()

          let struct (_, took) = part pair (fun pair -> dropFirst 1 pair.B isFarewell pair)

          Expect.isLessThanOrEqual took (Time.milliseconds 200) "when both may exit"
      }
      test "without a farewell the process may exit after eight seconds and four round trips" {
          let pair = calmPair ()
          let struct (_, took) = part pair (fun pair -> dropFirst 1_000 pair.B isFarewell pair)
          Expect.isGreaterThan took (Time.seconds 8) "when both may exit"

          Expect.isLessThanOrEqual
              took
              (Time.milliseconds 10_000)
              "when both may exit: the answering side some time after the last enquiry"
      }
      test
          "a foreign peer gets the last acknowledgement seven times within a few round trips, and a RESET ends the wait" {
          let struct (scripted, peer) = accepted ()
          scripted.Tell(Event.Finish 1) |> ignore
          scripted.Wait(Time.milliseconds 20)
          peer.State(1, 0) |> ignore
          scripted.Fresh() |> ignore
          peer.Fin 0 |> ignore
          Expect.equal (scripted.Closed 1) (Some CloseReason.Finished) "closed"
          Expect.equal (Node.quietAt scripted.Node) Time.never "the process stays"
          scripted.Wait(Time.milliseconds 200)
          Expect.equal (scripted.Fresh().Length) 7 "acknowledgements"
          Expect.isLessThanOrEqual (Node.quietAt scripted.Node) scripted.Now "the process may exit"
          peer.Fin 0 |> ignore
          Expect.equal (Node.quietAt scripted.Node) Time.never "the peer asked once more: the process stays"
          peer.Send(PacketType.Reset, 1, [||]) |> ignore
          Expect.isLessThanOrEqual (Node.quietAt scripted.Node) scripted.Now "the peer has forgotten the stream"
      }
      test "a farewell counts only on a stream that has ended both ways" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          let mutable early = [||]

          pair.Filter <-
              Func<_, _, _>(fun side datagram ->
                  if isState datagram && side.Name = "B" then early <- Array.copy datagram

                  true)

          write pair pair.A a (content 10)
          run (Time.seconds 1) pair "B has the bytes" (fun () -> b.Received.Count = 10)
          wait (Time.milliseconds 200) pair
          let mutable packet = Unchecked.defaultof<Packet>
          Packet.decode (Borrowed early) &packet |> ignore
          let header = packet.Header
          let forged = Array.zeroCreate (Packet.lengthOf 0 ExtensionBits.farewell 0)
          Packet.encode &header Owned.Empty ExtensionBits.farewell Owned.Empty (Span<byte> forged) |> ignore
          pair.Inject(pair.A, pair.B.Endpoint, forged)
          wait (Time.milliseconds 10) pair
          Expect.equal (pair.A.Count Rule.PathProbeIgnored) 1 "it is ignored"
          let mutable isLost = false

          pair.Filter <-
              Func<_, _, _>(fun side datagram ->
                  isLost <- isLost || (side.Name = "A" && isEnquiry datagram)
                  not isLost)

          finish pair pair.A a
          run (Time.seconds 5) pair "B sees the end" (fun () -> b.Ended)
          finish pair pair.B b
          run (Time.seconds 5) pair "A has closed" (fun () -> a.Closed.IsSome)
          wait (Time.seconds 1) pair
          Expect.isFalse (mayExit pair.A) "A stays"
      } ]

let tests = testList "parting" (released @ parting)
