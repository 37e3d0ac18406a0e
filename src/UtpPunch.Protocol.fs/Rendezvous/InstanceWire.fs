namespace UtpPunch.Protocol

/// What an instance of a rendezvous tells another one, over what their store has for that. Rooms are the same at all of them; cookies are not.
[<RequireQualifiedAccess; NoComparison>]
type internal InstanceMessage =
    /// The registrant `number` here may be introduced to the registrant `target` there.
    | Propose of nonce: Owned * target: int * number: int * remote: Endpoint * registration: Registration
    /// The proposal is accepted: the registrant there is held back until Confirm.
    | Agree of nonce: Owned * remote: Endpoint * registration: Registration
    | Refuse of nonce: Owned
    /// The registrant `number` here is being introduced to the registrant `target` there. Repeated until that one has acknowledged its introduction.
    | Confirm of nonce: Owned * target: int * number: int * remote: Endpoint * registration: Registration
    /// There is no such proposal any more.
    | Withdraw of nonce: Owned
    /// A client has acknowledged the introduction.
    | Acknowledged of nonce: Owned * roundTrip: Duration

/// Its encoding: "UPI1", the kind, the nonce, and fields as in the datagrams of clients.
module internal InstanceWire =
    let private magic = Owned [| 0x55uy; 0x50uy; 0x49uy; 0x31uy |]

    [<Literal>]
    let private HeadLength = 21

    let private written (kind: byte) (nonce: Owned) (parts: Owned list) : Owned =
        let bytes = ResizeArray<byte>()
        bytes.AddRange(magic.Span.ToArray())
        bytes.Add kind
        bytes.AddRange(nonce.Span.ToArray())

        for part in parts do
            bytes.AddRange(part.Span.ToArray())

        Owned(bytes.ToArray())

    let private number (value: int) =
        let bytes = Array.zeroCreate<byte> 4
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(System.Span<byte> bytes, value)
        Owned bytes

    let private peer (remote: Endpoint) (registration: Registration) =
        [ PunchWire.encodeEndpoints [| remote |]
          PunchWire.encode (RendezvousMessage.Register registration) ]

    let encode (message: InstanceMessage) : Owned =
        match message with
        | InstanceMessage.Propose(nonce, target, own, remote, registration) ->
            written 1uy nonce (number target :: number own :: peer remote registration)
        | InstanceMessage.Agree(nonce, remote, registration) -> written 2uy nonce (peer remote registration)
        | InstanceMessage.Refuse nonce -> written 3uy nonce []
        | InstanceMessage.Confirm(nonce, target, own, remote, registration) ->
            written 4uy nonce (number target :: number own :: peer remote registration)
        | InstanceMessage.Withdraw nonce -> written 5uy nonce []
        | InstanceMessage.Acknowledged(nonce, roundTrip) ->
            written 6uy nonce [ number (int (min 65_535_000L (int64 roundTrip))) ]

    let private readNumber (bytes: Borrowed) at =
        System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(bytes.Slice(at, 4).Span)

    let private readPeer (bytes: Borrowed) : struct (Endpoint * Registration) voption =
        if bytes.Length <= 18 then
            ValueNone
        else
            match PunchWire.decode (bytes.Skip 18) with
            | ValueSome(RendezvousMessage.Register it) ->
                ValueSome(struct ((PunchWire.endpoints (bytes.Slice(0, 18)))[0], it))
            | _ -> ValueNone

    /// None if it is not one: others may write to the store, too.
    let decode (bytes: Borrowed) : InstanceMessage voption =
        if bytes.Length < HeadLength || not (bytes.Slice(0, 4).Equals magic) then
            ValueNone
        else
            let nonce = Borrowed.keep (bytes.Slice(5, 16))
            let rest = bytes.Skip HeadLength

            match bytes.Span[4] with
            | 1uy
            | 4uy when rest.Length > 8 ->
                let target, number = readNumber rest 0, readNumber rest 4

                match readPeer (rest.Skip 8) with
                | ValueSome(struct (remote, it)) when bytes.Span[4] = 1uy ->
                    ValueSome(InstanceMessage.Propose(nonce, target, number, remote, it))
                | ValueSome(struct (remote, it)) ->
                    ValueSome(InstanceMessage.Confirm(nonce, target, number, remote, it))
                | ValueNone -> ValueNone
            | 2uy ->
                match readPeer rest with
                | ValueSome(struct (remote, it)) -> ValueSome(InstanceMessage.Agree(nonce, remote, it))
                | ValueNone -> ValueNone
            | 3uy -> ValueSome(InstanceMessage.Refuse nonce)
            | 5uy -> ValueSome(InstanceMessage.Withdraw nonce)
            | 6uy when rest.Length >= 4 ->
                ValueSome(InstanceMessage.Acknowledged(nonce, int64 (max 0 (readNumber rest 0)) * 1L<us>))
            | _ -> ValueNone
