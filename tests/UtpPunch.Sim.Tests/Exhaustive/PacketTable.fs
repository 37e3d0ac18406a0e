/// Compares what the core does with `StateTable`: every packet and every command in every state, and time-outs.
module UtpPunch.Sim.Tests.PacketTable

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.ScriptedPeer
open UtpPunch.Sim.Tests.StateTable

/// The peer's side of a stream in some stage.
[<NoComparison; NoEquality>]
type private Arranged =
    {
        Scripted: ScriptedPeer
        /// The id of its packets, and that of its SYN.
        Id: uint16
        SynId: uint16
        SynNr: SeqNr
        /// The number of its next packet, and the last one that we sent.
        Next: SeqNr
        Last: SeqNr
    }

let private arrange stage =
    match stage with
    | NoStream ->
        let scripted = ScriptedPeer NodeOptions.standard
        scripted.Tell(Event.Listen 4) |> ignore

        { Scripted = scripted
          Id = 101us
          SynId = 100us
          SynNr = SeqNr 999us
          Next = SeqNr 1000us
          Last = SeqNr 7us }
    | Dialled ->
        let scripted = ScriptedPeer NodeOptions.standard
        scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
        let header = scripted.Head().Header
        let id = header.ConnectionId

        { Scripted = scripted
          Id = id
          SynId = id
          SynNr = SeqNr 999us
          Next = SeqNr 1000us
          Last = header.SeqNr }
    | HalfOpen ->
        let scripted = ScriptedPeer NodeOptions.standard
        scripted.Tell(Event.Listen 4) |> ignore
        scripted.Receive(here, syn 100us 65535us) |> ignore
        // A SYN-ACK takes no number: it carries that of our first data.
        let last = scripted.Head().Header.SeqNr + -1

        { Scripted = scripted
          Id = 101us
          SynId = 100us
          SynNr = SeqNr 65535us
          Next = SeqNr 0us
          Last = last }
    | _ ->
        let struct (scripted, peer) = acceptedWith NodeOptions.standard 65535us
        peer.Data(0, [| 1uy |]) |> ignore
        scripted.Tell(Event.Consumed(1, 1)) |> ignore
        scripted.Tell(Event.Write(1, Owned [| 2uy |])) |> ignore

        let theirs received sent =
            { Scripted = scripted
              Id = 101us
              SynId = 100us
              SynNr = SeqNr 65535us
              Next = SeqNr 0us + received
              Last = peer.TheirFirst + (sent - 1) }

        match stage with
        | WeFinished ->
            scripted.Tell(Event.Finish 1) |> ignore
            theirs 1 2
        | WeFinishedAcknowledged ->
            scripted.Tell(Event.Finish 1) |> ignore
            peer.State(2, 1) |> ignore
            theirs 1 2
        | TheyFinished ->
            peer.Fin 1 |> ignore
            theirs 2 1
        | TheyFinishedThenWe ->
            peer.Fin 1 |> ignore
            scripted.Tell(Event.Finish 1) |> ignore
            theirs 2 2
        | BothFinished ->
            peer.Fin 1 |> ignore
            scripted.Tell(Event.Finish 1) |> ignore
            peer.State(2, 2) |> ignore
            Expect.equal (scripted.Closed 1) (Some CloseReason.Finished) "how it closed"
            theirs 2 2
        | Released ->
            scripted.Tell(Event.Release(1, Time.seconds 5)) |> ignore
            theirs 1 2
        | Aborted ->
            scripted.Tell(Event.Abort 1) |> ignore
            theirs 1 1
        | _ -> theirs 1 1

/// The state of the newest stream of the node: 3 is accepted after 1, and 0 is dialled.
let private stateIn (scripted: ScriptedPeer) =
    [ 3; 1; 0 ]
    |> List.tryPick (fun connId ->
        match Node.stream connId scripted.Node with
        | ValueSome stream -> Some(stateOf (ValueSome stream))
        | ValueNone -> None)
    |> Option.defaultValue Closed

let private name (packetType: PacketType) = (string packetType).ToUpperInvariant()

/// What the node does after an action within a time: effects for the application, packets, and rules.
let private outcomeOf (scripted: ScriptedPeer) duration (act: unit -> unit) =
    scripted.Fresh() |> ignore
    let before = scripted.Effects.Count
    act ()
    scripted.Wait duration
    let effects = scripted.Effects.GetRange(before, scripted.Effects.Count - before)

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
              | Effect.PathChanged _ -> "path"
              | Effect.PathLost _ -> "pathlost"
              | Effect.Asked _ -> "asked"
              | Effect.ResetWithCode _ -> "code"
              | Effect.Send _
              | Effect.SendDatagram _
              | Effect.OpenSockets _
              | Effect.CloseSockets _
              | Effect.SendAlone _
              | Effect.ServerSilent _
              | Effect.Registered _
              | Effect.Introduced _
              | Effect.Punched _
              | Effect.Discovered _
              | Effect.Noted _ -> () ]

    let sent = [ for seen in scripted.Fresh() -> name seen.Type ]

    let noted =
        [ for effect in effects do
              match effect with
              | Effect.Noted(rule, _) -> $"%A{rule}"
              | _ -> () ]

    struct (String.concat ", " told, String.concat " " sent, String.concat ", " noted)

let private text (struct (told, sent, noted)) =
    [ if told <> "" then told + ";"
      if sent <> "" then sent
      if noted <> "" then "[" + noted + "]" ]
    |> String.concat " "
    |> fun text -> text.TrimEnd ';'

let private moment = Time.milliseconds 30

let private send (it: Arranged) stage packetType number acknowledgement =
    let isSyn = packetType = PacketType.Syn

    let packet =
        { Type = packetType
          ConnectionId = if isSyn then it.SynId else it.Id
          Timestamp = Time.stamp it.Scripted.Now
          TimestampDifference = it.Scripted.Echo(here, 0u)
          Window = 1u <<< 20
          SeqNr =
            (match number with
             | Next -> it.Next
             | Old -> if isSyn then it.SynNr else it.Next + -1
             | Ahead -> it.Next + 5
             | Far -> it.Next + 3000)
          AckNr =
            (match acknowledgement with
             | All -> it.Last
             | Before ->
                 match stage with
                 | WeFinished
                 | TheyFinishedThenWe
                 | Released -> it.Last + -2
                 | _ -> it.Last + -1
             | Ancient -> it.Last + -1000
             // A RESET may carry the number that our next packet will have.
             | Unsent -> it.Last + 2) }

    let payload = if packetType = PacketType.Data then [| 3uy |] else [||]
    it.Scripted.Receive(here, encoded packet Owned.Empty (Owned payload)) |> ignore

/// The differences from the table; empty when there are none.
let private differences cell (stage: Stage) (scripted: ScriptedPeer) found gives (leads: State voption) =
    let state = stateIn scripted
    let expected = leads |> ValueOption.defaultValue stage.State

    [ if found <> gives then $"{cell}: '{found}', expected '{gives}'"
      if state <> expected then $"{cell}: leads to {state.Name}, expected {expected.Name}" ]

let private packetTests =
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
                                    && List.contains acknowledgement row.Acknowledging

                                let it = arrange stage
                                it.Scripted.Wait moment
                                let cell = $"{name packetType} {number}, acknowledging {acknowledgement}"

                                if stateIn it.Scripted <> stage.State then
                                    $"{cell}: begins in {(stateIn it.Scripted).Name}"

                                let found =
                                    outcomeOf it.Scripted moment (fun () ->
                                        send it stage packetType number acknowledgement)
                                    |> text

                                match List.tryFind covers packets with
                                | None -> $"{cell}: '{found}', and the table has no row"
                                | Some row -> yield! differences cell stage it.Scripted found row.Gives row.To ]

              if not wrong.IsEmpty then failtest (String.concat "\n" wrong)
          } ]

let private event stage command =
    let connId = if stage = Dialled || stage = NoStream then 0 else 1

    match command with
    | Connect -> Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)
    | Finish -> Event.Finish connId
    | Release -> Event.Release(connId, Time.seconds 5)
    | Abort -> Event.Abort connId

let private commandTests =
    test "every command in every state does what the table says" {
        let wrong =
            [ for stage in stages do
                  for command in [ Connect; Finish; Release; Abort ] do
                      // A stream's name is used once.
                      if command <> Connect || stage = NoStream then
                          let it = arrange stage
                          it.Scripted.Wait moment

                          let found =
                              outcomeOf it.Scripted moment (fun () -> it.Scripted.Tell(event stage command) |> ignore)
                              |> text

                          let cell = $"{command} in the state {stage}"

                          match
                              commands
                              |> List.tryFind (fun row ->
                                  List.contains stage row.From && List.contains command row.Asks)
                          with
                          | None -> yield! differences cell stage it.Scripted found "" ValueNone
                          | Some row -> yield! differences cell stage it.Scripted found row.Does row.Leads ]

        if not wrong.IsEmpty then failtest (String.concat "\n" wrong)
    }

let private timeTests =
    test "a silent peer's stream closes when the table says" {
        let wrong =
            [ for row in time do
                  let it = arrange row.Silent
                  let struct (told, _, _) = outcomeOf it.Scripted row.For ignore
                  yield! differences $"{row.Silent}" row.Silent it.Scripted told row.Tells (ValueSome row.Becomes) ]

        if not wrong.IsEmpty then failtest (String.concat "\n" wrong)
    }

let tests = testList "packet table" [ yield! packetTests; commandTests; timeTests; StateDocument.tests ]
