namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// How many forged packets pass one layer of the defence when all secrets but those of this layer are given, and how many must
/// (ATTACKS: bounds). A node is a value: each packet meets it in the same state.
[<NoComparison>]
type Odds =
    {
        Name: string
        Packets: int
        /// How many pass.
        Passed: int
        /// How many should, by the width of what is accepted.
        Expected: float
    }

module Odds =
    let private a = Endpoint.ofIPv4 0x0A000001u 5000us
    let private b = Endpoint.ofIPv4 0x0A000002u 6000us

    /// The clock has 2^32 microseconds.
    let private clocks = 4_294.967296

    let private said (from: Endpoint) (now: Instant) (bytes: byte[]) =
        Event.Received(from, Datagrams.One(Borrowed bytes, now))

    /// The number of packets after which the node, each time in the state given, has an effect.
    let private count
        packets
        (node: Node)
        from
        (now: Instant)
        (packet: int -> byte[])
        (isPassed: Node -> Effect[] -> bool)
        =
        let mutable passed = 0

        for index in 0 .. packets - 1 do
            let struct (next, effects) = Node.step now [| said from now (packet index) |] node
            if isPassed next effects then passed <- passed + 1

        passed

    /// `count` values spread evenly over 2^32, from a random one on.
    let private spread (seed: uint64) packets index =
        uint32 (Keyed.bits seed 91 0L) + uint32 (uint64 index * (1UL <<< 32) / uint64 packets)

    let private accepts _ (effects: Effect[]) = effects |> Array.exists _.IsAccepted
    let private delivers _ (effects: Effect[]) = effects |> Array.exists _.IsDeliver
    let private closes _ (effects: Effect[]) = effects |> Array.exists _.IsClosed

    // ---- Half-open streams ----

    /// A node that has answered a SYN, and the SYN-ACK. `isFlooded`: it did not remember it (SYN cookie).
    let private halfOpen (seed: uint64) isFlooded : struct (Node * Header * Instant) =
        let now = Time.seconds 5
        let options = { NodeOptions.standard with MaxHalfOpen = 4 }
        let node = Node.create options (Owned(Array.init 32 (fun i -> Keyed.byteAt seed (int64 i)))) now
        let struct (node, _) = Node.step now [| Event.Listen 16 |] node
        let mutable node = node

        if isFlooded then
            for index in 1..6 do
                let syn = Craft.syn (uint16 (1000 * index)) (SeqNr 9us) 77u
                let struct (next, _) = Node.step now [| said (Endpoint.withPort (uint16 index) a) now syn |] node
                node <- next

        let struct (node, effects) = Node.step now [| said a now (Craft.syn 500us (SeqNr 7us) 99u) |] node

        let answer =
            effects
            |> Array.pick (fun effect ->
                match effect with
                | Effect.Send(remote, train) when remote.Equals a -> Some train.Header
                | _ -> None)

        struct (node, answer, now)

    let private confirmation ackNr timestamp difference =
        Craft.packet (Craft.header PacketType.State 501us (SeqNr 8us) ackNr timestamp difference) [||]

    /// A SYN cookie must not even make a half-open stream.
    let private recalls _ (effects: Effect[]) =
        effects
        |> Array.exists (fun effect ->
            match effect with
            | Effect.Noted(Rule.SynCookieAccepted, _) -> true
            | _ -> false)

    let private opensByClock name seed isFlooded packets =
        let struct (node, answer, now) = halfOpen seed isFlooded
        let later = now + Time.milliseconds 300
        let accepts = if isFlooded then recalls else accepts

        let passed =
            count
                packets
                node
                a
                later
                (fun index -> confirmation (answer.SeqNr + -1) 12345u (spread seed packets index))
                accepts

        // Two seconds, and what a coarse clock may be ahead; 50 ms around the SYN-ACK lie within them.
        { Name = name; Packets = packets; Passed = passed; Expected = float packets * 2.05 / clocks }

    let private opensByNumber name seed isFlooded =
        let struct (node, answer, now) = halfOpen seed isFlooded
        let later = now + Time.milliseconds 300
        let timestamp = 12345u
        // What an honest peer measures, 20 ms away.
        let difference = timestamp - answer.Timestamp - 260_000u

        let passed =
            count 65_536 node a later (fun index -> confirmation (SeqNr(uint16 index)) timestamp difference) accepts

        { Name = name; Packets = 65_536; Passed = passed; Expected = 1.0 }

    /// All numbers one after the other, with the right clock: the stream is forgotten long before the right one comes.
    let private opensByCounting seed =
        let struct (node, answer, now) = halfOpen seed false
        let later = now + Time.milliseconds 300
        let mutable node = node
        let mutable passed = 0

        for index in 1..65_536 do
            let packet = confirmation (answer.SeqNr + index) 12345u (12345u - answer.Timestamp - 260_000u)
            let struct (next, effects) = Node.step later [| said a later packet |] node
            node <- next
            if accepts () effects then passed <- passed + 1

        { Name = "open: ack_nr, counted up for one SYN"; Packets = 65_536; Passed = passed; Expected = 0.0 }

    // ---- Established streams ----

    /// The stream of a victim, some time after the last packet: what its peer would say next.
    [<NoComparison; NoEquality>]
    type private Established = { Two: TwoNodes; Node: Node; Now: Instant; Next: Header }

    let private establishedAfter (bytes: int) (seed: uint64) (pause: Duration) (idle: Duration) =
        let path = { Path.perfect with Delay = Time.milliseconds 20 }
        let two = TwoNodes.over seed { NodeOptions.standard with MaxHalfOpen = 4 } path path
        let mutable last = struct (0L<us>, Unchecked.defaultof<Header>)
        let next = Array.create 2 (SeqNr 0us)

        two.Filter <-
            Func<_, _, _>(fun side bytes ->
                match Craft.tryRead bytes with
                | ValueSome header ->
                    if side.Name = "A" then last <- struct (two.Now, header)

                    let index = side.Actor.Index
                    let after = if header.Type = PacketType.State then header.SeqNr else header.SeqNr + 1

                    if header.Type = PacketType.Syn || after - next[index] > 0 || next[index].Value = 0us then
                        next[index] <- after
                | ValueNone -> ()

                true)

        two.Tell(two.B, Event.Listen 4)
        let stream = two.Connect(two.A, Dialect.Bep29)
        two.Wait(Time.milliseconds 200)

        for _ in 1..3 do
            two.Write(two.A, stream, ReadOnlySpan<byte>(Array.zeroCreate<byte> 5000)) |> ignore
            two.Wait pause
            two.Write(two.B, two.B.Accepted[0], ReadOnlySpan<byte>(Array.zeroCreate<byte> bytes)) |> ignore
            two.Wait pause

        two.Wait idle
        let struct (at, header) = last
        let passed = Time.stamp (two.Now - at)

        { Two = two
          Node = two.B.Node
          Now = two.Now
          Next =
            { header with
                Type = PacketType.Data
                Timestamp = header.Timestamp + passed - 20_000u
                TimestampDifference = header.TimestampDifference
                SeqNr = next[0]
                AckNr = next[1] + -1 } }

    let private established = establishedAfter 5_000
    let private data = [| 1uy; 2uy; 3uy |]

    /// For two seconds from the handshake on, the clock of the SYN-ACK counts as well.
    let private injectsByEcho name pause clocksThatCount seed packets =
        let it = established seed pause (Time.milliseconds 50)

        let packet index =
            Craft.packet { it.Next with TimestampDifference = it.Next.Timestamp - spread seed packets index } data

        let passed = count packets it.Node a it.Now packet delivers
        // The reach, and an eighth of it ahead.
        { Name = name
          Packets = packets
          Passed = passed
          Expected = clocksThatCount * float packets * 2.25 / clocks }

    let private injectsByPeerClock seed packets =
        let it = established seed (Time.milliseconds 500) (Time.milliseconds 50)
        let echoed = it.Next.Timestamp - it.Next.TimestampDifference

        let packet index =
            let timestamp = spread seed packets index
            Craft.packet { it.Next with Timestamp = timestamp; TimestampDifference = timestamp - echoed } data

        let passed = count packets it.Node a it.Now packet delivers
        // Two seconds to either side.
        { Name = "inject: the peer's clock"
          Packets = packets
          Passed = passed
          Expected = float packets * 4.0 / clocks }

    let private injectsByBoth seed packets =
        let it = established seed (Time.milliseconds 500) (Time.milliseconds 50)

        let packet index =
            let bits = Keyed.bits seed 92 (int64 index)
            Craft.packet { it.Next with Timestamp = uint32 bits; TimestampDifference = uint32 (bits >>> 32) } data

        let passed = count packets it.Node a it.Now packet delivers

        { Name = "inject: both clocks"
          Packets = packets
          Passed = passed
          Expected = float packets * 2.25 / clocks * 4.0 / clocks }

    let private injectsByNumber seed =
        let it = established seed (Time.milliseconds 500) (Time.milliseconds 50)
        let packet index = Craft.packet { it.Next with SeqNr = SeqNr(uint16 index) } data

        { Name = "inject: seq_nr"
          Packets = 65_536
          Passed = count 65_536 it.Node a it.Now packet delivers
          Expected = 1.0 }

    /// The numbers of a RESET, with the id and a sequence number in range, but no clock.
    let private resetsByNumber seed =
        let it = established seed (Time.milliseconds 500) (Time.milliseconds 50)
        let wrong = it.Next.TimestampDifference + 0x4000_0000u

        let packet index =
            Craft.packet
                { it.Next with Type = PacketType.Reset; AckNr = SeqNr(uint16 index); TimestampDifference = wrong }
                [||]

        { Name = "reset: ack_nr"
          Packets = 65_536
          Passed = count 65_536 it.Node a it.Now packet closes
          Expected = 2.0 }

    // ---- A stream that is idle ----

    /// One of our own nodes responds to challenges: packets that fail do not widen the check. Half of the forged packets claim to respond.
    let private injectsBesidePeer seed packets =
        let it = establishedAfter 900_000 seed (Time.seconds 2) (Time.seconds 1)
        let draws = Draws seed
        let received = it.Two.B.Accepted[0].Received
        let before = received.Count
        let passed () = (received.Count - before) / data.Length

        for index in 1..packets do
            let header =
                { it.Next with
                    Timestamp = draws.Word()
                    TimestampDifference = draws.Word()
                    SeqNr = it.Next.SeqNr + passed () }

            let bits = if index % 2 = 0 then 0UL else ExtensionBits.response (draws.Word())
            it.Two.Inject(it.Two.B, it.Two.A.Endpoint, Craft.packetWith bits header data)
            it.Two.Wait(Time.milliseconds 1)

        { Name = "inject: both clocks, beside a peer that responds"
          Packets = packets
          Passed = passed ()
          Expected = float packets * 2.25 / clocks * 4.0 / clocks }

    /// The packets of any other peer that fail make the check wider while nothing else arrives (`TimestampCheck.reject`): how many packets, 60 ms
    /// after each other, an adversary needs that was given the numbers, or only the id. -1: none of `most` was delivered.
    let untilInjected (seed: uint64) (knowsNumbers: bool) (most: int) =
        // A stream that has been busy takes more numbers.
        let it = establishedAfter 900_000 seed (Time.seconds 2) (Time.seconds 1)
        let draws = Draws seed
        let mutable node = it.Node
        let mutable now = it.Now
        let mutable packets = 0
        let mutable found = -1

        while found < 0 && packets < most do
            // As fast as it likes while it guesses numbers.
            now <- now + (if knowsNumbers then Time.milliseconds 60 else Time.microseconds 20L)
            packets <- packets + 1
            let header = { it.Next with Timestamp = draws.Word(); TimestampDifference = draws.Word() }

            let header =
                if knowsNumbers then
                    header
                else
                    { header with SeqNr = SeqNr(draws.Short()); AckNr = SeqNr(draws.Short()) }

            let struct (next, _) = Node.step now [| said a now (Craft.packet header data) |] node
            let before = (Node.stream 1 node).Value.PacketsReceived
            node <- next

            match Node.stream 1 node with
            | ValueSome stream when stream.PacketsReceived > before -> found <- packets
            | _ -> ()

        found

    /// All layers.
    let measure (seed: uint64) : Odds list =
        let many = 1 <<< 16

        [ opensByClock "open: the clock" seed false many
          opensByNumber "open: ack_nr" seed false
          opensByCounting seed
          opensByClock "open by a SYN cookie: the clock" seed true many
          opensByNumber "open by a SYN cookie: ack_nr" seed true
          injectsByEcho "inject: the echo" (Time.milliseconds 500) 1.0 seed many
          injectsByEcho "inject: the echo, in the first two seconds" (Time.milliseconds 100) 2.0 seed many
          injectsByPeerClock seed many
          injectsByBoth seed many
          injectsBesidePeer seed (many / 4)
          injectsByNumber seed
          resetsByNumber seed ]

    /// S29: as many pass as should, within a factor; and where almost none should, two at most.
    let check (odds: Odds) =
        let passed = float odds.Passed

        let most = if odds.Expected = 0.0 then 0.0 else max 2.0 (1.5 * odds.Expected)

        if passed > most || passed < 0.5 * odds.Expected && odds.Expected >= 1.0 then
            Check.fail "S29" $"{odds.Name}: {odds.Passed} of {odds.Packets} packets pass, expected {odds.Expected}"
