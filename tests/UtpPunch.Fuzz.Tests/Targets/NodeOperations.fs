/// What the network and the application do to a node, as operations of a few bytes: packets that fit the streams nearly, answers of a
/// rendezvous, of a peer and of STUN servers, and calls that the library may make.
module UtpPunch.Fuzz.NodeOperations

open System
open UtpPunch.Protocol

let private addresses = Array.init 4 (fun index -> Endpoint.ofIPv4 (0x0A000001u + uint32 index) 4000us)
let private rendezvous = Endpoint.ofIPv4 0x0A000063u 42000us
let private stun = Endpoint.ofIPv4 0x0A000064u 3478us
let private room = Owned(Array.init 32 byte)

let private durations = Array.map Time.milliseconds [| 0; 1; 20; 250; 1_000; 4_000; 30_000; 200_000 |]

// ---- Packets ----

/// A header like the answer to the last packet that went to the address.
let private reply (world: NodeWorld) (operation: Operation) (remote: Remote) : Header =
    let last =
        if remote.Headers.Count = 0 then
            { Type = PacketType.State
              ConnectionId = uint16 (operation.Short())
              Timestamp = 0u
              TimestampDifference = 0u
              Window = 0u
              SeqNr = SeqNr 0us
              AckNr = SeqNr 0us }
        else
            remote.Headers[remote.Headers.Count - 1 - operation.Below(min 3 remote.Headers.Count)]

    let difference = Time.stamp world.Now - last.Timestamp

    { Type = operation.Of(Array.append Wire.packetTypes [| PacketType.Data; PacketType.State; PacketType.Data |])
      ConnectionId = uint16 (int last.ConnectionId + operation.Of [| 1; 0; -1; 1; 0; 2 |])
      Timestamp = Time.stamp world.Now - operation.Of [| 0u; 1000u; 5_000_000u; 0x80000000u |]
      TimestampDifference = operation.Of [| difference; difference; 0u; 0xFFFFFFFFu |]
      Window = operation.Of [| 1u <<< 20; 5000u; 0u; 500u; UInt32.MaxValue |]
      SeqNr = last.AckNr + operation.Of [| 1; 1; 1; 2; 3; 0; -1; 5; 64; 1000; 32767; -32768 |]
      AckNr = last.SeqNr + operation.Of [| 0; 0; 0; -1; 1; -2; -5; 1000; 32767; -32768 |] }

/// Extension bits as this implementation sends them (docs/mtu.md), or others. A probe has the length of its datagram.
let private bitsOf (operation: Operation) (remote: Remote) (length: int) : uint64 =
    match operation.Below 12 with
    | 0 -> ExtensionBits.hello (operation.Of [| 16384; 0; 100 |])
    | 1 -> ExtensionBits.probe (operation.Byte()) (length + operation.Of [| 0; 0; 1 |])
    | 2
    | 3 -> ExtensionBits.answer (ExtensionBits.idOf remote.LastBits) (ExtensionBits.sizeOf remote.LastBits)
    | 4 -> ExtensionBits.enquiry (operation.Short())
    | 5 -> ExtensionBits.farewell
    | 6 -> (uint64 (operation.Word()) <<< 32) ||| uint64 (operation.Word())
    | 7 -> operation.Of [| ExtensionBits.challenge; ExtensionBits.response (operation.Word()); ExtensionBits.keyShare |]
    | 8 -> ExtensionBits.errorCode (operation.Word())
    | _ -> 0UL

let private packet (world: NodeWorld) (operation: Operation) (remote: Remote) : byte[] =
    let header = reply world operation remote
    let sack = operation.Bytes(operation.Of [| 0; 0; 0; 4; 8; 252 |])
    let payload = Array.create (operation.Of [| 0; 1; 100; 1200; 1400; 0 |]) 7uy
    let hasPayload = header.Type = PacketType.Data || operation.Below 8 < 2
    let payload = if hasPayload then payload else [||]
    let bits = bitsOf operation remote (Packet.lengthOf sack.Length 1UL payload.Length)

    if bits = ExtensionBits.keyShare then
        Wire.share header (operation.Below 4)
    else
        Wire.packet header sack bits payload

/// Packets of one length in one buffer: with consecutive numbers, or each of another stream.
let private burst (world: NodeWorld) (operation: Operation) (remote: Remote) =
    let header = reply world operation remote
    let payload = Array.create (operation.Of [| 1; 50; 300 |]) 9uy
    let isOfOne = operation.Below 4 > 0

    let header index =
        if isOfOne then
            { header with Type = PacketType.Data; SeqNr = header.SeqNr + index }
        else
            { header with Type = PacketType.Data; ConnectionId = uint16 (2000 + index) }

    let count = operation.Of [| 2; 5; 12; 64 |]
    let packets = Array.init count (fun index -> Wire.packet (header index) [||] 0UL payload)
    world.Receive(remote.Endpoint, Array.concat packets, packets[0].Length)

    // A packet that may be a copy of one with the number of a later one.
    if operation.Below 4 = 3 then
        let late = header (count + 16384 - 1 - operation.Below 60)
        let late = { late with Timestamp = late.Timestamp - operation.Of [| 1000u; 0u; 1_500_000u |] }
        let datagram = Wire.packet late [||] 0UL payload
        world.Receive(remote.Endpoint, datagram, datagram.Length)

/// What ICMP quotes of a SYN: nearly the last packet that went to the address.
let private quote (world: NodeWorld) (operation: Operation) (remote: Remote) =
    let header = reply world operation remote
    let syn = Wire.packet { header with Type = PacketType.Syn; SeqNr = header.AckNr } [||] 0UL [||]
    Owned(Array.truncate (operation.Of [| 20; 20; 8; 0 |]) syn)

let private syn (world: NodeWorld) (operation: Operation) (remote: Remote) =
    let header =
        { Type = PacketType.Syn
          ConnectionId = uint16 (operation.Below 6)
          Timestamp = Time.stamp world.Now
          TimestampDifference = 0u
          Window = 1u <<< 20
          SeqNr = SeqNr(uint16 (operation.Of [| 1; 65535; 4090 |]))
          AckNr = SeqNr 0us }

    let datagram = Wire.packet header [||] (bitsOf operation remote 30) [||]
    world.Receive(remote.Endpoint, datagram, datagram.Length)

// ---- The application ----

let private call (world: NodeWorld) (operation: Operation) (stream: AppStream) =
    let connId = stream.ConnId

    match operation.Below 12 with
    | 0 when not stream.HasFinished ->
        stream.HasFinished <- true
        world.Post(Event.Finish connId)
    | 1 ->
        world.Streams.Remove stream |> ignore
        world.Post(Event.Release(connId, operation.Of durations))
    | 2 ->
        world.Streams.Remove stream |> ignore
        world.Post(if operation.Flag() then Event.Abort connId else Event.AbortWithCode(connId, 77u))
    | 3 -> world.Post(Event.SetIdleTimeout(connId, operation.Of [| Time.never; Time.seconds 1; Time.seconds 100 |]))
    | 4 when stream.IsWaiting ->
        stream.IsWaiting <- false
        world.Post(Event.Taken connId)
    | 5
    | 6 ->
        let count = stream.Unread / operation.Of [| 1; 2; 10 |]
        stream.Unread <- stream.Unread - count
        world.Post(Event.Consumed(connId, count))
    | _ when not stream.HasFinished ->
        let count = min stream.Room (operation.Of [| 0; 1; 100; 3_000; 20_000 |])
        stream.Room <- stream.Room - count
        world.Post(Event.Write(connId, Owned(Array.create count 5uy)))
    | _ -> ()

let private plan stays birthday hosts =
    { Plans.meeting rendezvous room (Array.truncate hosts addresses) with
        Stays = stays
        Birthday = birthday
        PrivateAddresses = if birthday then PrivateAddressPolicy.Always else PrivateAddressPolicy.Shared }

/// A punch of two offers: one that can be read and perhaps is this node's own, or bytes.
let private offered (operation: Operation) name =
    let offer nonce hosts =
        Offer.write
            { Nonce = Owned(Array.create 16 nonce)
              Birthday = operation.Flag()
              Mapping = operation.Of [| PortPrediction.EndpointIndependent; PortPrediction.Dependent 1 |]
              Observed = operation.Of addresses
              Last = operation.Of addresses
              Hosts = Array.truncate hosts addresses }

    let peer =
        match operation.Below 4 with
        | 0 -> Owned(operation.Bytes(operation.Below 60))
        | other -> offer (byte other) (operation.Below 5)

    let plan = { plan false (operation.Flag()) (operation.Below 5) with Servers = [||] }
    Event.PunchOffered(name, plan, offer 1uy 1, peer, operation.Flag())

let private task (world: NodeWorld) (operation: Operation) (name: int) =
    world.CountTask()

    match operation.Below 5 with
    | 4 -> world.Post(offered operation name)
    | 0 -> world.Post(Event.PunchLegacy(name, operation.Of addresses, operation.Below 10))
    | 1 ->
        let servers = operation.Of [| [| stun |]; [| stun; addresses[3] |] |]
        world.Post(Event.Discover(name, { StunClient.standard servers with Local = ValueSome addresses[0] }))
    | 2 ->
        let cancelled = operation.Below(max 1 name)

        match operation.Below 4 with
        | 0 -> world.Post(Event.Cancel cancelled)
        | 3 ->
            let prefixes = [| Nat64.wellKnown; { Nat64.wellKnown with Length = 32 } |]
            world.Post(Event.Nat64(Array.truncate (operation.Below 3) prefixes))
        | 1 -> world.Post(Event.NetworkChanged(Array.truncate (operation.Below 5) addresses))
        | _ -> world.Post(Event.LocalGone(uint16 (operation.Below 3)))
    | _ ->
        let plan = plan (operation.Flag()) (operation.Flag()) (operation.Below 5)
        let first = operation.Below 8

        world.Post(
            if first > 0 && first < name then
                Event.MeetAlso(name, first, plan)
            else
                Event.Meet(name, plan)
        )

// ---- Answers of a rendezvous, of a peer, of STUN servers ----

let private peerNonce = Array.create 16 0x33uy
let private introduction = Array.create 16 0x44uy

/// What the node has registered with last.
let private registration (world: NodeWorld) : Registration voption =
    world.DatagramsTo rendezvous
    |> Seq.tryPick (fun datagram ->
        match PunchWire.decode datagram.AsBorrowed with
        | ValueSome(RendezvousMessage.Register it) -> Some it
        | _ -> None)
    |> ValueOption.ofOption

/// The node's last offer in the room that the application has named; a link has a room of its own.
let private offer (world: NodeWorld) : Offer voption =
    world.DatagramsTo rendezvous
    |> Seq.tryPick (fun datagram ->
        match PunchWire.decode datagram.AsBorrowed with
        | ValueSome(RendezvousMessage.Register it) when
            not it.Offer.IsEmpty && it.Room.Equals((Secrets.tag room).AsBorrowed)
            ->
            match Secrets.unseal room it.Offer |> ValueOption.bind (fun text -> Offer.read text.AsBorrowed) with
            | ValueSome own -> Some own
            | ValueNone -> Target.violated "The node's own offer cannot be opened."
        | _ -> None)
    |> ValueOption.ofOption

let private peerName (isLower: bool) = Array.create 16 (if isLower then 0uy else 0xFFuy)

let private sealedOffer (operation: Operation) : byte[] =
    let offer =
        { Nonce = Owned peerNonce
          Birthday = operation.Flag()
          Mapping =
            operation.Of
                [| PortPrediction.EndpointIndependent
                   PortPrediction.Unknown
                   PortPrediction.Dependent 2
                   PortPrediction.Dependent 0 |]
          Observed = operation.Of addresses
          Last = operation.Of addresses
          Hosts = Array.truncate (operation.Below 5) addresses }

    (Secrets.seal room (Owned(operation.Bytes 12)) (Offer.write offer)).Span.ToArray()

let private answerOf (operation: Operation) (it: Registration) : RendezvousMessage =
    match operation.Below 8 with
    | 0
    | 1 ->
        let others =
            Array.init (operation.Below 4) (fun index -> Endpoint.withPort (uint16 (42001 + index)) rendezvous)

        RendezvousMessage.Challenge(it.Handle, it.Attempt, Borrowed(operation.Bytes 16), addresses[0], others)
    | 2 -> RendezvousMessage.Registered(it.Handle, it.Attempt, addresses[0], Time.seconds (operation.Short()))
    | 3 -> RendezvousMessage.Observed(it.Handle, Endpoint.withPort (uint16 (operation.Short())) addresses[0])
    | 4 -> RendezvousMessage.Go(it.Handle, Borrowed introduction, Time.milliseconds (operation.Below 255))
    | 5 when operation.Below 4 = 0 -> RendezvousMessage.Full(it.Handle, operation.Flag())
    | _ ->
        RendezvousMessage.Introduce(
            it.Handle,
            { Nonce = Borrowed introduction
              Peer = Borrowed(peerName (operation.Flag()))
              Observed = operation.Of addresses
              Offer = Borrowed(if operation.Below 8 = 0 then operation.Bytes 60 else sealedOffer operation) }
        )

let private answer (world: NodeWorld) (operation: Operation) =
    match registration world with
    | ValueNone -> ()
    | ValueSome it ->
        let datagram = (PunchWire.encode (answerOf operation it)).Span.ToArray()

        let from =
            if operation.Below 8 = 7 then
                operation.Of addresses
            else
                Endpoint.withPort (uint16 (42000 + operation.Below 4)) rendezvous

        world.Receive(from, datagram, datagram.Length)

/// A SYN of the peer, under the key of the punch.
let private signedSyn (world: NodeWorld) (operation: Operation) (key: Owned) =
    let header =
        { Type = PacketType.Syn
          ConnectionId = uint16 (100 + operation.Below 3)
          Timestamp = Time.stamp world.Now
          TimestampDifference = 0u
          Window = 1u <<< 20
          SeqNr = SeqNr 1us
          AckNr = SeqNr 0us }

    let code = MeetingKey.sign &header (MeetingKey(key.Span.ToArray(), 0UL))
    let train = Train(header, 0UL, code)
    let datagram = Array.zeroCreate<byte>(train.LengthOf 0)
    train.Write(0, datagram.AsSpan()) |> ignore
    datagram

/// An authentic packet of the peer, of the punch or of the link that follows it, if the node has registered an offer.
let private probe (world: NodeWorld) (operation: Operation) (remote: Remote) =
    match offer world with
    | ValueNone -> ()
    | ValueSome own ->
        let isLower = operation.Flag()
        let first, second = if isLower then Owned peerNonce, own.Nonce else own.Nonce, Owned peerNonce
        let key = Secrets.punch room (Borrowed introduction) first.AsBorrowed second.AsBorrowed

        let probe =
            { Kind =
                operation.Of
                    [| ProbeKind.Probe
                       ProbeKind.Answer
                       ProbeKind.Choose
                       ProbeKind.Chosen
                       ProbeKind.Refuse
                       ProbeKind.Explore |]
              Session = Secrets.session key
              FromLower = (if operation.Below 8 = 0 then not isLower else isLower)
              Number = operation.Of [| 1u; 2u; 3u; uint32 (operation.Short()); UInt32.MaxValue |]
              Echo = uint32 (operation.Below 6)
              Observed = addresses[0] }

        let from = Endpoint.via (uint16 (operation.Below 3)) remote.Endpoint

        let datagram =
            let link = Secrets.link key
            let session = Secrets.session link

            match operation.Below 5 with
            | 0 -> (ProbeWire.encode key probe).Span.ToArray()
            | 1 -> (ProbeWire.encode link { probe with Session = session }).Span.ToArray()
            | 2 -> (ProbeWire.encodePadded link { probe with Session = session }).Span.ToArray()
            | 3 -> (ProbeWire.encodeAddresses link session probe.FromLower probe.Number addresses).Span.ToArray()
            | _ -> signedSyn world operation key

        world.Receive(from, datagram, datagram.Length)

let private stunAnswer (world: NodeWorld) (operation: Operation) =
    match world.LastDatagramTo stun with
    | ValueSome request when Stun.looksLike request.AsBorrowed ->
        let attributes =
            [| StunAttribute.XorMappedAddress(
                   Endpoint.withPort (uint16 (operation.Short())) addresses[operation.Below 4]
               )
               StunAttribute.OtherAddress(operation.Of addresses)
               StunAttribute.ErrorCode(300 + int (operation.Byte()), "no") |]

        let message =
            { Class = operation.Of [| StunClass.Success; StunClass.Error |]
              Method = Stun.Binding
              Id = Stun.idOf request.AsBorrowed
              Attributes = Array.truncate (operation.Below 4) attributes }

        let datagram = (Stun.encode message).Span.ToArray()
        world.Receive((if operation.Below 4 = 0 then operation.Of addresses else stun), datagram, datagram.Length)
    | _ -> ()

// ---- Operations ----

let private received (world: NodeWorld) (from: Endpoint) (datagram: byte[]) =
    if datagram.Length > 0 then world.Receive(from, datagram, datagram.Length)

/// The number of operations.
let count = 15

/// `name` is a number that no task or stream has yet.
let apply (world: NodeWorld) (name: int) (chunk: byte[]) =
    let operation = Operation chunk
    let kind = operation.Byte()
    let remote = world.Remote(operation.Of addresses)

    match int (kind &&& 0x7Fuy) % count with
    | 0 -> received world remote.Endpoint (operation.Rest())
    | 1
    | 2 -> received world remote.Endpoint (packet world operation remote)
    | 3 -> burst world operation remote
    | 4 -> syn world operation remote
    | 5 -> world.Wait(operation.Of durations)
    | 6 -> world.WaitUntilDue()
    | 7 ->
        remote.IsProved <- true
        world.Streams.Add(AppStream(2 * name, 20_000))

        let dialect = operation.Of [| Dialect.Bep29; Dialect.UtpPunch |]
        let timeout = operation.Of durations + Time.seconds 1

        world.Post(
            if operation.Below 4 = 3 then
                Event.ConnectSimultaneously(2 * name, remote.Endpoint, timeout, 4)
            else
                Event.Connect(2 * name, remote.Endpoint, dialect, timeout)
        )
    | 8 ->
        match operation.Below 4 with
        | 0 -> world.Post Event.Unlisten
        | _ ->
            let backlog = 1 + operation.Below 4

            match operation.Below 4 with
            | 1 -> world.Post(Event.ListenSelectively backlog)
            | 2 -> world.Decide true
            | 3 -> world.Decide false
            | _ -> world.Post(Event.Listen backlog)
    | 9 ->
        if world.Streams.Count > 0 then
            call world operation world.Streams[operation.Below world.Streams.Count]
    | 10 ->
        if operation.Flag() then
            world.Post(Event.Unreachable remote.Endpoint)
        elif operation.Below 4 = 0 then
            world.Post(Event.PortUnreachable(remote.Endpoint, quote world operation remote))
        else
            world.Post(Event.TooLong(remote.Endpoint, operation.Short(), operation.Of [| 0; 100; 1000; 1400; 70_000 |]))
    | 11 -> task world operation (1 + name)
    | 12 -> answer world operation
    | 13 -> probe world operation remote
    | _ ->
        match operation.Below 3 with
        | 0 -> received world remote.Endpoint "PUNCH"B
        | 1 -> received world remote.Endpoint "PUNCHED"B
        | _ -> stunAnswer world operation

    // Events can come together in one step.
    if kind < 0x80uy then world.Step(int kind % count)
