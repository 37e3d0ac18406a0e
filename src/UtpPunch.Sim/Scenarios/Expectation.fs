namespace UtpPunch.Sim

open UtpPunch.Protocol

/// The result that a scenario must have, and by when: L1, L2 and L7 of docs/simulation.md.
module Expectation =
    let private pathsOf (scenario: Scenario) = [ scenario.AB; scenario.BA ]
    let private hostsOf (scenario: Scenario) = [ scenario.A; scenario.B ]
    let private plansOf (flow: Flow) = [ flow.Dialler; flow.Acceptor ]

    /// Whether bytes may be changed on the path without a checksum error: uTP has no checksum of its own, so the only properties are
    /// that nothing throws and that everything stays bounded.
    let isUnprotected (scenario: Scenario) =
        pathsOf scenario
        |> List.exists (fun path -> path.Corruption > 0 && path.Harm <> Harm.Noticed && path.Harm <> Harm.Extended)

    let private isForGood (cut: Cut) = cut.Until = Time.never

    /// Whether nothing is ever lost, late or changed on the path, apart from datagrams that are too long.
    let isUndisturbed (scenario: Scenario) =
        pathsOf scenario
        |> List.forall (fun path -> path = { Path.perfect with Delay = path.Delay; Mtu = path.Mtu })
        && hostsOf scenario
           |> List.forall (fun host -> host.Clock = Scenario.clock && host.Socket = Scenario.socket)
        && scenario.Forgery = Scenario.calm.Forgery

    /// Whether a silence of that length may close a stream.
    let private longSilence = Time.seconds 20

    /// The initial packet size of a stream, and the largest that it may reach.
    let packetSize (scenario: Scenario) = max scenario.A.PacketSize scenario.B.PacketSize

    let private largest (scenario: Scenario) =
        List.max [ packetSize scenario; scenario.A.LargestPacket; scenario.B.LargestPacket ]

    let private carries (scenario: Scenario) (path: Path) =
        let size = packetSize scenario

        let takes =
            path.Mtu
            |> List.forall (fun narrow ->
                // A packet that has its number cannot be cut any more: it passes in fragments, or not at all.
                narrow.Size >= largest scenario
                || (narrow.Size >= size && narrow.From = 0L<us>)
                || (narrow.Fragments && narrow.Size >= 548))

        let drops =
            path.Drops
            |> List.exists (fun drop ->
                match drop with
                | Drop.LongerThan length -> length < size
                | Drop.Nth _
                | Drop.Typed _
                | Drop.Trains -> false)

        takes && not drops

    /// Whether every stream must finish. While a clock that was set back by much stands still, no bound holds.
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

    /// Whether both applications of a flow end it in order, and both read.
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

    /// How long the applications are busy by themselves.
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

    /// A bound for when the last orderly stream has finished: after the end of the faults, a backed-off time-out, half the rate of the
    /// path, the round trips of slow start and of a small window, and the time of the applications.
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
                | rate,
                  (Queue.Tail limit | Queue.Head limit | Queue.CoDel limit | Queue.Pie limit | Queue.Red(_, limit)) ->
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

        // With a queue of a packet or two, every burst loses its last packets.
        let isTiny =
            pathsOf scenario
            |> List.exists (fun path ->
                match path.Queue with
                | Queue.TailPackets packets -> packets < 4 && Path.slowest path > 0
                | _ -> false)

        // Clock skew of this size looks like a growing queue: LEDBAT may stay at its minimum of one packet.
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

        // Twice a time-out of at most 6 s, a window probe after at most 15 s, and five seconds of tolerance.
        max scenario.HealAt (max cuts frozen)
        + own
        + wire
        + (trips + small + floor) * roundTrip
        + Time.seconds 32

    /// The instant at which every stream has closed, including those with dead peers and stalled readers.
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
