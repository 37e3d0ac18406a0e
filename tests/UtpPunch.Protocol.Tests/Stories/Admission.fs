/// A listener whose application decides about each peer before its SYN is answered.
module UtpPunch.Protocol.Tests.Admission

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.Story

let private listening options =
    let scripted = ScriptedPeer options
    scripted.Tell(Event.ListenSelectively 16) |> ignore
    scripted

let private asked (scripted: ScriptedPeer) =
    [ for effect in scripted.Effects do
          match effect with
          | Effect.Asked(connId, remote) -> struct (connId, remote)
          | _ -> () ]

let private accepted (scripted: ScriptedPeer) = scripted.Effects |> Seq.filter _.IsAccepted |> Seq.length

let private nothingLeft (node: Node) =
    let left = Node.statistics node
    Expect.equal (left.Incoming + left.Outgoing + left.HalfOpen + left.Lingering) 0 "streams that are left"

let private decisions =
    [ test "a refused dial ends at once, and nothing of it is left at the listener" {
          let pair = calmPair ()
          pair.B.Admits <- fun _ -> false
          pair.Tell(pair.B, Event.ListenSelectively 16)
          let a = pair.Connect(pair.A, Dialect.Bep29)
          run (Time.milliseconds 500) pair "A closes" (fun () -> a.Closed.IsSome)
          Expect.equal a.Closed (ValueSome CloseReason.Refused) "the reason"
          Expect.equal (pair.A.Count Rule.HandshakeRetransmit) 0 "SYNs that were repeated"
          Expect.equal pair.B.Asked.Count 1 "questions"
          Expect.isEmpty pair.B.Accepted "accepted streams"
          Expect.equal (pair.B.Count Rule.PeerRefused) 1 "refusals"
          nothingLeft pair.B.Node
      }
      test "an admitted dial opens, in each dialect, and what both write arrives" {
          for dialect in [ Dialect.Bep29; Dialect.UtpPunch ] do
              let pair = pairOf { usual with Dialect = dialect } Path.perfect
              pair.Tell(pair.B, Event.ListenSelectively 16)
              let a = pair.Connect(pair.A, dialect)
              run (Time.seconds 1) pair "A opens" (fun () -> a.Opened)
              write pair pair.A a (content 5_000)
              run (Time.seconds 1) pair "B accepts" (fun () -> pair.B.Accepted.Count = 1)
              let b = pair.B.Accepted[0]
              write pair pair.B b (content 3_000)

              run (Time.seconds 5) pair "all arrives" (fun () -> a.Received.Count = 3_000 && b.Received.Count = 5_000)

              received b (content 5_000) "B's bytes"
              Expect.equal pair.B.Asked.Count 1 "questions"
      }
      test "a refusal in the npm package's dialect ends the dial, too" {
          let pair = pairOf { usual with Dialect = Dialect.UtpPunch } Path.perfect
          pair.B.Admits <- fun _ -> false
          pair.Tell(pair.B, Event.ListenSelectively 16)
          let a = pair.Connect(pair.A, Dialect.UtpPunch)
          run (Time.milliseconds 500) pair "A closes" (fun () -> a.Closed.IsSome)
          Expect.equal a.Closed (ValueSome CloseReason.Refused) "the reason"
      }
      test "until the application has decided, repeated SYNs draw neither an answer nor another question" {
          let scripted = listening usual
          scripted.Receive(here, syn 100us 7us, syn 100us 7us) |> ignore
          scripted.Wait(Time.seconds 3)
          scripted.Receive(here, syn 100us 7us) |> ignore
          Expect.equal (asked scripted) [ struct (1, here) ] "questions"
          Expect.isEmpty (scripted.Fresh()) "packets"
          scripted.Tell(Event.Decided(1, true)) |> ignore
          let synAck = scripted.Head()
          Expect.equal synAck.Type PacketType.State "the SYN-ACK"
          Expect.equal synAck.Header.AckNr (SeqNr 7us) "its acknowledgement"
          scripted.Receive(here, syn 100us 7us) |> ignore
          Expect.equal (scripted.Head().Header.SeqNr) synAck.Header.SeqNr "the SYN-ACK that answers a repeated SYN"
      }
      test "a refused SYN is answered as by a node that does not listen" {
          let answers =
              [ for listens in [ true; false ] do
                    let scripted = ScriptedPeer usual
                    if listens then scripted.Tell(Event.ListenSelectively 16) |> ignore
                    scripted.Receive(here, syn 100us 7us) |> ignore
                    if listens then scripted.Tell(Event.Decided(1, false)) |> ignore

                    [ for seen in scripted.Fresh() ->
                          let it = seen.Header
                          struct (it.Type, it.ConnectionId, it.SeqNr.Value, it.AckNr.Value, it.Window, seen.Length) ] ]

          Expect.equal answers[0] answers[1] "the answers"
          Expect.equal answers[0] [ struct (PacketType.Reset, 100us, 0us, 7us, 0u, 20) ] "a RESET"
      }
      test
          "a SYN about which the application does not decide is forgotten, and a decision that comes later does nothing" {
          let scripted = listening usual
          scripted.Receive(here, syn 100us 7us) |> ignore
          scripted.Wait(usual.HalfOpenTimeout + Time.seconds 1)
          Expect.equal (scripted.Count Rule.HalfOpenExpired) 1 "expired"
          scripted.Tell(Event.Decided(1, true), Event.Decided(1, false), Event.Decided(99, true)) |> ignore
          Expect.isEmpty (scripted.Fresh()) "packets"
          nothingLeft scripted.Node
      }
      test "no packet opens a stream before the decision, whatever it guesses" {
          let scripted = listening usual
          scripted.Receive(here, syn 100us 7us) |> ignore
          // What the SYN-ACK would have said, from the same node with another listener.
          let twin = ScriptedPeer usual
          twin.Tell(Event.Listen 16) |> ignore
          twin.Receive(here, syn 100us 7us) |> ignore
          let peer = Peer(twin, here, 101us, SeqNr 8us, twin.Head().Header.SeqNr)
          let confirmation = peer.Make(PacketType.Data, 0, [| 1uy |])
          twin.Receive(here, confirmation) |> ignore
          Expect.equal (accepted twin) 1 "the other listener accepts"
          scripted.Receive(here, confirmation) |> ignore
          Expect.equal (accepted scripted) 0 "accepted"
          Expect.isEmpty (scripted.Fresh()) "packets"
      }
      test "a listener that goes away refuses those about whom it was not decided" {
          let scripted = listening usual
          scripted.Receive(here, syn 100us 7us) |> ignore
          scripted.Tell(Event.Unlisten, Event.Decided(1, true)) |> ignore
          Expect.equal (scripted.Head().Type) PacketType.Reset "the answer"
          nothingLeft scripted.Node
          // The next listener has its own way.
          scripted.Tell(Event.Listen 16) |> ignore
          scripted.Receive(here, syn 100us 7us) |> ignore
          Expect.equal (scripted.Head().Type) PacketType.State "the SYN-ACK"
          Expect.hasLength (asked scripted) 1 "questions"
      } ]

// ---- Floods ----

let private addressed number = Endpoint.ofIPv4 (0xC0000000u + uint32 number) 4000us

/// The peer's confirmation of the SYN-ACK that a cookie has sent, with data.
let private confirms (scripted: ScriptedPeer) =
    scripted.Fresh() |> ignore
    scripted.Receive(here, syn 100us 1000us) |> ignore
    let synAck = scripted.Head()
    Expect.equal synAck.Type PacketType.State "the SYN-ACK"
    let peer = Peer(scripted, here, 101us, SeqNr 1001us, synAck.Header.SeqNr)
    scripted.Wait(Time.milliseconds 20)
    peer.Data(0, [| 1uy; 2uy |]) |> ignore
    peer

let private floods =
    [ test "addresses that may be forged are asked about as long as few are refused; then they prove themselves first" {
          let scripted = listening usual

          for number in 1..3000 do
              scripted.Receive(addressed number, syn 7us 1us) |> ignore
              scripted.Tell(Event.Decided(1 + 2 * (asked scripted).Length - 2, false)) |> ignore

          let questions = (asked scripted).Length
          Expect.isLessThan questions 1000 "questions"
          Expect.isGreaterThan questions 250 "questions"
          Expect.equal (scripted.Count Rule.SynCookieSent) (3000 - questions) "cookies"
          nothingLeft scripted.Node
          confirms scripted |> ignore
          Expect.hasLength (asked scripted) (questions + 1) "one more"
          // They may be asked about again after a while.
          scripted.Wait(Time.seconds 2)
          scripted.Receive(addressed 2000, syn 7us 1us) |> ignore
          Expect.hasLength (asked scripted) (questions + 2) "and one more"
      }
      test "an address that is refused again and again proves itself first, and others do not have to" {
          let scripted = listening usual

          for number in 1..100 do
              scripted.Receive(here, syn (uint16 (2 * number)) 1us) |> ignore
              scripted.Tell(Event.Decided(1 + 2 * (asked scripted).Length - 2, false)) |> ignore

          let questions = (asked scripted).Length
          Expect.isLessThan questions 50 "questions"
          Expect.equal (scripted.Count Rule.SynCookieSent) (100 - questions) "cookies"
          scripted.Receive(addressed 1, syn 7us 1us) |> ignore
          Expect.hasLength (asked scripted) (questions + 1) "questions"
      }
      test "a full node makes room for a peer that is admitted, and not for one that is refused" {
          for admits in [ false; true ] do
              let scripted = listening { usual with MaxConnections = 1 }
              scripted.Receive(addressed 1, syn 7us 1us) |> ignore
              scripted.Tell(Event.Decided(1, true)) |> ignore
              let synAck = scripted.Head()
              let unused = Peer(scripted, addressed 1, 8us, SeqNr 2us, synAck.Header.SeqNr)
              unused.State(0, 0) |> ignore
              scripted.Tell(Event.Taken 1) |> ignore
              scripted.Wait(Time.seconds 31)
              scripted.Receive(here, syn 100us 1us) |> ignore
              Expect.hasLength (asked scripted) 2 "questions"
              scripted.Tell(Event.Decided(3, admits)) |> ignore
              Expect.equal (scripted.Closed 1).IsSome admits "room was made"
      }
      test "a peer that has confirmed a cookie is admitted late: it opens, and its data is delivered once repeated" {
          let scripted = listening { usual with MaxHalfOpen = 0 }
          let peer = confirms scripted
          Expect.hasLength (asked scripted) 1 "questions"
          Expect.equal (accepted scripted) 0 "accepted"
          peer.Data(0, [| 1uy; 2uy |]) |> ignore
          Expect.hasLength (asked scripted) 1 "questions after a repetition"
          scripted.Fresh() |> ignore
          scripted.Tell(Event.Decided(1, true)) |> ignore
          Expect.equal (scripted.Head().Header.SeqNr) peer.TheirFirst "the SYN-ACK once more"
          scripted.Wait(Time.milliseconds 20)
          peer.Data(0, [| 1uy; 2uy |]) |> ignore
          Expect.equal (accepted scripted) 1 "accepted"
          Expect.equal (scripted.Delivered 1) [| 1uy; 2uy |] "its bytes"
      }
      test "a dial that is refused late is reset" {
          let pair = pairOver { usual with MaxHalfOpen = 0 } Path.perfect Path.perfect
          pair.B.Admits <- fun _ -> false
          pair.Tell(pair.B, Event.ListenSelectively 16)
          let a = pair.Connect(pair.A, Dialect.Bep29)
          run (Time.seconds 1) pair "A opens" (fun () -> a.Opened)
          write pair pair.A a (content 3_000)
          run (Time.seconds 2) pair "A closes" (fun () -> a.Closed.IsSome)
          Expect.equal a.Closed (ValueSome CloseReason.Reset) "the reason"
          Expect.isEmpty pair.B.Accepted "accepted streams"
          nothingLeft pair.B.Node
      } ]

// ---- Bad networks ----

/// A path that loses, delays and repeats.
let private worse =
    { Path.perfect with
        Lateness = Lateness.Uniform(Time.milliseconds 30)
        Loss = Loss.Each 150
        Duplication = 100
        Copies = 2
        CopiesLate = Time.milliseconds 400 }

let private networks =
    [ test "over paths that lose and repeat, each dial opens if it is admitted, and is refused if not" {
          for seed in 1UL .. 60UL do
              let admits = Keyed.below 2 seed 7 0L = 0
              let dialect = if Keyed.below 4 seed 7 1L = 0 then Dialect.UtpPunch else Dialect.Bep29
              let pair = TwoNodes.over seed { usual with Dialect = dialect } worse worse
              pair.B.Admits <- fun _ -> admits
              pair.Tell(pair.B, Event.ListenSelectively 16)
              let a = pair.Connect(pair.A, dialect)
              run (Time.seconds 50) pair $"seed {seed}: A knows" (fun () -> a.Opened || a.Closed.IsSome)

              if admits then
                  Expect.isTrue a.Opened $"seed {seed}: opened"
              else
                  Expect.equal a.Closed (ValueSome CloseReason.Refused) $"seed {seed}: the reason"
                  Expect.isEmpty pair.B.Accepted $"seed {seed}: accepted streams"
                  wait (Time.seconds 70) pair
                  nothingLeft pair.B.Node
      } ]

let tests = testList "admission" (decisions @ floods @ networks)
