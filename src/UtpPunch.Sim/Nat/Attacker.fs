namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// An attacker that sees every datagram of a punch once it has arrived, and sends it to both peers from its own address: unchanged,
/// and with changes that an attacker would try.
[<Sealed>]
type Attacker(socket: Endpoint, victims: Endpoint[]) =
    let pending = Queue<struct (Endpoint * byte[])>()
    let mutable dueAt: Instant = Time.milliseconds 5
    let mutable sent = 0L
    let mutable received = 0L

    let isPeers (bytes: byte[]) = bytes.Length = 56 && bytes[4] >= 0x40uy && bytes[4] <= 0x44uy
    let isServers (bytes: byte[]) = bytes.Length > 5 && bytes[4] >= 0x81uy && bytes[4] <= 0x86uy

    let changed place value (bytes: byte[]) =
        let copy = Array.copy bytes
        copy[place] <- value
        copy

    /// The kind, the sender's role, the number and the code of a probe are at offsets 4, 13, 14 to 17, and 40 to 55.
    let variants (bytes: byte[]) : byte[] list =
        if isPeers bytes then
            let later = changed 16 (bytes[16] + 1uy) bytes

            let forged = [ for kind in 0x40uy .. 0x44uy -> changed 4 kind later ]
            [ bytes; changed 13 (1uy - bytes[13]) bytes; changed 55 (bytes[55] ^^^ 1uy) later ] @ forged
        elif isServers bytes then
            [ bytes
              changed 4 0x86uy bytes
              changed 12 (bytes[12] ^^^ 1uy) bytes
              changed (bytes.Length - 1) (bytes[bytes.Length - 1] ^^^ 0x55uy) bytes ]
        else
            []

    member _.Socket = socket
    /// Bytes that it has sent, and bytes that it has received.
    member _.Sent = sent
    member _.Received = received

    interface IInternetWatcher with
        member _.Saw(_, _, datagram, what) =
            match what with
            | DatagramEvent.Delivered when
                not (Endpoint.isSameAddress datagram.Source socket)
                && not (Endpoint.isSameAddress datagram.Destination socket)
                && pending.Count < 4096
                ->
                for bytes in variants datagram.Bytes do
                    for victim in victims do
                        pending.Enqueue(struct (victim, bytes))
            | _ -> ()

    interface IInternetHost with
        member _.Step(now, arrived) =
            for incoming in arrived do
                received <- received + int64 incoming.Bytes.Length

            if now < dueAt then
                [||]
            else
                dueAt <- now + Time.milliseconds 5
                let count = min 64 pending.Count

                Array.init count (fun _ ->
                    let struct (victim, bytes) = pending.Dequeue()
                    sent <- sent + int64 bytes.Length
                    { Socket = socket; To = victim; Ttl = 64; Bytes = bytes })

        member _.Deadline = dueAt
        member _.IsOpen other = other.Equals socket
