/// Conversations of npm's implementations with themselves, recorded by tests/peers/record.js. The core takes the acceptor's place: it
/// receives the dialler's packets at the recorded times, and must acknowledge them as the recorded acceptor did.
module UtpPunch.Sim.Tests.RecordedTests

open System
open System.Globalization
open System.IO
open System.Buffers.Binary
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// One line of a recording.
[<NoComparison; NoEquality>]
type private Line =
    {
        At: Instant
        /// `s`, `x` or `r`, and the direction.
        What: string
        Datagram: byte[]
        Packet: Packet
    }

/// Byte i of every recording's content, as record.js defines it.
let private content (index: int) = byte (((uint32 (index >>> 2) + 1u) * 2654435761u) >>> (8 * (index &&& 3)))

let private parse (line: string) =
    let words = line.Split ' '
    let header = Convert.FromHexString words[2]

    let payload =
        if words.Length = 3 then
            [||]
        else
            let place = words[3].Split '@'
            Array.init (int place[0]) (fun i -> content (int place[1] + i))

    let datagram = Array.append header payload
    let mutable packet = Unchecked.defaultof<Packet>
    Expect.equal (Packet.decode (Borrowed datagram) &packet) Malformed.None line
    Expect.equal packet.Payload.Length payload.Length "the recorded header length"

    { At = Time.microseconds (Int64.Parse(words[0], CultureInfo.InvariantCulture))
      What = words[1]
      Datagram = datagram
      Packet = packet }

let private load (name: string) =
    let lines = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Recorded", name + ".txt"))
    let size = lines[0].Split "bytes="

    let recorded =
        [| for line in lines[1..] do
               if not (line.StartsWith '#') then parse line |]

    struct (int (size[1].Split(' ')[0]), recorded)

/// The content of an acknowledgement.
type private Said = { AckNr: uint16; Sack: string }

let private saidOf (ackNr: SeqNr) (sack: Owned) = { AckNr = ackNr.Value; Sack = Convert.ToHexString sack.Span }

/// libutp reports 16 numbers while its buffer is small, and at most 30; utp-punch none. Each packet that the recorded acceptor
/// reports must be reported by the core, and no other of those it covers. To libutp, the bits after a missing packet are zeroes.
let private agrees (dialect: Dialect) (ours: Said) (theirs: Said) =
    let mask (said: Said) = Convert.FromHexString(said.Sack.PadRight(8, '0').Substring(0, 8))
    let fit a b = a &&& b = a

    ours.AckNr = theirs.AckNr
    && (dialect = Dialect.UtpPunch
        || (let our, their = mask ours, mask theirs
            Array.forall2 fit their our && our[0] = their[0] && our[1] = their[1]))

/// The core in the acceptor's place.
[<Sealed>]
type private Replay(dialect: Dialect, synAck: Packet) =
    let peer = Endpoint.ofIPv4 0x7F000001u 9000us
    let machine: IMachine = CoreMachine({ NodeOptions.standard with Dialect = dialect }, 11UL, 0L<us>)
    let received = ResizeArray<byte>()
    let states = ResizeArray<Said>()
    /// The offset of the numbers that acknowledge our packets: our first number is not the acceptor's.
    let mutable shift: int voption = ValueNone
    /// The time stamp of our last packet, which the recorded peer has not seen.
    let mutable stamp = 0u

    member _.Received = received
    /// What the core acknowledged in the STATEs of the last step.
    member _.States = states
    member val HasEnded = false with get, set
    member val HasFinished = false with get, set
    member val Closed: CloseReason voption = ValueNone with get, set
    member val Sent = ResizeArray<Header>() with get

    member private this.Step(now, events) =
        let answers = ResizeArray<Event>()

        for effect in machine.Step(now, events) do
            match effect with
            | Effect.Send(_, train) ->
                this.Sent.Add train.Header
                stamp <- train.Header.Timestamp
                // The SYN-ACK has the number of our first packet.
                if shift.IsNone then
                    shift <- ValueSome(train.Header.SeqNr - synAck.Header.SeqNr)
                elif train.Header.Type = PacketType.State then
                    states.Add(saidOf train.Header.AckNr train.Sack)
            | Effect.Accepted(connId, _, _, _) -> answers.Add(Event.Taken connId)
            | Effect.Deliver(connId, payload) ->
                received.AddRange(Describe.flatten payload)
                answers.Add(Event.Consumed(connId, payload.Length))
            | Effect.Ended connId ->
                this.HasEnded <- true
                answers.Add(Event.Finish connId)
            | Effect.Finished _ -> this.HasFinished <- true
            | Effect.Closed(_, reason) -> this.Closed <- ValueSome reason
            | _ -> ()

        if answers.Count > 0 then this.Step(now, answers.ToArray())

    member this.Start() = this.Step(0L<us>, [| Event.Listen 1 |])

    /// Advances the time.
    member this.Wait(until: Instant) =
        states.Clear()

        while machine.Deadline < until do
            this.Step(machine.Deadline, [||])

    member this.Arrive(line: Line) =
        states.Clear()
        let datagram = Array.copy line.Datagram

        if line.Packet.Header.Type <> PacketType.Syn then
            let shifted = line.Packet.Header.AckNr + shift.Value
            datagram[18] <- byte (shifted.Value >>> 8)
            datagram[19] <- byte shifted.Value

            // It echoes our clock instead of the recorded acceptor's.
            let echo = line.Packet.Header.Timestamp - stamp

            if dialect = Dialect.Bep29 then
                BinaryPrimitives.WriteUInt32BigEndian(Span<byte>(datagram, 8, 4), echo)

        this.Step(line.At, [| Event.Received(peer, Datagrams.One(Borrowed datagram, line.At)) |])

let private replayed dialect name =
    test $"{name}: the core takes the recorded acceptor's place" {
        let struct (size, lines) = load name
        let isType packetType (line: Line) = line.Packet.Header.Type = packetType
        let syn = lines |> Array.find (isType PacketType.Syn)
        let synAck = (lines |> Array.find (isType PacketType.State)).Packet
        Expect.equal synAck.Header.AckNr.Value syn.Packet.Header.SeqNr.Value "the SYN-ACK acknowledges the SYN"

        let replay = Replay(dialect, synAck)
        let oracle = OracleReceiver(syn.Packet.Header.SeqNr, true)
        // What must be acknowledged after each arrival, and what the core acknowledged.
        let expected = ResizeArray [ saidOf oracle.AckNr oracle.Sack ]
        let said = ResizeArray<Said list> [ [] ]
        replay.Start()
        let mutable place = 0
        let mutable both = 0
        let mutable told = 0

        for line in lines do
            match line.What with
            | "r>" ->
                // An acknowledgement between arrivals is one of what has arrived before.
                replay.Wait line.At

                for ours in replay.States do
                    Expect.equal ours expected[expected.Count - 1] $"said before {line.At}"
                    told <- told + 1

                said[said.Count - 1] <- said[said.Count - 1] @ List.ofSeq replay.States
                let header = line.Packet.Header

                if header.Type = PacketType.Data || header.Type = PacketType.Fin then
                    oracle.Take(header.SeqNr, line.Packet.Payload.Span.ToArray(), (header.Type = PacketType.Fin))
                    |> ignore

                expected.Add(saidOf oracle.AckNr oracle.Sack)
                replay.Arrive line

                for ours in replay.States do
                    Expect.equal ours expected[expected.Count - 1] $"said at {line.At}"
                    told <- told + 1

                said.Add(List.ofSeq replay.States)
            | "s<"
            | "x<" when isType PacketType.State line ->
                // The recorded acceptor acknowledged what it had read: all that had left the relay, or a little less.
                let theirs = saidOf line.Packet.Header.AckNr (Borrowed.keep line.Packet.Sack)

                while place < expected.Count && not (agrees dialect expected[place] theirs) do
                    place <- place + 1

                Expect.isLessThan place expected.Count $"an arrival after which {theirs} is said, as at {line.At}"

                for ours in said[place] do
                    Expect.isTrue (agrees dialect ours theirs) $"{ours} and {theirs} at {line.At}"
                    both <- both + 1
            | _ -> ()

        replay.Wait(lines[lines.Length - 1].At + Time.seconds 1)
        Expect.equal replay.Received.Count size "bytes"
        Expect.isTrue (Seq.forall2 (=) replay.Received (Seq.init size content)) "the content"
        Expect.isTrue replay.HasEnded "the end"
        Expect.isTrue replay.HasFinished "our end was acknowledged"
        Expect.equal replay.Closed (ValueSome CloseReason.Finished) "closed"
        Expect.equal expected[place].AckNr expected[expected.Count - 1].AckNr "in the end both acknowledge the same"
        // A delayed acknowledgement covers several arrivals; this many must have been acknowledged by both after the same arrival.
        Expect.isGreaterThan told (expected.Count / 2) "acknowledgements of the core"
        Expect.isGreaterThan both (expected.Count / 5) "acknowledgements of both"
    }

let tests =
    testList
        "recorded"
        [ replayed Dialect.Bep29 "utp-native-1"
          replayed Dialect.Bep29 "utp-native-2"
          replayed Dialect.UtpPunch "utp-punch-1"
          replayed Dialect.UtpPunch "utp-punch-2" ]
