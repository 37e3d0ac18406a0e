namespace UtpPunch.Sim

open System.Collections.Generic
open UtpPunch.Protocol

/// Sees every datagram on the open internet, and sends it `copies` times more from its own address: as it is, and with changes. Answers the
/// probes that it draws, without the key.
[<Sealed>]
type PathAttacker(socket: Endpoint, copies: int) =
    let pending = Queue<struct (Endpoint * byte[])>()
    let mutable dueAt: Instant = Time.milliseconds 5
    let mutable sent = 0L
    let mutable datagrams = 0
    let mutable received = 0L
    let mutable packets = 0

    let isPathPacket (bytes: byte[]) =
        bytes.Length = 56 && bytes[0] = 0x55uy && bytes[4] >= 0x40uy && bytes[4] <= 0x44uy

    let isStream (bytes: byte[]) = bytes.Length >= 20 && bytes[0] &&& 0x0Fuy = 1uy

    let changed place value (bytes: byte[]) =
        let copy = Array.copy bytes
        copy[place] <- value
        copy

    /// The kind, the sender's role, the number and the code of a path packet are at offsets 4, 13, 14 to 17, and 40 to 55.
    let variants (bytes: byte[]) : byte[] list =
        if isPathPacket bytes then
            let later = changed 16 (bytes[16] + 1uy) bytes

            [ bytes; changed 13 (1uy - bytes[13]) bytes; later ]
            @ [ for kind in 0x40uy .. 0x44uy -> changed 4 kind later ]
        // A SYN would open a stream of its own.
        elif isStream bytes && bytes[0] >>> 4 <> 4uy then
            [ bytes ]
        else
            []

    /// An answer to a probe; its code is that of the probe.
    let answerTo (probe: byte[]) =
        let answer = probe |> changed 4 0x41uy |> changed 13 (1uy - probe[13]) |> changed 16 (probe[16] + 7uy)
        Array.blit probe 14 answer 18 4
        answer

    member _.Sent = sent
    member _.Datagrams = datagrams
    member _.Received = received
    /// Packets of streams that were sent to it.
    member _.Packets = packets

    interface IInternetWatcher with
        member _.Saw(_, place, datagram, what) =
            match what with
            | DatagramEvent.Sent
            | DatagramEvent.WentOut when
                place = "internet"
                && not (Endpoint.isSameAddress datagram.Source socket)
                && not (Endpoint.isSameAddress datagram.Destination socket)
                && pending.Count < 4096
                ->
                for bytes in variants datagram.Bytes do
                    for _ in 1..copies do
                        pending.Enqueue(struct (datagram.Destination, bytes))
            | _ -> ()

    interface IInternetHost with
        member _.Step(now, arrived) =
            for incoming in arrived do
                received <- received + int64 incoming.Bytes.Length
                if isStream incoming.Bytes && incoming.Bytes[0] >>> 4 <> 3uy then packets <- packets + 1

                if isPathPacket incoming.Bytes && incoming.Bytes[4] = 0x40uy then
                    pending.Enqueue(struct (incoming.From, answerTo incoming.Bytes))

            if now < dueAt then
                [||]
            else
                dueAt <- now + Time.milliseconds 5

                Array.init (min 64 pending.Count) (fun _ ->
                    let struct (victim, bytes) = pending.Dequeue()
                    sent <- sent + int64 bytes.Length
                    datagrams <- datagrams + 1
                    { Socket = socket; To = victim; Ttl = 64; Bytes = bytes })

        member _.Deadline = dueAt
        member _.IsOpen other = other.Equals socket
