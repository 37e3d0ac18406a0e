/// The laws of the state machine, over random scenarios: the recorded steps are repeated in different ways.
module UtpPunch.Protocol.Tests.Laws

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// A recorded step.
[<NoComparison; NoEquality>]
type private Step =
    {
        Name: string
        Before: Node
        After: Node
        /// The time at which `Before` was made.
        Since: Instant
        At: Instant
        Events: Event[]
        Effects: Effect[]
    }

/// Watches one side's packets: no new byte may be beyond the furthest edge that the peer has advertised, except one packet at a time
/// that probes a closed window.
[<Sealed>]
type private FlightMonitor(id: uint16) =
    /// The stream offset after each packet sent, from the SYN on.
    let ends = Dictionary<uint16, int64>()
    let mutable highest: SeqNr voption = ValueNone
    let mutable sent = 0L
    let mutable edge = 0L
    let mutable acknowledged = 0L

    member _.Receive(events: Event[]) =
        for event in events do
            match event with
            | Event.Received(_, datagrams) ->
                for index in 0 .. datagrams.Count - 1 do
                    let mutable packet = Unchecked.defaultof<Packet>

                    if
                        Packet.decode datagrams[index] &packet = Malformed.None
                        && abs (int (int16 (packet.Header.ConnectionId - id))) <= 1
                    then
                        match ends.TryGetValue packet.Header.AckNr.Value with
                        | true, offset when packet.Header.Type <> PacketType.Syn ->
                            acknowledged <- max acknowledged offset
                            edge <- max edge (offset + int64 packet.Header.Window)
                        | _ -> ()
            | _ -> ()

    /// Takes sent packets; returns whether there was new data.
    member _.Send(effects: Effect[]) =
        let mutable fresh = false

        for effect in effects do
            match effect with
            | Effect.Send(_, train) when train.Header.ConnectionId <> id && train.Header.Type <> PacketType.Syn -> ()
            | Effect.Send(_, train) when train.Header.Type = PacketType.Syn ->
                highest <- ValueSome train.Header.SeqNr
                ends[train.Header.SeqNr.Value] <- 0L
            | Effect.Send(_, train) when train.Header.Type = PacketType.State && sent = 0L ->
                // The SYN-ACK (the last one, if the peer tried fresh ids): our data begins with its number.
                highest <- ValueSome(train.Header.SeqNr + -1)
                ends[(train.Header.SeqNr + -1).Value] <- 0L
            | Effect.Send(_, train) when train.Header.Type = PacketType.Data || train.Header.Type = PacketType.Fin ->
                for index in 0 .. train.Count - 1 do
                    let seqNr = train.Header.SeqNr + index

                    if seqNr - highest.Value > 0 then
                        Expect.equal (seqNr - highest.Value) 1 "new packets are numbered one by one"
                        let length = int64 (train.LengthOf index - Packet.HeaderLength)
                        highest <- ValueSome seqNr
                        sent <- sent + length
                        ends[seqNr.Value] <- sent
                        fresh <- fresh || length > 0L
                        let isProbe = sent - acknowledged = length && edge <= acknowledged
                        Expect.isTrue (sent <= edge || isProbe) $"byte {sent} is sent, {edge} are allowed"
            | _ -> ()

        fresh

/// Runs the scenario and returns its steps, at most `limit` of them.
let private record limit (scenario: Scenario) =
    let steps = ResizeArray<Step>()
    let since = [| 0L<us>; 0L<us> |]

    let watcher =
        StepWatcher(fun actor now events effects ->
            let core = actor.Machine :?> CoreMachine

            if steps.Count < limit then
                steps.Add
                    { Name = actor.Name
                      Before = core.Before
                      Since = since[actor.Index]
                      After = core.Node
                      At = now
                      Events = events
                      Effects = effects }

            since[actor.Index] <- now)

    let world = World(scenario, Simulation.machines scenario, watcher, KeepsBuffers = true)
    Simulation.runIn world |> ignore
    steps

let private stepped now events node =
    let struct (_, effects) = Node.step now events node
    Describe.effects effects

/// Bits that name no kind: receivers ignore them, but no packet that has some is predicted.
let private strangeBits = 0x0102_0304_0506_0708UL

/// A DATA packet without extensions, with an extension that says nothing.
let private withStrangeBits (datagram: byte[]) =
    let mutable packet = Unchecked.defaultof<Packet>

    if
        Packet.decode (Borrowed datagram) &packet = Malformed.None
        && packet.Header.Type = PacketType.Data
        && packet.Bits = 0UL
        && packet.Sack.IsEmpty
    then
        ScriptedPeer.encodedWith strangeBits packet.Header Owned.Empty (Borrowed.keep packet.Payload)
    else
        datagram

/// The events with each datagram, changed, in an event of its own.
let private apart (change: Borrowed -> Borrowed) (events: Event[]) =
    [| for event in events do
           match event with
           | Event.Received(from, datagrams) ->
               for index in 0 .. datagrams.Count - 1 do
                   Event.Received(from, Datagrams.One(change datagrams[index], datagrams.ArrivedAt))
           | other -> other |]

/// The step with each datagram in a buffer of its own: what it does, and the node after it.
let private steppedApart (change: byte[] -> byte[]) (step: Step) =
    let events = step.Events |> apart (fun datagram -> Borrowed(change (datagram.Span.ToArray())))
    let struct (node, effects) = Node.step step.At events step.Before
    Describe.effects effects, Snapshot.take false node

/// Every recorded step must satisfy the check.
let private overSteps name check =
    testPropertyWithConfig Generators.config name (fun (scenario: Scenario) ->
        let steps = record 3000 scenario

        for step in steps do
            check step)

let tests =
    testList
        "laws"
        [ testPropertyWithConfig
              Generators.config
              "8 and 13: the bytes that arrive are those that were sent, and after the end of the faults all of them and the end arrive"
              (fun scenario ->
                  match (Simulation.run scenario).Violation with
                  | ValueSome(struct (property, why)) -> failtest $"{property}: {why}"
                  | ValueNone -> ())

          overSteps "1, 2 and 12: the same node, time and events give the same effects, at any time" (fun step ->
              Expect.equal
                  (stepped step.At step.Events step.Before)
                  (Describe.effects step.Effects)
                  "the step, repeated after the whole run")

          overSteps "3: before the deadline nothing happens by itself" (fun step ->
              let deadline = Node.deadline step.After

              if deadline <> Time.never then
                  Expect.equal (stepped (deadline - 1L<us>) [||] step.After) "" "effects ahead of the deadline")

          overSteps "4 and 5: after a step nothing more is due at that instant" (fun step ->
              Expect.isTrue (Node.deadline step.After > step.At) "the deadline lies ahead"
              Expect.equal (stepped step.At [||] step.After) "" "effects of a second step")

          overSteps "6: a time before the last step counts as that of the last step" (fun step ->
              Expect.equal
                  (stepped (step.Since - 3_600_000_000L<us>) step.Events step.Before)
                  (stepped step.Since step.Events step.Before)
                  "effects of a step into the past")

          overSteps "14: a packet that is predicted (RFC 7323, 5.6) does what it would do if it was not" (fun step ->
              let isReceived =
                  function
                  | Event.Received _ -> true
                  | _ -> false

              if Array.exists isReceived step.Events then
                  let effects, node = steppedApart id step
                  let unpredicted, other = steppedApart withStrangeBits step
                  Expect.equal unpredicted effects "the effects"
                  Expect.equal other node "the node after them")

          testPropertyWithConfig
              Generators.config
              "9: in flight is never more than either window allows, and unread never more than was advertised"
              (fun scenario ->
                  let steps = record Int32.MaxValue scenario
                  // One for each side and each id with which it sends: a SYN that is not answered is repeated with other ids.
                  let monitors = Dictionary<struct (string * uint16), FlightMonitor>()
                  let unread = Dictionary<string, int>(dict [ "A", 0; "B", 0 ])

                  for step in steps do
                      for effect in step.Effects do
                          match effect with
                          | Effect.Send(_, train) ->
                              // After a SYN of BEP 29 the next id is used.
                              for id in [ train.Header.ConnectionId; train.Header.ConnectionId + 1us ] do
                                  monitors.TryAdd(struct (step.Name, id), FlightMonitor id) |> ignore
                          | _ -> ()

                      let mutable fresh = false

                      for entry in monitors do
                          let struct (side, _) = entry.Key

                          if side = step.Name then
                              entry.Value.Receive step.Events
                              fresh <- entry.Value.Send step.Effects || fresh

                      let statistics = Node.stream (if step.Name = "A" then 0 else 1) step.After

                      if fresh && statistics.IsSome then
                          Expect.isLessThanOrEqual
                              statistics.Value.InFlight
                              statistics.Value.CongestionWindow
                              "bytes in flight after new data, against the congestion window"

                      for event in step.Events do
                          match event with
                          | Event.Consumed(_, count) -> unread[step.Name] <- unread[step.Name] - count
                          | _ -> ()

                      for effect in step.Effects do
                          match effect with
                          | Effect.Deliver(_, payload) -> unread[step.Name] <- unread[step.Name] + payload.Length
                          | _ -> ()

                      Expect.isLessThanOrEqual unread[step.Name] scenario.A.ReceiveBuffer "unread bytes")

          testPropertyWithConfig Generators.config "10: no effect names a stream after Closed" (fun scenario ->
              let steps = record Int32.MaxValue scenario
              let closed = HashSet<struct (string * ConnId)>()

              for step in steps do
                  for effect in step.Effects do
                      match Describe.connIdOf effect with
                      | ValueSome connId ->
                          Expect.isFalse (closed.Contains(struct (step.Name, connId))) (Describe.effect effect)
                      | ValueNone -> ()

                      match effect with
                      | Effect.Closed(connId, _) -> closed.Add(struct (step.Name, connId)) |> ignore
                      | _ -> ())

          testPropertyWithConfig
              Generators.config
              "11: regrouping a batch changes neither the bytes delivered nor the close reason"
              (fun (scenario: Scenario) ->
                  // Delivered bytes and close reasons, stream by stream.
                  let outcome (effects: Effect seq) =
                      let bytes = Dictionary<ConnId, ResizeArray<byte>>()
                      let reasons = ResizeArray<string>()

                      for effect in effects do
                          match effect with
                          | Effect.Deliver(connId, payload) ->
                              if not (bytes.ContainsKey connId) then bytes[connId] <- ResizeArray()

                              bytes[connId].AddRange(Describe.flatten payload)
                          | Effect.Closed(connId, reason) -> reasons.Add $"{connId} %A{reason}"
                          | _ -> ()

                      let delivered =
                          [ for entry in bytes -> $"{entry.Key} {Convert.ToHexString(entry.Value.ToArray())}" ]

                      String.concat "; " (delivered @ List.ofSeq reasons)

                  let batching (host: Host) = { host with Socket = { host.Socket with Batch = 64 } }
                  let steps = record 3000 { scenario with A = batching scenario.A; B = batching scenario.B }

                  for step in steps do
                      // Each datagram and each event in a step of its own, all at the same instant.
                      let single = apart id step.Events
                      let mutable node = step.Before
                      let regrouped = ResizeArray<Effect>()

                      for event in single do
                          let struct (next, effects) = Node.step step.At [| event |] node
                          node <- next
                          regrouped.AddRange effects

                      let struct (_, rest) = Node.step step.At [||] node
                      regrouped.AddRange rest
                      Expect.equal (outcome regrouped) (outcome step.Effects) "outcome of the regrouped batch") ]
