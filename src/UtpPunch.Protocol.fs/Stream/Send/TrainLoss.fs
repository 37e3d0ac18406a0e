namespace UtpPunch.Protocol

/// What speaks for a path that drops trains and lets single packets pass. Changed in place, and copied with the scoreboard. An object of its
/// own, since streams that have lost no train share one.
[<NoComparison; NoEquality>]
type internal TrainLoss =
    {
        /// Whether a packet of a train was ever lost; if not, nothing may be changed.
        IsUsed: bool
        /// The place of the last packet of a train that has arrived since, among all transmissions; -1 for none.
        mutable Arrived: int64
        /// That of one that was sent behind it, in a train, and is lost, unless that is counted; -1 for none.
        mutable Lost: int64
        /// Whether the retransmission timer found that: what is acknowledged next was sent alone.
        mutable IsTimedOut: bool
        /// Since a packet of a train has arrived: how many packets of trains were
        /// lost, and how often packets that were sent alone have arrived behind them.
        mutable Packets: int
        mutable Times: int
    }

    /// That of all streams that have lost no train; never changed.
    static member val Initial =
        { IsUsed = false; Arrived = -1L; Lost = -1L; IsTimedOut = false; Packets = 0; Times = 0 }

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal TrainLoss =
    let copy (trains: TrainLoss) = if trains.IsUsed then { trains with IsUsed = true } else trains

    /// One that may be changed.
    let own (trains: TrainLoss) = if trains.IsUsed then trains else { trains with IsUsed = true }

    let private forget (trains: TrainLoss) =
        trains.Lost <- -1L
        trains.IsTimedOut <- false
        trains.Packets <- 0
        trains.Times <- 0

    /// `count` packets of a train are lost; `order` is the place of the last one.
    let lose order count (trains: TrainLoss) =
        if order > trains.Arrived then
            trains.Lost <- max trains.Lost order
            trains.Packets <- trains.Packets + count

    /// The retransmission timer fired.
    let timeOut (trains: TrainLoss) = if trains.Lost >= 0L then trains.IsTimedOut <- true

    /// A packet that was sent alone is lost: this path does not take trains only.
    let loseAlone (trains: TrainLoss) = if trains.Packets > 0 then forget trains

    /// A packet of a train has arrived.
    let arrive order (trains: TrainLoss) =
        if trains.IsUsed then
            trains.Arrived <- max trains.Arrived order
            forget trains

    /// An acknowledgement of new packets was taken, with the losses that it shows. `alone` is the place of the newest one if it was sent alone,
    /// otherwise -1.
    let compare alone (trains: TrainLoss) =
        if trains.Lost >= 0L && (alone > trains.Lost || trains.IsTimedOut) then
            trains.Lost <- -1L
            trains.IsTimedOut <- false
            trains.Times <- trains.Times + 1

    /// Whether, twice, what was sent alone has arrived behind trains that were lost: more packets than chance takes. The count then begins
    /// anew.
    let isFound (trains: TrainLoss) =
        let isFound = trains.Times >= 2 && trains.Packets >= 8
        if isFound then forget trains
        isFound
