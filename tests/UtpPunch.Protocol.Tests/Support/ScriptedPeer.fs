/// One node, and scripted peers: the test writes their packets and reads the node's.
module UtpPunch.Protocol.Tests.ScriptedPeer

open System
open Expecto
open UtpPunch.Protocol

/// A packet that the node sent.
[<NoComparison; NoEquality>]
type Seen =
    { At: Instant
      Remote: Endpoint
      Length: int
      Packet: Packet }

    member this.Header = this.Packet.Header
    member this.Type = this.Packet.Header.Type

let decoded (datagram: byte[]) =
    let mutable packet = Unchecked.defaultof<Packet>
    Expect.equal (Packet.decode (Borrowed datagram) &packet) Malformed.None "what a node sends is well formed"
    packet

let encodedWith (bits: uint64) (header: Header) (sack: Owned) (payload: Owned) =
    let datagram = Array.zeroCreate<byte>(Packet.lengthOf sack.Length bits payload.Length)
    let length = Packet.encode &header sack bits payload (Span<byte>(datagram))
    Expect.equal length datagram.Length "the length that was announced"
    datagram

let encoded header sack payload = encodedWith 0UL header sack payload

let datagramsOf (train: Train) =
    Array.init train.Count (fun index ->
        let datagram = Array.zeroCreate (train.LengthOf index)
        train.Write(index, Span<byte>(datagram)) |> ignore
        datagram)

/// A node whose clock the test controls.
[<Sealed>]
type ScriptedPeer(options: NodeOptions) =
    let mutable node = Node.create options (Owned(Array.init 32 byte)) 0L<us>
    let mutable now = 0L<us>
    let sent = ResizeArray<Seen>()
    let effects = ResizeArray<Effect>()

    member _.Now = now
    member _.Node = node
    /// All packets that it has sent, and all effects.
    member _.Sent = sent
    member _.Effects = effects

    member _.Tell([<ParamArray>] events: Event[]) : Effect[] =
        let struct (next, caused) = Node.step now events node
        node <- next
        effects.AddRange caused

        for effect in caused do
            match effect with
            | Effect.Send(remote, train) ->
                for datagram in datagramsOf train do
                    sent.Add { At = now; Remote = remote; Length = datagram.Length; Packet = decoded datagram }
            | _ -> ()

        caused

    /// Receives each datagram on its own, all in one step.
    member this.Receive(from: Endpoint, [<ParamArray>] datagrams: byte[][]) : Effect[] =
        this.Tell [| for datagram in datagrams -> Event.Received(from, Datagrams.One(Borrowed datagram, now)) |]

    /// What a peer at `remote` measures of the last packet to it when that took `delay`: the node's time stamps have a secret offset.
    member _.Echo(remote: Endpoint, delay: uint32) : uint32 =
        match sent.FindLastIndex(fun seen -> seen.Remote.Equals remote && seen.Type <> PacketType.Reset) with
        | -1 -> delay
        | last -> delay - (sent[last].Header.Timestamp - Time.stamp sent[last].At)

    /// Advances the time; the node steps at each of its deadlines.
    member this.Wait(duration: Duration) =
        let until = now + duration

        while Node.deadline node <= until do
            now <- max now (Node.deadline node)
            this.Tell() |> ignore

        now <- until

    /// The packets since the last call.
    member val private Looked = 0 with get, set

    member this.Fresh() : Seen[] =
        let fresh = sent.GetRange(this.Looked, sent.Count - this.Looked).ToArray()
        this.Looked <- sent.Count
        fresh

    /// The first of them.
    member this.Head() : Seen =
        let fresh = this.Fresh()
        Expect.isNonEmpty fresh "packets that the node sent"
        fresh[0]

    member _.Count(rule: Rule) =
        effects
        |> Seq.sumBy (fun effect ->
            match effect with
            | Effect.Noted(noted, _) when noted = rule -> 1
            | _ -> 0)

    member _.Closed(connId: ConnId) =
        effects
        |> Seq.tryPick (fun effect ->
            match effect with
            | Effect.Closed(closed, reason) when closed = connId -> Some reason
            | _ -> None)

    /// The bytes delivered to a stream so far.
    member _.Delivered(connId: ConnId) =
        effects
        |> Seq.collect (fun effect ->
            match effect with
            | Effect.Deliver(id, payload) when id = connId -> UtpPunch.Sim.Describe.flatten payload
            | _ -> [||])
        |> Seq.toArray

    member _.HasEnded(connId: ConnId) =
        effects
        |> Seq.exists (fun effect ->
            match effect with
            | Effect.Ended id -> id = connId
            | _ -> false)

/// A scripted peer. Its own packets count from 0, and so do the node's: `Acked` is how many of those it acknowledges.
[<Sealed>]
type Peer(scripted: ScriptedPeer, endpoint: Endpoint, sendId: uint16, first: SeqNr, theirFirst: SeqNr) =
    member _.Endpoint = endpoint
    /// The id in the packets to the node.
    member _.SendId = sendId
    /// The number of this peer's first packet, and of the node's.
    member _.First = first
    member _.TheirFirst = theirFirst
    member val Acked = 0 with get, set
    member val Window = 1u <<< 20 with get, set
    /// The delay that it reports of the node's packets.
    member val Difference = 0u with get, set
    /// Whether it reports none at all.
    member val IsMute = false with get, set
    member val Sack = Owned.Empty with get, set
    /// The extension bits of its packets.
    member val Bits = 0UL with get, set

    member this.Make(packetType: PacketType, index: int, payload: byte[]) =
        encodedWith
            this.Bits
            { Type = packetType
              ConnectionId = sendId
              Timestamp = Time.stamp scripted.Now
              TimestampDifference = (if this.IsMute then 0u else scripted.Echo(endpoint, this.Difference))
              Window = this.Window
              SeqNr = first + index
              AckNr = theirFirst + (this.Acked - 1) }
            this.Sack
            (Owned payload)

    member this.Send(packetType, index, payload) = scripted.Receive(endpoint, this.Make(packetType, index, payload))
    member this.Data(index, payload) = this.Send(PacketType.Data, index, payload)
    member this.Fin index = this.Send(PacketType.Fin, index, [||])

    /// Acknowledges the node's first `acked` packets; `index` is the number of its next packet.
    member this.State(acked: int, index: int) =
        this.Acked <- acked
        this.Send(PacketType.State, index, [||])

let here = Endpoint.ofIPv4 0x0A000009u 9000us

/// A SYN with these extension bits.
let synWith bits (id: uint16) (seqNr: uint16) =
    encodedWith
        bits
        { Type = PacketType.Syn
          ConnectionId = id
          Timestamp = 1u
          TimestampDifference = 0u
          Window = 1u <<< 20
          SeqNr = SeqNr seqNr
          AckNr = SeqNr 0us }
        Owned.Empty
        Owned.Empty

let syn id seqNr = synWith 0UL id seqNr

/// Packets of one size, and no search for another.
let fixedAt size (options: StreamOptions) = { options with PacketSize = size; LargestPacket = size }

let bep29 adapt = { NodeOptions.standard with Bep29 = adapt (fixedAt 1400 StreamOptions.bep29) }

/// Tests of packets use packets of 1400 bytes, unless they are about packet sizes.
let usual = bep29 id

/// A peer has dialled the node: stream 1, open, accepted.
let acceptedWith (options: NodeOptions) (seqNr: uint16) =
    let scripted = ScriptedPeer options
    scripted.Tell(Event.Listen 16) |> ignore
    scripted.Receive(here, syn 100us seqNr) |> ignore
    let synAck = scripted.Head()
    let peer = Peer(scripted, here, 101us, SeqNr seqNr + 1, synAck.Header.SeqNr)
    scripted.Wait(Time.milliseconds 50)
    peer.State(0, 0) |> ignore
    scripted.Tell(Event.Taken 1) |> ignore
    scripted.Fresh() |> ignore
    Expect.equal (Node.statistics scripted.Node).Incoming 1 "the stream is open"
    struct (scripted, peer)

let accepted () = acceptedWith usual 1000us

/// The node has dialled a peer whose data begins with `seqNr`: stream 0, open.
let dialledWith (options: NodeOptions) (seqNr: uint16) =
    let scripted = ScriptedPeer options
    scripted.Tell(Event.Connect(0, here, Dialect.Bep29, Time.seconds 60)) |> ignore
    let dialled = scripted.Head().Header
    let peer = Peer(scripted, here, dialled.ConnectionId, SeqNr seqNr, dialled.SeqNr + 1)
    scripted.Wait(Time.milliseconds 50)
    peer.State(0, 0) |> ignore
    scripted.Fresh() |> ignore
    Expect.isTrue (scripted.Effects.Exists(fun effect -> effect.IsOpened)) "the stream is open"
    struct (scripted, peer)

let dialled () = dialledWith usual 1000us
