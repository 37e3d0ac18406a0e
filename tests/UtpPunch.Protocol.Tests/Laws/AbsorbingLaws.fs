/// A step first absorbs all its events, then settles each affected stream, once. `Connection.fsi` states what may be sent before that;
/// these laws check that nothing else is.
module UtpPunch.Protocol.Tests.AbsorbingLaws

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer

/// Whether an effect follows from an event at once: it comes while events are absorbed, and never later.
let private isAbsorbed effect =
    match effect with
    | Effect.Accepted _
    | Effect.Opened _
    | Effect.Foreign _ -> true
    | Effect.Noted(rule, _) ->
        match rule with
        | Rule.OutOfOrder
        | Rule.Duplicate
        | Rule.WindowOverrun
        | Rule.BeyondFin
        | Rule.SeqOutOfRange
        | Rule.AckOutOfRange
        | Rule.UnexpectedPacket
        | Rule.UnknownConnection
        | Rule.RepeatedSyn
        | Rule.IdCollision
        | Rule.ResetAccepted
        | Rule.ResetOutOfRange
        | Rule.NotListening
        | Rule.PeerRefused
        | Rule.MalformedExtension -> true
        | _ -> false
    | _ -> false

/// Whether a packet is sent while streams are settled, and never earlier. A node that has half-open streams may send SYN-ACKs, which are
/// STATEs.
let private isSettled mayAnswerSyn effect =
    match effect with
    | Effect.Send(_, train) ->
        match train.Header.Type with
        | PacketType.Syn
        | PacketType.Data
        | PacketType.Fin -> true
        | PacketType.State -> not mayAnswerSyn
        | _ -> false
    | _ -> false

/// The first packet that was sent too early, and an absorbed event's effect after it; none if there is no such packet.
let private tooEarly mayAnswerSyn (effects: Effect[]) =
    match effects |> Array.tryFindIndex (isSettled mayAnswerSyn) with
    | Some first ->
        effects
        |> Array.skip first
        |> Array.tryFind isAbsorbed
        |> Option.map (fun absorbed -> $"{Describe.effect effects[first]} before {Describe.effect absorbed}")
    | None -> None

let private packetsOf rule packetType (effects: Effect[]) =
    effects
    |> Array.sumBy (fun effect ->
        match effect with
        | Effect.Noted(noted, _) when ValueSome noted = rule -> 1
        | Effect.Send(_, train) when ValueSome train.Header.Type = packetType -> 1
        | _ -> 0)

let private afterAbsorbing =
    test "one acknowledgement answers all packets of a step, after all changes of the step" {
        let struct (scripted, peer) = accepted ()

        let effects =
            scripted.Receive(
                here,
                peer.Make(PacketType.Data, 0, [| 1uy |]),
                peer.Make(PacketType.Data, 0, [| 1uy |]),
                peer.Make(PacketType.Data, 5, [| 6uy |]),
                peer.Make(PacketType.Data, 6, [| 7uy |])
            )

        Expect.equal (packetsOf (ValueSome Rule.Duplicate) ValueNone effects) 1 "duplicates"
        Expect.equal (packetsOf (ValueSome Rule.OutOfOrder) ValueNone effects) 2 "packets out of order"
        Expect.equal (packetsOf ValueNone (ValueSome PacketType.State) effects) 1 "acknowledgements"
        Expect.equal (tooEarly false effects) None "sent too early"
    }

let private whileAbsorbing =
    test "an abort sends its RESET at once, and each repeated SYN is answered" {
        let struct (scripted, peer) = accepted ()

        let aborted =
            scripted.Tell(
                Event.Abort 1,
                Event.Received(here, Datagrams.One(Borrowed(peer.Make(PacketType.Data, 0, [| 1uy |])), scripted.Now))
            )

        let reset = aborted |> Array.findIndex _.IsSend
        let unknown = aborted |> Array.findIndex _.IsNoted
        Expect.isLessThan reset unknown "the RESET comes before the effects of the next event"
        Expect.equal (packetsOf ValueNone (ValueSome PacketType.Reset) aborted) 1 "RESETs"

        let scripted = ScriptedPeer usual
        scripted.Tell(Event.Listen 4) |> ignore
        scripted.Receive(here, syn 100us 7us) |> ignore
        let repeated = scripted.Receive(here, syn 100us 7us, syn 100us 7us)
        Expect.equal (packetsOf ValueNone (ValueSome PacketType.State) repeated) 2 "SYN-ACKs"
    }

let tests =
    testList
        "absorbing"
        [ testPropertyWithConfig
              Generators.config
              "nothing but RESETs and SYN-ACKs is sent before all events of a step are absorbed"
              (fun (scenario: Scenario) ->
                  let mutable wrong = None
                  let mutable halfOpen = false

                  let watcher =
                      StepWatcher(fun actor _ _ effects ->
                          let isB = actor.Name = "B"
                          let mayAnswerSyn = (Node.statistics (actor.Machine :?> CoreMachine).Node).HalfOpen > 0
                          // A stream that was half-open before the step may have answered a SYN in it.
                          let found = tooEarly (mayAnswerSyn || (halfOpen && isB)) effects
                          if isB then halfOpen <- mayAnswerSyn
                          if Option.isNone wrong then wrong <- found)

                  let batching (host: Host) = { host with Socket = { host.Socket with Batch = 64 } }
                  let scenario = { scenario with A = batching scenario.A; B = batching scenario.B }
                  Simulation.runOn (Simulation.machines scenario) watcher scenario |> ignore
                  Expect.equal wrong None "sent too early")
          afterAbsorbing
          whileAbsorbing ]
