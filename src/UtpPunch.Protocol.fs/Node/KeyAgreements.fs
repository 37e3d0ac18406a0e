namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

/// Streams without a meeting whose nodes agree on the key of a link, so that they survive their path as those of a meeting do. The node that
/// has opened a stream sends its share a second later: short streams pay nothing.
module internal KeyAgreements =
    open StreamTable

    let private firstAfter = Time.seconds 1

    /// After one second, and then after twice as long each time.
    let private mostAttempts = 6

    /// After that time a share is not the peer's.
    let private limit = Time.seconds 70

    /// How far apart are the shares that a node answers: each costs it two multiplications on the curve.
    let private answerEvery = Time.milliseconds 2

    let private change step (apply: NodeTasks -> NodeTasks) = step.Node.NodeTasks <- apply step.Node.NodeTasks

    let private keep step (connection: Connection) agreement =
        change step (NodeTasksState.keepAgreement connection.ConnId agreement)

    let private find step connId = Radix.tryFind connId step.Node.NodeTasks.Agreements

    let private mayAgree (connection: Connection) =
        connection.State = StreamState.Established
        && connection.Sizes.KnowsProbes
        && connection.Options.Migrates
        && not connection.Closing.Released

    /// A stream is open. One within this machine has no path that could change.
    let start step (connection: Connection) =
        if mayAgree connection && isNull connection.Linked && not (Endpoint.isLoopback connection.Remote) then
            let until = step.Node.Now + limit

            keep
                step
                connection
                { Scalar = Owned.Empty
                  Share = Owned.Empty
                  Peer = Owned.Empty
                  IsContested = false
                  Attempts = 0
                  NextAt = (if connection.Incoming then until else step.Node.Now + firstAfter)
                  Until = until }

    /// What both nodes know of the stream, and who is not on its path does not: the id and the number of the SYN.
    let private nameOf (connection: Connection) : Owned =
        let id = if connection.Incoming then connection.Ids.Send else connection.Ids.Receive
        let name = Array.zeroCreate<byte> 4
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(name, 0, 2), id)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(name, 2, 2), connection.Ids.Syn.Value)
        Owned name

    let private drawn (random: int -> Owned) (agreement: KeyAgreement) : KeyAgreement =
        if agreement.Scalar.Length > 0 then
            agreement
        else
            let scalar = KeyAgreement.scalar random
            { agreement with Scalar = scalar; Share = KeyAgreement.share scalar }

    let private setLink step (linked: LinkedStream) (connection: Connection) =
        removeRoute step.Node connection
        connection.Linked <- linked
        addRoute step.Node connection

    // ---- The share of the node that has opened the stream ----

    let private repeat step random (agreement: KeyAgreement) (connection: Connection) =
        let agreement = drawn random agreement
        PacketBuilder.keyShare step.Context agreement.Share connection
        let attempts = agreement.Attempts + 1

        let next =
            if attempts < mostAttempts then
                step.Node.Now + firstAfter * (1L <<< attempts)
            else
                agreement.Until

        keep step connection { agreement with Attempts = attempts; NextAt = next }

    let private due step random connId (agreement: KeyAgreement) =
        match tryStored step.Node connId with
        | ValueSome stored when step.Node.Now < agreement.Until ->
            let own = touch step stored

            if mayAgree own then
                repeat step random agreement own
            else
                change step (NodeTasksState.forgetAgreement connId)
        | _ -> change step (NodeTasksState.forgetAgreement connId)

    /// Does what is due.
    let private tick step (random: int -> Owned) =
        let node = step.Node
        let mutable isChanged = false

        while TimerQueue.first node.NodeTasks.AgreementTimers <= node.Now do
            let struct (at, connId, rest) = TimerQueue.pop node.NodeTasks.AgreementTimers
            isChanged <- true
            change step (fun all -> { all with AgreementTimers = rest })

            match find step connId with
            | ValueSome agreement when agreement.NextAt = at -> due step random connId agreement
            | _ -> ()

        if isChanged then change step NodeTasksState.withDeadline

    // ---- Shares that arrive ----

    /// Both shares are known: the stream goes on as one of a link. Whether the peer's is valid.
    let private join step (peer: Owned) (agreement: KeyAgreement) (connection: Connection) =
        let node = step.Node
        let isOpener = not connection.Incoming
        let opener = if isOpener then agreement.Share else peer

        match KeyAgreement.key agreement.Scalar agreement.Share peer opener (nameOf connection) with
        | ValueNone ->
            note step Rule.PathProbeIgnored connection.Remote
            false
        | ValueSome key ->
            keep step connection { agreement with Peer = peer; NextAt = agreement.Until }
            let link = Link.ofAgreement node.Now key isOpener connection.Remote

            if (Radix.tryFind (int link.Session) node.NodeTasks.Links).IsNone then
                setLink step (LinkedStream.agreed link.Session) connection
                change step (NodeTasksState.keepLink (Link.enter connection.ConnId link))

            true

    let private answer step random peer (agreement: KeyAgreement) (connection: Connection) =
        let node = step.Node

        if node.Now >= node.NodeTasks.AgreesAt then
            change step (fun all -> { all with AgreesAt = node.Now + answerEvery })
            let agreement = drawn random agreement

            if join step peer agreement connection then
                PacketBuilder.keyShare step.Context agreement.Share connection

    /// One of two shares is not the peer's. The stream keeps to its path.
    let private contest step (agreement: KeyAgreement) (connection: Connection) =
        note step Rule.ProbeRejected connection.Remote
        keep step connection { agreement with IsContested = true; NextAt = agreement.Until }

        if not (isNull connection.Linked) && not connection.IsSuspended then
            changeLink step connection (Link.leave step.Node.Now connection.ConnId)
            setLink step null connection

    let private receive step random (peer: Owned) (agreement: KeyAgreement) (connection: Connection) =
        let isFirst = agreement.Peer.Length = 0

        if agreement.IsContested || not (mayAgree connection) then
            ()
        elif not isFirst && not (agreement.Peer.Span.SequenceEqual peer.Span) then
            contest step agreement connection
        elif connection.Incoming && isFirst then
            answer step random peer agreement connection
        elif connection.Incoming then
            // The answer may have been lost.
            PacketBuilder.keyShare step.Context agreement.Share connection
        elif isFirst && agreement.Scalar.Length > 0 then
            join step peer agreement connection |> ignore

    /// A packet with a share was taken.
    let hear (context: StepContext) (datagram: Borrowed) (connection: Connection) =
        context.HasShare <- false
        let share = Borrowed.keep (Packet.authentication datagram)
        context.Shares <- Array.append context.Shares [| struct (connection.ConnId, share) |]

    /// Takes the shares that have arrived in this step, and does what is due.
    let settle step (random: int -> Owned) =
        let shares = step.Context.Shares
        step.Context.Shares <- [||]

        for struct (connId, share) in shares do
            match find step connId, tryTouch step connId with
            | ValueSome agreement, ValueSome own -> receive step random share agreement own
            | _ -> ()

        tick step random
