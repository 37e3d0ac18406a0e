/// Which of the node's own addresses an answer leaves from: the one that was asked (RFC 1122, 4.1.3.5).
module UtpPunch.Protocol.Tests.OwnAddresses

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Protocol.Tests.ScriptedRegistrant

/// The own addresses of everything that was sent to a peer.
let private sources (effects: Effect seq) =
    effects
    |> Seq.choose (fun effect ->
        match effect with
        | Effect.Send(remote, _)
        | Effect.SendDatagram(remote, _, _) -> Some remote.Local
        | _ -> None)
    |> Seq.toList

let private at own = Endpoint.local own here

let tests =
    testList
        "own addresses"
        [ test "an accepted stream keeps the address to which its SYN came" {
              let scripted = ScriptedPeer usual
              scripted.Tell(Event.Listen 16) |> ignore
              let synAcks = scripted.Receive(at 3us, syn 100us 1000us)
              Expect.equal (sources synAcks) [ 3us ] "the SYN-ACK"
              let peer = Peer(scripted, at 5us, 101us, SeqNr 1001us, scripted.Head().Header.SeqNr)
              // It comes to another address: an attacker could send that.
              peer.State(0, 0) |> ignore
              Expect.equal (Node.remoteOf 1 scripted.Node |> ValueOption.map _.Local) (ValueSome 3us) "the stream's"
              let sent = scripted.Tell(Event.Taken 1, Event.Write(1, Owned(Array.zeroCreate 5000)))
              Expect.isNonEmpty (sources sent) "data"
              Expect.allEqual (sources sent) 3us "the data"
          }
          test "a dialled stream keeps the address to which its SYN-ACK came" {
              let scripted = ScriptedPeer usual
              let syns = scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60))
              Expect.equal (sources syns) [ 0us ] "the system chooses the SYN's"
              let dialled = scripted.Head().Header
              scripted.Wait(Time.milliseconds 50)
              let peer = Peer(scripted, at 4us, dialled.ConnectionId, SeqNr 1000us, dialled.SeqNr + 1)
              let confirmed = peer.State(0, 0)
              Expect.allEqual (sources confirmed) 4us "the confirmation"
              let late = Peer(scripted, at 7us, dialled.ConnectionId, SeqNr 1000us, dialled.SeqNr + 1)
              let acknowledged = late.Data(0, [| 1uy |])
              scripted.Wait(Time.seconds 1)
              Expect.allEqual (sources acknowledged) 4us "what comes to another address changes nothing"
              let sent = scripted.Tell(Event.Write(0, Owned(Array.zeroCreate 5000)))
              Expect.allEqual (sources sent) 4us "the data"
          }
          test "what does not open a stream, and is not one's own, does not choose the address of a dialled stream" {
              let scripted = ScriptedPeer usual
              scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
              let dialled = scripted.Head().Header
              let wrong = Peer(scripted, at 4us, dialled.ConnectionId, SeqNr 1000us, dialled.SeqNr + 9)
              wrong.State(0, 0) |> ignore
              Expect.equal (Node.remoteOf 0 scripted.Node |> ValueOption.map _.Local) (ValueSome 0us) "the stream's"
          }
          test "a RESET leaves from the address that was asked" {
              let scripted = ScriptedPeer usual

              let header: Header =
                  { Type = PacketType.Data
                    ConnectionId = 77us
                    Timestamp = 1u
                    TimestampDifference = 0u
                    Window = 1000u
                    SeqNr = SeqNr 5us
                    AckNr = SeqNr 6us }

              let answers = scripted.Receive(at 9us, encoded header Owned.Empty (Owned [| 1uy |]))
              Expect.equal (sources answers) [ 9us ] "the RESET"
          }
          test "a rendezvous answers, introduces and says go from the address that each client has asked last" {
              let asking (registrant: Registrant) own =
                  { registrant with Remote = Endpoint.local own registrant.Remote }

              let server = Rendezvous.create options seed 0L<us>
              let struct (first, server) = obtainCookie 0L<us> (asking (registrant 1 5) 2us) server
              let struct (other, server) = obtainCookie 0L<us> (asking (registrant 2 5) 3us) server
              let moved = asking first 6us
              let locals sent = [ for struct (remote: Endpoint, _) in sent -> remote.Local ]
              let struct (server, registered) = send 0L<us> (register first) first server
              Expect.equal (locals registered) [ 2us ] "registered"
              let struct (server, registered) = send 0L<us> (register moved) moved server
              Expect.equal (locals registered) [ 6us ] "registered again"
              let struct (_, introduced) = send 0L<us> (register other) other server
              Expect.containsAll (locals introduced) [ 3us; 6us ] "introduced"
              Expect.isFalse (List.contains 2us (locals introduced)) "no longer asked"
          } ]
