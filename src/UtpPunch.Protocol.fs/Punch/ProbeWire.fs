namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

/// The messages between peers. No answer is larger than its request.
[<Struct; RequireQualifiedAccess>]
type internal ProbeKind =
    /// Tests whether the peer receives from here.
    | Probe
    /// Answers a probe: its number and the source it came from.
    | Answer
    /// Asks the peer to use the path on which this arrives.
    | Choose
    /// Agrees to the path.
    | Chosen
    /// Refuses the path: the punch has failed here.
    | Refuse
    /// Measures a path while another one is in use.
    | Explore

[<NoComparison>]
type internal Probe =
    {
        Kind: ProbeKind
        Session: uint64
        /// Which peer sent it, so that a packet cannot be reflected to its sender.
        FromLower: bool
        /// Increases with every packet of a sender.
        Number: uint32
        /// The number of the packet that this answers.
        Echo: uint32
        /// The source of that packet.
        Observed: Endpoint
    }

/// Where a peer is, sealed. It is as valid as its datagram.
[<NoComparison>]
type internal Addresses = { Session: uint64; FromLower: bool; Number: uint32; Sealed: Borrowed }

/// The encoding of the packets between peers: of those of a punch, and of those of a link. Most have one length.
module internal ProbeWire =
    open PunchWire

    /// Magic, kind, who, session, number, echo, endpoint, code.
    [<Literal>]
    let ProbeLength = 56

    /// Choose and Chosen of a link are as long as the packets that each path carries.
    [<Literal>]
    let PaddedLength = 1200

    [<Literal>]
    let private FirstProbeKind = 0x40uy

    [<Literal>]
    let private AddressesKind = 0x46uy

    [<Literal>]
    let private MaxAddresses = 8

    let private probeKinds =
        [| ProbeKind.Probe
           ProbeKind.Answer
           ProbeKind.Choose
           ProbeKind.Chosen
           ProbeKind.Refuse
           ProbeKind.Explore |]

    let private writeProbe (key: Owned) (probe: Probe) : Writer =
        let kind = Array.IndexOf(probeKinds, probe.Kind)
        let writer = begun (FirstProbeKind + byte kind) probe.Session
        writer.Byte(if probe.FromLower then 0uy else 1uy)
        writer.Number(uint64 probe.Number, 4)
        writer.Number(uint64 probe.Echo, 4)
        writer.Endpoint probe.Observed
        writer.Bytes((Secrets.mac key "UtpPunch probe" (writer.ToBytes().AsBorrowed)).AsBorrowed)
        writer

    let encode (key: Owned) (probe: Probe) : Owned = (writeProbe key probe).ToBytes()

    let encodePadded (key: Owned) (probe: Probe) : Owned =
        let writer = writeProbe key probe
        writer.PadTo PaddedLength
        writer.ToBytes()

    /// Each number of a sender is there once under its key.
    let private nonceOf fromLower (number: uint32) : Owned =
        let nonce = Array.zeroCreate<byte> 12
        nonce[0] <- if fromLower then 0uy else 1uy
        BinaryPrimitives.WriteUInt32BigEndian(Span<byte>(nonce, 8, 4), number)
        Owned nonce

    /// At most eight addresses; further ones are left out.
    let encodeAddresses (key: Owned) session fromLower (number: uint32) (hosts: Endpoint[]) : Owned =
        let text = encodeEndpoints (Array.truncate MaxAddresses hosts)
        let writer = begun AddressesKind session
        writer.Byte(if fromLower then 0uy else 1uy)
        writer.Number(uint64 number, 4)
        writer.Bytes((Secrets.seal key (nonceOf fromLower number) text).AsBorrowed)
        writer.ToBytes()

    let private isLengthOf kind (datagram: Borrowed) =
        match kind with
        | ProbeKind.Choose
        | ProbeKind.Chosen -> datagram.Length = ProbeLength || datagram.Length = PaddedLength
        | _ -> datagram.Length = ProbeLength

    /// Decodes a packet of a peer, without authenticating it.
    let decode (datagram: Borrowed) : Probe voption =
        if not (isOurs datagram) then
            ValueNone
        else
            let reader = Reader datagram
            let kind = int (reader.Byte()) - int FirstProbeKind

            if kind < 0 || kind >= probeKinds.Length || not (isLengthOf probeKinds[kind] datagram) then
                ValueNone
            else
                let session = reader.Number 8
                let fromLower = reader.Byte() = 0uy
                let number = uint32 (reader.Number 4)
                let echo = uint32 (reader.Number 4)

                ValueSome
                    { Kind = probeKinds[kind]
                      Session = session
                      FromLower = fromLower
                      Number = number
                      Echo = echo
                      Observed = reader.Endpoint() }

    let isAuthentic (key: Owned) (datagram: Borrowed) =
        let length = ProbeLength - Secrets.MacLength
        Secrets.isMac key "UtpPunch probe" (datagram.Slice(0, length)) (datagram.Slice(length, Secrets.MacLength))

    /// Decodes where a peer is, without authenticating or opening it.
    let decodeAddresses (datagram: Borrowed) : Addresses voption =
        let reader = Reader datagram

        if not (isOurs datagram) || reader.Byte() <> AddressesKind then
            ValueNone
        else
            let session = reader.Number 8
            let fromLower = reader.Byte() = 0uy
            let number = uint32 (reader.Number 4)

            if reader.IsWithin then
                ValueSome
                    { Session = session
                      FromLower = fromLower
                      Number = number
                      Sealed = datagram.Skip(datagram.Length - reader.Left) }
            else
                ValueNone

    /// The addresses, if they are authentic. The nonce of the seal is that of the number.
    let openAddresses (key: Owned) (addresses: Addresses) : Endpoint[] voption =
        let nonce = nonceOf addresses.FromLower addresses.Number

        let isOfNumber =
            addresses.Sealed.Length >= nonce.Length
            && addresses.Sealed.Slice(0, nonce.Length).Span.SequenceEqual nonce.Span

        if isOfNumber then
            Secrets.unseal key addresses.Sealed
            |> ValueOption.map (fun text -> endpoints text.AsBorrowed |> Array.truncate MaxAddresses)
        else
            ValueNone
