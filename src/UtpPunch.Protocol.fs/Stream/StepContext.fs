namespace UtpPunch.Protocol

/// What a step hands to the streams that it touches, and where their effects go.
[<NoComparison; NoEquality>]
type internal StepContext = { Now: Instant; Effects: ResizeArray<Effect> }
