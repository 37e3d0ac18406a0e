namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// A sequence of random numbers from a seed.
[<Sealed>]
type private Drawer(seed: uint64) =
    let mutable drawn = 0L

    member _.Below(limit: int) =
        drawn <- drawn + 1L
        Keyed.below limit seed 1000 drawn

    /// Not of the sequence: what was drawn from a seed before there was this choice stays what it was.
    member _.Beside(purpose: int, items: 'a list) = items[Keyed.below items.Length seed purpose drawn]

    member this.Between(least: int, most: int) = least + this.Below(most - least + 1)
    member this.OneOf(items: 'a list) = items[this.Below items.Length]
    /// True with a probability of `share` in a thousand.
    member this.Hits share = this.Below 1000 < share

    /// Uniform in the number of bits, so that small numbers are as frequent as large ones.
    member this.Wide(least: int, most: int) =
        let bits value = 32 - System.Numerics.BitOperations.LeadingZeroCount(uint32 value)
        let size = this.Between(bits least, bits most)
        max least (min most (this.Between((1 <<< size) >>> 1, (1 <<< size) - 1)))

/// Random scenarios. Each kind of fault is off in about half of them, so that some have few faults and others many (swarm testing).
module Swarm =
    let private ms (value: int) = Time.milliseconds value

    let private drawRate (it: Drawer) =
        match it.Below 10 with
        | 0
        | 1 -> Rate.Constant(it.Wide(5_000, 20_000_000))
        | 2 -> Rate.Alternating(it.Wide(20_000, 5_000_000), it.Wide(20_000, 5_000_000), ms (it.Wide(50, 5_000)))
        | _ -> Rate.Unlimited

    /// At most eight seconds' worth of bytes: with a longer queue a handshake takes longer than its timeout.
    let private bounded rate queue =
        let cap bytes = if rate = 0 then bytes else min bytes (max 3_000 (8 * rate))

        match queue with
        | Queue.Tail bytes -> Queue.Tail(cap bytes)
        | Queue.Head bytes -> Queue.Head(cap bytes)
        | Queue.CoDel bytes -> Queue.CoDel(cap bytes)
        | Queue.Pie bytes -> Queue.Pie(cap bytes)
        | Queue.Red(least, most) -> Queue.Red(min least (cap most / 3), cap most)
        | Queue.TailPackets packets -> Queue.TailPackets(max 1 (cap (1_500 * packets) / 1_500))

    let private drawQueue (it: Drawer) rate =
        match it.Below 8 with
        | 0 -> Queue.TailPackets(it.Wide(1, 500))
        | 1 -> Queue.Head(it.Wide(3_000, 500_000))
        | 2 -> Queue.CoDel(it.Wide(20_000, 500_000))
        | 3 -> (let least = it.Wide(3_000, 100_000) in Queue.Red(least, 3 * least))
        | _ -> Queue.Tail(it.Wide(3_000, max 3_001 (min 2_000_000 (max 3_000 (rate / 2)))))

    let private drawLoss (it: Drawer) =
        match it.Below 12 with
        | 0
        | 1
        | 2 -> Loss.Each(it.Wide(1, 400))
        | 3 -> Loss.Gilbert(it.Wide(1, 100), it.Between(50, 900), it.Between(300, 1000), it.Below 20)
        | 4 -> Loss.Every(it.Wide(2, 100))
        | 5 -> (let length = it.Wide(1, 20) in Loss.Burst(length, length + it.Wide(4, 200)))
        | _ -> Loss.Never

    let private drawLateness (it: Drawer) =
        match it.Below 10 with
        | 0
        | 1 -> Lateness.Uniform(ms (it.Wide(1, 500)))
        | 2 -> Lateness.Exponential(ms (it.Wide(1, 60)))
        | 3 -> Lateness.Release(ms (it.Wide(2, 50)))
        | _ -> Lateness.Never

    let private drawDrops (it: Drawer) =
        if it.Hits 200 then
            [ for _ in 0 .. it.Below 4 ->
                  match it.Below 3 with
                  | 0 -> Drop.Nth(it.Wide(1, 64) - 1)
                  | 1 -> Drop.Typed(it.OneOf [ 1; 2; 4 ], it.Below 3)
                  | _ -> Drop.Typed(0, it.Wide(1, 32) - 1) ]
        else
            []

    let private drawMtu (it: Drawer) (healAt: Duration) =
        let narrow size from until =
            { Size = size
              From = from
              Until = until
              Telling = it.OneOf [ Telling.Nobody; Telling.System; Telling.Router ]
              // A packet that does not pass in fragments never passes, once it has its number.
              Fragments = it.Hits 800 }

        let size () =
            it.OneOf [ 548; 576; it.Between(500, 1500); 1464; 1472; 1472; 8972; 65507; it.Wide(1_000, 65_535) ]

        match it.Below 12 with
        | 0
        | 1
        | 2 -> [ narrow (size ()) 0L<us> Time.never ]
        | 3 -> [ narrow (size ()) (ms (it.Below 2_000)) Time.never ]
        | 4 ->
            let turn = ms (it.Below(2 * int (healAt / 1000L)))
            [ narrow (size ()) 0L<us> turn; narrow (size ()) turn Time.never ]
        | _ -> []

    let private drawCuts (it: Drawer) (healAt: Duration) =
        match it.Below 12 with
        | 0
        | 1 ->
            [ for _ in 0 .. it.Below 3 ->
                  let from = ms (it.Below(max 1 (int (healAt / 1000L))))
                  { From = from; Until = from + ms (it.Wide(1, 15_000)) } ]
        | 2 when it.Hits 300 -> [ { From = ms (it.Wide(1, 20_000)); Until = Time.never } ]
        | _ -> []

    let private drawPath (it: Drawer) healAt undetected =
        let rate = drawRate it

        let perSecond =
            match rate with
            | Rate.Unlimited -> 0
            | Rate.Constant rate
            | Rate.Alternating(rate, _, _)
            | Rate.Policed(rate, _)
            | Rate.Shaped(rate, _, _)
            | Rate.Cellular rate -> rate
            | Rate.Steps steps -> snd steps.Head

        { Delay =
            Time.microseconds (
                int64 (it.OneOf [ 0; 100; 1_000; 5_000; 20_000; 20_000; 50_000; 100_000; 300_000; 750_000 ])
            )
          Lateness = drawLateness it
          Rate = rate
          Queue = bounded perSecond (drawQueue it perSecond)
          Loss = drawLoss it
          Drops = drawDrops it
          Reorder = (if it.Hits 300 then it.Wide(1, 500) else 0)
          ReorderBy = ms (it.Wide(1, 1_000))
          Duplication = (if it.Hits 300 then it.Wide(1, 500) else 0)
          Copies = it.Wide(1, 6)
          CopiesLate = ms (if it.Hits 100 then it.Wide(1_000, 60_000) else it.Wide(1, 500))
          Corruption = (if undetected || it.Hits 150 then it.Wide(1, 200) else 0)
          Harm =
            (if undetected then
                 it.OneOf [ Harm.Anywhere; Harm.Header; Harm.Truncation; Harm.Extension ]
             else
                 it.OneOf [ Harm.Noticed; Harm.Noticed; Harm.Extended ])
          Mtu = drawMtu it healAt
          Cuts = drawCuts it healAt }

    let private drawClock (it: Drawer) (healAt: Duration) =
        let within () = ms (it.Below(max 1 (int (healAt / 1000L))))

        { Offset =
            (match it.Below 5 with
             | 0 -> 0L
             // Just before 32 bits of microseconds wrap.
             | 1 -> 0x1_0000_0000L - int64 (it.Wide(1, 20_000_000))
             | 2 -> int64 (it.Between(0, 0x7FFFFFFF)) * 2L
             | _ -> int64 (it.Wide(1, 0x7FFFFFFE)))
          Skew = (if it.Hits 500 then 0 else it.OneOf [ 31; -31; 200; -200; 500; -500; 50_000; -50_000 ])
          Steps =
            (if it.Hits 60 then
                 [ within (), int64 (it.OneOf [ 1; -1; 1000; -1000; 1_000_000; -1_000_000 ]) ]
             else
                 [])
          Freezes = (if it.Hits 60 then [ within (), ms (it.Wide(10, 60_000)) ] else [])
          Granularity = Time.microseconds (int64 (it.OneOf [ 1; 1; 1; 1000; 10_000; 15_600; 500_000 ]))
          Late = (if it.Hits 150 then ms (it.Wide(1, 2_000)) else 0L<us>) }

    let private drawSocket (it: Drawer) =
        { ReceiveBuffer = (if it.Hits 150 then it.Wide(8_000, 300_000) else 1 <<< 20)
          Batch = it.OneOf [ 1; 8; 64; 64 ]
          Wake = Time.microseconds (int64 (it.OneOf [ 0; 0; 0; 50; 1_000; 5_000 ]))
          Refusals = (if it.Hits 150 then it.Wide(1, 200) else 0) }

    let private drawHost (it: Drawer) healAt =
        let socket = drawSocket it
        let packetSize = it.OneOf [ 1400; 1200; 1200; 1200; 576; 150 ]

        { Clock = drawClock it healAt
          Socket = socket
          SendBuffer = it.OneOf [ 1 <<< 20; 1 <<< 20; 65_536; 5_000 ]
          ReceiveBuffer = it.OneOf [ 1 <<< 20; 1 <<< 20; 65_536; 4_096; 1_500 ]
          PacketSize = packetSize
          LargestPacket =
            (it.OneOf [ packetSize; packetSize; 65_507; 65_507; 9_000; 1_500 ]
             |> min (socket.ReceiveBuffer / 4)
             |> max packetSize)
          NoDelay = it.Hits 500
          IdleTimeout = StreamOptions.bep29.IdleTimeout
          Congestion = it.Beside(1001, [ for it in CongestionControls.all -> it.Name ]) }

    let private drawSize (it: Drawer) =
        match it.Below 10 with
        | 0 -> 0
        | 1 -> it.Wide(1, 8)
        | 2 -> it.Between(1378, 1382)
        | 3
        | 4
        | 5 -> it.Wide(1, 30_000)
        | 6
        | 7 -> it.Wide(1_000, 120_000)
        | _ -> it.Wide(1_000, 300_000)

    let private drawPlan (it: Drawer) isOrderly =
        let bytes = drawSize it

        { Bytes = bytes
          Chunk =
            (if bytes < 3_000 && it.Hits 200 then
                 1
             else
                 it.OneOf [ 100; 1380; 1381; 10_000; 1 <<< 20 ] |> max (bytes / 300))
          Pause = (if it.Hits 300 then ms (it.Wide(1, 200)) else 0L<us>)
          ReadSize = (if it.Hits 300 then it.Wide(500, 50_000) else 0)
          ReadPause = ms (it.Wide(1, 100))
          StallAt = (if it.Hits 150 then it.Wide(1, 100_000) else System.Int32.MaxValue)
          StallFor = (if not isOrderly && it.Hits 200 then Time.never else ms (it.Wide(10, 40_000)))
          Ending =
            (if isOrderly then
                 Ending.Finish
             else
                 match it.Below 5 with
                 | 0 -> Ending.Release(Time.seconds (it.Between(1, 60)))
                 | 1
                 | 2 -> Ending.Abort(it.Wide(1, max 1 bytes))
                 | 3 -> Ending.Stay
                 | _ -> Ending.Finish) }

    let private drawFlow (it: Drawer) (healAt: Duration) =
        let isOrderly = not (it.Hits 200)
        let dialler = drawPlan it isOrderly
        let acceptor = drawPlan it isOrderly
        let last = if isOrderly then it.Below 4 else 3

        { At = ms (it.Below(max 1 (int (healAt / 4000L))))
          FromB = it.Hits 300
          Dialler = (if last = 0 then { dialler with Ending = Ending.FinishLast } else dialler)
          Acceptor = (if last = 1 then { acceptor with Ending = Ending.FinishLast } else acceptor) }

    /// Limits the bytes of slow paths, so that a run does not last for hours.
    let private tame (scenario: Scenario) =
        let slowest =
            [ scenario.AB; scenario.BA ] |> List.map Path.slowest |> List.filter (fun rate -> rate > 0)

        let limit =
            match slowest with
            | [] -> System.Int32.MaxValue
            | rates -> List.min rates * 20

        let window =
            min
                (min scenario.A.ReceiveBuffer scenario.B.ReceiveBuffer)
                (min scenario.A.SendBuffer scenario.B.SendBuffer)

        let size = min scenario.A.PacketSize scenario.B.PacketSize
        let limit = if window < 10_000 then min limit 60_000 else limit
        let limit = if size < 500 then min limit 60_000 else limit
        let cap (plan: Plan) = { plan with Bytes = min plan.Bytes limit }

        // A shared queue of a packet or two may starve a stream that starts late.
        let isTiny (path: Path) =
            match path.Rate, path.Queue with
            | Rate.Unlimited, _ -> false
            | _, Queue.TailPackets packets -> packets < 8
            | _, (Queue.Tail bytes | Queue.Head bytes) -> bytes < 8_000
            | _ -> false

        let flows =
            if isTiny scenario.AB || isTiny scenario.BA then
                [ List.head scenario.Flows ]
            else
                scenario.Flows

        { scenario with
            Flows =
                flows
                |> List.map (fun flow -> { flow with Dialler = cap flow.Dialler; Acceptor = cap flow.Acceptor }) }

    /// Devices that drop trains drop them in both directions. Drawn last: what else a seed draws does not depend on it.
    let private withLostTrains (it: Drawer) (scenario: Scenario) =
        if it.Hits 80 then
            let drops (path: Path) = { path with Drops = Drop.Trains :: path.Drops }
            { scenario with AB = drops scenario.AB; BA = drops scenario.BA }
        else
            scenario

    /// The scenario of a seed.
    let scenario (seed: uint64) : Scenario =
        let it = Drawer(Keyed.mix seed)
        // Faults end before half-open streams expire; during faults they may.
        let healAt = ms (it.OneOf [ 1_000; 5_000; 20_000; 25_000 ])
        let undetected = it.Hits 60
        let count = it.OneOf [ 1; 1; 1; 1; 2; 3; 8 ]

        { Seed = seed
          NodeSeed = Keyed.mix (seed + 77UL)
          Dialect = (if it.Hits 150 then "utp-punch" else "bep29")
          A = drawHost it healAt
          B = drawHost it healAt
          AB = drawPath it healAt undetected
          BA = drawPath it healAt (undetected && it.Hits 500)
          Flows = [ for _ in 1..count -> drawFlow it healAt ]
          Forgery =
            (if it.Hits 200 then
                 { Strange = it.Wide(1, 100)
                   Spoofed = it.Wide(1, 200)
                   Hints = (if it.Hits 500 then it.Wide(1, 100) else 0) }
             else
                 { Strange = 0; Spoofed = 0; Hints = 0 })
          HealAt = healAt
          PermuteTies = it.Hits 300 }
        |> withLostTrains it
        |> tame
