namespace UtpPunch.Protocol

open System

/// The punch of the npm package utp-punch: ASCII `PUNCH` every 500 ms, each answered by `PUNCHED`. It succeeds when one was answered and one
/// `PUNCHED` was received. Unlike the package, this node goes on answering for a while, in case its answers were lost.
[<NoComparison>]
type internal LegacyPunch =
    {
        TaskId: TaskId
        /// The source of its packets: the address is given, the port may differ from the expected one.
        Remote: Endpoint
        StartedAt: Instant
        Left: int
        NextAt: Instant
        WasAsked: bool
        WasAnswered: bool
        /// Until when it answers after its end.
        Until: Instant
        IsOver: bool
        Sent: int
        Heard: int
        LastSentAt: Instant
        RoundTrip: Duration
    }

module internal LegacyPunch =
    let private every = Time.milliseconds 500
    let private linger = Time.seconds 10
    let private text (word: string) = Owned(Array.map byte (word.ToCharArray()))
    let private question = text "PUNCH"
    let private answer = text "PUNCHED"

    /// The two messages.
    let isQuestion (datagram: Borrowed) = datagram.Equals question
    let isAnswer (datagram: Borrowed) = datagram.Equals answer

    let create taskId remote attempts now =
        { TaskId = taskId
          Remote = remote
          StartedAt = now
          Left = max 1 attempts
          NextAt = now
          WasAsked = false
          WasAnswered = false
          Until = Time.never
          IsOver = false
          Sent = 0
          Heard = 0
          LastSentAt = now
          RoundTrip = 0L<us> }

    let private finish (context: StepContext) stage (punch: LegacyPunch) =
        context.Effects.Add(
            Effect.Punched(
                punch.TaskId,
                { Stage = stage
                  Remote = punch.Remote
                  Kind = PathKind.Observed
                  RoundTrip = punch.RoundTrip
                  Dials = false
                  Observed = Endpoint.nowhere
                  SeenAs = ValueNone
                  Mapping = PortPrediction.Unknown
                  PeerObserved = ValueSome punch.Remote
                  PeerMapping = PortPrediction.Unknown
                  Sent = punch.Sent
                  Heard = punch.Heard
                  Elapsed = context.Now - punch.StartedAt }
            )
        )

        { punch with IsOver = true; Until = context.Now + linger }

    let cancel (context: StepContext) (punch: LegacyPunch) =
        if punch.IsOver then punch else finish context PunchStage.Cancelled punch

    let private done' context (punch: LegacyPunch) =
        if not punch.IsOver && punch.WasAsked && punch.WasAnswered then
            finish context PunchStage.Open punch
        else
            punch

    /// The message is not authenticated, so its source address must be the expected one. The port may differ, since a NAT may use another port
    /// towards this node than the peer knows of.
    let receive (context: StepContext) (from: Endpoint) (datagram: Borrowed) (punch: LegacyPunch) =
        let punch =
            { punch with Remote = (if punch.IsOver then punch.Remote else from); Heard = punch.Heard + 1 }

        if isQuestion datagram then
            context.Effects.Add(Effect.SendDatagram(from, answer, 0))
            done' context { punch with WasAsked = true }
        else
            let roundTrip = if punch.WasAnswered then punch.RoundTrip else context.Now - punch.LastSentAt
            done' context { punch with WasAnswered = true; RoundTrip = roundTrip }

    let tick (context: StepContext) (punch: LegacyPunch) =
        if punch.IsOver || context.Now < punch.NextAt then
            punch
        elif punch.Left = 0 then
            let stage =
                if punch.Heard = 0 then PunchStage.NothingHeard
                elif punch.WasAsked then PunchStage.NotHeard
                else PunchStage.NotAgreed

            finish context stage punch
        else
            context.Effects.Add(Effect.SendDatagram(punch.Remote, question, 0))

            { punch with
                Left = punch.Left - 1
                Sent = punch.Sent + 1
                LastSentAt = context.Now
                NextAt = context.Now + every }

    let deadline (punch: LegacyPunch) = if punch.IsOver then punch.Until else punch.NextAt
