namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// A third party that sees every datagram of an encounter once it has arrived, and says it all again from its own address: as it was,
/// with changes that would serve it, and to the wrong one of the two.
[<Sealed>]
type Stranger(socket: Endpoint, victims: Endpoint[]) =
    let pending = Queue<struct (Endpoint * byte[])>()
    let mutable dueAt: Instant = Time.milliseconds 5
    let mutable sent = 0L
    let mutable drawn = 0L

    let isPeers (bytes: byte[]) = bytes.Length = 56 && bytes[4] >= 0x40uy && bytes[4] <= 0x44uy
    let isServers (bytes: byte[]) = bytes.Length > 5 && bytes[4] >= 0x81uy && bytes[4] <= 0x86uy

    let changed place value (bytes: byte[]) =
        let copy = Array.copy bytes
        copy[place] <- value
        copy

    /// Kind, who, number and code of a probe stand at 4, 13, 14 to 17, and 40 to 55.
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
    /// Bytes that it sent, and that came to it.
    member _.Sent = sent
    member _.Drawn = drawn

    interface IInternetWatcher with
        member _.Saw(_, _, parcel, what) =
            match what with
            | Happening.Delivered when
                not (Endpoint.isSameAddress parcel.Source socket)
                && not (Endpoint.isSameAddress parcel.Destination socket)
                && pending.Count < 4096
                ->
                for bytes in variants parcel.Bytes do
                    for victim in victims do
                        pending.Enqueue(struct (victim, bytes))
            | _ -> ()

    interface IInternetHost with
        member _.Step(now, arrived) =
            for incoming in arrived do
                drawn <- drawn + int64 incoming.Bytes.Length

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
