/// Streams that are aborted with an error code.
module UtpPunch.Protocol.Tests.ErrorCodes

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private hello = ExtensionBits.hello 1024

/// A node of this implementation, or another peer, has dialled: stream 1, open.
let private acceptedBy bits =
    let scripted = ScriptedPeer usual
    scripted.Tell(Event.Listen 16) |> ignore
    scripted.Receive(here, synWith bits 100us 1000us) |> ignore
    let peer = Peer(scripted, here, 101us, SeqNr 1001us, scripted.Head().Header.SeqNr)
    scripted.Wait(Time.milliseconds 50)
    peer.State(0, 0) |> ignore
    scripted.Tell(Event.Taken 1) |> ignore
    scripted.Fresh() |> ignore
    struct (scripted, peer)

let private codes (scripted: ScriptedPeer) =
    [ for effect in scripted.Effects do
          match effect with
          | Effect.ResetWithCode(_, code) -> code
          | _ -> () ]

let private resets (seen: Seen[]) =
    [ for it in seen do
          if it.Type = PacketType.Reset then it.Packet.Bits ]

/// B has a stream of its own, and A aborts it.
let private aborted (code: uint32) loses =
    let pair = calmPair ()
    let struct (a, b) = connected pair
    if loses then dropFirst 1 pair.A (isType PacketType.Reset) pair
    pair.Tell(pair.A, Event.AbortWithCode(a.ConnId, code))
    Expect.equal a.Closed (ValueSome CloseReason.Aborted) "A's close"
    struct (pair, a, b)

let private arriving =
    [ test "the code comes with the RESET, and only there" {
          for code in [ 0u; 1u; 0x1234_5678u; System.UInt32.MaxValue ] do
              let struct (pair, a, b) = aborted code false
              run (Time.seconds 1) pair "B closes" (fun () -> b.Closed.IsSome)
              Expect.equal b.Closed (ValueSome CloseReason.Reset) "B's close"
              Expect.equal b.Code (ValueSome code) "B's code"
              Expect.equal a.Code ValueNone "A's code"
      }
      test "an abort without a code has none" {
          let pair = calmPair ()
          let struct (a, b) = connected pair
          pair.Tell(pair.A, Event.Abort a.ConnId)
          run (Time.seconds 1) pair "B closes" (fun () -> b.Closed.IsSome)
          Expect.equal b.Code ValueNone "B's code"
      }
      test "if the RESET is lost, the next packet of the peer draws the code" {
          let struct (pair, _, b) = aborted 77u true
          write pair pair.B b (content 10)
          run (Time.seconds 1) pair "B closes" (fun () -> b.Closed.IsSome)
          Expect.equal b.Code (ValueSome 77u) "B's code"
      }
      test "a code is kept for half a minute, and for no more than a minute" {
          for seconds, kept in [ 25, true; 65, false ] do
              let struct (scripted, peer) = acceptedBy hello
              scripted.Tell(Event.AbortWithCode(1, 5u)) |> ignore
              scripted.Wait(Time.seconds seconds)
              scripted.Fresh() |> ignore
              peer.Data(0, [| 1uy |]) |> ignore
              let wanted = if kept then ExtensionBits.errorCode 5u else 0UL
              Expect.equal (resets (scripted.Fresh())) [ wanted ] $"after {seconds} s"
      }
      test "what another address, another id or a SYN draws has no code" {
          let struct (scripted, peer) = acceptedBy hello
          scripted.Tell(Event.AbortWithCode(1, 5u)) |> ignore
          scripted.Fresh() |> ignore
          let data = peer.Make(PacketType.Data, 0, [| 1uy |])
          scripted.Receive(Endpoint.withPort 9001us here, data) |> ignore
          let header = (decoded data).Header

          scripted.Receive(here, encoded { header with ConnectionId = 105us } Owned.Empty Owned.Empty)
          |> ignore

          scripted.Tell(Event.Unlisten) |> ignore
          scripted.Receive(here, syn 101us 9us) |> ignore
          Expect.equal (resets (scripted.Fresh())) [ 0UL; 0UL; 0UL ] "bits"
      }
      test "the code of an older stream is not that of a later one under the same ids" {
          let struct (scripted, _) = acceptedBy hello
          scripted.Tell(Event.AbortWithCode(1, 5u)) |> ignore
          scripted.Fresh() |> ignore
          scripted.Receive(here, synWith hello 100us 2000us) |> ignore
          let peer = Peer(scripted, here, 101us, SeqNr 2001us, scripted.Head().Header.SeqNr)
          scripted.Wait(Time.milliseconds 50)
          peer.State(0, 0) |> ignore
          scripted.Tell(Event.Abort 3) |> ignore
          scripted.Fresh() |> ignore
          peer.Data(0, [| 1uy |]) |> ignore
          Expect.equal (resets (scripted.Fresh())) [ 0UL ] "bits"
      }
      test "however many streams are aborted, the codes that are kept are few, and go" {
          let struct (scripted, _) = acceptedBy hello
          let fresh = (UtpPunch.Tracing.Snapshot.take false scripted.Node).Length

          for number in 1..3000 do
              let remote = Endpoint.ofIPv4 (0xC0000000u + uint32 number) 4000us
              scripted.Receive(remote, synWith hello 100us 1000us) |> ignore
              let synAck = scripted.Sent[scripted.Sent.Count - 1]
              let peer = Peer(scripted, remote, 101us, SeqNr 1001us, synAck.Header.SeqNr)
              peer.State(0, 0) |> ignore
              scripted.Tell(Event.AbortWithCode(1 + 2 * number, uint32 number)) |> ignore

          Expect.isLessThan (UtpPunch.Tracing.Snapshot.take false scripted.Node).Length 200_000 "bytes"
          // Longer than agreements of keys are kept, too.
          scripted.Wait(Time.seconds 75)
          scripted.Tell(Event.Taken 1) |> ignore
          Expect.isLessThan (UtpPunch.Tracing.Snapshot.take false scripted.Node).Length (fresh + 200) "bytes later"
      } ]

let private strangers =
    [ test "a peer of another implementation gets a RESET of 20 bytes, now and later" {
          let struct (scripted, peer) = acceptedBy 0UL
          scripted.Tell(Event.AbortWithCode(1, 5u)) |> ignore
          peer.Data(0, [| 1uy |]) |> ignore
          let sent = scripted.Fresh()

          Expect.equal
              [ for it in sent -> struct (it.Type, it.Length) ]
              [ for _ in 1..2 -> struct (PacketType.Reset, 20) ]
              "packets"
      }
      test "a code in the RESET of a peer that has not said that it is a node of this implementation is not read" {
          let struct (scripted, peer) = acceptedBy 0UL
          peer.Bits <- ExtensionBits.errorCode 5u
          peer.Send(PacketType.Reset, 0, [||]) |> ignore
          Expect.equal (scripted.Closed 1) (Some CloseReason.Reset) "closed"
          Expect.isEmpty (codes scripted) "codes"
      } ]

let private forgeries =
    [ test "a code is read only from a RESET that closes the stream" {
          let struct (scripted, peer) = acceptedBy hello
          scripted.Tell(Event.Write(1, Owned(content 2_000))) |> ignore
          scripted.Fresh() |> ignore
          peer.Bits <- ExtensionBits.errorCode 666u

          for acked in [ -32768; -1000; -10; 10; 1000; 32767 ] do
              peer.Acked <- acked
              peer.Send(PacketType.Reset, 0, [||]) |> ignore

          Expect.equal (scripted.Closed 1) None "closed"
          Expect.isEmpty (codes scripted) "codes"
          peer.Acked <- 1
          peer.Send(PacketType.Reset, 0, [||]) |> ignore
          Expect.equal (scripted.Closed 1) (Some CloseReason.Reset) "closed by one in the window"
          Expect.equal (codes scripted) [ 666u ] "codes"
      }
      test "bits of another kind in a RESET are no code" {
          for bits in [ hello; ExtensionBits.probe 1uy 1200; ExtensionBits.challenge; 0x5550_0901_0000_0005UL ] do
              let struct (scripted, peer) = acceptedBy hello
              peer.Bits <- bits
              peer.Send(PacketType.Reset, 0, [||]) |> ignore
              Expect.equal (scripted.Closed 1) (Some CloseReason.Reset) "closed"
              Expect.isEmpty (codes scripted) "codes"
      } ]

let tests = testList "error codes" (arriving @ strangers @ forgeries)
