namespace UtpPunch.Sim

open UtpPunch.Protocol

/// What a scenario must come to, and by when: L1, L2 and L7 of docs/simulation.md.
module Expectation =
    let private pathsOf (scenario: Scenario) = [ scenario.AB; scenario.BA ]
    let private hostsOf (scenario: Scenario) = [ scenario.A; scenario.B ]
    let private plansOf (flow: Flow) = [ flow.Dialler; flow.Acceptor ]

    /// Bytes may have been changed on the way without UDP's checksum noticing: uTP has none of its own, so nothing is promised
    /// but that nothing throws and everything stays bounded.
    let isUnprotected (scenario: Scenario) =
        pathsOf scenario
        |> List.exists (fun path -> path.Corruption > 0 && path.Harm <> Harm.Noticed && path.Harm <> Harm.Extended)

    let private isForGood (cut: Cut) = cut.Until = Time.never

    /// Nothing is ever lost, late or changed on the way, but for what is too long.
    let isUndisturbed (scenario: Scenario) =
        pathsOf scenario
        |> List.forall (fun path -> path = { Path.perfect with Delay = path.Delay; Mtu = path.Mtu })
        && hostsOf scenario
           |> List.forall (fun host -> host.Clock = Scenario.clock && host.Socket = Scenario.socket)
        && scenario.Forgery = Scenario.calm.Forgery

    /// So long a silence may end a stream.
    let private longSilence = Time.seconds 20

    /// The largest packet that a stream begins with, and that it may come to.
    let packetSize (scenario: Scenario) = max scenario.A.PacketSize scenario.B.PacketSize

    let private largest (scenario: Scenario) =
        List.max [ packetSize scenario; scenario.A.LargestPacket; scenario.B.LargestPacket ]

    let private carries (scenario: Scenario) (path: Path) =
        let size = packetSize scenario

        let takes =
            path.Mtu
            |> List.forall (fun narrow ->
                // What has its number cannot be cut any more: it passes in fragments, or never.
                narrow.Size >= largest scenario
                || (narrow.Size >= size && narrow.From = 0L<us>)
                || (narrow.Fragments && narrow.Size >= 548))

        let drops =
            path.Drops
            |> List.exists (fun drop ->
                match drop with
                | Drop.LongerThan length -> length < size
                | Drop.Nth _
                | Drop.Typed _ -> false)

        takes && not drops

    /// Whether every stream must get through in the end. A clock that goes back by much stands still meanwhile: no bound holds then.
    let isWhole (scenario: Scenario) =
        not (isUnprotected scenario)
        && pathsOf scenario
           |> List.forall (fun path ->
               carries scenario path
               && path.Cuts |> List.forall (fun cut -> not (isForGood cut) && cut.Until - cut.From < longSilence))
        && hostsOf scenario
           |> List.forall (fun host ->
               host.Clock.Freezes |> List.forall (fun (_, duration) -> duration < longSilence)
               && host.Clock.Steps |> List.forall (fun (_, by) -> by <= 1_000_000L && by >= -1_000L)
               && host.Socket.ReceiveBuffer >= packetSize scenario)

    let private isStuck (plan: Plan) = plan.StallFor = Time.never && plan.StallAt < System.Int32.MaxValue

    /// Whether both applications of a flow end it in order, with a reader at both ends.
    let ends (flow: Flow) =
        let isOrderly (plan: Plan) =
            match plan.Ending with
            | Ending.Finish
            | Ending.FinishLast -> not (isStuck plan)
            | Ending.Release _
            | Ending.Abort _
            | Ending.Stay -> false

        isOrderly flow.Dialler
        && isOrderly flow.Acceptor
        && not (flow.Dialler.Ending = Ending.FinishLast && flow.Acceptor.Ending = Ending.FinishLast)

    /// How long applications keep themselves busy.
    let private ownTime (plan: Plan) otherBytes : Duration =
        let pauses = Time.microseconds (int64 plan.Pause * int64 (plan.Bytes / max 1 plan.Chunk + 1))

        let reading =
            if plan.ReadSize = 0 then
                0L<us>
            else
                Time.microseconds (int64 plan.ReadPause * int64 (otherBytes / plan.ReadSize + 1))

        let stall =
            if plan.StallFor = Time.never || plan.StallAt = System.Int32.MaxValue then
                0L<us>
            else
                plan.StallFor

        pauses + reading + stall

    let private rootOf value = Fixed.sqrt (int64 value)

    /// A bound for when the last orderly stream has finished: once there is calm, a backed-off time-out, half the rate of the
    /// path, what slow start and a small window take in round trips, and what the applications take themselves.
    let finishBy (scenario: Scenario) : Instant =
        let flows = scenario.Flows
        let bytes = flows |> List.sumBy (fun flow -> flow.Dialler.Bytes + flow.Acceptor.Bytes)
        let packets = bytes / 500 + 2 * flows.Length + 10

        let timers =
            hostsOf scenario
            |> List.sumBy (fun host -> host.Clock.Granularity + host.Clock.Late + host.Socket.Wake)

        let queues =
            pathsOf scenario
            |> List.sumBy (fun path ->
                match Path.slowest path, path.Queue with
                | 0, _ -> 0L<us>
                | rate, (Queue.Tail limit | Queue.Head limit | Queue.CoDel limit | Queue.Red(_, limit)) ->
                    Time.microseconds (int64 limit * 1_000_000L / int64 rate)
                | rate, Queue.TailPackets limit -> Time.microseconds (int64 limit * 1_500_000_000L / int64 rate))

        let roundTrip =
            (pathsOf scenario |> List.sumBy (fun path -> path.Delay)) + timers + queues + Time.milliseconds 50

        let wire =
            pathsOf scenario
            |> List.map (fun path ->
                match Path.slowest path with
                | 0 -> 0L<us>
                | rate -> Time.microseconds (int64 (bytes + packets * 60) * 1_000_000L / int64 rate * 2L))
            |> List.max

        let window =
            hostsOf scenario |> List.map (fun host -> min host.ReceiveBuffer host.SendBuffer) |> List.min

        let trips = 30L + 3L * rootOf packets + int64 (2 * bytes / max 1000 window)

        // Where a queue takes a packet or two, every burst loses what is behind them.
        let isTiny =
            pathsOf scenario
            |> List.exists (fun path ->
                match path.Queue with
                | Queue.TailPackets packets -> packets < 4 && Path.slowest path > 0
                | _ -> false)

        // Clocks that run apart this fast look like a queue that grows: LEDBAT may sit at its floor of one packet.
        let floor =
            if isTiny || hostsOf scenario |> List.exists (fun host -> abs host.Clock.Skew > 1_000) then
                int64 (bytes / (min scenario.A.PacketSize scenario.B.PacketSize - Packet.HeaderLength))
            else
                0L

        let small =
            int64 (hostsOf scenario |> List.map (fun host -> if host.NoDelay then 0 else flows.Length) |> List.sum)

        let own =
            flows
            |> List.map (fun flow ->
                flow.At + ownTime flow.Dialler flow.Acceptor.Bytes + ownTime flow.Acceptor flow.Dialler.Bytes)
            |> List.max

        let frozen =
            hostsOf scenario
            |> List.sumBy (fun host -> host.Clock.Freezes |> List.sumBy (fun (from, duration) -> from + duration))

        let cuts =
            pathsOf scenario
            |> List.collect (fun path -> path.Cuts)
            |> List.filter (isForGood >> not)
            |> List.fold (fun latest cut -> max latest cut.Until) 0L<us>

        // RTO_now at most 6 s twice over, a window probe at most 15 s, five seconds on top.
        max scenario.HealAt (max cuts frozen)
        + own
        + wire
        + (trips + small + floor) * roundTrip
        + Time.seconds 32

    /// By then every stream has closed, dead peers and stuck readers included.
    let closeBy (scenario: Scenario) : Instant =
        let idle = hostsOf scenario |> List.map (fun host -> host.IdleTimeout) |> List.max

        let timeout =
            scenario.Flows
            |> List.collect plansOf
            |> List.map (fun plan ->
                match plan.Ending with
                | Ending.Release timeout -> timeout
                | _ -> 0L<us>)
            |> List.fold max 0L<us>

        finishBy scenario + idle + timeout + Time.seconds 190
