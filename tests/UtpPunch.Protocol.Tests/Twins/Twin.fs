/// What a floating-point twin of a congestion controller is: the same controller out of its specification's formulas, in `float`, without the
/// rounding of the core's integers. `TwinPair` gives both the same samples, and compares them.
module UtpPunch.Protocol.Tests.Twin

open UtpPunch.Protocol

/// The comparisons of one call. Where two values are as close as rounding can bring them, either result is right: the twin is called for
/// both, and the core's controller shows which one it took.
[<Sealed>]
type Choices(presets: bool list) =
    let mutable left = presets
    let mutable taken: bool list = []

    /// The decisions that rounding left open in this call, in order; those beyond the presets were taken as computed.
    member _.Taken = List.rev taken

    member private _.Choose(computed: bool) =
        let choice =
            match left with
            | preset :: rest ->
                left <- rest
                preset
            | [] -> computed

        taken <- choice :: taken
        choice

    /// Whether the value reaches a limit; `rounding` is how far the two may be off.
    member this.Reaches(value: float, limit: float, rounding: float) =
        let computed = value >= limit
        if abs (value - limit) <= rounding then this.Choose computed else computed

    member this.Exceeds(value: float, limit: float, rounding: float) =
        let computed = value > limit
        if abs (value - limit) <= rounding then this.Choose computed else computed

    /// The integer part of a value that may be off by that much.
    member this.Floor(value: float, rounding: float) =
        let nearest = round value

        if abs (value - nearest) > rounding then floor value
        elif this.Choose(value >= nearest) then nearest
        else nearest - 1.0

/// A twin: an immutable value with structural equality, as two choices may lead to the same.
type ITwin =
    /// In bytes.
    abstract Window: float
    /// In bytes per second; infinite for no limit.
    abstract PacingRate: float
    abstract Phase: string
    abstract IsLossTolerated: bool
    /// What the last call has done that no phase shows.
    abstract Events: string list
    abstract Observe: sample: CongestionSample * choices: Choices -> ITwin
    abstract TimedOut: flight: float * choices: Choices -> ITwin
    abstract Resized: packet: float -> ITwin
    /// Both in seconds.
    abstract Restarted: now: float * roundTrip: float -> ITwin

/// What a twin does with its state.
[<NoComparison; NoEquality>]
type TwinRules<'State> =
    { Window: 'State -> float
      PacingRate: 'State -> float
      Phase: 'State -> string
      IsLossTolerated: 'State -> bool
      Events: 'State -> string list
      Observe: CongestionSample -> Choices -> 'State -> 'State
      TimedOut: float -> Choices -> 'State -> 'State
      Resized: float -> 'State -> 'State
      Restarted: float -> float -> 'State -> 'State }

[<Sealed>]
type Twin<'State when 'State: equality>(rules: TwinRules<'State>, state: 'State) =
    let next state = Twin(rules, state) :> ITwin
    member _.State = state

    override _.Equals other =
        match other with
        | :? Twin<'State> as other -> state = other.State
        | _ -> false

    override _.GetHashCode() = 0

    interface ITwin with
        member _.Window = rules.Window state
        member _.PacingRate = rules.PacingRate state
        member _.Phase = rules.Phase state
        member _.IsLossTolerated = rules.IsLossTolerated state
        member _.Events = rules.Events state
        member _.Observe(sample, choices) = next (rules.Observe sample choices state)
        member _.TimedOut(flight, choices) = next (rules.TimedOut flight choices state)
        member _.Resized packet = next (rules.Resized packet state)
        member _.Restarted(now, roundTrip) = next (rules.Restarted now roundTrip state)

/// In seconds.
let seconds (time: Duration) = float (int64 time) / 1e6

/// Times are in whole microseconds, and so are their quotients.
let microsecond = 1.5e-6

/// RFC 9406, 4.2: an eighth of the round trip, but from 4 to 16 ms.
let hystartMargin roundTrip = max 0.004 (min 0.016 (roundTrip / 8.0))
