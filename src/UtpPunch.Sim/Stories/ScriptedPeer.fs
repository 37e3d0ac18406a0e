namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A packet that the node sent to the scripted peer.
[<Struct; NoComparison>]
type Heard = { At: Instant; Header: Header; Length: int }

/// One node, and a peer whose packets are written by a test, including ones that the core would never send.
[<Sealed>]
type ScriptedPeer(seed: Owned) =
    let peer = Endpoint.ofIPv4 0x0A000002u 6000us
    let mutable now = Time.seconds 5
    // Cases count packets of 1400 bytes.
    let options =
        { NodeOptions.standard with
            Bep29 = { NodeOptions.standard.Bep29 with PacketSize = 1400; LargestPacket = 1400 } }

    let mutable node = Node.create options seed now
    let lent = LentBuffers()
    let heard = List<Heard>()
    let rules = List<struct (Instant * Rule)>()
    let delivered = List<byte>()
    let mutable received = 0

    let take effect =
        match effect with
        | Effect.Send(_, train) ->
            for index in 0 .. train.Count - 1 do
                let bytes = Array.zeroCreate<byte>(train.LengthOf index)
                train.Write(index, Span<byte> bytes) |> ignore
                let mutable packet = Unchecked.defaultof<Packet>

                if Packet.decode (Borrowed bytes) &packet <> Malformed.None then
                    Check.fail "S9" "a packet of the core cannot be read"

                heard.Add { At = now; Header = packet.Header; Length = packet.Payload.Length }
        | Effect.Noted(rule, _) -> rules.Add(struct (now, rule))
        | Effect.Deliver(_, payload) ->
            let piece = Array.zeroCreate<byte> payload.Length
            payload.CopyTo(0, Span<byte> piece) |> ignore
            delivered.AddRange piece
        | _ -> ()

    new(seed: uint64) = ScriptedPeer(Owned(Array.init 32 (fun i -> Keyed.byteAt seed (int64 i))))

    member _.Now = now
    member _.Node = node
    /// All packets that the node has sent.
    member _.Heard = heard
    member _.Rules = rules
    /// All bytes that the node has delivered.
    member _.Delivered = delivered.ToArray()
    member val IsOpen = false with get, set
    member val Closed: CloseReason voption = ValueNone with get, set
    /// The window that the peer advertises, and the delay that it reports of the node's packets.
    member val Window = 1_000_000u with get, set
    member val Difference = 10_000u with get, set
    /// How much its clock is ahead of the time; it wraps.
    member val Clock = 0u - 10_000u with get, set
    /// The node's receive id, and the number of its first data.
    member val Id = 0us with get, set
    member val First = SeqNr 0us with get, set
    /// The number of the peer's next data.
    member val Next = SeqNr 0xFFFEus with get, set

    member this.Step(events: Event[]) =
        let struct (next, effects) = Node.step now events node
        node <- next

        for effect in effects do
            match effect with
            | Effect.Opened _
            | Effect.Accepted _ -> this.IsOpen <- true
            | Effect.Closed(_, reason) -> this.Closed <- ValueSome reason
            | _ -> take effect

        lent.Stepped(events, effects)

    /// What the peer measures of the node's last packet, which has an offset in its time stamp; 0 from a peer that measures nothing.
    member this.Echo =
        if heard.Count = 0 || this.Difference = 0u then
            this.Difference
        else
            let last = heard[heard.Count - 1]
            this.Difference - (last.Header.Timestamp - Time.stamp last.At)

    /// Advances the time, without packets from the peer.
    member this.Wait(duration: Duration) =
        let until = now + duration

        while Node.deadline node <= until do
            now <- max now (Node.deadline node)
            this.Step [||]

        now <- until

    member this.SayBytes(bytes: byte[]) =
        this.Step [| Event.Received(peer, Datagrams.One(Borrowed(Array.copy bytes), now)) |]

    /// Sends a packet from the peer.
    member this.Say(kind: PacketType, id: uint16, seqNr: SeqNr, ackNr: SeqNr, sack: byte[], payload: byte[]) =
        received <- received + 1

        let header =
            { Type = kind
              ConnectionId = id
              Timestamp = Time.stamp now + this.Clock
              TimestampDifference = this.Echo
              Window = this.Window
              SeqNr = seqNr
              AckNr = ackNr }

        let bytes = Array.zeroCreate<byte>(Packet.lengthOf sack.Length 0UL payload.Length)
        Packet.encode &header (Owned sack) 0UL (Owned payload) (Span<byte> bytes) |> ignore
        this.SayBytes bytes

    /// Acknowledges everything up to the n-th data packet of the node, and the packets after it that the bits name.
    member this.Acknowledge(packets: int, [<ParamArray>] sack: byte[]) =
        this.Say(PacketType.State, this.Id, this.Next, this.First + (packets - 1), sack, [||])

    member this.SayData(seqNr: SeqNr, payload: byte[]) =
        this.Say(PacketType.Data, this.Id, seqNr, this.First + -1, [||], payload)

    member this.Connect() =
        this.Step [| Event.Connect(0, peer, Dialect.Bep29, Time.seconds 60) |]
        let syn = heard[heard.Count - 1].Header
        this.Id <- syn.ConnectionId
        this.First <- syn.SeqNr + 1

    /// The SYN-ACK for `Connect`, a round trip of 20 ms later.
    member this.Answer() =
        this.Wait(Time.milliseconds 20)
        this.Acknowledge 0

        if not this.IsOpen then Check.fail "L1" "a SYN-ACK does not open the stream"

    member this.Write(count: int) = this.Step [| Event.Write(0, Owned(Array.zeroCreate<byte> count)) |]

    member _.Stream =
        match Node.stream 0 node with
        | ValueSome stream -> stream
        | ValueNone -> raise (Violation("S14", "the stream is gone"))

    /// Bytes of data packets from an index on, retransmissions included.
    member _.BytesSince(index: int) = Seq.sumBy (fun packet -> packet.Length) (Seq.skip index heard)

    /// The times at which a rule has fired since an instant.
    member _.Times(rule: Rule, since: Instant) =
        [ for struct (at, fired) in rules do
              if fired = rule && at >= since then at ]
