namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Which side ends first.
[<RequireQualifiedAccess>]
type EndOrder =
    | Dialler
    | Acceptor
    | AtOnce
    /// The dialler ends first, and the acceptor that long afterwards.
    | HalfClosed of Duration

/// A transfer between two processes that exit as soon as their nodes allow.
[<NoComparison>]
type EndsCase =
    {
        Seed: uint64
        Dialect: Dialect
        /// Whether each node takes the other for a foreign implementation.
        ForeignPeers: bool
        /// Loss in thousandths, each way.
        Loss: int
        RoundTrip: Duration
        FromDialler: int
        FromAcceptor: int
        Order: EndOrder
        /// An outage of that duration, from that time after the second side's first FIN on.
        OutageAfter: Duration
        Outage: Duration
        /// Whether the host of an exited process sends ICMP messages.
        Refuses: bool
        /// How many SYNs are lost. After one, the handshake gives no round-trip time; the third SYN has no hello.
        LostSyns: int
        /// A bit for each datagram from the first FIN on, in both directions: it is dropped if the bit is set.
        Drops: uint64
    }

/// The result of a transfer.
[<NoComparison>]
type EndsOutcome =
    {
        /// What failed; empty when both streams ended in order.
        Failure: string
        /// The times from the end of both applications' writes until the first and the last process have exited.
        FirstExit: Duration
        LastExit: Duration
        /// Datagrams sent from then on.
        Datagrams: int
    }

/// Ends of streams over lossy paths, with processes that exit as soon as they may (L7).
module EndsCampaign =
    let calm =
        { Seed = 1UL
          Dialect = Dialect.Bep29
          ForeignPeers = false
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

    /// The transfer of a seed at that loss rate; most are short.
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

    /// An application that writes its bytes, and ends once it may.
    [<Sealed>]
    type private Application(nodes: TwoNodes, side: Side, total: int) =
        let content = Array.zeroCreate<byte> 4_000
        let mutable written = 0
        member val Stream: StreamView = null with get, set
        member val HasEnded = false with get, set
        member _.IsWritten = written = total

        /// Takes the next action; false when there is none.
        member this.Act mayEnd =
            if isNull this.Stream || this.Stream.Closed.IsSome || this.HasEnded || not this.Stream.Opened then
                false
            elif not this.IsWritten then
                let count =
                    nodes.Write(side, this.Stream, ReadOnlySpan<byte>(content, 0, min content.Length (total - written)))

                written <- written + count
                count > 0
            elif mayEnd () then
                this.HasEnded <- true
                nodes.Tell(side, Event.Finish this.Stream.ConnId)
                true
            else
                false

    /// No correct transfer takes longer.
    let private limit = Time.seconds 400

    let private isFin (datagram: byte[]) = datagram[0] >>> 4 = byte PacketType.Fin

    /// Replaces the tag of the extension bits, so that they are not recognized.
    let private hideExtensionTag (datagram: byte[]) =
        if datagram.Length >= 30 && datagram[1] = 2uy then datagram[22] <- 0uy

    let private isSyn (datagram: byte[]) = datagram[0] >>> 4 = byte PacketType.Syn

    let run (case: EndsCase) : EndsOutcome =
        let options = { NodeOptions.standard with Dialect = case.Dialect }
        let path = { Path.perfect with Delay = case.RoundTrip / 2L; Loss = Loss.Each case.Loss }
        let nodes = TwoNodes.over case.Seed options path path
        nodes.Exits <- true

        for side in [ nodes.A; nodes.B ] do
            side.Actor.Refuses <- case.Refuses

        let mutable firstFin: Side = Unchecked.defaultof<_>
        let mutable sinceFin = 0
        let mutable syns = 0
        let mutable outageAt = Time.never

        nodes.Filter <-
            Func<_, _, _>(fun side datagram ->
                if case.ForeignPeers then hideExtensionTag datagram

                if isFin datagram then
                    if isNull (box firstFin) then
                        firstFin <- side
                    elif outageAt = Time.never && not (obj.ReferenceEquals(firstFin, side)) then
                        outageAt <- nodes.Now + case.OutageAfter

                if isSyn datagram then syns <- syns + 1

                if isNull (box firstFin) then
                    not (isSyn datagram) || syns > case.LostSyns
                else
                    sinceFin <- sinceFin + 1
                    let isDropped = sinceFin <= 64 && (case.Drops >>> (sinceFin - 1)) &&& 1UL = 1UL
                    let isOut = nodes.Now >= outageAt && nodes.Now - outageAt < case.Outage
                    not isDropped && not isOut)

        nodes.Tell(nodes.B, Event.Listen 10)
        let dialler = Application(nodes, nodes.A, case.FromDialler)
        let acceptor = Application(nodes, nodes.B, case.FromAcceptor)
        dialler.Stream <- nodes.Connect(nodes.A, case.Dialect)
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
                if ended acceptor && dueAt = Time.never then
                    dueAt <- nodes.Now + after
                    nodes.World.At(dueAt, ignore)

                nodes.Now >= dueAt

        let mutable doneAt = Time.never
        let mutable before = 0

        while not isOver do
            if isNull acceptor.Stream && nodes.B.Accepted.Count > 0 then
                acceptor.Stream <- nodes.B.Accepted[0]

            while dialler.Act diallerEnds || acceptor.Act acceptorEnds do
                ()

            if doneAt = Time.never && dialler.HasEnded && acceptor.HasEnded then
                doneAt <- nodes.Now
                before <- nodes.A.Sent + nodes.B.Sent

            if nodes.A.IsGone && nodes.B.IsGone || nodes.Now > limit then isOver <- true
            elif not (nodes.Advance()) then isOver <- true

        let failure (name: string) (side: Side) (application: Application) =
            if isNull application.Stream then
                $"{name} has no stream; "
            elif application.Stream.Closed <> ValueSome CloseReason.Finished then
                $"{name} closed with {application.Stream.Closed}; "
            elif not application.Stream.Ended then
                $"{name} closed without the end; "
            elif not side.IsGone then
                $"{name} does not exit; "
            else
                ""

        { Failure = failure "the dialler" nodes.A dialler + failure "the acceptor" nodes.B acceptor
          FirstExit = min nodes.A.GoneAt nodes.B.GoneAt - doneAt
          LastExit = max nodes.A.GoneAt nodes.B.GoneAt - doneAt
          Datagrams = nodes.A.Sent + nodes.B.Sent - before }
