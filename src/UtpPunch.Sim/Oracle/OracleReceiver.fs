namespace UtpPunch.Sim

open UtpPunch.Protocol

/// BEP 29's receiver in its simplest form: a map from place to packet, and the length of its contiguous part. It has unlimited room,
/// and forgets nothing. The core's receiver is compared with it.
[<Sealed>]
type OracleReceiver(before: SeqNr, sacks: bool) =
    // Places count packets from 1 on and do not wrap.
    let mutable received: Map<int, struct (byte[] * bool)> = Map.empty
    let mutable unbroken = 0

    /// BEP 29: "ack_nr … the sequence number the sender of the packet last received in the other direction", in order.
    member _.AckNr = before + unbroken

    /// Whether everything up to the FIN was received.
    member _.HasEnded =
        match received.TryFind unbroken with
        | Some(struct (_, isFin)) -> isFin
        | None -> false

    /// Whether packets are held behind a missing one.
    member _.HasGap = received.Count > unbroken

    /// Takes a packet, and returns the payloads that have become contiguous.
    member this.Take(seqNr: SeqNr, payload: byte[], isFin: bool) : byte[] list =
        let place = unbroken + (seqNr - this.AckNr)

        if place > 0 && not (received.ContainsKey place) && not this.HasEnded then
            received <- received.Add(place, struct (payload, isFin))

        [ while received.ContainsKey(unbroken + 1) do
              unbroken <- unbroken + 1
              let struct (payload, _) = received[unbroken]
              payload ]

    /// BEP 29: "The bitmask has reverse byte order. The first byte represents packets [ack_nr + 2, ack_nr + 2 + 7] in reverse
    /// order … the bitmask is … a multiple of 4 bytes."
    member _.Sack =
        let bits =
            [ for place in received.Keys do
                  if place > unbroken then place - unbroken - 2 ]
            // The length of an extension is one byte.
            |> List.filter (fun bit -> bit < 252 * 8)

        if not sacks || bits.IsEmpty then
            Owned.Empty
        else
            let mask = Array.zeroCreate<byte>(4 * (List.max bits / 32 + 1))

            for bit in bits do
                mask[bit / 8] <- mask[bit / 8] + byte (1 <<< bit % 8)

            Owned mask
