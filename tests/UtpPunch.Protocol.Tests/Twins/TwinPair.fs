/// A controller of the core and its twin, side by side: both get what a path tells, and after each call window, pacing rate and phase
/// must agree.
module UtpPunch.Protocol.Tests.TwinPair

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Twin

/// What the histories of a test had. It shows that they had everything.
[<Sealed>]
type Tally() =
    /// Calls after which the twin was right only with another result of a comparison than its own, within rounding.
    member val Corrected = 0 with get, set
    /// Calls of each kind, and the phases after them.
    member val Calls = Dictionary<string, int>()
    member val Phases = Dictionary<string, int>()
    /// What the twin says of the calls.
    member val Events = Dictionary<string, int>()

    member this.Count(call, phase, events: string list) =
        this.Calls[call] <- this.Calls.GetValueOrDefault call + 1
        this.Phases[phase] <- this.Phases.GetValueOrDefault phase + 1

        for event in events do
            this.Events[event] <- this.Events.GetValueOrDefault event + 1

/// Twins that are followed at the same time, for comparisons that are open.
let private mostTwins = 16

/// A hundredth; and whole bytes, of which windows of one packet and slow rates have few hundred.
let private isNear (core: float) (twin: float) = abs (core - twin) <= 2.0 + 0.01 * twin

let private rateOf (controller: ICongestionController) =
    if controller.PacingRate = Int64.MaxValue then infinity else float controller.PacingRate

/// All states that a call can give, the one that the twin itself computes first.
let private outcomes (call: Choices -> ITwin) =
    let found = List<ITwin>()

    let rec explore presets =
        let choices = Choices presets
        found.Add(call choices)
        let taken = choices.Taken

        if found.Count < mostTwins then
            // Each decision beyond the presets, the other way.
            for index in presets.Length .. taken.Length - 1 do
                explore (List.truncate index taken @ [ not taken[index] ])

    explore []
    found

[<Sealed>]
type TwinPair(name: string, core: ICongestionController, twin: ITwin, tally: Tally) =
    let mutable core = core
    let mutable twins = [ twin ]
    let mutable calls = 0

    let agrees (twin: ITwin) =
        twin.Phase = core.Phase
        && twin.IsLossTolerated = core.IsLossTolerated
        && isNear (float core.Window) twin.Window
        && (isNear (rateOf core) twin.PacingRate || rateOf core = twin.PacingRate)

    let apart (twin: ITwin) = abs (float core.Window - twin.Window)

    let describe (twin: ITwin) = $"{twin.Phase}, window {twin.Window:F1}, {twin.PacingRate:F1} bytes/s"

    let step what next (call: Choices -> ITwin -> ITwin) =
        core <- next core
        calls <- calls + 1
        let own = call (Choices []) twins.Head

        let all =
            [ for twin in twins do
                  yield! outcomes (fun choices -> call choices twin) ]

        let near = all |> List.filter agrees |> List.distinct

        if near.IsEmpty then
            let twins = all |> List.map describe |> String.concat "; "
            let rate = rateOf core

            failtest
                $"{name}, call {calls}, {what}: {core.Phase}, window {core.Window}, {rate:F0} bytes/s; the twin: {twins}"

        if not (agrees own) then tally.Corrected <- tally.Corrected + 1
        twins <- near |> List.sortBy apart |> List.truncate mostTwins
        tally.Count(what, core.Phase, twins.Head.Events)

    interface ICongestionController with
        member _.Window = core.Window
        member _.PacingRate = core.PacingRate
        member _.Phase = core.Phase
        member _.IsLossTolerated = core.IsLossTolerated

        member this.Observe sample =
            let sample = sample

            let what =
                if sample.SpuriousPackets > 0 then "arrived after all"
                elif sample.IsFirstLoss then "congestion"
                elif sample.Bytes > 0 then "acknowledged"
                else "lost"

            step what _.Observe(&sample) (fun choices twin -> twin.Observe(sample, choices))
            this

        member this.TimedOut flight =
            step "timed out" _.TimedOut(flight) (fun choices twin -> twin.TimedOut(float flight, choices))
            this

        member this.Resized packet =
            step "resized" _.Resized(packet) (fun _ twin -> twin.Resized(float packet))
            this

        member this.Restarted(now, roundTrip) =
            step "restarted" _.Restarted(now, roundTrip) (fun _ twin -> twin.Restarted(seconds now, seconds roundTrip))
            this
