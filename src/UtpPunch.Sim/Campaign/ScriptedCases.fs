namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// What a campaign begins with: short scenes with a peer that says by hand what random worlds say rarely or never. Each raises a
/// `Violation` when the core does what it must not.
module ScriptedCases =
    let private fail property why = Check.fail property why

    let private openedBy (puppet: ScriptedPeer) =
        puppet.Connect()
        puppet.Answer()
        puppet

    let private opened () = openedBy (ScriptedPeer 1UL)

    /// S9: any bytes are a packet or none, and a packet is the same bytes again.
    let private decoder () =
        for run in 0..1999 do
            let bits = Keyed.bits 1UL 7 (int64 run)
            let bytes = Array.init (int (bits % 120UL)) (fun i -> Keyed.byteAt bits (int64 i))
            // Most of them begin as packets do.
            if bytes.Length > 1 && run % 8 > 0 then bytes[0] <- byte (run % 6) <<< 4 ||| 1uy
            if bytes.Length > 1 && run % 3 > 0 then bytes[1] <- byte (run % 3) - 1uy

            let mutable packet = Unchecked.defaultof<Packet>

            if Packet.decode (Borrowed bytes) &packet = Malformed.None then
                let head = TraceDatagram.headLength (ReadOnlySpan<byte> bytes)

                if bytes[1] = 0uy && not (packet.Payload.Equals(Borrowed(bytes, 20, bytes.Length - 20))) then
                    fail "S9" "a payload is read as another"

                if head >= 0 then
                    let again = Array.zeroCreate<byte> bytes.Length
                    let header = packet.Header
                    let sack, payload = Borrowed.keep packet.Sack, Borrowed.keep packet.Payload

                    if
                        Packet.encode &header sack packet.Bits payload (Span<byte> again) <> bytes.Length
                        || again <> bytes
                    then
                        fail "S9" "a packet that was read is written otherwise"

    /// S9: extensions that nobody knows are skipped, before a selective acknowledgement and behind it.
    let private extensions () =
        let puppet = opened ()
        let payload = [| 1uy; 2uy; 3uy |]

        let header =
            { Type = PacketType.Data
              ConnectionId = puppet.Id
              Timestamp = Time.stamp puppet.Now
              TimestampDifference = 1u
              Window = 100_000u
              SeqNr = puppet.Next
              AckNr = puppet.First + -1 }

        let plain = Array.zeroCreate<byte> 20
        Packet.encode &header Owned.Empty 0UL Owned.Empty (Span<byte> plain) |> ignore
        plain[1] <- 77uy
        let chain = [| 1uy; 2uy; 9uy; 9uy; 200uy; 4uy; 0uy; 0uy; 0uy; 0uy; 0uy; 1uy; 9uy |]
        puppet.SayBytes(Array.concat [ plain; chain; payload ])

        if puppet.Delivered <> payload then
            fail "S9" $"%A{puppet.Delivered} was delivered of a packet with extensions whose payload is 1, 2, 3"

    /// S10: a RESET under an id that is none of the stream's, though a neighbour's, and with a number that fits.
    let private neighbours () =
        let puppet = opened ()
        puppet.Write 100

        for id in [ puppet.Id - 1us; puppet.Id + 2us; puppet.Id + 3us ] do
            puppet.Say(PacketType.Reset, id, SeqNr 0us, puppet.First, [||], [||])

        if puppet.Closed.IsSome then
            fail "S10" "a RESET under a neighbouring id closes the stream"

    /// S10: an acknowledgement of what was never sent.
    let private unsent () =
        let puppet = opened ()
        puppet.Write 100
        puppet.Acknowledge 30

        if puppet.Stream.BytesAcknowledged > 0L then
            fail "S10" "what was never sent counts as acknowledged"

        puppet.Acknowledge 1

        if puppet.Stream.BytesAcknowledged <> 100L then fail "S10" "an acknowledgement is lost"

    /// S22: what comes ahead of the SYN-ACK is not it, and the first data is not taken for received.
    let private hasty () =
        let puppet = ScriptedPeer 2UL
        puppet.Connect()
        puppet.SayData(puppet.Next + 1, [| 2uy |])
        puppet.Say(PacketType.State, puppet.Id, puppet.Next + 2, puppet.First + -2, [||], [||])

        if puppet.IsOpen then fail "S22" "a stream is opened by what is no SYN-ACK"

        puppet.Answer()
        puppet.SayData(puppet.Next, [| 1uy |])
        puppet.SayData(puppet.Next + 1, [| 2uy |])

        if puppet.Delivered <> [| 1uy; 2uy |] then
            fail "S22" $"%A{puppet.Delivered} was delivered of 1, 2, which were sent ahead of the SYN-ACK and again"

    /// S15: a SYN that comes again is the same stream; another one under its ids is none.
    let private twins () =
        let puppet = ScriptedPeer 3UL
        puppet.Step [| Event.Listen 10 |]
        let say seqNr = puppet.Say(PacketType.Syn, 500us, SeqNr seqNr, SeqNr 0us, [||], [||])
        say 7us
        say 7us
        let synAcks = [ for packet in puppet.Heard -> packet.Header.SeqNr.Value ]

        if (Node.statistics puppet.Node).HalfOpen <> 1 then
            fail "S15" "a SYN twice is two streams"

        if List.distinct synAcks <> [ synAcks.Head ] then
            fail "S15" $"a SYN twice is answered with numbers %A{synAcks}"

        say 8us

        if (Node.statistics puppet.Node).HalfOpen <> 1 || (puppet.Times(Rule.IdCollision, 0L<us>)).IsEmpty then
            fail "S15" "two streams have the same ids"

    /// S15: the id whose partner would need 17 bits is not drawn, whatever the generator says.
    let private lastId () =
        // The third draw of this seed, the first for a stream, ends in sixteen ones. It was searched for.
        let seed = Owned(Array.init 32 (fun i -> Keyed.byteAt 14775UL (int64 i)))
        let mutable random = Random.create seed
        let mutable drawn = 0u

        for _ in 1..3 do
            let struct (bits, next) = Random.next random
            drawn <- bits
            random <- next

        let puppet = ScriptedPeer seed
        puppet.Connect()
        let struct (following, _) = Random.next random

        if uint16 drawn <> 0xFFFFus || puppet.Heard[0].Header.SeqNr.Value <> uint16 (following >>> 16) then
            if puppet.Id = 0xFFFFus then
                fail "S15" "a SYN has the id 65535; its partner's would be 65536"
            else
                fail "M5" "nodes draw their ids otherwise than the search for this seed thought"

    /// S17: old packets and acknowledgements, told from new ones where numbers run over.
    let private runOver () =
        // Its third draw begins with 65531; it was searched for.
        let puppet = ScriptedPeer 15952UL
        puppet.Connect()
        puppet.Answer()

        for seqNr, octet in [ 0xFFFEus, 1uy; 0xFFFFus, 2uy; 0xFFFEus, 9uy; 0us, 3uy; 0xFFFFus, 9uy; 1us, 4uy ] do
            puppet.SayData(SeqNr seqNr, [| octet |])

        if puppet.Delivered <> [| 1uy; 2uy; 3uy; 4uy |] then
            fail "S17" $"%A{puppet.Delivered} was delivered of 1, 2, 3, 4, whose numbers run over"

        puppet.Write 13_800

        if puppet.First.Value < 65_520us then
            fail "M5" "nodes draw their numbers otherwise than the search for this seed thought"

        puppet.Next <- SeqNr 2us

        for packets in 1..10 do
            puppet.Acknowledge packets
            let bytes = puppet.Stream.BytesAcknowledged

            if bytes <> 1380L * int64 packets then
                fail "S17" $"{bytes} bytes are acknowledged of {packets} packets, whose numbers run over"

    /// L5: who has something to say to a closed window asks, and before the peer's keep-alive would tell.
    let private closedWindow () =
        let puppet = ScriptedPeer 4UL
        puppet.Window <- 0u
        puppet.Connect()
        puppet.Answer()
        let before = puppet.Heard.Count
        puppet.Write 5_000
        puppet.Wait(Time.seconds 16)

        if puppet.BytesSince before = 0 then
            fail "L5" "nobody asks for 16 s whether a closed window is still closed"

        puppet.Window <- 100_000u
        puppet.Acknowledge 0
        puppet.Wait(Time.seconds 1)

        if puppet.Stream.InFlight = 0 then fail "L5" "an open window is not used"

    /// S7: no byte beyond the peer's window, and a window of 4 GiB is one.
    let private windows () =
        let puppet = ScriptedPeer 5UL
        puppet.Window <- 3_000u
        puppet.Connect()
        puppet.Answer()
        puppet.Write 50_000

        if puppet.BytesSince 0 > 3_000 then
            fail "S7" $"{puppet.BytesSince 0} bytes for a window of 3000"

        let wide = ScriptedPeer 6UL
        wide.Window <- 0xFFFFFFF0u
        wide.Connect()
        wide.Answer()
        wide.Write 50_000
        wide.Wait(Time.milliseconds 20)
        wide.Acknowledge 10

        if wide.BytesSince 0 < 20_000 then
            fail "L1" $"{wide.BytesSince 0} bytes for a window of 4 GiB"

    /// L1: the retransmission timer runs for what follows the acknowledgement of everything.
    let private secondWrite () =
        let puppet = opened ()
        puppet.Write 1
        puppet.Wait(Time.milliseconds 20)
        puppet.Acknowledge 1
        puppet.Wait(Time.milliseconds 20)
        let since = puppet.Now
        puppet.Write 1
        puppet.Wait(Time.seconds 12)

        if (puppet.Times(Rule.RetransmitTimeout, since)).Length < 2 then
            fail "L1" "a packet stays unanswered for 12 s, and the time-out does not come twice"

    /// L1: time-outs in a row double their distance up to the cap, and a clean sample takes that back.
    let private backOff () =
        let puppet = opened ()
        puppet.Write 100
        puppet.Wait(Time.seconds 40)
        let times = puppet.Times(Rule.RetransmitTimeout, 0L<us>)
        let distances = List.pairwise times |> List.map (fun (one, next) -> next - one)
        let least (before: Duration) = min (2L * before) StreamOptions.bep29.MaxRto - Time.milliseconds 1

        if times.Length < 5 || List.exists (fun (one, next) -> next < least one) (List.pairwise distances) then
            fail "L1" $"time-outs in a row come after {distances}"

        puppet.Acknowledge 1
        puppet.Write 100
        puppet.Wait(Time.milliseconds 20)
        puppet.Acknowledge 2
        let timeout = puppet.Stream.RetransmitTimeout

        if timeout > Time.milliseconds 600 then
            fail "L1" $"the time-out is {timeout} us after a round trip of 20 ms"

    /// S18: the base delay, where the differences of the clocks run through zero.
    let private baseDelay () =
        let puppet = opened ()

        let roundTrip index (milliseconds: int) =
            puppet.Write 1380
            puppet.Wait(Time.milliseconds milliseconds)
            puppet.Difference <- uint32 (milliseconds * 1000 - 40_000)
            puppet.Acknowledge index

        roundTrip 1 20

        for index in 2..8 do
            roundTrip index 70

        let queueing = puppet.Stream.QueueingDelay

        if abs (queueing - Time.milliseconds 50) > Time.milliseconds 2 then
            fail "S18" $"the queueing delay is {queueing} us, not 50 ms, where the differences of the clocks wrap"

    /// P: the same acknowledgement again makes the window no larger.
    let private repeated () =
        let puppet = opened ()
        puppet.Write 60_000
        puppet.Wait(Time.milliseconds 20)
        let before = puppet.Stream.CongestionWindow

        for _ in 1..2 do
            puppet.Acknowledge 0

        if puppet.Stream.CongestionWindow > before then
            fail "P1" $"acknowledgements that acknowledge nothing raise cwnd from {before}"

    /// P3: two losses of one round trip are one congestion, where no delay is measured that could show that there is none. And what a
    /// selective acknowledgement named is not sent again.
    let private twoLosses () =
        let puppet = openedBy (ScriptedPeer(1UL, Difference = 0u))
        puppet.Write 60_000
        puppet.Wait(Time.milliseconds 20)
        let before = puppet.Stream.CongestionWindow
        let sent = puppet.Heard.Count
        // 1 is missing, then 5 as well.
        puppet.Acknowledge(0, 0b0000_0111uy, 0uy, 0uy, 0uy)
        let once = puppet.Stream.CongestionWindow
        puppet.Wait(Time.milliseconds 1)
        puppet.Acknowledge(0, 0b0111_0111uy, 0uy, 0uy, 0uy)
        let twice = puppet.Stream.CongestionWindow

        if once >= before then fail "P3" "a loss is no congestion"

        if twice < once * 9 / 10 then
            fail "P3" $"two losses of one round trip take cwnd from {before} to {once} and {twice}"

        puppet.Wait(Time.milliseconds 300)
        puppet.Acknowledge(0, 0b0111_0111uy, 0uy, 0uy, 0uy)
        puppet.Wait(Time.seconds 3)

        for packet in Seq.skip sent puppet.Heard do
            let index = packet.Header.SeqNr - puppet.First + 1

            if packet.Length > 0 && index <> 1 && index <> 5 && index > 0 && index <= 8 then
                fail "S6" $"the packet with the index {index} is sent again, though it was acknowledged selectively"

    /// L10: a process that exits as soon as its node says that it may leaves its peer with a good end, whatever is lost; on a path that
    /// loses nothing both exit within a few round trips.
    let private ends () =
        let run loss count =
            for seed in 1..count do
                let case = EndsCampaign.drawn loss (Keyed.mix (uint64 seed))
                let outcome = EndsCampaign.run case

                if outcome.Trouble <> "" then fail "L10" $"{outcome.Trouble}%A{case}"

                if loss = 0 && case.LostSyns = 0 && outcome.LastExit > 4L * case.RoundTrip + Time.milliseconds 100 then
                    fail "L10" $"it takes {int64 outcome.LastExit} us until both have exited: %A{case}"

        run 0 100
        run 100 300
        run 250 300

    /// S25: bytes that nobody will read are not acknowledged, and draw a RESET as soon as everything of ours was acknowledged.
    let private unread () =
        let peer = opened ()
        peer.Write 100
        peer.Step [| Event.Release(0, Time.seconds 60) |]
        peer.SayData(peer.Next, [| 1uy; 2uy; 3uy |])
        peer.Wait(Time.milliseconds 100)

        if peer.Closed.IsSome then
            fail "S25" "a released stream is reset before what was written has arrived"

        if
            peer.Heard.Exists(fun packet -> packet.Header.Type = PacketType.State && packet.Header.AckNr = peer.Next)
        then
            fail "S25" "bytes that nobody reads are acknowledged"

        peer.Acknowledge 2

        if peer.Heard[peer.Heard.Count - 1].Header.Type <> PacketType.Reset then
            fail "S25" "bytes that nobody reads draw no RESET"

        if peer.Closed <> ValueSome CloseReason.Released then
            fail "S25" $"the stream closed with {peer.Closed}"

    /// By name.
    let all: struct (string * (unit -> unit)) list =
        [ struct ("the decoder takes any bytes", decoder)
          struct ("unknown extensions are skipped", extensions)
          struct ("RESETs under neighbouring ids", neighbours)
          struct ("acknowledgements of unsent data", unsent)
          struct ("data ahead of the SYN-ACK", hasty)
          struct ("a SYN twice", twins)
          struct ("the last id", lastId)
          struct ("numbers run over", runOver)
          struct ("a closed window", closedWindow)
          struct ("narrow and wide windows", windows)
          struct ("a second write", secondWrite)
          struct ("back-off", backOff)
          struct ("clocks around zero", baseDelay)
          struct ("repeated acknowledgements", repeated)
          struct ("two losses in one round trip", twoLosses)
          struct ("ends of processes", ends)
          struct ("bytes for a released stream", unread) ]

    /// What goes wrong in a drill, if anything does.
    let check (action: unit -> unit) : struct (string * string) voption =
        try
            action ()
            ValueNone
        with
        | Violation(property, why) -> ValueSome(struct (property, why))
        | error -> ValueSome(struct ("S12", $"{error.GetType().Name}: {error.Message} {error.StackTrace}"))
