namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Who ends first.
[<RequireQualifiedAccess>]
type EndOrder =
    | Dialler
    | Acceptor
    | AtOnce
    /// The dialler ends first, and the acceptor long after that.
    | HalfClosed of Duration

/// A transfer both of whose processes exit as soon as their nodes say that they may.
[<NoComparison>]
type EndsCase =
    {
        Seed: uint64
        Dialect: Dialect
        /// Whether neither node finds out that the other is one of ours.
        Strangers: bool
        /// In thousandths, each way.
        Loss: int
        RoundTrip: Duration
        FromDialler: int
        FromAcceptor: int
        Order: EndOrder
        /// Nothing passes for that long, from so long after the second side's first FIN on.
        OutageAfter: Duration
        Outage: Duration
        /// Whether the host of a process that has exited sends ICMP messages.
        Refuses: bool
        /// How many SYNs are lost: after one no round trip of the handshake is measured, and the third SYN says no hello.
        LostSyns: int
        /// Drops the n-th datagram that is sent from the first FIN on, counting both sides, if its bit is set.
        Drops: uint64
    }

/// What became of it.
[<NoComparison>]
type EndsOutcome =
    {
        /// What failed; empty when both streams ended in order.
        Trouble: string
        /// From the moment when both applications had written and ended to the exit of the first process, and of the last one.
        FirstExit: Duration
        LastExit: Duration
        /// Datagrams sent from that moment on.
        Datagrams: int
    }

/// Ends of streams over paths that lose packets, with processes that vanish as soon as they may (L7).
module EndsCampaign =
    let calm =
        { Seed = 1UL
          Dialect = Dialect.Bep29
          Strangers = false
          Loss = 0
          RoundTrip = Time.milliseconds 40
          FromDialler = 0
          FromAcceptor = 0
          Order = EndOrder.Dialler
          OutageAfter = 0L<us>
          Outage = 0L<us>
          Refuses = false
          LostSyns = 0
          Drops = 0UL }

    /// A transfer that a seed stands for, at that loss: short ones most of the time.
    let drawn loss (seed: uint64) =
        let below limit purpose = Keyed.below limit seed purpose 0L

        let size purpose =
            match below 8 purpose with
            | 0
            | 1
            | 2 -> 0
            | 3 -> 1
            | 4
            | 5 -> below 2_000 (purpose + 1)
            | 6 -> below 10_000 (purpose + 1)
            | _ -> below 40_000 (purpose + 1)

        { calm with
            Seed = seed
            Loss = loss
            RoundTrip = Time.milliseconds (1 <<< below 8 1) + Time.milliseconds (below 45 2)
            FromDialler = size 10
            FromAcceptor = size 20
            Order =
                (match below 4 3 with
                 | 0 -> EndOrder.Dialler
                 | 1 -> EndOrder.Acceptor
                 | 2 -> EndOrder.AtOnce
                 | _ -> EndOrder.HalfClosed(Time.milliseconds (below 20_000 4)))
            Refuses = below 3 5 = 0
            LostSyns = (if below 4 6 = 0 then below 3 7 else 0) }

    /// An application that writes what it has and then ends, when it is its turn.
    [<Sealed>]
    type private Application(pair: Pair, side: Side, total: int) =
        let content = Array.zeroCreate<byte> 4_000
        let mutable written = 0
        member val Stream: StreamView = null with get, set
        member val HasEnded = false with get, set
        member _.IsWritten = written = total

        /// Whether anything has happened.
        member this.Act mayEnd =
            if isNull this.Stream || this.Stream.Closed.IsSome || this.HasEnded || not this.Stream.Opened then
                false
            elif not this.IsWritten then
                let count =
                    pair.Write(side, this.Stream, ReadOnlySpan<byte>(content, 0, min content.Length (total - written)))

                written <- written + count
                count > 0
            elif mayEnd () then
                this.HasEnded <- true
                pair.Tell(side, Event.Finish this.Stream.ConnId)
                true
            else
                false

    /// No transfer that works takes longer.
    let private limit = Time.seconds 400

    let private isFin (datagram: byte[]) = datagram[0] >>> 4 = byte PacketType.Fin

    /// Extension bits in front get a tag that is not ours.
    let private makeStrange (datagram: byte[]) = if datagram.Length >= 30 && datagram[1] = 2uy then datagram[22] <- 0uy

    let private isSyn (datagram: byte[]) = datagram[0] >>> 4 = byte PacketType.Syn

    let run (case: EndsCase) : EndsOutcome =
        let options = { NodeOptions.standard with Dialect = case.Dialect }
        let link = { Link.perfect with Delay = case.RoundTrip / 2L; Loss = case.Loss }
        let pair = Pair(case.Seed, options, options, link, link)
        pair.Exits <- true
        pair.RefusesWhenGone <- case.Refuses
        let mutable firstFin: Side = Unchecked.defaultof<_>
        let mutable sinceFin = 0
        let mutable syns = 0
        let mutable outageAt = Time.never

        pair.Filter <-
            Func<_, _, _>(fun side datagram ->
                if case.Strangers then makeStrange datagram

                if isFin datagram then
                    if isNull (box firstFin) then
                        firstFin <- side
                    elif outageAt = Time.never && not (obj.ReferenceEquals(firstFin, side)) then
                        outageAt <- pair.Now + case.OutageAfter

                if isSyn datagram then syns <- syns + 1

                if isNull (box firstFin) then
                    not (isSyn datagram) || syns > case.LostSyns
                else
                    sinceFin <- sinceFin + 1
                    let isDropped = sinceFin <= 64 && (case.Drops >>> (sinceFin - 1)) &&& 1UL = 1UL
                    let isOut = pair.Now >= outageAt && pair.Now - outageAt < case.Outage
                    not isDropped && not isOut)

        pair.Tell(pair.B, Event.Listen 10)
        let dialler = Application(pair, pair.A, case.FromDialler)
        let acceptor = Application(pair, pair.B, case.FromAcceptor)
        dialler.Stream <- pair.Connect(pair.A, case.Dialect)
        let mutable isOver = false
        let mutable dueAt = Time.never
        let ended (application: Application) = not (isNull application.Stream) && application.Stream.Ended

        let diallerEnds () =
            match case.Order with
            | EndOrder.Dialler
            | EndOrder.HalfClosed _ -> true
            | EndOrder.Acceptor -> ended dialler
            | EndOrder.AtOnce -> acceptor.IsWritten && not (isNull acceptor.Stream)

        let acceptorEnds () =
            match case.Order with
            | EndOrder.Dialler -> ended acceptor
            | EndOrder.Acceptor -> true
            | EndOrder.AtOnce -> dialler.IsWritten
            | EndOrder.HalfClosed after ->
                if ended acceptor && dueAt = Time.never then dueAt <- pair.Now + after

                pair.Now >= dueAt

        let mutable doneAt = Time.never
        let mutable before = 0

        while not isOver do
            if isNull acceptor.Stream && pair.B.Accepted.Count > 0 then
                acceptor.Stream <- pair.B.Accepted[0]

            while dialler.Act diallerEnds || acceptor.Act acceptorEnds do
                ()

            if doneAt = Time.never && dialler.HasEnded && acceptor.HasEnded then
                doneAt <- pair.Now
                before <- pair.A.Sent + pair.B.Sent

            if pair.A.IsGone && pair.B.IsGone || pair.Now > limit then isOver <- true
            elif not (pair.AdvanceUntil dueAt) then isOver <- true

        let trouble (name: string) (side: Side) (application: Application) =
            if isNull application.Stream then
                $"{name} has no stream; "
            elif application.Stream.Closed <> ValueSome CloseReason.Finished then
                $"{name} closed with {application.Stream.Closed}; "
            elif not application.Stream.Ended then
                $"{name} closed without the end; "
            elif not side.IsGone then
                $"{name} never exits; "
            else
                ""

        { Trouble = trouble "the dialler" pair.A dialler + trouble "the acceptor" pair.B acceptor
          FirstExit = min pair.A.GoneAt pair.B.GoneAt - doneAt
          LastExit = max pair.A.GoneAt pair.B.GoneAt - doneAt
          Datagrams = pair.A.Sent + pair.B.Sent - before }
