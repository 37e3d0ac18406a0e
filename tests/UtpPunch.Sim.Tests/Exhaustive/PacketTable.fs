/// Every packet in every state: what BEP 29 and ARCHITECTURE.md ("Intentional differences", "Choices") ask for, as a table.
module UtpPunch.Sim.Tests.PacketTable

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedPeer

type private Stage =
    | NoStream
    /// We sent a SYN.
    | SynSent
    /// We answered a SYN.
    | SynReceived
    /// In this stage and those below, the peer has sent a packet, and one of ours is not acknowledged.
    | Open
    | WeFinished
    | TheyFinished
    /// Everything of both sides is acknowledged.
    | BothFinished
    /// Our application has let go.
    | Released
    | Aborted

/// By the number that comes next in order.
type private Number =
    | Next
    /// That of a packet that is here already; in a SYN, that of the stream's own SYN.
    | Old
    | Ahead
    /// Further ahead than anybody sends.
    | Far

/// By the last number that we sent.
type private Acknowledgement =
    | All
    /// Of the packet before the first that is outstanding.
    | Before
    /// Of one a thousand packets back.
    | Ancient
    | Unsent

/// One row for all cells of its kinds; an earlier row goes before a later one. What happens within 30 ms, in this order: what the
/// application is told, what is sent, and in brackets what is noted.
type private Row =
    { In: Stage list
      On: PacketType list
      Of: Number list
      Saying: Acknowledgement list
      Gives: string }

let private numbers = [ Next; Old; Ahead; Far ]
let private acknowledgements = [ All; Before; Ancient; Unsent ]

let private stages =
    [ NoStream; SynSent; SynReceived; Open; WeFinished; TheyFinished; BothFinished; Released; Aborted ]

let private carriers = [ PacketType.Data; PacketType.Fin ]
let private ordinary = [ PacketType.Data; PacketType.Fin; PacketType.State ]
let private types = ordinary @ [ PacketType.Reset; PacketType.Syn ]
let private live = [ SynReceived; Open; WeFinished; TheyFinished; BothFinished; Released ]
let private wellAcknowledged = [ All; Before ]

let private row stages types numbers acknowledgements gives =
    { In = stages; On = types; Of = numbers; Saying = acknowledgements; Gives = gives }

let private table =
    [ // Nobody is there: one RESET, and none for a RESET. We listen, so a SYN is answered by a SYN-ACK.
      row [ NoStream; Aborted ] ordinary numbers acknowledgements "RESET [UnknownConnection]"
      row [ NoStream; Aborted ] [ PacketType.Reset ] numbers acknowledgements "[UnknownConnection]"
      row [ NoStream; Aborted ] [ PacketType.Syn ] numbers acknowledgements "STATE"

      // A SYN-ACK is a STATE for our SYN, whatever number it begins with; we say that we are there.
      row [ SynSent ] [ PacketType.State ] numbers [ All ] "opened; STATE"
      row [ SynSent ] ordinary numbers acknowledgements "[UnexpectedPacket]"
      row [ SynSent ] [ PacketType.Reset ] numbers [ All ] "closed Refused; [ResetAccepted]"
      row [ SynSent ] [ PacketType.Reset ] numbers acknowledgements "[ResetOutOfRange]"
      // Ids are a pair of hosts' and a direction's: this would be another stream, and this node does not listen.
      row [ SynSent ] [ PacketType.Syn ] numbers acknowledgements "RESET [NotListening]"

      // The same SYN again asks for the same SYN-ACK, as long as its sender may lack it; any other may not have these ids.
      row [ SynReceived ] [ PacketType.Syn ] [ Old ] acknowledgements "STATE [RepeatedSyn]"
      row live [ PacketType.Syn ] [ Old ] acknowledgements "[RepeatedSyn]"
      // Those of a stream that has ended are free.
      row [ BothFinished ] [ PacketType.Syn ] numbers acknowledgements "STATE"
      row live [ PacketType.Syn ] numbers acknowledgements "[IdCollision]"

      // A RESET counts if it fits, and is never answered.
      row live [ PacketType.Reset ] numbers [ Ancient; Unsent ] "[ResetOutOfRange]"
      row [ SynReceived; BothFinished ] [ PacketType.Reset ] numbers wellAcknowledged "[ResetAccepted]"
      row live [ PacketType.Reset ] numbers wellAcknowledged "closed Reset; [ResetAccepted]"

      // What acknowledges what was never sent is not the peer's, and neither is what is older than all that is under way.
      row live ordinary numbers [ Ancient; Unsent ] "[AckOutOfRange]"

      // Whoever acknowledges the SYN-ACK receives at his address: the stream is there, then his packet is looked at.
      row [ SynReceived ] [ PacketType.State ] numbers wellAcknowledged "accepted"
      row [ SynReceived ] carriers [ Far ] wellAcknowledged "accepted; [SeqOutOfRange]"
      row [ SynReceived ] carriers [ Ahead ] wellAcknowledged "accepted; STATE [OutOfOrder]"
      row [ SynReceived ] carriers [ Old ] wellAcknowledged "accepted; STATE [Duplicate]"
      row [ SynReceived ] [ PacketType.Data ] [ Next ] wellAcknowledged "accepted, delivered; STATE"
      row [ SynReceived ] [ PacketType.Fin ] [ Next ] wellAcknowledged "accepted, ended; STATE"

      // Out of range: not even its acknowledgement counts.
      row live carriers [ Far ] wellAcknowledged "[SeqOutOfRange]"

      // A STATE's number says nothing.
      row [ Open; TheyFinished ] [ PacketType.State ] numbers [ All ] "writable"
      row [ WeFinished; Released ] [ PacketType.State ] numbers [ All ] "finished, writable"
      row [ Open; WeFinished; TheyFinished; Released ] [ PacketType.State ] numbers [ Before ] ""

      // In order: delivered, acknowledged within 25 ms.
      row [ Open ] [ PacketType.Data ] [ Next ] [ All ] "delivered, writable; STATE"
      row [ WeFinished ] [ PacketType.Data ] [ Next ] [ All ] "delivered, finished, writable; STATE"
      row [ Open; WeFinished ] [ PacketType.Data ] [ Next ] [ Before ] "delivered; STATE"
      // Nobody reads any more, but the peer need not know.
      row [ Released ] [ PacketType.Data ] [ Next ] [ All ] "finished, writable; STATE"
      row [ Released ] [ PacketType.Data ] [ Next ] [ Before ] "STATE"

      row [ Open ] [ PacketType.Fin ] [ Next ] [ All ] "ended, writable; STATE"
      row
          [ WeFinished; Released ]
          [ PacketType.Fin ]
          [ Next ]
          [ All ]
          "ended, finished, writable, closed Finished; STATE"
      row [ Open; WeFinished; Released ] [ PacketType.Fin ] [ Next ] [ Before ] "ended; STATE"

      // Here already, or too early: said at once.
      row [ Open; TheyFinished ] carriers [ Old ] [ All ] "writable; STATE [Duplicate]"
      row [ WeFinished; Released ] carriers [ Old ] [ All ] "finished, writable; STATE [Duplicate]"
      row [ Open; WeFinished; TheyFinished; Released ] carriers [ Old ] [ Before ] "STATE [Duplicate]"
      row [ Open ] carriers [ Ahead ] [ All ] "writable; STATE [OutOfOrder]"
      row [ WeFinished; Released ] carriers [ Ahead ] [ All ] "finished, writable; STATE [OutOfOrder]"
      row [ Open; WeFinished; Released ] carriers [ Ahead ] [ Before ] "STATE [OutOfOrder]"

      // Behind the end there is nothing; what it acknowledges counts.
      row [ TheyFinished ] carriers [ Next; Ahead ] [ All ] "writable; [BeyondFin]"
      row [ TheyFinished ] carriers [ Next; Ahead ] [ Before ] "[BeyondFin]"

      // Both have ended: a repeated FIN, or data, is acknowledged once more, and nothing else happens.
      row [ BothFinished ] [ PacketType.State ] numbers wellAcknowledged ""
      row [ BothFinished ] carriers [ Old ] wellAcknowledged "STATE [Duplicate]"
      row [ BothFinished ] carriers [ Next; Ahead ] wellAcknowledged "[BeyondFin]" ]

/// A node in that stage, the id of the stream's packets and of its SYN, the SYN's number, the next number, and the last one that we sent.
let private arrange stage =
    match stage with
    | NoStream ->
        let puppet = ScriptedPeer NodeOptions.standard
        puppet.Tell(Event.Listen 4) |> ignore
        struct (puppet, 101us, 100us, SeqNr 999us, SeqNr 1000us, SeqNr 7us)
    | SynSent ->
        let puppet = ScriptedPeer NodeOptions.standard
        puppet.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
        let header = puppet.Head().Header
        struct (puppet, header.ConnectionId, header.ConnectionId, SeqNr 999us, SeqNr 1000us, header.SeqNr)
    | SynReceived ->
        let puppet = ScriptedPeer NodeOptions.standard
        puppet.Tell(Event.Listen 4) |> ignore
        puppet.Receive(here, syn 100us 65535us) |> ignore
        // A SYN-ACK takes no number: it carries that of our first data.
        struct (puppet, 101us, 100us, SeqNr 65535us, SeqNr 0us, puppet.Head().Header.SeqNr + -1)
    | _ ->
        let struct (puppet, peer) = acceptedWith NodeOptions.standard 65535us
        peer.Data(0, [| 1uy |]) |> ignore
        puppet.Tell(Event.Consumed(1, 1)) |> ignore

        let theirs received sent =
            struct (puppet, 101us, 100us, SeqNr 65535us, SeqNr 0us + received, peer.TheirFirst + (sent - 1))

        puppet.Tell(Event.Write(1, Bytes [| 2uy |])) |> ignore

        match stage with
        | WeFinished ->
            puppet.Tell(Event.Finish 1) |> ignore
            theirs 1 2
        | TheyFinished ->
            peer.Fin 1 |> ignore
            theirs 2 1
        | BothFinished ->
            peer.Fin 1 |> ignore
            puppet.Tell(Event.Finish 1) |> ignore
            peer.State(2, 2) |> ignore
            Expect.equal (puppet.Closed 1) (Some CloseReason.Finished) "how it closed"
            theirs 2 2
        | Released ->
            puppet.Tell(Event.Release(1, Time.seconds 5)) |> ignore
            theirs 1 2
        | Aborted ->
            puppet.Tell(Event.Abort 1) |> ignore
            theirs 1 1
        | _ -> theirs 1 1

let private name (packetType: PacketType) = (string packetType).ToUpperInvariant()

/// What one packet does.
let private outcomeOf stage packetType number acknowledgement =
    let struct (puppet, id, synId, synNr, next, last) = arrange stage
    puppet.Wait(Time.milliseconds 30)
    puppet.Fresh() |> ignore
    let before = puppet.Effects.Count
    let isSyn = packetType = PacketType.Syn

    let packet =
        { Type = packetType
          ConnectionId = if isSyn then synId else id
          Timestamp = Time.stamp puppet.Now
          TimestampDifference = 0u
          Window = 1u <<< 20
          SeqNr =
            (match number with
             | Next -> next
             | Old -> if isSyn then synNr else next + -1
             | Ahead -> next + 5
             | Far -> next + 3000)
          AckNr =
            (match acknowledgement with
             | All -> last
             | Before -> last + (if stage = WeFinished || stage = Released then -2 else -1)
             | Ancient -> last + -1000
             // A RESET may carry the number that our next packet will have.
             | Unsent -> last + 2) }

    let payload = if packetType = PacketType.Data then [| 3uy |] else [||]
    puppet.Receive(here, encoded packet Bytes.Empty (Bytes payload)) |> ignore
    puppet.Wait(Time.milliseconds 30)
    let effects = puppet.Effects.GetRange(before, puppet.Effects.Count - before)

    let told =
        [ for effect in effects do
              match effect with
              | Effect.Accepted _ -> "accepted"
              | Effect.Opened _ -> "opened"
              | Effect.Deliver _ -> "delivered"
              | Effect.Ended _ -> "ended"
              | Effect.Finished _ -> "finished"
              | Effect.Writable _ -> "writable"
              | Effect.Closed(_, reason) -> $"closed %A{reason}"
              | Effect.Foreign _ -> "foreign"
              | Effect.PacketSized _ -> "sized"
              | Effect.Send _
              | Effect.SendDatagram _
              | Effect.OpenSockets _
              | Effect.CloseSockets _
              | Effect.Registered _
              | Effect.Introduced _
              | Effect.Punched _
              | Effect.Discovered _
              | Effect.Noted _ -> () ]

    let sent = [ for seen in puppet.Fresh() -> name seen.Type ]

    let noted =
        [ for effect in effects do
              match effect with
              | Effect.Noted(rule, _) -> $"%A{rule}"
              | _ -> () ]

    [ if not told.IsEmpty then String.concat ", " told + ";"
      yield! sent
      if not noted.IsEmpty then "[" + String.concat ", " noted + "]" ]
    |> String.concat " "
    |> fun text -> text.TrimEnd ';'

let tests =
    testList
        "packet table"
        [ for stage in stages do
              test $"every packet in the state {stage} does what the table says" {
                  let wrong =
                      [ for packetType in types do
                            for number in numbers do
                                for acknowledgement in acknowledgements do
                                    let covers row =
                                        List.contains stage row.In
                                        && List.contains packetType row.On
                                        && List.contains number row.Of
                                        && List.contains acknowledgement row.Saying

                                    let found = outcomeOf stage packetType number acknowledgement
                                    let cell = $"{name packetType} {number}, acknowledging {acknowledgement}"

                                    match List.tryFind covers table with
                                    | None -> $"{cell}: '{found}', and the table says nothing"
                                    | Some row when row.Gives <> found -> $"{cell}: '{found}', expected '{row.Gives}'"
                                    | Some _ -> () ]

                  if not wrong.IsEmpty then failtest (String.concat "\n" wrong)
              } ]
